"""A recording in memory."""

from typing import NamedTuple

from converters.frames import Frames
from evinr.events import Events


class Recording(NamedTuple):
    """A recording as it was read: nothing dropped or converted without a word in `assumptions`."""

    events: Events
    frames: Frames | None
    """The camera's frames in the span, as 8-bit gray to look at."""
    format: str
    """The file format, for people."""
    assumptions: tuple[str, ...]
    """What the file did not say or what was changed, one short sentence each."""
    origin: int
    """The recording's own time of t = 0, in nanoseconds: 0 unless its clock is absolute, such as Unix time."""
