"""Linear light of high range: its percentiles over more than memory holds, how it is stretched, stored in 16 bits and shown.

The stretch, the 16 bits and the tone mapping are those of EventHDR's own script (Zou et al., CVPR 2021; inference.py), which
keeps none of the range beyond them.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt16, UInt32

MU = 5000.0
"""Of the mu-law (metrics/high_range.py), which is the logarithm of light + 1 / MU but for a factor and a constant."""
ENDS = (1.0, 99.0)
"""Percentiles of all pictures together that become black and white."""
LEAST = 1e-5
"""Added to the distance of the two by EventHDR's script."""
ADAPTED = 30000.0
"""The 16-bit value that its script shows as a half."""


def percentiles(
    batches: Callable[[], Iterable[Float32[np.ndarray, "..."]]], wanted: Sequence[float]
) -> tuple[float, ...]:
    """The percentiles of all numbers of all batches together, exact: `np.percentile`'s, linear between neighbours, in doubles.

    The batches are asked for twice and never held: the floats, in order of their bits, are counted by their upper 16 bits,
    and where a neighbour lies by their lower ones. All numbers must be finite.
    """
    upper = np.zeros(2**16, np.int64)
    for batch in batches():
        upper += np.bincount(_ordered(batch) >> 16, minlength=2**16)
    ends = np.cumsum(upper)
    last = int(ends[-1]) - 1
    places = [percent / 100 * last for percent in wanted]
    ranks = sorted({min(int(place) + more, last) for place in places for more in (0, 1)})
    coarse = {rank: int(np.searchsorted(ends, rank, "right")) for rank in ranks}
    lower = {part: np.zeros(2**16, np.int64) for part in coarse.values()}
    for batch in batches():
        keys = _ordered(batch)
        for part, counts in lower.items():
            counts += np.bincount(keys[keys >> 16 == part] & 0xFFFF, minlength=2**16)
    values = {}
    for rank, part in coarse.items():
        within = rank - int(ends[part] - upper[part])
        fine = int(np.searchsorted(np.cumsum(lower[part]), within, "right"))
        values[rank] = _number(part << 16 | fine)
    found = []
    for place in places:
        below, above = values[int(place)], values[min(int(place) + 1, last)]
        found.append(below + (above - below) * (place - int(place)))
    return tuple(found)


def _ordered(batch: Float32[np.ndarray, "..."]) -> UInt32[np.ndarray, " n"]:
    """Integers in the order of the floats: their bits, all inverted where they are below zero, else the sign alone."""
    bits = np.ascontiguousarray(batch).ravel().view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _number(key: int) -> float:
    bits = key ^ (1 << 31) if key >> 31 else ~key & 0xFFFFFFFF
    return float(np.uint32(bits).view(np.float32))


def open_ended(light: Float32[np.ndarray, "*s"], low: float, high: float) -> Float32[np.ndarray, "*s"]:
    """`low` to 0 and `high` to 1 as EventHDR's script has it, but nothing is cut off."""
    return (light - np.float32(low)) / np.float32(high - low + LEAST)


def stretched(light: Float32[np.ndarray, "n h w"]) -> Float32[np.ndarray, "n h w"]:
    """All pictures together from their 1st to their 99th percentile to [0, 1], the rest cut off; black where they are one.

    Without the script's `LEAST`, so that a factor of the light does not show.
    """
    low, high = percentiles(lambda: light, ENDS)
    if low == high:
        return np.zeros(light.shape, np.float32)
    return np.clip((light - np.float32(low)) / np.float32(high - low), 0, 1)


def of_logarithm(log_intensity: Float32[np.ndarray, "n h w"]) -> Float32[np.ndarray, "n h w"]:
    """The light of log intensity, 1 at its 99th percentile; what would overflow float32 is made smaller."""
    (white,) = percentiles(lambda: log_intensity, (99.0,))
    return np.exp(np.minimum(log_intensity - np.float32(white), np.float32(80)))


def logarithm(light: Float32[np.ndarray, "n h w"]) -> Float32[np.ndarray, "n h w"]:
    """Log intensity, log(light + 1 / MU) with the 99th percentile of all pictures as 1: black has none, and noise about
    black would fill it."""
    (white,) = percentiles(lambda: light, (99.0,))
    shown = np.maximum(light, 0) / np.float32(white) if white > 0 else np.zeros(light.shape, np.float32)
    return np.log(shown + np.float32(1 / MU))


def sixteen_bits(light: Float[np.ndarray, "*s"]) -> UInt16[np.ndarray, "*s"]:
    """[0, 1] to 0..65535, the fraction dropped and the rest cut off, as EventHDR's script stores it (torch2cv2_u16)."""
    return (np.clip(light, 0, 1) * 65535).astype(np.uint16)


def tone_mapped(light: Float[np.ndarray, "*s"]) -> Float64[np.ndarray, "*s"]:
    """Pictures in [0, 1] as EventHDR's script shows them: c / (1 + c) of the 16-bit value over 30000, so white is 0.69."""
    colour = sixteen_bits(light) * (1 / ADAPTED)  # not divided: 6000 and 38000 would be rounded down where it rounds up
    return colour / (1 + colour)
