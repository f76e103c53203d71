"""What every reader returns."""

from typing import NamedTuple

from converters.frames import Frames
from evinr.events import Events


class Recording(NamedTuple):
    """A recording as it was read: nothing shifted, nothing dropped or converted without a word in `assumptions`."""

    events: Events
    frames: Frames | None
    format: str
    """The file format, for people."""
    assumptions: tuple[str, ...]
    """What the file did not say or what was changed, one short sentence each."""
