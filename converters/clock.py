"""Times of a file to integer nanoseconds, to the recording's seconds. The origin is subtracted from integers.

Double seconds of a Unix clock step by 0.24 us; so such times are never formed.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from converters.stream import TICKS, Unit

LATEST = 9 * 10**18
"""Nanoseconds that no clock shows, nor int64 much beyond; Unix time is at 1.8e18."""
ABSOLUTE = 10**13
"""From 10,000 s on, a clock that did not start with the recording: such as Unix time, or a computer's time since boot."""


def possible(t: Shaped[np.ndarray, " n"], unit: Unit) -> Bool[np.ndarray, " n"]:
    """Which times are finite and fit into nanoseconds."""
    last = LATEST * TICKS[unit] // 10**9
    return (t < last) & (t > -last)


def nanoseconds(t: Shaped[np.ndarray, " n"], unit: Unit) -> Int64[np.ndarray, " n"]:
    """Possible times in nanoseconds: exact from integers, rounded from floats."""
    ticks = 10**9 // TICKS[unit]
    if t.dtype.kind != "f":
        return t.astype(np.int64) * ticks
    # In double, as float32 would make 0.5 ms of a rest times its ticks.
    t = t.astype(np.float64, copy=False)
    whole = np.floor(t)
    # Apart, as the product of a Unix time would round to 256 ns.
    rest = np.rint((t - whole) * ticks)
    return whole.astype(np.int64) * ticks + rest.astype(np.int64)


def origin(*starts: int) -> int:
    """The zero of a recording whose events and frames start at these nanoseconds: the earliest where the clock is absolute."""
    earliest = min(starts)
    return earliest if abs(earliest) >= ABSOLUTE else 0


def seconds(t: Shaped[np.ndarray, " n"], unit: Unit, origin: int) -> Float64[np.ndarray, " n"]:
    """Possible times as the recording's seconds; one division, so that they are the nearest doubles."""
    if t.dtype.kind == "f" and not origin:
        return np.divide(t, TICKS[unit], dtype=np.float64)
    return (nanoseconds(t, unit) - origin) / 1e9
