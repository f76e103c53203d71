"""The one record of a recording: events in time order, and the sensor they came from.

Conventions of the whole toolkit, said here once. Time is in seconds, float64. `x` is the column and `y` the row, row 0
at the top. Polarity is +1 where the log intensity rose by the contrast threshold and -1 where it fell.

Readers make Events through `converters.checks`, and nothing behind that door checks again.
"""

from typing import NamedTuple, SupportsIndex

import numpy as np
from jaxtyping import Float64, Int8, UInt16


class InputError(ValueError):
    """What a user gave cannot be used. The message is one line: file, place, what is wrong, what would mend it."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))


class Events(NamedTuple):
    """Events in time order."""

    t: Float64[np.ndarray, " n"]
    x: UInt16[np.ndarray, " n"]
    y: UInt16[np.ndarray, " n"]
    p: Int8[np.ndarray, " n"]
    height: int
    width: int

    @property
    def count(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """How many events there are."""
        return len(self.t)

    def between(self, start: float, end: float) -> "Events":
        """The events with `start <= t <= end`, in seconds, as views."""
        return self.part(np.searchsorted(self.t, start, "left"), np.searchsorted(self.t, end, "right"))

    def part(self, first: SupportsIndex, end: SupportsIndex) -> "Events":
        """The events from number `first` to before `end`, as views."""
        here = slice(first, end)
        return self._replace(t=self.t[here], x=self.x[here], y=self.y[here], p=self.p[here])

    def to_array(self) -> Float64[np.ndarray, "n 4"]:
        """The N x 4 array (t, x, y, p) of the field: float64, seconds, polarity -1 and +1."""
        return np.stack([self.t, self.x, self.y, self.p], axis=1, dtype=np.float64)
