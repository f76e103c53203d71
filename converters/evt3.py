"""EVT3, the 16-bit words of recent Prophesee cameras, decoded a block of words at a time.

A word has 4 bits of type and 12 of content; most words only set a state: the time, the row, where a vector begins.
https://docs.prophesee.ai/stable/data/encoding_formats/evt3.html; the clock follows OpenEB's decoder.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Integer, Shaped, UInt16, UInt32

from converters.stream import Columns

ADDR_Y, ADDR_X, VECT_BASE_X, VECT_12, VECT_8, TIME_LOW, TIME_HIGH = np.array([0, 2, 3, 4, 5, 6, 8], np.uint16)
STEPS = np.array([0, 0, 0, 0, 12, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], np.uint16)
"""Columns that a word of each type goes through, with a bit for each."""
BITS = np.array([(1 << steps) - 1 for steps in STEPS.tolist()], np.uint16)
WRAP = 2048
"""A fall of TIME_HIGH by half its range or more is a new round of its 12 bits, as in OpenEB; a smaller one an error."""


class State(NamedTuple):
    """What the words so far mean for the next ones, and what was odd about them."""

    rounds: int = 0
    """How often the 24 bits of time began again."""
    high: int = -1
    """Bits 12 to 23 of the time; -1 before the first TIME_HIGH."""
    low: int = 0
    row: int = -1
    """-1 before the first ADDR_Y."""
    column: int = -1
    """Where the next vector begins; -1 before the first VECT_BASE_X."""
    polarity: int = 0
    """Of vectors."""
    falls: int = 0
    """How often TIME_HIGH went back, which is an error."""
    homeless: int = 0
    """Events left out as no word had said their row or column yet."""
    second_camera: int = 0
    """Row addresses that are marked as those of the second camera of a pair."""


def decode(words: UInt16[np.ndarray, " n"], state: State) -> tuple[Columns, State]:
    """The events of consecutive words: t in us (int64), x and y (uint16), p 0 or 1 (uint8); and the state after them.

    Where a recording is cut into blocks makes no difference. What comes before the first TIME_HIGH is skipped.
    """
    kind = words >> 12
    if state.high < 0:
        start = np.append(np.flatnonzero(kind == TIME_HIGH), len(words))[0]
        words, kind = words[start:], kind[start:]
        state = state._replace(high=int(words[0] & 0xFFF)) if len(words) else state
    counts = (kind == ADDR_X).view(np.uint8)
    vectors = np.flatnonzero(kind - VECT_BASE_X <= VECT_8 - VECT_BASE_X)
    starts, masks, state = _vectors(words[vectors], kind[vectors], state)
    counts[vectors] = np.bitwise_count(masks)
    seen = np.cumsum(counts, dtype=np.int32)
    total = int(seen[-1]) if len(seen) else 0

    x, p = _columns(words, counts, vectors, starts, masks)
    times, clock, after = _clock(words, kind, state)
    t = hold(state.rounds << 24 | state.high << 12 | state.low, clock, seen[times], total)
    rows = np.flatnonzero(kind == ADDR_Y)
    row = words[rows] & 0x7FF
    y = hold(state.row, row, seen[rows], total)
    if len(rows):
        second = int(np.count_nonzero(words[rows] & 0x800))
        after = after._replace(row=int(row[-1]), second_camera=state.second_camera + second)
    if state.row < 0:
        homeless = int(seen[rows[0]]) if len(rows) else total
        t, x, y, p = t[homeless:], x[homeless:], y[homeless:], p[homeless:]
        after = after._replace(homeless=after.homeless + homeless)
    return Columns(t, x, y, p), after


def hold(
    before: int, values: Shaped[np.ndarray, " k"], starts: Integer[np.ndarray, " k"], total: int
) -> Shaped[np.ndarray, " {total}"]:
    """Values that begin at rising places and hold until the next one begins, the last until the total."""
    every = np.concatenate((np.array([max(before, 0)], values.dtype), values))
    return np.repeat(every, np.diff(starts, prepend=0, append=total))


def _vectors(
    words: UInt16[np.ndarray, " v"], kind: UInt16[np.ndarray, " v"], state: State
) -> tuple[UInt32[np.ndarray, " v"], UInt16[np.ndarray, " v"], State]:
    """Of VECT words: the first column, with the polarity in bit 16; a bit for each event; and the state after them."""
    steps, masks = STEPS[kind], words & BITS[kind]
    bases = np.flatnonzero(kind == VECT_BASE_X)
    if state.column < 0:
        known = bases[0] if len(bases) else len(words)
        state = state._replace(homeless=state.homeless + int(np.bitwise_count(masks[:known]).sum()))
        masks[:known] = 0
    # Modulo 2**16: no sensor is that wide, but a damaged file can step on and on.
    reached = np.cumsum(steps, dtype=np.uint16)
    columns = hold(state.column, (words[bases] & 0x7FF) - reached[bases], bases, len(words)) + (reached - steps)
    polarity = hold(state.polarity, words[bases] >> 11 & 1, bases, len(words))
    if len(words) and (len(bases) or state.column >= 0):
        state = state._replace(column=(int(columns[-1]) + int(steps[-1])) & 0xFFFF, polarity=int(polarity[-1]))
    return columns | polarity.astype(np.uint32) << 16, masks, state


def _columns(
    words: UInt16[np.ndarray, " n"],
    counts: Integer[np.ndarray, " n"],
    vectors: Integer[np.ndarray, " v"],
    starts: UInt32[np.ndarray, " v"],
    masks: UInt16[np.ndarray, " v"],
) -> tuple[Shaped[np.ndarray, " events"], Shaped[np.ndarray, " events"]]:
    """Column and polarity of each event, in the order of the words."""
    sources = np.flatnonzero(counts != 0)
    if not len(vectors):
        alone = words[sources]
        return alone & 0x7FF, (alone >> 11 & 1).astype(np.uint8)
    fields = words & 0x7FF | (words & 0x800).astype(np.uint32) << 5
    fields[vectors] = starts | 1 << 17
    fields = np.repeat(fields[sources], counts[sources])
    x = fields.astype(np.uint16)
    # As bool, of which flatnonzero is ten times as fast as of uint8.
    bits = np.flatnonzero(np.unpackbits(masks.view(np.uint8), bitorder="little").view(np.bool_))
    x[np.flatnonzero(fields >= 1 << 17)] += (bits & 15).astype(np.uint16)
    return x, (fields >> 16 & 1).astype(np.uint8)


def _clock(
    words: UInt16[np.ndarray, " n"], kind: UInt16[np.ndarray, " n"], state: State
) -> tuple[Integer[np.ndarray, " k"], Int64[np.ndarray, " k"], State]:
    """Which words set the time, to what, and the state after them. A new TIME_HIGH clears the lower bits."""
    highs = np.flatnonzero(kind == TIME_HIGH)
    high = (words[highs] & 0xFFF).astype(np.int64)
    fall = np.concatenate(([state.high], high))[:-1] - high
    rounds = state.rounds + np.cumsum(fall >= WRAP)
    sets = kind == TIME_LOW
    sets[highs[fall != 0]] = True
    times = np.flatnonzero(sets)
    is_high = words[times] >= TIME_HIGH << 12
    low = np.where(is_high, np.uint16(0), words[times] & 0xFFF)
    coarse = hold(
        state.rounds << 24 | state.high << 12,
        (rounds << 24 | high << 12)[fall != 0],
        np.flatnonzero(is_high),
        len(times),
    )
    if len(highs):
        falls = state.falls + int(np.count_nonzero((fall > 0) & (fall < WRAP)))
        state = state._replace(rounds=int(rounds[-1]), high=int(high[-1]), falls=falls)
    return times, coarse + low, state._replace(low=int(low[-1])) if len(low) else state
