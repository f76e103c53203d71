"""The commands. `commands` says what they can be told and imports fast; the other files do the work."""
