"""EVT2, EVT2.1 and DAT, the fixed-size words of Prophesee cameras and files, decoded a block of words at a time.

https://docs.prophesee.ai/stable/data/encoding_formats/evt2.html, .../evt21.html and .../file_formats/dat.html
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Integer, UInt32

from converters.evt3 import hold
from converters.stream import Columns

CD_ON, TIME_HIGH = 1, 8
"""Types 0 and 1 are events; type 8 says bits 6 to 33 of the time."""
HIGH_WRAP, DAT_WRAP = 2**27, 2**31
"""A fall by half the range or more is a new round: of the 28 bits of TIME_HIGH after 4.8 h, of DAT's 32 after 71.6 min."""


class State(NamedTuple):
    """The time that words so far mean for the next ones, and what was odd about it."""

    rounds: int = 0
    """How often the time began again."""
    high: int = -1
    """The last TIME_HIGH, or the last time of DAT; -1 before the first."""
    falls: int = 0
    """How often TIME_HIGH went back, which is an error."""


def decode_evt2(words: UInt32[np.ndarray, " n"], state: State) -> tuple[Columns, State]:
    """The events of consecutive words: t in us (int64), x and y (uint16), p 0 or 1 (uint8); and the state after them.

    Where a recording is cut into blocks makes no difference. What comes before the first TIME_HIGH is skipped.
    """
    words = words[_first_high(words, state) :]
    is_event = words >> 28 <= CD_ON
    coarse, state = _coarse(words, is_event.view(np.uint8), state)
    return _events(words[np.flatnonzero(is_event)], coarse), state


def decode_evt21(halves: UInt32[np.ndarray, "n 2"], state: State) -> tuple[Columns, State]:
    """The same of words of two halves: a word as of EVT2 last, and before it a bit for each of 32 columns from its x on."""
    halves = halves[_first_high(halves[:, 1], state) :]
    words = np.ascontiguousarray(halves[:, 1])
    masks = np.where(words >> 28 <= CD_ON, halves[:, 0], np.uint32(0))
    counts = np.bitwise_count(masks)
    coarse, state = _coarse(words, counts, state)
    sources = np.flatnonzero(counts != 0)
    masks, counts = masks[sources], counts[sources]
    # A lone bit is its mask - 1 counted; the others are looked for, as bool, of which flatnonzero is ten times as fast.
    bits = np.repeat(np.bitwise_count(masks - 1), counts)
    many = counts > 1
    several = np.flatnonzero(np.unpackbits(masks[many].view(np.uint8), bitorder="little").view(np.bool_))
    bits[np.repeat(many, counts)] = several & 31
    events = _events(np.repeat(words[sources], counts), coarse)
    return events._replace(x=events.x + bits), state


def decode_evt21_legacy(halves: UInt32[np.ndarray, "n 2"], state: State) -> tuple[Columns, State]:
    """EVT2.1 of older cameras, which have the halves the other way round."""
    return decode_evt21(halves[:, ::-1], state)


def decode_dat(records: UInt32[np.ndarray, "n 2"], state: State) -> tuple[Columns, State]:
    """The same of DAT records: a time of 32 bits, then x, y and polarity."""
    t, fields = records[:, 0].astype(np.int64), records[:, 1]
    before = np.concatenate(([state.high], t))[:-1]
    rounds = state.rounds + np.cumsum(before - t >= DAT_WRAP)
    x, y = (fields & 0x3FFF).astype(np.uint16), (fields >> 14 & 0x3FFF).astype(np.uint16)
    events = Columns(t + (rounds << 32), x, y, (fields >> 28 & 1).astype(np.uint8))
    return events, state._replace(rounds=int(rounds[-1]), high=int(t[-1])) if len(t) else state


def _first_high(words: UInt32[np.ndarray, " n"], state: State) -> int:
    """From which word on there is a time."""
    return 0 if state.high >= 0 else int(np.append(np.flatnonzero(words >> 28 == TIME_HIGH), len(words))[0])


def _coarse(
    words: UInt32[np.ndarray, " n"], counts: Integer[np.ndarray, " n"], state: State
) -> tuple[Int64[np.ndarray, " events"], State]:
    """The time of each event without its lowest 6 bits, of words with so many events; and the state after them."""
    seen = np.cumsum(counts, dtype=np.int32)
    total = int(seen[-1]) if len(seen) else 0
    highs = np.flatnonzero(words >> 28 == TIME_HIGH)
    high = (words[highs] & 0xFFFFFFF).astype(np.int64)
    fall = np.concatenate(([state.high], high))[:-1] - high
    rounds = state.rounds + np.cumsum(fall >= HIGH_WRAP)
    coarse = hold((state.rounds << 34) + (state.high << 6), rounds << 34 | high << 6, seen[highs], total)
    if len(highs):
        falls = state.falls + int(np.count_nonzero((fall > 0) & (fall < HIGH_WRAP)))
        state = State(int(rounds[-1]), int(high[-1]), falls)
    return coarse, state


def _events(words: UInt32[np.ndarray, " n"], coarse: Int64[np.ndarray, " n"]) -> Columns:
    t = coarse + (words >> 22 & 0x3F)
    x, y = (words >> 11 & 0x7FF).astype(np.uint16), (words & 0x7FF).astype(np.uint16)
    return Columns(t, x, y, (words >> 28).astype(np.uint8))
