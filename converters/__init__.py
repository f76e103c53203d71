"""The door through which recordings come in: `read` takes a file or folder of any known format."""

from converters.door import read as read
from converters.frames import Frames as Frames
from converters.recording import Recording as Recording
from evinr.events import ReadOptions as ReadOptions
