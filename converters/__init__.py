"""The door through which recordings come in: `read` takes a file or folder of any known format."""

from converters.checks import events_from_columns as events_from_columns
from converters.door import beginning as beginning
from converters.door import fingerprint as fingerprint
from converters.door import in_memory as in_memory
from converters.door import open_stream as open_stream
from converters.door import read as read
from converters.door import recording_name as recording_name
from converters.frames import Frames as Frames
from converters.options import ReadOptions as ReadOptions
from converters.recording import Recording as Recording
from converters.stream import Stream as Stream
