"""From events of any length to windows: a few dozen knots each, all of one shape, cut as the events come.

Knots follow the events, not the clock: an interval between two knots ends when enough events are in it. A window is
`intervals` of them; consecutive windows share `overlap` intervals, and so the knots at both ends of these.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from evinr import knots
from evinr.config import LENGTHS, FitConfig
from evinr.events import Events, InputError

FULL = 0.5
"""Events a pixel that end an interval: of those tried, the best on busy scenes."""
LEAST = knots.EVENTS_PER_PIXEL
"""Events a pixel that end an interval after PATIENCE: the best on slider_depth, whose scene is calm."""
PATIENCE = 0.02
"""Seconds: with fewer than 50 knots a second, motion that a camera at 25 to 50 frames a second shows would be lost."""
SILENCE = 0.1
"""Seconds without any event in which the picture stands still, in an interval of its own."""
WORTH = LEAST / 10
"""Events a pixel before a silence that earn it: else lone events of a dark sensor would use up the knots."""
MARGIN = 1e-3
"""Seconds between a silence's knots and the events around it; also the length of an interval added to fill a window."""


class Interval(NamedTuple):
    """What happened between two knots."""

    start: float
    """Seconds."""
    end: float
    """Seconds; the next interval starts here."""
    events: int
    """How many there were."""
    image: Float32[np.ndarray, "h w"]
    """The sum of their polarities at every pixel."""


class Window(NamedTuple):
    """What is fitted at once: `n` intervals between `n + 1` knots."""

    number: int
    """Counted from 0."""
    times: Float64[np.ndarray, " n_plus_1"]
    """Seconds of the knots, strictly rising."""
    images: Float32[np.ndarray, "n planes hh ww"]
    """Event images of the intervals, in the planes that are fitted (`knots.planes`)."""
    shared: int
    """How many of its first knots are also the last ones of the window before: 0 for the first window."""
    events: int
    """In all its intervals."""


def intervals(blocks: Iterable[Events]) -> Iterator[Interval]:
    """Cut events that come block by block, none of them empty, in time order. Where the blocks end makes no difference.

    An interval ends with FULL events a pixel, with LEAST when PATIENCE has passed, or at a SILENCE. Events of one time
    stay together. Inner knots lie midway between the events that they separate, the outer ones at the first and the
    last event; a silence has its knots MARGIN after the event before and before the one behind. Memory is that of one
    block and one image.
    """
    start = last = 0.0
    count, image = 0, None
    for block in blocks:
        t, size, shape = block.t, block.count, (block.height, block.width)
        if image is None:
            start, last, image = float(t[0]), float(t[0]), np.zeros(shape, np.float32)
        full, least, worth = (math.ceil(share * block.height * block.width) for share in (FULL, LEAST, WORTH))
        pixel, p = block.y.astype(np.int32) * block.width + block.x, block.p.astype(np.float32)
        silences = np.flatnonzero(np.diff(t, prepend=last) >= SILENCE)
        first = 0
        while True:
            # The first event of the next interval, if this block has it.
            late = max(_after(t, last, first - count + least), int(np.searchsorted(t, start + PATIENCE)))
            silence = int(np.searchsorted(silences, first - count + worth))
            silent = int(silences[silence]) if silence < len(silences) else size
            end = min(_after(t, last, first - count + full), late, silent)
            if end == size:
                break
            # As np.bincount, whose table of all pixels would be made and added for each part of an interval.
            np.add.at(image.reshape(-1), pixel[first:end], p[first:end])
            before, behind = float(t[end - 1]) if end else last, float(t[end])
            knot = before + MARGIN if end == silent else max((before + behind) / 2, math.nextafter(before, math.inf))
            yield Interval(start, knot, count + end - first, image)
            if end == silent:
                start, knot = knot, behind - MARGIN
                yield Interval(start, knot, 0, np.zeros(shape, np.float32))
            start, count, first, image = knot, 0, end, np.zeros(shape, np.float32)
        np.add.at(image.reshape(-1), pixel[first:], p[first:])
        count, last = count + size - first, float(t[-1])
    if image is not None:
        yield Interval(start, max(last, math.nextafter(start, math.inf)), count, image)


def _after(t: Float64[np.ndarray, " n"], last: float, number: int) -> int:
    """The first event behind `number` events of the block and all others of their time; those before it end at `last`."""
    if number > len(t):
        return len(t)
    return int(np.searchsorted(t, t[number - 1] if number > 0 else last, "right"))


def windows(blocks: Iterable[Events], config: FitConfig) -> Iterator[Window]:
    """Cut events into windows, each given out as soon as its last interval is there.

    The last one slides back, so that it is as long as all others. Of a recording too short for one window the events
    are cut anew, into 8, 16, 24 or 32 intervals of equally many. Memory is that of one window, and until the first one
    is there of its events.

    Raises:
        InputError: no events, or a sensor that is too small; and whatever reading the blocks raises, but after a last
            window of the events before.
    """
    failures: list[InputError] = []
    kept: list[Events] = []
    held: list[Interval] = []
    number = fresh = 0

    def sound() -> Iterator[Events]:
        try:
            for block in blocks:
                if not number:
                    kept.append(block)
                yield block
        except InputError as failure:
            failures.append(failure)

    for interval in intervals(sound()):
        held.append(interval)
        del held[: -config.intervals]
        fresh += 1
        if fresh == config.intervals - (config.overlap if number else 0):
            kept.clear()
            shared = config.overlap + 1 if number else 0
            number, fresh = number + 1, 0
            yield _window(number - 1, held, shared, config)
    if number and fresh:
        yield _window(number, held, config.intervals - fresh + 1, config)
    if kept:
        yield _short(kept, config)
    if failures:
        raise failures[0]
    if not number and not kept:
        raise InputError("no events: a fit needs some")


def _window(number: int, held: Sequence[Interval], shared: int, config: FitConfig) -> Window:
    times = np.array([held[0].start, *(interval.end for interval in held)])
    images = knots.planes(np.stack([interval.image for interval in held]), config)
    return Window(number, times, images, shared, sum(interval.events for interval in held))


def _short(blocks: Sequence[Events], config: FitConfig) -> Window:
    """All of a short recording: intervals of LEAST events a pixel, and behind the last event as many empty ones as it takes.

    Those are needed where events have few times of their own.
    """
    t, x, y, p = (np.concatenate(column) for column in zip(*(block[:4] for block in blocks), strict=True))
    events = Events(t, x, y, p, blocks[0].height, blocks[0].width)
    counts = [count for count in LENGTHS if count <= config.intervals]
    wanted = events.count / (LEAST * events.height * events.width)
    count = min(counts, key=lambda count: abs(count - wanted))
    at_once = knots.Knots(t[:1], np.array([0, len(t)]))
    cuts = at_once if t[0] == t[-1] else knots.edges(events, min(count, events.count))
    made = knots.event_images(events, cuts.first)
    count = next(count for count in counts if count >= len(made))
    after = cuts.times[-1] + MARGIN * np.arange(1, count + 2 - len(cuts.times))
    images = np.concatenate([made, np.zeros((count - len(made), *made.shape[1:]), np.float32)])
    return Window(0, np.concatenate([cuts.times, after]), knots.planes(images, config), 0, events.count)
