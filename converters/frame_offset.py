"""Whether camera frames and events share a clock: the shift of frame times at which both tell the same change.

Between two frames the log intensity of a pixel changes by its events times the contrast threshold (Gallego et al. 2020,
eq. 2). So the change between frames is correlated over pixels with the events between the times of both, shifted by
candidates; the offset is where the correlation peaks, its error what leaving out one pair of frames at a time does to
it (jackknife). A frame shows the middle of its exposure, and events lag by part of a threshold and by the pixel's
latency: 2 ms are usual on simulations, 7 ms were found on slider_depth of Mueggler et al. 2017.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int16, Int64, Shaped

from converters.checks import Block
from converters.stream import Frame

REACH = 50
"""Offsets are looked for from -50 to 50 ms, in steps of 1 ms."""
FEWEST, MOST = 3, 20
"""Pairs of frames that are compared: several tell how sure the peak is."""
LONGEST = 10**9
"""Nanoseconds that they cover at most: bounds memory, at 100 MB."""
CLOSEST = 3 * 10**7
"""Nanoseconds between the frames of a pair, about, at least: sooner, little changes."""
CELLS = 2**15
"""Most cells that are compared. On simulations, cells of 2 x 2 pixels found the peak as pixels did, with less noise."""
LEAST = 0.15
"""A correlation that is a peak; pictures with events of another time stay below 0.03 on simulations."""
SURE = 0.003
"""The standard error, in seconds, beyond which an offset is not reported."""


class Offset(NamedTuple):
    """What brings the frames to the events, or why that is not known."""

    seconds: float | None = None
    """To be added to the times of the frames."""
    error: float = 0.0
    """Its standard error in seconds."""
    pairs: int = 0
    """Pairs of frames that were compared."""
    correlation: Float64[np.ndarray, " 101"] | None = None
    """Mean correlation at -50 to 50 ms."""
    inverted: bool = False
    """Whether events rise where frames fall."""
    reason: str = ""


class Grid(NamedTuple):
    """Square cells of pixels; what is left of them at the rim is not looked at."""

    side: int
    rows: int
    columns: int


def grid(height: int, width: int) -> Grid:
    """The finest grid of CELLS cells or less, of 2 x 2 pixels or more."""
    side = 2
    while (height // side) * (width // side) > CELLS:
        side += 1
    return Grid(side, height // side, width // side)


def busiest(times: Int64[np.ndarray, " m"], until: Float64[np.ndarray, " m"]) -> Int64[np.ndarray, " k"] | None:
    """Of rising frame times (ns) those to compare: a run in which events are many; None where there are too few.

    `until` counts the events until each of them.
    """
    if len(times) <= FEWEST:
        return None
    every = max(1, round(CLOSEST / float(np.median(np.diff(times)))))
    times, until = times[::every], until[::every]
    first = np.arange(len(times))
    last = np.minimum(np.searchsorted(times, times + LONGEST, "right") - 1, first + MOST)
    events = np.where(last - first >= FEWEST, until[last] - until[first], -1)
    best = int(events.argmax())
    return times[best : last[best] + 1] if events[best] > 0 else None


def measure(
    blocks: Iterable[Block],
    frames: Iterable[Frame],
    times: Int64[np.ndarray, " k"],
    origin: int,
    height: int,
    width: int,
) -> Offset:
    """The offset, from the frames of some rising times (ns) and the events up to REACH around them.

    The times of events count from `origin` (ns); frames of other times are passed over.
    """
    cells = grid(height, width)
    if cells.rows * cells.columns < 64:
        return Offset(reason="the sensor is too small")
    logs = _logs(frames, times, cells)
    if len(logs) < len(times):
        return Offset(reason="frames could not be found again")
    milliseconds = np.rint((times - times[0]) / 1e6).astype(np.int64)
    seen = _sums(blocks, (int(times[0]) - origin) / 1e9, int(milliseconds[-1]), cells)
    shifts = np.arange(2 * REACH + 1)
    pairs = [
        _correlations(logs[one], logs[one + 1], seen[shifts + milliseconds[one + 1]] - seen[shifts + milliseconds[one]])
        for one in range(len(times) - 1)
    ]
    return peak(np.stack(pairs))


def peak(correlations: Float64[np.ndarray, "k 101"]) -> Offset:
    """The offset that correlations of single pairs say together."""
    count, mean = len(correlations), correlations.mean(0)
    inverted = -mean.min() > mean.max()
    signed = -correlations if inverted else correlations
    total = signed.sum(0)
    best = int(total.argmax())
    without = (total - signed).argmax(1)
    error = 1e-3 * float(np.sqrt((count - 1) / count * np.square(without - without.mean()).sum()))
    about = Offset(None, max(error, 5e-4), count, mean, bool(inverted))
    if total[best] / count < LEAST:
        return about._replace(
            reason=f"frames and events do not tell the same changes within {REACH} ms "
            f"(correlation {total[best] / count:.2f}): little moves, or they do not belong together"
        )
    if best in (0, 2 * REACH):
        return about._replace(reason=f"it is {REACH} ms or more")
    if error > SURE:
        return about._replace(reason=f"pairs of frames disagree, by {1e3 * error:.0f} ms")
    return about._replace(seconds=1e-3 * (best - REACH))


def _logs(frames: Iterable[Frame], times: Int64[np.ndarray, " k"], cells: Grid) -> list[Float32[np.ndarray, " c"]]:
    """Log intensity of the cells at each of the times that has a frame; NaN in cells that are black or saturated."""
    found: dict[int, np.ndarray] = {}
    wanted = set(times.tolist())
    for frame in frames:
        if frame.time in wanted and frame.time not in found:
            found[frame.time] = _log(frame.image, cells)
    return [found[time] for time in sorted(found)]


def _log(image: Shaped[np.ndarray, "h w *rgb"], cells: Grid) -> Float32[np.ndarray, " c"]:
    gray = image if image.ndim == 2 else image.mean(2)
    side, rows, columns = cells
    cut = gray[: rows * side, : columns * side].astype(np.float32)
    light = cut.reshape(rows, side, columns, side).mean((1, 3)).ravel()
    if image.dtype == np.uint8:
        light[(light < 5) | (light > 250)] = np.nan
        return np.log(light + 5)
    # Linear HDR has no white; what is a hundredth of its bright parts is dark.
    return np.log(np.maximum(light, 0) + max(0.01 * float(np.percentile(light, 99)), 1e-12))


def _sums(blocks: Iterable[Block], start: float, milliseconds: int, cells: Grid) -> Int16[np.ndarray, "b c"]:
    """Sums of polarities of the cells from REACH before `start` until each millisecond; they wrap, their differences
    do not."""
    side, rows, columns = cells
    seen = np.zeros((milliseconds + 2 * REACH + 2, rows * columns), np.int16)
    for block in blocks:
        # Row b + 1 first, so that row b sums up what lies before it.
        bins = np.floor((block.t - start) * 1e3).astype(np.int64) + REACH + 1
        y, x = block.y.astype(np.int64) // side, block.x.astype(np.int64) // side
        inside = (bins > 0) & (bins < len(seen)) & (y < rows) & (x < columns)
        index = (bins * rows + y) * columns + x
        np.add.at(seen.reshape(-1), index[inside], block.p[inside].astype(np.int16))
    return np.cumsum(seen, 0, dtype=np.int16, out=seen)


def _correlations(
    before: Float32[np.ndarray, " c"], after: Float32[np.ndarray, " c"], events: Int16[np.ndarray, "s c"]
) -> Float64[np.ndarray, " s"]:
    """Pearson's, over cells that are neither black nor saturated, of the change with each row of events; 0 for none."""
    change = after - before
    known = np.isfinite(change)
    if known.sum() < 64:
        return np.zeros(len(events))
    change = change[known] - change[known].mean()
    sums = events[:, known].astype(np.float32)
    sums -= sums.mean(1, keepdims=True)
    sizes = np.linalg.norm(sums, axis=1) * np.linalg.norm(change)
    return np.where(sizes > 0, (sums @ change) / np.maximum(sizes, 1e-12), 0).astype(np.float64)
