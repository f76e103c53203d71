"""What is seen of a recording as it passes the door, and what there is to object to."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64, Shaped, UInt16

from converters.stream import Columns, SensorSize

WRAP = 2**32 / 1e6
"""Seconds that a counter of microseconds in 32 bits can hold."""
Numbers = range | Int64[np.ndarray, " _"]
"""Which events of the file those of a block are."""


class Fault(NamedTuple):
    """How often something is wrong, where first, and the range of the wrong values."""

    events: int = 0
    first: int = 0
    value: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    @np.errstate(invalid="ignore")
    def add(self, bad: Bool[np.ndarray, " n"] | None, values: Shaped[np.ndarray, " n"], numbers: Numbers) -> "Fault":
        """The same with one more block, whose events have such numbers in the file."""
        if bad is None or not bad.any():
            return self
        wrong = values[bad].astype(np.float64)
        first, value = self[1:3] if self.events else (int(numbers[int(bad.argmax())]), float(wrong[0]))
        low, high = float(np.fmin.reduce(wrong, initial=self.low)), float(np.fmax.reduce(wrong, initial=self.high))
        return Fault(self.events + wrong.size, first, value, low, high)

    @property
    def times(self) -> str:
        """How often and how far time fell, in words."""
        return f"{self.events} time{'s' * (self.events > 1)}, by up to {-self.low:g} s"


class Values(NamedTuple):
    """Pixels and polarities as `Events` has them."""

    x: UInt16[np.ndarray, " n"]
    y: UInt16[np.ndarray, " n"]
    p: Int8[np.ndarray, " n"]


@dataclass
class Survey:
    """What has been seen so far."""

    size: SensorSize | None
    """Of the sensor, if it is known."""
    polarity: tuple[int, int] | None
    """The numbers for falling and rising, if the user gave them."""
    seen: int = 0
    start: float = math.inf
    end: float = -math.inf
    last: float = -math.inf
    whole: bool = True
    """Whether all times are whole numbers in the file."""
    x_max: int = 0
    y_max: int = 0
    falls: Fault = Fault()
    """Steps back in time, in seconds."""
    x: Fault = Fault()
    y: Fault = Fault()
    p: Fault = Fault()
    zero: int | None = None
    """The first event of polarity 0, and of -1."""
    minus: int | None = None

    @property
    def sides(self) -> tuple[int, int]:
        """Rows and columns that coordinates may have."""
        return self.size[:2] if self.size else (65536, 65536)

    def inside(self, block: Columns) -> Bool[np.ndarray, " n"]:
        """Which events lie on the sensor."""
        height, width = self.sides
        sound = np.ones(len(block.t), bool)
        for values, side in ((block.x, width), (block.y, height)):
            if (bad := _outside(values, side)) is not None:
                sound &= ~bad
        return sound

    @np.errstate(invalid="ignore")
    def look(self, block: Columns, t: Float64[np.ndarray, " n"], numbers: Numbers) -> Values:
        """Take notice of a block at `t` seconds; what does not fit its type wraps here, and is objected to."""
        height, width = self.sides
        if t[0] < self.last:
            self.falls = self.falls.add(np.array([True]), np.array([t[0] - self.last]), numbers)
        if (fell := t[1:] < t[:-1]).any():
            self.falls = self.falls.add(fell, np.diff(t), numbers[1:])
        self.x = self.x.add(_outside(block.x, width), block.x, numbers)
        self.y = self.y.add(_outside(block.y, height), block.y, numbers)
        x, y = block.x.astype(np.uint16), block.y.astype(np.uint16)
        p = self._signs(block.p, numbers)
        self.x_max, self.y_max = max(self.x_max, int(x.max())), max(self.y_max, int(y.max()))
        if self.whole and block.t.dtype.kind == "f":
            self.whole = bool((block.t == np.floor(block.t)).all())
        self.start, self.end, self.last = min(self.start, float(t.min())), max(self.end, float(t.max())), float(t[-1])
        self.seen += len(t)
        return Values(x, y, p)

    def objection(self, sort: bool, in_seconds: bool, place: Callable[[int], str]) -> str | None:
        """What is wrong with the whole, else the first wrong event, if any; `in_seconds` if nobody says another unit."""
        falls = self.falls
        if not self.seen:
            return "no events; a recording needs at least one"
        if self.whole and in_seconds and self.end - self.start > 1e4:
            span = f"{self.start:g} to {self.end:g}"
            return f"times are whole numbers from {span}, which look like microseconds: pass --time-unit us"
        if not sort and 4 * falls.events > self.seen > 3:
            return (
                f"the first column is not a rising time: it falls {falls.times}, first at {place(falls.first)}; the "
                "expected column order is t x y p (pass --columns if it is another, --sort if it is time)"
            )
        if falls.events and abs(falls.low + WRAP) < 60:
            where = f"{place(falls.first)}: time goes back by {-falls.value:g} s"
            return f"{where}, as a counter of 32 bits and microseconds does when it is full: unwrap it (add 2**32 us)"
        wrong = [(falls.first, f"time goes back by {-falls.value:g} s ({falls.times} in all): pass --sort")]
        wrong = wrong if falls.events and not sort else []
        height, width = self.size[:2] if self.size else (None, None)
        exchanged = height is not None and width is not None and self.x_max < height and self.y_max < width
        for axis, fault, side in (("x", self.x, width), ("y", self.y, height)):
            if fault.events:
                wrong.append((fault.first, f"{axis} = {fault.value:.9g}{_misplaced(axis, fault, side, exchanged)}"))
        if self.p.events:
            expected = (
                "0/1 or -1/+1: mend such events, or say with --polarity which two numbers mean falling and rising"
            )
            if self.polarity:
                expected = f"{self.polarity[0]} or {self.polarity[1]}, as --polarity says"
            wrong.append((self.p.first, f"polarity is {self.p.value:g}, expected {expected}"))
        if self.zero is not None and self.minus is not None:
            pair = f"polarity 0 and, at {place(self.minus)}, -1, which is ambiguous: write it as 0/1 or as -1/+1"
            wrong.append((self.zero, pair))
        if not wrong:
            return None
        first, what = min(wrong, key=lambda fault: fault[0])
        return f"{place(first)}: {what}"

    def coding(self) -> str:
        """How polarity was written, for people."""
        if self.polarity:
            return f"polarity {self.polarity[0]} was taken for falling, {self.polarity[1]} for rising (--polarity)"
        if self.zero is not None:
            return "polarity 0/1 was converted to -1/+1"
        return "polarity is +1 throughout" if self.minus is None else "polarity is -1/+1 in the file"

    def _signs(self, p: Shaped[np.ndarray, " n"], numbers: Numbers) -> Int8[np.ndarray, " n"]:
        if self.polarity:
            falling, rising = self.polarity
            self.p = self.p.add((p != falling) & (p != rising), p, numbers)
            return np.where(p == rising, 1, -1).astype(np.int8)
        signs = p.astype(np.int8)
        if p.dtype.kind == "f" or p.min() < -1 or p.max() > 1:
            self.p = self.p.add((signs != p) | (signs < -1) | (signs > 1), p, numbers)
        if self.minus is None and signs.min() < 0:
            self.minus = int(numbers[int((signs == -1).argmax())])
        falling = signs == 0
        if falling.any():
            self.zero = int(numbers[int(falling.argmax())]) if self.zero is None else self.zero
            signs -= falling
        return signs


@np.errstate(invalid="ignore")
def _outside(values: Shaped[np.ndarray, " n"], side: int) -> Bool[np.ndarray, " n"] | None:
    """Which coordinates are not whole numbers from 0 to below `side`, or None where all are."""
    if values.dtype.kind != "f" and values.min() >= 0 and values.max() < side:
        return None
    sound = (values >= 0) & (values < side)
    return ~(sound & (values == np.floor(values)) if values.dtype.kind == "f" else sound)


def _misplaced(axis: str, fault: Fault, side: int | None, exchanged: bool) -> str:
    if not fault.value.is_integer():
        return " is not a whole number; expected columns t x y p and whole pixels: mend or drop such events (--drop)"
    where = f" is outside the sensor, which has {axis} from 0 to {(side or 65536) - 1}"
    if side is None and fault.value < 0:
        where = " is negative"
    how_many = f"{fault.events} such event{'s' * (fault.events > 1)}, {axis} from {fault.low:.9g} to {fault.high:.9g}"
    if exchanged:
        return f"{where} ({how_many}); height and width, or the columns x and y, look swapped: exchange them"
    mend = (
        "--drop leaves them out" if side is None else "pass the true --height and --width, or --drop to leave them out"
    )
    return f"{where} ({how_many}): {mend}"
