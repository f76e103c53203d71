"""The simulator: scenes, the pixels of an event camera, and a camera beside it."""
