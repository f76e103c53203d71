"""The door: whatever a file holds passes these checks once, and nothing behind them checks again."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64, Shaped

from converters import clock
from converters.options import AS_STORED, ReadOptions
from converters.sensors import infer_size
from converters.stream import WHOLE, Columns, SensorSize, Stream
from evinr.events import Events, InputError


class Checked(NamedTuple):
    """Events that passed the door, and what had to be assumed about them, one sentence each."""

    events: Events
    assumptions: tuple[str, ...]
    origin: int
    """The file's time of t = 0, in nanoseconds."""


class Block(NamedTuple):
    """Consecutive events as `Events` has them, in seconds from the origin."""

    t: Float64[np.ndarray, " n"]
    x: Shaped[np.ndarray, " n"]
    y: Shaped[np.ndarray, " n"]
    p: Int8[np.ndarray, " n"]
    done: float


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

    Raises InputError as `Passage` does.
    """
    return events_from_blocks([Columns(t, x, y, p)], ReadOptions(height=height, width=width)).events


def events_from_blocks(blocks: Iterable[Columns], options: ReadOptions = AS_STORED) -> Checked:
    """Checked events from blocks in memory, on their own clock. Raises InputError as `Passage` does."""
    stream = Stream("columns", (), options.time_unit or "s", lambda _: iter(blocks), notes=[])
    return collect(Passage(stream, options, "events", keep_clock=True))


def collect(passage: "Passage") -> Checked:
    """All the events of a passage in memory, sorted if that was asked: 13 bytes for each, and one block."""
    columns = np.empty(0), np.empty(0, np.uint16), np.empty(0, np.uint16), np.empty(0, np.int8)
    for block in passage.blocks():
        for column, values in zip(columns, block[:4], strict=True):
            # In place: the allocator moves pages, so that two copies of a column never stand side by side.
            used = len(column)
            column.resize(used + len(values), refcheck=False)
            column[used:] = values
    t, x, y, p = columns
    if passage.falls.events:
        order = np.argsort(t, kind="stable")
        t, x, y, p = t[order], x[order], y[order], p[order]
    size, assumptions = passage.conclusion()
    return Checked(Events(t, x, y, p, size.height, size.width), assumptions, passage.origin)


_Numbers = range | Int64[np.ndarray, " _"]
"""Which events of the file those of a block are."""


class _Fault(NamedTuple):
    """How often something is wrong, where first, and the range of the wrong values."""

    events: int = 0
    first: int = 0
    value: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    @np.errstate(invalid="ignore")
    def add(
        self, bad: Bool[np.ndarray, " n"] | None, values: Shaped[np.ndarray, " n"], numbers: "_Numbers"
    ) -> "_Fault":
        """The same with one more block, whose events have such numbers in the file."""
        if bad is None or not bad.any():
            return self
        wrong = values[bad].astype(np.float64)
        first, value = self[1:3] if self.events else (int(numbers[int(bad.argmax())]), float(wrong[0]))
        low, high = float(np.fmin.reduce(wrong, initial=self.low)), float(np.fmax.reduce(wrong, initial=self.high))
        return _Fault(self.events + wrong.size, first, value, low, high)


@dataclass
class Passage:
    """One way of a stream through the door: take its `blocks` to their end, then ask for the `conclusion`.

    A file that is wrong somewhere shows it at the end, when everything that is wrong can be counted; so what was made of
    the blocks is to be thrown away when their iterator raises InputError. That happens where there are no events, a time
    is not finite, falls (without `options.sort`) or has plainly another unit, a coordinate is no whole number inside the
    sensor, or a polarity is neither 0/1 nor -1/+1.
    """

    stream: Stream
    options: ReadOptions
    name: str
    """The file, for messages."""
    keep_clock: bool = False
    """Never shift times, however absolute their clock."""
    origin: int = field(init=False, default=0)
    """The file's time of t = 0, in nanoseconds; known when `blocks` has begun."""
    kept: int = field(init=False, default=0)
    """Events that were handed on."""
    start: float = field(init=False, default=math.inf)
    end: float = field(init=False, default=-math.inf)
    falls: _Fault = field(init=False, default=_Fault())
    _size: SensorSize | None = field(init=False)
    _seen: int = field(init=False, default=0)
    _last: float = field(init=False, default=-math.inf)
    _whole: bool = field(init=False, default=True)
    _cut: bool = field(init=False, default=False)
    _dropped: int = field(init=False, default=0)
    _x_max: int = field(init=False, default=0)
    _y_max: int = field(init=False, default=0)
    _x: _Fault = field(init=False, default=_Fault())
    _y: _Fault = field(init=False, default=_Fault())
    _p: _Fault = field(init=False, default=_Fault())
    _zero: int | None = field(init=False, default=None)
    _minus: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._size = self.options.size or self.stream.size

    def blocks(self) -> Iterator[Block]:
        """The events of the wanted span, block by block. Raises InputError, at the latest at the end."""
        options, unit = self.options, self.stream.unit
        first, last = options.t_start, options.t_end
        for block in self._raw():
            numbers: _Numbers = range(block.first, block.first + len(block.t))
            if options.drop:
                block, numbers = self._without_faults(block)
                if not len(block.t):
                    continue
            if not clock.possible(block.t, unit).all():
                raise InputError(f"{self.name}: {self._impossible_time(block)}")
            t = clock.seconds(block.t, unit, self.origin)
            checked = self._look(block, t, numbers)
            inside = slice(None)
            if (first is not None and t.min() < first) or (last is not None and t.max() > last):
                self._cut = True
                # Time that falls comes back; but then it is refused, unless it is to be sorted.
                if last is not None and t.min() > last and not options.sort:
                    break
                inside = (t >= (-math.inf if first is None else first)) & (t <= (math.inf if last is None else last))
            t, x, y, p = (column[inside] for column in checked[:4])
            self.kept += len(t)
            if len(t):
                yield Block(t, x, y, p, block.done)
        if wrong := self._objection():
            raise InputError(f"{self.name}: {wrong}")
        if not self.kept:
            raise InputError(
                f"{self.name}: no events from {_or(first, -math.inf):g} to {_or(last, math.inf):g} s; what was read runs "
                f"from {self.start:.9g} to {self.end:.9g} s: change --t-start and --t-end"
            )

    def conclusion(self) -> tuple[SensorSize, tuple[str, ...]]:
        """The sensor's size, and what was assumed or changed."""
        size = self._size or infer_size(self._x_max, self._y_max)
        said = [f"times in the file are in {self.stream.written or self.stream.unit}"]
        if self.origin:
            said.append(f"time 0 is {self.origin} ns of the file's clock, the first event or frame")
        if self.options.polarity:
            falling, rising = self.options.polarity
            said.append(f"polarity {falling} was taken for falling, {rising} for rising (--polarity)")
        elif self._zero is not None:
            said.append("polarity 0/1 was converted to -1/+1")
        else:
            said.append("polarity is +1 throughout" if self._minus is None else "polarity is -1/+1 in the file")
        if self._cut:
            said.append(f"only events between --t-start and --t-end were kept, {self.kept}")
        if self._dropped:
            said.append(f"{self._dropped} events outside the sensor or of impossible time were left out (--drop)")
        if self.falls.events:
            said.append(f"events were sorted by time, which went back {_times(self.falls)}")
        said.append(f"the sensor is {size.width} x {size.height} (width x height), from {size.source}")
        return size, (*dict.fromkeys(self.stream.notes), *said)

    def _raw(self) -> Iterator[Columns]:
        """The stream's blocks inside the wanted window; sets the origin on the way."""
        # Freed at once: from then on glibc keeps freed blocks of up to this size, instead of giving them back to the
        # system and having their pages cleared anew for each block, which halves the speed (mallopt(3)).
        np.empty(2**24, np.uint8)
        from_start = (block for block in self.stream.blocks(WHOLE) if len(block.t))
        head = next(from_start, None)
        if head is None:
            return
        # An impossible one is refused where the frames are read.
        starts = [frames.start for frames in self.stream.frames if abs(frames.start) < clock.LATEST]
        sound = head.t[clock.possible(head.t, self.stream.unit)]
        if len(sound):
            starts.append(int(clock.nanoseconds(sound, self.stream.unit).min()))
        if starts and not (self.keep_clock or self.stream.settled):
            self.origin = clock.origin(*starts)
        # The readers find a window by bisection, which is right for rising times only.
        if self.options.whole or self.options.sort:
            yield from chain([head], from_start)
            return
        from_start.close()
        some = False
        for block in self.stream.blocks(self.options.window(self.origin)):
            some = some or bool(len(block.t))
            if len(block.t):
                yield block
        if not some:
            # Nothing lies in the window: what is known of the recording is its head.
            yield head

    @np.errstate(invalid="ignore")
    def _look(self, block: Columns, t: Float64[np.ndarray, " n"], numbers: _Numbers) -> Block:
        """Take notice of a block; what does not fit its type wraps here, and is refused at the end."""
        height, width = self._size[:2] if self._size else (65536, 65536)
        if t[0] < self._last:
            self.falls = self.falls.add(np.array([True]), np.array([t[0] - self._last]), numbers)
        if (fell := t[1:] < t[:-1]).any():
            self.falls = self.falls.add(fell, np.diff(t), numbers[1:])
        self._x = self._x.add(_outside(block.x, width), block.x, numbers)
        self._y = self._y.add(_outside(block.y, height), block.y, numbers)
        x, y = block.x.astype(np.uint16), block.y.astype(np.uint16)
        p = self._polarity(block.p, numbers)
        self._x_max, self._y_max = max(self._x_max, int(x.max())), max(self._y_max, int(y.max()))
        if self._whole and self.stream.unit == "s" and block.t.dtype.kind == "f":
            self._whole = bool((block.t == np.floor(block.t)).all())
        self.start, self.end, self._last = min(self.start, float(t.min())), max(self.end, float(t.max())), float(t[-1])
        self._seen += len(t)
        return Block(t, x, y, p, block.done)

    def _polarity(self, p: Shaped[np.ndarray, " n"], numbers: _Numbers) -> Int8[np.ndarray, " n"]:
        if self.options.polarity:
            falling, rising = self.options.polarity
            self._p = self._p.add((p != falling) & (p != rising), p, numbers)
            return np.where(p == rising, 1, -1).astype(np.int8)
        signs = p.astype(np.int8)
        if p.dtype.kind == "f" or p.min() < -1 or p.max() > 1:
            self._p = self._p.add((signs != p) | (signs < -1) | (signs > 1), p, numbers)
        if self._minus is None and signs.min() < 0:
            self._minus = int(numbers[int((signs == -1).argmax())])
        falling = signs == 0
        if falling.any():
            self._zero = int(numbers[int(falling.argmax())]) if self._zero is None else self._zero
            signs -= falling
        return signs

    def _without_faults(self, block: Columns) -> tuple[Columns, _Numbers]:
        """The sound events of a block, and which of the file they are."""
        height, width = self._size[:2] if self._size else (65536, 65536)
        sound = clock.possible(block.t, self.stream.unit)
        for values, side in ((block.x, width), (block.y, height)):
            if (bad := _outside(values, side)) is not None:
                sound &= ~bad
        numbers = np.flatnonzero(sound) + block.first
        self._dropped += len(sound) - len(numbers)
        return block._replace(t=block.t[sound], x=block.x[sound], y=block.y[sound], p=block.p[sound]), numbers

    def _impossible_time(self, block: Columns) -> str:
        first = int((~clock.possible(block.t, self.stream.unit)).argmax())
        time = block.t[first]
        where = f"{self.stream.place(block.first + first)}: time is"
        if not np.isfinite(time):
            return f"{where} {time:g}, not a finite number; repair or drop that event (--drop)"
        return (
            f"{where} {time:.9g} {self.stream.unit}, out of range: no clock shows that; "
            "pass --time-unit s, ms, us or ns if the file counts in it"
        )

    def _objection(self) -> str | None:
        """What is wrong with the whole, else the first wrong event, if any."""
        options, falls, size, place = self.options, self.falls, self._size, self.stream.place
        if not self._seen:
            if self._dropped:
                return f"no events are left of {self._dropped}, all outside the sensor or of impossible time"
            return "no events; a recording needs at least one"
        in_doubt = self.stream.unit == "s" and options.time_unit is None and not self.stream.settled
        if self._whole and in_doubt and self.end - self.start > 1e4:
            span = f"{self.start:g} to {self.end:g}"
            return f"times are whole numbers from {span}, which look like microseconds: pass --time-unit us"
        if not options.sort and 4 * falls.events > self._seen > 3:
            return (
                f"the first column is not a rising time: it falls {_times(falls)}, first at {place(falls.first)}; the "
                "expected column order is t x y p (pass --columns if it is another, --sort if it is time)"
            )
        wrong: list[tuple[int, str]] = []
        if falls.events and not options.sort:
            wrong.append((falls.first, f"time goes back by {-falls.value:g} s ({_times(falls)} in all): pass --sort"))
        for axis, fault, side in (("x", self._x, size and size.width), ("y", self._y, size and size.height)):
            if fault.events:
                exchanged = size is not None and self._x_max < size.height and self._y_max < size.width
                wrong.append((fault.first, f"{axis} = {fault.value:.9g}{_misplaced(axis, fault, side, exchanged)}"))
        if self._p.events:
            how = "mend such events, or say with --polarity which two numbers mean falling and rising"
            wrong.append((self._p.first, f"polarity is {self._p.value:g}, expected 0/1 or -1/+1: {how}"))
        if self._zero is not None and self._minus is not None:
            pair = f"polarity 0 and, at {place(self._minus)}, -1, which is ambiguous: write it as 0/1 or as -1/+1"
            wrong.append((self._zero, pair))
        if not wrong:
            return None
        first, what = min(wrong, key=lambda fault: fault[0])
        return f"{place(first)}: {what}"


@np.errstate(invalid="ignore")
def _outside(values: Shaped[np.ndarray, " n"], side: int) -> Bool[np.ndarray, " n"] | None:
    """Which coordinates are not whole numbers from 0 to below `side`, or None where all are."""
    if values.dtype.kind != "f" and values.min() >= 0 and values.max() < side:
        return None
    sound = (values >= 0) & (values < side)
    return ~(sound & (values == np.floor(values)) if values.dtype.kind == "f" else sound)


def _misplaced(axis: str, fault: _Fault, side: int | None, exchanged: bool) -> str:
    if not fault.value.is_integer():
        return " is not a whole number; expected columns t x y p and whole pixels: mend or drop such events (--drop)"
    where = f" is outside the sensor, which has {axis} from 0 to {(side or 65536) - 1}"
    how_many = f"{fault.events} such event{'s' * (fault.events > 1)}, {axis} from {fault.low:.9g} to {fault.high:.9g}"
    if exchanged:
        return f"{where} ({how_many}); height and width, or the columns x and y, look swapped: exchange them"
    mend = (
        "--drop leaves them out" if side is None else "pass the true --height and --width, or --drop to leave them out"
    )
    return f"{where} ({how_many}): {mend}"


def _times(falls: _Fault) -> str:
    return f"{falls.events} time{'s' * (falls.events > 1)}, by up to {-falls.low:g} s"


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
