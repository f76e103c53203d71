"""Event-trail suppression: what a slow pixel still fires after an edge has passed it at night is moved back to the edge.

In the dark a pixel lags behind the light: it goes on firing events of one polarity at ever longer intervals, which draw a
trail behind what moves. Liu et al., "Seeing Motion at Nighttime with an Event Camera", CVPR 2024 (their code:
Event_Trail_Suppression/ets.py of github.com/Liu-haoyue/NER-Net), give such events times right after the first of them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from evinr.events import Events

STEP = 1_000
"""Nanoseconds between the events of a trail that was moved."""


class Suppressed(NamedTuple):
    """Events with their trails moved, in time order."""

    events: Events
    moved: int
    """How many events have another time."""


def suppress(events: Events, on: float = 1.0, off: float = 1.0, tolerance: float = 0.0) -> Suppressed:
    """The same events, those of trails at times a microsecond apart, from the first event of their trail on.

    An event continues the trail of the pixel's event before it if it has the same polarity and comes after a longer time
    than that one did, but within `on` or `off` seconds, by its polarity. `tolerance` is how many seconds an interval may be
    shorter than the one before it. No event becomes later than it was; those of one time are in the order of their pixels.

    Takes some 100 bytes of memory for each event.
    """
    t, pixel = np.rint(events.t * 1e9).astype(np.int64), events.y.astype(np.int64) * events.width + events.x
    order = np.lexsort((t, pixel))
    t, pixel, p = t[order], pixel[order], events.p[order]
    follows = np.zeros(len(t), bool)
    follows[1:] = (pixel[1:] == pixel[:-1]) & (p[1:] == p[:-1])
    interval, before = np.diff(t, prepend=t[:1]), np.zeros_like(t)
    before[1:] = interval[:-1]
    follows &= interval < np.where(p > 0, round(on * 1e9), round(off * 1e9))
    trail = _chained(follows & (interval > 0), follows & (interval > before - round(tolerance * 1e9)))
    place = np.arange(len(t))
    start = np.maximum.accumulate(np.where(trail, 0, place))
    moved = np.where(trail, np.minimum(t[start] + STEP * (place - start), t), t)
    seconds = np.where(moved == t, events.t[order], moved / 1e9)  # times that stay are the very numbers that came in
    sort = np.argsort(seconds, kind="stable")
    there = order[sort]
    result = events._replace(t=seconds[sort], x=events.x[there], y=events.y[there], p=events.p[there])
    return Suppressed(result, int((moved != t).sum()))


def _chained(after_other: Bool[np.ndarray, " n"], after_trail: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which events continue a trail, from whether each would after one that does not, and after one that does.

    Where both are alike the answer is known; from there on it stays, or flips at each event that only follows others.
    """
    place, known = np.arange(len(after_other)), after_other == after_trail
    last = np.maximum.accumulate(np.where(known, place, 0))
    flips = np.cumsum(after_other & ~after_trail)
    return after_other[last] ^ ((flips - flips[last]) % 2 == 1)
