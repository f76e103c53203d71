"""How sound a stream of events is, from one pass over its blocks, in memory that does not grow with their number.

Everything here is exact, whatever the blocks are, but silences where time goes back: of these there may be longer ones
than are told. What is estimated about frames is in `converters.frame_offset`.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from converters.checks import Block
from converters.stream import SensorSize

BINS = 2048
"""Most bins of the rate: as many as a wide screen has columns."""
FINEST = -20
"""The narrowest bins last 2^-20 s, the microsecond of event cameras."""
LONGEST = 5
"""Silences that are remembered."""
MOST_PIXELS = 2**24
"""Pixels that are counted: 16 times an HD sensor, 256 MB. A sensor beyond that is a wrong coordinate."""
OCTAVES = 64
"""Intervals are counted from 2^-64 to 2^64 s."""
SILENCE, LONG = 1e-3, 100
"""A silence is long that lasts more than 1 ms and 100 mean intervals: by chance, one in e^100 does."""
HOT, FEWEST_OF_HOT = 5, 20
"""A hot pixel has 5 times the events of those around it, and 20. Of the IJRR excerpts and of simulations without hot
pixels, no pixel has; of simulated pixels at 200 events a second, all have."""


class Rate(NamedTuple):
    """Events over time: bin `i` counts those from (first + i) to below (first + i + 1) times 2^level seconds.

    The level is the smallest one (from FINEST) at which BINS bins reach from the first event to the last. Widths are
    powers of two, so that floor(t / width) is exact and two bins merge into exactly one of the next level.
    """

    level: int = FINEST
    first: int = 0
    counts: Int64[np.ndarray, "2 n"] = np.zeros((2, 0), np.int64)
    """Falling, rising."""

    @property
    def width(self) -> float:
        """Seconds of a bin."""
        return 2.0**self.level


class Event(NamedTuple):
    """The event that a block follows."""

    t: float
    x: int
    y: int
    p: int


class Gap(NamedTuple):
    """A silence."""

    start: float
    seconds: float


class Course(NamedTuple):
    """What lies between consecutive events of the file."""

    last: Event | None = None
    highest: float = -math.inf
    falls: int = 0
    """How often time goes back,"""
    largest_fall: float = 0.0
    """by how many seconds at most,"""
    first_fall: float | None = None
    """and to which time first."""
    same_time: int = 0
    """Events that have the time of the one before,"""
    duplicates: int = 0
    """and those of them that are equal to it in all."""
    gaps: tuple[Gap, ...] = ()
    """The longest silences, longest first."""
    finest: float = math.inf
    """The shortest interval above zero."""
    intervals: Int64[np.ndarray, " 128"] = np.zeros(2 * OCTAVES, np.int64)
    """How many intervals above zero are from 2^(i - 64) to below 2^(i - 63) seconds."""


class Health(NamedTuple):
    """What was seen."""

    start: float
    """Earliest time, seconds."""
    end: float
    rate: Rate
    course: Course
    pixels: Int64[np.ndarray, "2 h w"] | None
    """Falling and rising events of each pixel, of a sensor as large as the coordinates need; None: above MOST_PIXELS."""

    @property
    def events(self) -> int:
        """How many there are."""
        return int(self.rate.counts.sum())

    @property
    def rising(self) -> float:
        """The part of them that rises."""
        return float(self.rate.counts[1].sum() / self.rate.counts.sum())

    @property
    def seconds(self) -> float:
        """From the first to the last."""
        return self.end - self.start


def look(blocks: Iterable[Block], size: SensorSize | None = None) -> Health:
    """Look at all events once. `size` saves the counts from growing; events may lie beyond it."""
    start, end, rate, course = math.inf, -math.inf, Rate(), Course()
    height, width = size[:2] if size and size.height * size.width <= MOST_PIXELS else (0, 0)
    pixels: Int64[np.ndarray, "2 h w"] | None = np.zeros((2, height, width), np.int64)
    for block in blocks:
        start, end = min(start, float(block.t.min())), max(end, float(block.t.max()))
        rate, course = rated(rate, block), followed(course, block)
        if pixels is not None:
            pixels = _counted(pixels, block)
    return Health(start, end, rate, course, pixels)


def rated(rate: Rate, block: Block) -> Rate:
    """The rate with a block more."""
    scale, bins = 2.0**-rate.level, rate.counts.shape[1]
    first, last = math.floor(float(block.t.min()) * scale), math.floor(float(block.t.max()) * scale)
    if bins:
        first, last = min(first, rate.first), max(last, rate.first + bins - 1)
    rate = _merged(rate, first, last, BINS)
    count = rate.counts.shape[1]
    index = np.floor(block.t * 2.0**-rate.level).astype(np.int64) - rate.first
    added = np.bincount(index + (block.p > 0) * count, minlength=2 * count).reshape(2, count)
    return rate._replace(counts=rate.counts + added)


def coarser(rate: Rate, most: int) -> Rate:
    """The same in at most `most` bins."""
    return _merged(rate, rate.first, rate.first + rate.counts.shape[1] - 1, most)


def _merged(rate: Rate, first: int, last: int, most: int) -> Rate:
    """The rate from bin `first` to `last` of its level, merged into at most `most`."""
    level = rate.level
    while last - first >= most:
        level, first, last = level + 1, first >> 1, last >> 1
    counts = np.zeros((2, last - first + 1), np.int64)
    index = (rate.first + np.arange(rate.counts.shape[1]) >> level - rate.level) - first
    for merged, bins in zip(counts, rate.counts, strict=True):
        np.add.at(merged, index, bins)
    return Rate(level, first, counts)


def events_until(health: Health, times: Float64[np.ndarray, " m"]) -> Float64[np.ndarray, "2 m"]:
    """Falling and rising events until each time, taking those of a bin for evenly spread over it."""
    rate = health.rate
    edges = np.arange(rate.first, rate.first + rate.counts.shape[1] + 1) * rate.width
    edges[0], edges[-1] = health.start, health.end
    return np.stack([np.interp(times, edges, [0, *some.cumsum()]) for some in rate.counts])


def followed(course: Course, block: Block) -> Course:
    """The course with a block more."""
    t, x, y, p = block[:4]
    if course.last is not None:
        t, x, y, p = (np.insert(now, 0, before) for now, before in zip(block[:4], course.last, strict=True))
    steps = np.diff(t)
    same, falls = np.flatnonzero(steps == 0), np.flatnonzero(steps < 0)
    duplicates = (x[same] == x[same + 1]) & (y[same] == y[same + 1]) & (p[same] == p[same + 1])
    first_fall = float(t[falls[0] + 1]) if course.first_fall is None and falls.size else course.first_fall
    forward = steps[steps > 0] if same.size or falls.size else steps
    # The exponent of a double says between which powers of two it lies.
    octave = np.clip((forward.view(np.int64) >> 52) - 1023 + OCTAVES, 0, 2 * OCTAVES - 1)
    highest, gaps = course.highest, course.gaps
    late = bool(falls.size) or t[0] < highest
    silences = np.diff(np.maximum.accumulate(np.maximum(t, highest))) if late else steps
    longer = np.flatnonzero(silences > (gaps[-1].seconds if len(gaps) == LONGEST else 0))
    longer = longer[np.argsort(-silences[longer], kind="stable")[:LONGEST]]
    gaps += tuple(Gap(max(float(t[: i + 1].max()), highest), float(silences[i])) for i in longer)
    if late:
        gaps = tuple(broken(gap, t) for gap in gaps)
    return Course(
        last=Event(float(t[-1]), int(x[-1]), int(y[-1]), int(p[-1])),
        highest=max(highest, float(t.max())),
        falls=course.falls + falls.size,
        largest_fall=max(course.largest_fall, -float(steps.min(initial=0.0))),
        first_fall=first_fall,
        same_time=course.same_time + same.size,
        duplicates=course.duplicates + int(np.count_nonzero(duplicates)),
        gaps=tuple(sorted(gaps, key=lambda gap: -gap.seconds)[:LONGEST]),
        finest=min(course.finest, float(forward.min(initial=math.inf))),
        intervals=course.intervals + np.bincount(octave, minlength=2 * OCTAVES),
    )


def broken(gap: Gap, t: Float64[np.ndarray, " n"]) -> Gap:
    """What late events leave of a silence: its longest part."""
    end = gap.start + gap.seconds
    inside = np.sort(t[(t > gap.start) & (t < end)])
    if not inside.size:
        return gap
    edges = np.concatenate([[gap.start], inside, [end]])
    longest = int(np.diff(edges).argmax())
    return Gap(float(edges[longest]), float(edges[longest + 1] - edges[longest]))


def long_gaps(health: Health) -> tuple[Gap, ...]:
    """The silences that a steady stream of such a rate does not have: over 1 ms and 100 mean intervals."""
    usual = health.seconds / max(health.events - 1, 1)
    return tuple(gap for gap in health.course.gaps if gap.seconds > max(SILENCE, LONG * usual))


def on_sensor(pixels: Int64[np.ndarray, "2 a b"], height: int, width: int) -> Int64[np.ndarray, "2 {height} {width}"]:
    """The counts of a sensor that holds all events, from counts that are larger or smaller."""
    counts = np.zeros((2, height, width), np.int64)
    rows, columns = min(height, pixels.shape[1]), min(width, pixels.shape[2])
    counts[:, :rows, :columns] = pixels[:, :rows, :columns]
    return counts


def hot_pixels(counts: Int64[np.ndarray, "h w"]) -> Int64[np.ndarray, " k"]:
    """Flat indices of pixels that fire on their own, those with most events first.

    Such a pixel has at least 20 events, and more than 5 times as many as both the second busiest of its 8 neighbours (an
    edge, even one pixel wide, has two) and the median of the pixels that fired. A small flickering light is one too.
    """
    height, width = counts.shape
    active = counts[counts > 0]
    if not active.size:
        return np.zeros(0, np.int64)
    y, x = np.nonzero(counts > max(FEWEST_OF_HOT - 1, HOT * float(np.median(active))))
    padded = np.pad(counts, 1, "reflect")  # so that edges do not end at the rim
    around = [
        padded[y + 1 + down, x + 1 + right] for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)
    ]
    alone = counts[y, x] > HOT * np.sort(np.stack(around), 0)[-2]
    flat = (y * width + x)[alone]
    return flat[np.argsort(-counts.reshape(-1)[flat], kind="stable")]


def _counted(pixels: Int64[np.ndarray, "2 a b"], block: Block) -> Int64[np.ndarray, "2 c d"] | None:
    """The counts with a block more, added in place where they are large enough."""
    counts = _large_enough(pixels, int(block.y.max()) + 1, int(block.x.max()) + 1)
    if counts is not None:
        _, height, width = counts.shape
        index = ((block.p > 0) * height + block.y) * width + block.x
        np.add.at(counts.reshape(-1), index, 1)
    return counts


def _large_enough(pixels: Int64[np.ndarray, "2 a b"], height: int, width: int) -> Int64[np.ndarray, "2 c d"] | None:
    """The counts with rows and columns for this size, in steps of 64; None where it is no sensor."""
    _, rows, columns = pixels.shape
    if height <= rows and width <= columns:
        return pixels
    # In steps, so that a recording that unrolls column by column is not copied for each.
    rows, columns = max(rows, -(-height // 64) * 64), max(columns, -(-width // 64) * 64)
    return on_sensor(pixels, rows, columns) if rows * columns <= MOST_PIXELS else None
