"""Lines of event text to columns of numbers, in two ways of one answer: a fast one for regular lines, one for all.

Times come out exact: they are read from their digits and rounded once, half away from zero, to whole nanoseconds.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64, Shaped, UInt8, UInt64

from converters.clock import LATEST, nanoseconds, possible
from converters.digits import LONGEST, PAD, fractions, integers
from converters.options import Order
from converters.stream import TICKS, Columns, Unit

WIDTH = 48
"""Characters that a time may have and one more. Python prints a double with at most 24."""
LINE = 1000
"""Characters that a line of numbers may have; long digits take strtod a time that grows with their square."""

ROWS = 2**16
"""Lines that are parsed at once in the slow way, which takes 500 bytes for each."""
PIECES = 1000
"""Pieces that these may fall into."""


class Layout(NamedTuple):
    """How the lines of a text are to be read."""

    order: Order
    """What stands in its four columns."""
    delimiter: str | None
    """What separates them: a comma, or blanks (None)."""
    unit: Unit
    """Unit of its times."""
    whole: bool
    """Whether times are handed out as whole numbers of that unit, as most of the text has them; else nanoseconds."""

    @property
    def tick(self) -> int:
        """Nanoseconds in the unit of the text."""
        return 10**9 // TICKS[self.unit]


class Digits(NamedTuple):
    """Where runs of digits stand in a text."""

    end: Int64[np.ndarray, " n"]
    """The byte after the last digit."""
    length: Int64[np.ndarray, " n"]


class MixedTimes(ValueError):
    """The event of this index has a time that neither the whole numbers before it nor float64 can show."""


def regular_columns(text: UInt8[np.ndarray, " b"], layout: Layout) -> Columns | None:
    """The events of lines that differ in their digits only (and in the sign of p), else None.

    `text` is whole lines between PAD bytes of no meaning.
    """
    shape = _shape(text, layout)
    table = _numbers(text, shape) if shape else None
    if not table:
        return None
    point = len(table) == 5
    numbers = dict(zip(layout.order.replace("t", "tf" if point else "t"), table, strict=True))
    p = _polarity(text, numbers["p"])
    digits = max(int(numbers[axis].length.max()) for axis in "xy")
    if p is None or digits > 8 or numbers["t"].length.max() > LONGEST:
        return None
    if point and numbers["f"].length.max() > WIDTH - LONGEST - 2:
        return None
    t = integers(text, *numbers["t"])
    if int(t.max()) > LATEST // layout.tick:
        return None
    if not layout.whole:
        t *= np.uint64(layout.tick)
    if point:
        end, length = numbers["f"]
        t += _rounded(fractions(text, end - length, length), layout.tick)
    x, y = (integers(text, *numbers[axis]).astype(np.uint16 if digits < 5 else np.uint32) for axis in "xy")
    return Columns(t.view(np.int64), x, y, p)


def _shape(text: UInt8[np.ndarray, " b"], layout: Layout) -> bytes | None:
    """The first line with a 9 for each number, such as `9.9 9 9 9`, if it may be an event without an exponent."""
    line = bytes(text[PAD : PAD + LINE])
    shape = re.sub(rb"[-\d]+", b"9", line[: line.find(b"\n") + 1])
    time = b"9" if layout.whole else rb"9(\.9)?"
    blank = rb"[ \t]*,[ \t]*" if layout.delimiter else rb"[ \t]+"
    event = blank.join(time if column == "t" else b"9" for column in layout.order)
    return shape if re.fullmatch(rb"[ \t]*" + event + rb"[ \t]*\r?\n", shape) else None


def _numbers(text: UInt8[np.ndarray, " b"], shape: bytes) -> list[Digits] | None:
    """The runs of digits in lines of this shape, in its order; None where a line has another one.

    In each line the same bytes other than digits follow each other. Their places, as a table with a column per line,
    are the ends of the runs; a minus does not end one.
    """
    body = text[PAD:-PAD]
    breaks = body - np.uint8(48) > 9
    minus = body == ord("-")
    if minuses := int(np.count_nonzero(minus)):
        breaks &= ~minus
    kinds = shape.replace(b"9", b"")
    places = np.flatnonzero(breaks)
    if len(places) % len(kinds):
        return None
    ends = np.ascontiguousarray(places.reshape(-1, len(kinds)).T)
    ends += PAD
    if any((text.take(end) != kind).any() for end, kind in zip(ends, kinds, strict=True)):
        return None
    runs = {run.start() - number for number, run in enumerate(re.finditer(b"9", shape))}
    digits: list[Digits] = []
    before = np.concatenate((np.array([PAD - 1]), ends[-1, :-1]))
    for place, end in enumerate(ends):
        length = end - before - 1
        if length.min() < 1 if place in runs else length.any():
            return None
        if place in runs:
            digits.append(Digits(end, length))
        before = end
    return digits if minuses == 0 or minuses == _count_minuses(text, digits[-1]) else None


def _count_minuses(text: UInt8[np.ndarray, " b"], number: Digits) -> int:
    """How many of the numbers begin with a minus."""
    return int(np.count_nonzero(text.take(number.end - number.length) == ord("-")))


def _polarity(text: UInt8[np.ndarray, " b"], number: Digits) -> Int8[np.ndarray, " n"] | None:
    """Numbers of one digit, perhaps with a minus; None where there are others."""
    p = (text.take(number.end - 1) - np.uint8(48)).view(np.int8)
    if number.length.max() == 1:
        return p if p.min() >= 0 else None
    minus = text.take(number.end - number.length) == ord("-")
    return np.where(minus, -p, p) if (number.length == 1 + minus).all() else None


def _rounded(fraction: UInt64[np.ndarray, " n"], tick: int) -> UInt64[np.ndarray, " n"]:
    """Nanoseconds in fractions of a unit of `tick` ns, which are given in 1e-10 of it. Half is rounded up."""
    step = 10**10 // tick
    return (fraction + np.uint64(step // 2)) // np.uint64(step)


def any_columns(text: UInt8[np.ndarray, " b"], layout: Layout) -> list[Columns]:
    """The events of any lines, with comments and blank ones between them, in pieces that count from the first one.

    Coordinates and polarity are float64. A time that is not finite, or later than any clock shows, is a float in a
    piece of its own, so that the others stay exact. Raises ValueError where a line is not four numbers, and MixedTimes.
    """
    lines = re.sub(rb"#[^\n]*", b"", bytes(text[PAD:-PAD])).decode("utf-8", "replace")
    rows = [row for line in lines.split("\n") if (row := line.strip())]
    # loadtxt would drop a NUL at the end of a time.
    if "\0" in lines or max(map(len, rows), default=0) > LINE:
        raise ValueError("a line is no text, or too long")
    starts = range(0, len(rows), ROWS)
    return [piece for start in starts for piece in _pieces(rows[start : start + ROWS], start, layout)]


def _pieces(rows: list[str], first: int, layout: Layout) -> Iterator[Columns]:
    dtype = np.dtype([(column, f"S{WIDTH}" if column == "t" else "f8") for column in layout.order])
    table = np.loadtxt(rows, dtype, comments=None, delimiter=layout.delimiter, ndmin=1)
    tokens = np.ascontiguousarray(table["t"])
    if tokens.view(np.uint8)[WIDTH - 1 :: WIDTH].any():
        raise ValueError("a time is too long")
    try:
        t, odd, floats = _times(np.strings.strip(tokens), layout)
    except MixedTimes as error:
        raise MixedTimes(first + error.args[0]) from None
    x, y, p = (np.ascontiguousarray(table[axis]) for axis in "xyp")
    edges = [0, *(np.flatnonzero(odd[1:] != odd[:-1]) + 1).tolist(), len(t)]
    if len(edges) > PIECES:
        # Broken all over: float64 has what is left to 128 ns in Unix time.
        yield Columns(np.where(odd, floats, t), x, y, p, first)
        return
    for a, b in pairwise(edges):
        yield Columns(floats[a:b] if odd[a] else t[a:b], x[a:b], y[a:b], p[a:b], first + a)


def _times(
    tokens: Shaped[np.ndarray, " n"], layout: Layout
) -> tuple[Shaped[np.ndarray, " n"], Bool[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Times as the layout wants them, which of them have none, and those as floats.

    Plain decimals are exact; those with an exponent go through float64, in the unit of the text.
    """
    count = len(tokens)
    text = np.zeros(PAD + count * WIDTH + PAD, np.uint8)
    characters = text[PAD:-PAD].reshape(count, WIDTH)
    characters[:] = tokens.view(np.uint8).reshape(count, WIDTH)
    length, point = np.count_nonzero(characters, axis=1), characters == ord(".")
    if (characters == ord("_")).any():
        raise ValueError("a time is written with _")
    minus = characters[:, 0] == ord("-")
    signed = minus | (characters[:, 0] == ord("+"))
    characters[signed, 0] = ord("0")
    digits = np.count_nonzero(characters - np.uint8(48) <= 9, axis=1)
    pointed = point.any(axis=1)
    end = np.where(pointed, point.argmax(axis=1), length)
    plain = (digits + pointed == length) & (digits > signed) & (end - signed <= LONGEST)

    rows = PAD + WIDTH * np.arange(count)
    whole = integers(text, rows + end, np.where(plain, end, 0))
    plain &= whole <= LATEST // layout.tick
    fraction = fractions(text, rows + end + 1, np.where(plain, np.maximum(length - end - 1, 0), 0))
    whole[~plain] = 0
    ns = (whole * np.uint64(layout.tick) + _rounded(fraction, layout.tick)).view(np.int64)
    np.negative(ns, out=ns, where=minus)

    floats = np.zeros(count)
    floats[~plain] = tokens[~plain].astype(np.float64)
    written = ~plain & possible(floats, layout.unit)
    ns[written] = nanoseconds(floats[written], layout.unit)
    odd = ~plain & ~written
    if not layout.whole:
        with np.errstate(over="ignore"):
            return ns, odd, floats * layout.tick
    t, rest = np.divmod(ns, layout.tick)
    if rest.any():
        t = ns / layout.tick
        if (lost := nanoseconds(t, layout.unit) != ns).any():
            raise MixedTimes(int(lost.argmax()))
    return t, odd, floats
