"""How sound the camera frames of a recording are: what one pass over them shows, of which three are kept."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from converters.stream import Frame

LOST = 1.5
"""Intervals that are longer than the usual by this factor lack a frame."""


class FrameHealth(NamedTuple):
    """What was seen. Times are nanoseconds on the file's clock."""

    name: str
    layout: str
    shape: tuple[int, ...]
    dtype: str
    times: Int64[np.ndarray, " m"]
    """In the file's order: 8 bytes for each frame."""
    exposure: float | None
    """Mean seconds of the exposures, where all are known."""
    shown: tuple[Frame, ...]
    """The first, one near the middle of the events, and the last: as many of them as differ."""

    @property
    def falls(self) -> int:
        """How often time goes back."""
        return int(np.count_nonzero(np.diff(self.times) < 0))

    @property
    def interval(self) -> float:
        """Seconds from one frame to the next, the median; 0 where there is one frame."""
        return float(np.median(np.diff(np.sort(self.times)))) / 1e9 if len(self.times) > 1 else 0.0

    @property
    def missing(self) -> int:
        """Frames that the longer intervals lack."""
        steps, usual = np.diff(np.sort(self.times)) / 1e9, self.interval
        return int(np.rint(steps[steps > LOST * usual] / usual - 1).sum()) if usual else 0


def look_at_frames(name: str, layout: str, frames: Iterable[Frame], middle: int) -> FrameHealth | None:
    """Look at all frames once; None where there are none."""
    times, exposures = list[int](), list[int]()
    first = central = last = None
    for frame in frames:
        times.append(frame.time)
        if frame.exposure is not None:
            exposures.append(frame.exposure[1] - frame.exposure[0])
        first, last = first or frame, frame
        if central is None or abs(frame.time - middle) < abs(central.time - middle):
            central = frame
    if first is None or central is None or last is None:
        return None
    exposure = float(np.mean(exposures)) / 1e9 if len(exposures) == len(times) else None
    shown = tuple({frame.time: frame for frame in (first, central, last)}.values())
    shape, dtype = first.image.shape, str(first.image.dtype)
    return FrameHealth(name, layout, shape, dtype, np.array(times, np.int64), exposure, shown)
