"""The door: whatever a file holds passes these checks once, and nothing behind them checks again."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int8, Shaped, UInt16

from converters import clock
from converters.options import AS_STORED, ReadOptions
from converters.sensors import infer_size
from converters.stream import WHOLE, Columns, SensorSize, Stream
from converters.survey import Fault, Numbers, Survey
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
    x: UInt16[np.ndarray, " n"]
    y: UInt16[np.ndarray, " n"]
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
    _survey: Survey = field(init=False)
    _cut: bool = field(init=False, default=False)
    _dropped: int = field(init=False, default=0)
    _first: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._survey = Survey(self.options.size or self.stream.size, self.options.polarity)

    @property
    def falls(self) -> Fault:
        """Steps back in time, in seconds, among the events so far."""
        return self._survey.falls

    @property
    def first(self) -> int | None:
        """The number in the file of the first event that was kept; None where the others do not follow it as in the file."""
        return None if self._dropped or self.falls.events else self._first

    def blocks(self) -> Iterator[Block]:
        """The events of the wanted span, block by block. Raises InputError, at the latest at the end."""
        options, unit, survey = self.options, self.stream.unit, self._survey
        first = -math.inf if options.t_start is None else options.t_start
        last = math.inf if options.t_end is None else options.t_end
        for block in self._raw():
            numbers: Numbers = range(block.first, block.first + len(block.t))
            if options.drop:
                block, numbers = self._without_faults(block)
                if not len(block.t):
                    continue
            if not clock.possible(block.t, unit).all():
                raise InputError(f"{self.name}: {self._impossible_time(block)}")
            t = clock.seconds(block.t, unit, self.origin)
            x, y, p = survey.look(block, t, numbers)
            if not (first <= t.min() and t.max() <= last):
                self._cut = True
                # Time that falls comes back; but then it is refused, unless it is to be sorted.
                if t.min() > last and not options.sort:
                    break
                inside = (first <= t) & (t <= last)
                t, x, y, p = t[inside], x[inside], y[inside], p[inside]
                numbers = np.asarray(numbers)[inside]
            self.kept += len(t)
            if len(t):
                self._first = int(numbers[0]) if self._first is None else self._first
                yield Block(t, x, y, p, block.done)
        in_seconds = unit == "s" and options.time_unit is None and not self.stream.settled
        wrong = survey.objection(options.sort, in_seconds, self.stream.place)
        if not survey.seen and self._dropped:
            wrong = f"no events are left of {self._dropped}, all outside the sensor or of impossible time"
        if wrong:
            raise InputError(f"{self.name}: {wrong}")
        if not self.kept:
            raise InputError(
                f"{self.name}: no events from {first:g} to {last:g} s; what was read runs from {survey.start:.9g} "
                f"to {survey.end:.9g} s: change --t-start and --t-end"
            )

    def conclusion(self) -> tuple[SensorSize, tuple[str, ...]]:
        """The sensor's size, and what was assumed or changed."""
        survey = self._survey
        size = survey.size or infer_size(survey.x_max, survey.y_max)
        if self.stream.passed:
            return size, tuple(self.stream.notes)
        said = [f"times in the file are in {self.stream.written or self.stream.unit}"]
        if self.origin:
            said.append(f"time 0 is {self.origin} ns of the file's clock, the first event or frame")
        said.append(survey.coding())
        if self._cut:
            said.append(f"only events between --t-start and --t-end were kept, {self.kept}")
        if self._dropped:
            plural = "s were" if self._dropped > 1 else " was"
            said.append(f"{self._dropped} event{plural} left out, outside the sensor or of impossible time (--drop)")
        if self.falls.events:
            said.append(f"events were sorted by time, which went back {self.falls.times}")
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

    def _without_faults(self, block: Columns) -> tuple[Columns, Numbers]:
        """The sound events of a block, and which of the file they are."""
        sound = clock.possible(block.t, self.stream.unit) & self._survey.inside(block)
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
