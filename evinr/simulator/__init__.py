"""The simulator: scenes and footage, the pixels of an event camera, and a camera beside it."""
