"""The door: whatever a file holds passes these checks once, and nothing behind them checks again."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from evinr.events import Events, InputError


class SensorSize(NamedTuple):
    """Rows and columns of a sensor, and who says so (for people)."""

    height: int
    width: int
    source: str


@dataclass(frozen=True)
class ReadOptions:
    """What the user knows about a recording that its file does not say, and which part of it is wanted."""

    height: int | None = None
    """Rows of the sensor; taken from the file or inferred when absent."""
    width: int | None = None
    """Columns of the sensor; taken from the file or inferred when absent."""
    time_unit: Literal["s", "ms", "us", "ns"] = "s"
    """Unit of the times in the file, where the file does not say it."""
    sort: bool = False
    """Sort events by time (stable) instead of refusing a recording whose time goes backwards."""
    t_start: float | None = None
    """Keep only what is at or after this time: seconds in the file's clock."""
    t_end: float | None = None
    """Keep only what is at or before this time: seconds in the file's clock."""

    def __post_init__(self):
        if (self.height is None) != (self.width is None):
            raise InputError("--height and --width belong together: give both or none")
        if self.size and not (1 <= self.size.height <= 65536 and 1 <= self.size.width <= 65536):
            raise InputError(f"--width {self.width} --height {self.height} is no sensor: both run from 1 to 65536")
        start, end = self.span
        if not start <= end:
            raise InputError(f"--t-start {start:g} is not before --t-end {end:g}: exchange them")

    @property
    def size(self) -> SensorSize | None:
        """The sensor size that the user gave, if any."""
        if self.height is None or self.width is None:
            return None
        return SensorSize(self.height, self.width, "--height and --width")

    @property
    def span(self) -> tuple[float, float]:
        """First and last time to keep, in seconds; infinite where nothing was asked."""
        return -math.inf if self.t_start is None else self.t_start, math.inf if self.t_end is None else self.t_end

    def seconds(self, times: Shaped[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Times of the file in seconds. One division, so that whole microseconds give the nearest double."""
        return np.divide(times, {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[self.time_unit], dtype=np.float64)

    def keeps(self, seconds: Float64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which times lie in the span that is wanted, both ends included."""
        start, end = self.span
        return (start <= seconds) & (seconds <= end)


AS_STORED = ReadOptions()
"""Everything, in seconds, and refused where time goes backwards."""


class Columns(NamedTuple):
    """Consecutive events as a file has them: numbers of any type, its own time unit and polarity coding."""

    t: Shaped[np.ndarray, " n"]
    x: Shaped[np.ndarray, " n"]
    y: Shaped[np.ndarray, " n"]
    p: Shaped[np.ndarray, " n"]


class Checked(NamedTuple):
    """Events that passed the door, and what had to be assumed about them, one sentence each."""

    events: Events
    assumptions: tuple[str, ...]


def events_from_columns(
    t: Shaped[np.ndarray, " n"],
    x: Shaped[np.ndarray, " n"],
    y: Shaped[np.ndarray, " n"],
    p: Shaped[np.ndarray, " n"],
    *,
    height: int,
    width: int,
) -> Events:
    """Checked events from columns in memory: `t` in seconds and never falling, polarity 0/1 or -1/+1.

    Raises InputError as `events_from_blocks` does.
    """
    return events_from_blocks([Columns(t, x, y, p)], ReadOptions(height, width)).events


def events_from_blocks(
    blocks: Iterable[Columns],
    options: ReadOptions = AS_STORED,
    *,
    name: str = "events",
    place: Callable[[int], str] = "event {}".format,
    size: SensorSize | None = None,
) -> Checked:
    """The events of a recording that comes in blocks, checked: the one way in for every reader.

    `name` is the file and `place` says where in it an event (counted from 0) stands, both for messages. `size` is what
    the file says of the sensor; the options overrule it, and without either it is inferred from the coordinates. Memory
    is 13 bytes per event kept and one block.

    Raises InputError where there are no events, a time is not finite, falls (without `options.sort`) or has plainly
    another unit, a coordinate is no whole number inside the sensor, or a polarity is neither 0/1 nor -1/+1.
    """
    found = _Survey(options.size or size)
    columns = np.empty(0), np.empty(0, np.uint16), np.empty(0, np.uint16), np.empty(0, np.int8)
    for block in blocks:
        if not len(block.t):
            continue
        seconds = options.seconds(block.t)
        if not (np.abs(seconds) < LATEST).all():
            raise InputError(f"{name}: {_impossible_time(seconds, found.count, place)}")
        # What does not fit its type wraps here, then differs from the block and is refused below.
        with np.errstate(invalid="ignore"):
            narrow = Columns(seconds, block.x.astype(np.uint16), block.y.astype(np.uint16), block.p.astype(np.int8))
        found.add(block, narrow)
        kept = slice(None) if options.span == (-math.inf, math.inf) else options.keeps(seconds)
        for column, values in zip(columns, narrow, strict=True):
            # In place: the allocator moves pages, so that two copies of a column never stand side by side.
            used, more = len(column), values[kept]
            column.resize(used + len(more), refcheck=False)
            column[used:] = more
    if wrong := _objection(found, options, place):
        raise InputError(f"{name}: {wrong}")
    t, x, y, p = columns
    if not len(t):
        raise InputError(
            f"{name}: no events from {options.span[0]:g} to {options.span[1]:g} s; the recording runs "
            f"from {found.start:.9g} to {found.end:.9g} s: change --t-start and --t-end"
        )
    assumptions = [f"times in the file are in {options.time_unit}"]
    if found.zero is not None:
        np.subtract(2 * p, 1, out=p)
        assumptions.append("polarity 0/1 was converted to -1/+1")
    else:
        assumptions.append("polarity is +1 throughout" if found.minus is None else "polarity is -1/+1 in the file")
    if len(t) < found.count:
        assumptions.append(
            f"{len(t)} of {found.count} events lie between --t-start and --t-end, the others were left out"
        )
    if found.falls.events:
        order = np.argsort(t, kind="stable")
        t, x, y, p = t[order], x[order], y[order], p[order]
        assumptions.append(f"events were sorted by time, which went back {_times(found.falls)}")
    height, width, source = found.size or infer_size(found.x_max, found.y_max)
    assumptions.append(f"the sensor is {width} x {height} (width x height), from {source}")
    return Checked(Events(t, x, y, p, height, width), tuple(assumptions))


KNOWN_SENSORS = (
    (128, 128, "DVS128"),
    (240, 180, "DAVIS240"),
    (304, 240, "ATIS"),
    (346, 260, "DAVIS346"),
    (408, 306, "ALPIX"),
    (640, 480, "VGA sensors"),
    (1280, 720, "HD sensors"),
)
"""Width, height and name, from small to large."""


def infer_size(x_max: int, y_max: int) -> SensorSize:
    """The smallest known sensor that holds the largest coordinates and whose last tenth they reach, else just these."""

    def fits(right: int, bottom: int, width: int, height: int) -> bool:
        return 0.9 * width <= right < width and 0.9 * height <= bottom < height

    for width, height, model in KNOWN_SENSORS:
        if fits(x_max, y_max, width, height):
            return SensorSize(
                height, width, f"the coordinates ({model}), a guess: pass --height and --width to be sure"
            )
        if fits(y_max, x_max, width, height):
            why = f"the largest coordinates, a guess: with x and y exchanged it would be {model}, {width} x {height}"
            return SensorSize(y_max + 1, x_max + 1, why)
    return SensorSize(y_max + 1, x_max + 1, "the largest coordinates, a guess: pass --height and --width to be sure")


LATEST = 1e10
"""Seconds that no clock shows: Unix time is at 1.8e9."""


class _Fault(NamedTuple):
    """How often something is wrong, where first, and the range of the wrong values."""

    events: int = 0
    first: int = 0
    value: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, bad: Bool[np.ndarray, " n"], values: Shaped[np.ndarray, " n"], offset: int) -> "_Fault":
        """The same with one more block, whose events are counted from `offset`."""
        wrong = values[bad].astype(np.float64)
        if not wrong.size:
            return self
        first, value = self[1:3] if self.events else (offset + int(bad.argmax()), float(wrong[0]))
        low, high = float(np.fmin.reduce(wrong, initial=self.low)), float(np.fmax.reduce(wrong, initial=self.high))
        return _Fault(self.events + wrong.size, first, value, low, high)


@dataclass
class _Survey:
    """What has been seen of a recording so far."""

    size: SensorSize | None
    count: int = 0
    start: float = math.inf
    end: float = -math.inf
    last: float = -math.inf
    whole: bool = True
    x_max: int = 0
    y_max: int = 0
    falls: _Fault = _Fault()
    x: _Fault = _Fault()
    y: _Fault = _Fault()
    p: _Fault = _Fault()
    zero: int | None = None
    minus: int | None = None

    def add(self, block: Columns, narrow: Columns) -> None:
        """Look at one more block; `narrow` is the same in seconds and in the types of Events."""
        t, x, y, p = narrow
        height, width = self.size[:2] if self.size else (65536, 65536)
        steps = np.diff(t, prepend=self.last if self.count else t[0])
        self.falls = self.falls.add(steps < 0, steps, self.count)
        self.x = self.x.add((x != block.x) | (x >= width), block.x, self.count)
        self.y = self.y.add((y != block.y) | (y >= height), block.y, self.count)
        self.p = self.p.add((p != block.p) | (p < -1) | (p > 1), block.p, self.count)
        if self.zero is None and not p.all():
            self.zero = self.count + int((p == 0).argmax())
        if self.minus is None and (p == -1).any():
            self.minus = self.count + int((p == -1).argmax())
        self.x_max, self.y_max = max(self.x_max, int(x.max())), max(self.y_max, int(y.max()))
        self.whole = self.whole and bool((block.t == np.floor(block.t)).all())
        self.start, self.end, self.last = min(self.start, float(t.min())), max(self.end, float(t.max())), float(t[-1])
        self.count += len(t)


def _impossible_time(seconds: Float64[np.ndarray, " n"], offset: int, place: Callable[[int], str]) -> str:
    first = int((~(np.abs(seconds) < LATEST)).argmax())
    time = seconds[first]
    where = f"{place(offset + first)}: time is {time:g}"
    if not np.isfinite(time):
        return f"{where}, not a finite number; repair or delete that event"
    return f"{where} s, which no clock shows; pass --time-unit ms, us or ns if the file counts in it"


def _objection(found: _Survey, options: ReadOptions, place: Callable[[int], str]) -> str | None:
    """What is wrong with the whole, else the first wrong event, if any."""
    falls, size = found.falls, found.size
    if not found.count:
        return "no events; a recording needs at least one"
    if found.whole and options.time_unit == "s" and found.end - found.start > 1e4:
        span = f"{found.start:g} to {found.end:g}"
        return f"times are whole numbers from {span}, which look like microseconds: pass --time-unit us"
    if not options.sort and 4 * falls.events > found.count > 3:
        return (
            f"the first column is not a rising time: it falls {_times(falls)}, first at {place(falls.first)}; "
            "the expected column order is t x y p (pass --sort if it is time)"
        )
    wrong: list[tuple[int, str]] = []
    if falls.events and not options.sort:
        wrong.append((falls.first, f"time goes back by {-falls.value:g} s ({_times(falls)} in all): pass --sort"))
    for axis, fault, side in (("x", found.x, size and size.width), ("y", found.y, size and size.height)):
        if fault.events:
            exchanged = size is not None and found.x_max < size.height and found.y_max < size.width
            wrong.append((fault.first, f"{axis} = {fault.value:.9g}{_misplaced(axis, fault, side, exchanged)}"))
    if found.p.events:
        wrong.append((found.p.first, f"polarity is {found.p.value:g}, expected 0/1 or -1/+1: mend or drop such events"))
    if found.zero is not None and found.minus is not None:
        pair = f"polarity 0 and, at {place(found.minus)}, -1, which is ambiguous: write it as 0/1 or as -1/+1"
        wrong.append((found.zero, pair))
    if not wrong:
        return None
    first, what = min(wrong, key=lambda fault: fault[0])
    return f"{place(first)}: {what}"


def _misplaced(axis: str, fault: _Fault, side: int | None, exchanged: bool) -> str:
    if not fault.value.is_integer():
        return " is not a whole number; expected columns t x y p and whole pixels: mend or drop such events"
    where = f" is outside the sensor, which has {axis} from 0 to {(side or 65536) - 1}"
    how_many = f"{fault.events} such event{'s' * (fault.events > 1)}, {axis} from {fault.low:.9g} to {fault.high:.9g}"
    if exchanged:
        return f"{where} ({how_many}); height and width, or the columns x and y, look swapped: exchange them"
    mend = "drop such events" if side is None else "pass the true --height and --width, or drop such events"
    return f"{where} ({how_many}): {mend}"


def _times(falls: _Fault) -> str:
    return f"{falls.events} time{'s' * (falls.events > 1)}, by up to {-falls.low:g} s"
