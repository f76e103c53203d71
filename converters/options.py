"""What a user can tell about a recording."""

from dataclasses import dataclass
from math import inf
from typing import Literal

from converters.stream import WHOLE, SensorSize, Unit, Window
from evinr.events import InputError

Format = Literal[
    "evinr", "ijrr", "text", "npy", "npz", "aed", "rosbag", "rosbag2", "mcap", "timostoff", "rled", "eventhdr", "efnet", "dsec",
    "mvsec", "m3ed", "e2calib", "v2e", "evreal", "nernet", "rpg", "highrev", "evt2", "evt21", "evt3", "dat", "aedat4",
]  # fmt: skip
Order = Literal["txyp", "tyxp", "xytp", "yxtp"]


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What the user knows about a recording that its file does not say, and which part of it is wanted."""

    format: Format | None = None
    """The file format, where its content does not tell it."""
    height: int | None = None
    """Rows of the sensor; taken from the file or inferred when absent."""
    width: int | None = None
    """Columns of the sensor; taken from the file or inferred when absent."""
    time_unit: Unit | None = None
    """Unit of the times in the file, where they are not in what its format has (seconds for text and arrays)."""
    columns: Order | None = None
    """Order of the columns of text and N x 4 arrays; txyp when absent."""
    polarity: tuple[int, int] | None = None
    """The numbers that mean falling and rising in the file, such as `1 0` or `1 2`; 0 1 or -1 1 when absent."""
    topic: str | None = None
    """Topic of the events in a bag; group of them in HDF5; camera (left, right) of a stereo recording; stream of AEDAT4;
    sequence of HighREV."""
    frame_topic: str | None = None
    """Topic of the camera frames in a bag; stream of them in AEDAT4."""
    skip_frames: bool = False
    """Leave the camera frames out; on an absolute clock, time 0 is then the first event."""
    sort: bool = False
    """Sort events by time (stable) instead of refusing a recording whose time goes backwards."""
    drop: bool = False
    """Leave out events outside the sensor or with an impossible time, and count them, instead of refusing."""
    t_start: float | None = None
    """Keep only what is at or after this time: seconds in the recording's clock."""
    t_end: float | None = None
    """Keep only what is at or before this time: seconds in the recording's clock."""

    def __post_init__(self):
        if (self.height is None) != (self.width is None):
            raise InputError("--height and --width belong together: give both or none")
        if self.size and not (1 <= self.size.height <= 65536 and 1 <= self.size.width <= 65536):
            raise InputError(f"--width {self.width} --height {self.height} is no sensor: both run from 1 to 65536")
        start = -inf if self.t_start is None else self.t_start
        end = inf if self.t_end is None else self.t_end
        if not start <= end:
            raise InputError(f"--t-start {start:g} is not before --t-end {end:g}: exchange them")
        if self.polarity and self.polarity[0] == self.polarity[1]:
            raise InputError(f"--polarity {self.polarity[0]} {self.polarity[1]}: give two different numbers")

    @property
    def size(self) -> SensorSize | None:
        """The sensor size that the user gave, if any."""
        if self.height is None or self.width is None:
            return None
        return SensorSize(self.height, self.width, "--height and --width")

    @property
    def whole(self) -> bool:
        """Whether all of the recording is wanted."""
        return self.t_start is None and self.t_end is None

    def window(self, origin: int) -> Window:
        """The wanted time on the file's clock, whose `origin` (ns) is the recording's zero."""
        first = WHOLE.first if self.t_start is None else origin + _nanoseconds(self.t_start)
        last = WHOLE.last if self.t_end is None else origin + _nanoseconds(self.t_end)
        return Window(first, last)


def _nanoseconds(seconds: float) -> int:
    return round(min(max(seconds, -1e10), 1e10) * 1e9)


AS_STORED = ReadOptions()
"""Everything, as its format has it, and refused where time goes backwards."""
