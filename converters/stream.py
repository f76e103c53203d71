"""What every reader returns: a recording described, its events in blocks and its frames, none of them read yet.

A reader is a function `(path, name, options) -> Stream`. It opens files for reading only, trusts nothing that they say,
and hands out what they hold: no checks of coordinates, order or polarity, no shift of time. `converters.checks` does
those once for all formats.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Shaped

BLOCK = 2**18
"""Events in a block, about: few enough to stay in the cache between the checks."""

Unit = Literal["s", "ms", "us", "ns"]
TICKS: dict[str, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Ticks of each unit in a second."""


class SensorSize(NamedTuple):
    """Rows and columns of a sensor, and who says so (for people)."""

    height: int
    width: int
    source: str


class Columns(NamedTuple):
    """Consecutive events as a file has them: numbers of any real type, its own time unit and polarity coding."""

    t: Shaped[np.ndarray, " n"]
    x: Shaped[np.ndarray, " n"]
    y: Shaped[np.ndarray, " n"]
    p: Shaped[np.ndarray, " n"]
    first: int = 0
    """Which event of the file the first one is, counted from 0."""
    done: float = 0.0
    """Part of the reading that is behind us at the end of this block, 0 to 1, for progress bars."""


class Window(NamedTuple):
    """The time that is wanted, both ends included, in integer nanoseconds of the file's clock."""

    first: int
    last: int

    def ticks(self, unit: Unit) -> tuple[int, int]:
        """First and last whole tick of a unit that cover the window."""
        nanoseconds = 10**9 // TICKS[unit]
        return self.first // nanoseconds, -(-self.last // nanoseconds)


WHOLE = Window(-(2**63), 2**63 - 1)
"""All there is."""


class Frame(NamedTuple):
    """A camera picture: gray or a Bayer mosaic (h, w), or RGB (h, w, 3); uint8, uint16 (linear HDR) or float32."""

    time: int
    """Nanoseconds on the clock of the events."""
    image: Shaped[np.ndarray, "h w *c"]
    exposure: tuple[int, int] | None = None
    """Begin and end of the exposure in nanoseconds of the same clock, where the file tells."""
    place: str | None = None
    """Where in the file it stands, for messages; unset, counted."""
    window: tuple[int, int] | None = None
    """The first event that the file itself gives to this picture and the one after the last, by their numbers in the file."""


Layout = Literal["gray", "rgb", "rggb", "bggr", "grbg", "gbrg"]
"""What a picture's numbers are: the last four are Bayer mosaics, named by their first two rows."""


class FrameSet(NamedTuple):
    """Pictures of one kind, such as those of one camera."""

    name: str
    """`frames` for the camera's pictures; else what they are: `sharp` (truth of blurred ones), `raw` (Bayer mosaic)."""
    start: int
    """Time of the first in the file, nanoseconds on the clock of the events."""
    read: Callable[[Window], Iterator[Frame]]
    """The pictures inside a window, in the file's order, one at a time in memory."""
    layout: Layout = "gray"
    height: int | None = None
    width: int | None = None
    ends: bool = False
    """Whether the times are the ends of exposures, not their middles."""
    numbered: bool = False
    """Whether the pictures say which events are their own (`Frame.window`)."""


class Stream(NamedTuple):
    """A recording that can be read, as often as one likes."""

    format: str
    """The file format, for people."""
    files: tuple[Path, ...]
    """The files that hold the events, for their fingerprint."""
    unit: Unit
    """Unit of the times in the blocks. Integers are exact; floats are taken as they are."""
    blocks: Callable[[Window], Iterator[Columns]]
    """The events from the first to the last one in a window, in the file's order, and perhaps some around them."""
    size: SensorSize | None = None
    """What the recording says of the sensor."""
    frames: tuple[FrameSet, ...] = ()
    count: int | None = None  # pyright: ignore[reportIncompatibleMethodOverride]
    """How many events there are, where that is known without reading them."""
    place: Callable[[int], str] = "event {}".format
    """Where in the file an event stands, for messages."""
    written: Unit | None = None
    """Unit of the times as the file writes them, where the blocks have another."""
    settled: bool = False
    """Whether the times are a recording's seconds already, as evinr writes them: whatever they are, they stay."""
    zero: int = 0
    """What the writer of the file says to have subtracted from its times, in nanoseconds."""
    passed: bool = False
    """Whether it came through the door before, so that its notes tell of units, polarity and sensor already."""
    notes: list[str] = []  # noqa: RUF012
    """What was assumed, one short sentence each; complete once the blocks have been read."""
