"""Would a sensor that saw the reconstruction have fired the events that were recorded? A score that needs no truth.

Each pixel is replayed after ESIM (Rebecq et al., CoRL 2018): it fires whenever log intensity is a contrast threshold away from
what it remembers, and remembers that. Three things are not known and are chosen in the prediction's favour: the scale of
its log intensity and the two thresholds, which come to two numbers a sequence, and what each pixel remembers at the first
time, which is within a threshold of the log intensity there.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32

from evinr.events import Events, InputError

FACTORS = np.geomspace(0.5, 4, 13)
"""Tried on the thresholds of the closed form, which are up to a quarter too large (hysteresis), or too small for noise."""
STEPS = (0.08, 0.04, 0.02, 0.01)
"""By which each threshold is then moved while it helps: at 200 intervals a second thresholds 5 % off take the truth from
0.03 to 0.35."""
COARSE, MEMORIES, FINER = 9, 17, 8
"""Start memories tried at each pixel: for the choice of thresholds, after it, and around the best of those. The first frame
itself, of which the sensor was on its way already, takes the truth from 0.05 to 0.24 (50 intervals a second, threshold 0.1)."""
SAMPLE = 8192
"""Pixels on which the thresholds are chosen."""
BLOCK = 4096
"""Pixels replayed at once, which the caches hold."""

Slopes = tuple[float, float]
"""Events per unit of log intensity, rising and falling: one over the thresholds, and 0 where there are no events."""


class ReplayError(NamedTuple):
    """The part of the events that a reconstruction leaves unexplained: 0 explains all, 1 no more than a still picture."""

    intervals: Float64[np.ndarray, " n-1"]
    """Of each interval between two times: wrong events over the mean number of recorded ones in an interval."""
    error: float
    """Their mean, at most 1: a prediction that is better not replayed at all counts as a still picture."""
    up: float
    """Contrast threshold of events of polarity +1 in units of the log intensity; infinite where nothing is explained."""
    down: float
    """The same of polarity -1."""


def event_replay_error(
    log_intensity: Float[np.ndarray, "n h w"], times: Float64[np.ndarray, " n"], events: Events
) -> ReplayError:
    """Replay log intensity, known up to a constant and a positive factor, against the events after the first time.

    In each interval t_i < t <= t_i+1 the events of a pixel are added up by polarity, recorded and replayed ones. The error
    is the sum over pixels of the differences; it is divided by the sum of the recorded ones, in the mean over intervals, so
    that quiet intervals count little.

    Of the true log intensity it is 0.05 to 0.09 without sensor noise (25 to 200 intervals a second of the demo's scene):
    light that comes and goes within an interval is not seen, and thresholds are found to 1 %. With the noise of a good
    sensor it is 0.2 to 0.6, more for more intervals: scores compare at the same times only.

    Raises:
        InputError: the sensor is of another size; no events to explain between the times.
    """
    height, width = log_intensity.shape[1:]
    if (height, width) != (events.height, events.width):
        raise InputError(
            f"predictions are {width} x {height}, the sensor {events.width} x {events.height}: they must be alike"
        )
    answer, recorded = log_intensity.reshape(len(times), -1), _sums(times, events)
    still = np.abs(recorded).sum(1, dtype=np.float64)
    if not still.any():
        raise InputError(
            f"no events to explain between {times[0]:.6f} and {times[-1]:.6f} s: none, or as many up as down at every pixel; "
            "check that predictions and events are on one clock"
        )
    slopes = _refined(answer, recorded, _least_squares(answer, recorded))
    wrong = _wrong(answer, recorded, slopes) if any(slopes) else still
    if wrong.sum() >= still.sum():
        slopes, wrong = (0.0, 0.0), still
    up, down = (1 / slope if slope > 0 else np.inf for slope in slopes)
    return ReplayError(wrong / still.mean(), float(wrong.sum() / still.sum()), up, down)


def _sums(times: Float64[np.ndarray, " n"], events: Events) -> Int32[np.ndarray, "n-1 pixels"]:
    """Polarities of each interval and pixel, added up."""
    inside = slice(*np.searchsorted(events.t, times[[0, -1]], "right"))
    interval = np.searchsorted(times, events.t[inside], "left") - 1
    pixel = events.y[inside].astype(np.int64) * events.width + events.x[inside]
    sums = np.zeros((len(times) - 1, events.height * events.width), np.int32)
    np.add.at(sums, (interval, pixel), events.p[inside].astype(np.int32))
    return sums


def _least_squares(answer: Float[np.ndarray, "n pixels"], recorded: Int32[np.ndarray, "n-1 pixels"]) -> Slopes:
    """Events regressed on changes, those up and those down apart: sensors differ in the two by tens of percent.

    Not changes on events, whose rounding to whole thresholds would make the thresholds too small.
    """
    products, squares = np.zeros(2), np.zeros(2)
    for before, after, sums in zip(answer[:-1], answer[1:], recorded, strict=True):
        change = after.astype(np.float64) - before
        halves = np.maximum(change, 0), np.minimum(change, 0)
        products += [half @ sums for half in halves]
        squares += [half @ half for half in halves]
    up, down = np.maximum(products, 0) / np.where(squares > 0, squares, 1)
    return float(up), float(down)


def _refined(answer: Float[np.ndarray, "n pixels"], recorded: Int32[np.ndarray, "n-1 pixels"], start: Slopes) -> Slopes:
    """The slopes near `start` that leave the fewest wrong events on some of the pixels."""
    some = np.s_[:, :: -(-answer.shape[1] // SAMPLE)]
    changes, sums = _changes(answer[some]), recorded[some].astype(np.float32)
    memories = _spread(COARSE)[:, None]

    def wrong(slopes: Slopes) -> float:
        return float(_misses(changes, sums, slopes, memories).min(0).sum())

    def best(tried: Iterable[Slopes]) -> Slopes:
        tried = list(tried)
        with ThreadPoolExecutor() as threads:
            return tried[np.argmin(list(threads.map(wrong, tried)))]

    slopes = best((start[0] / factor, start[1] / factor) for factor in FACTORS)
    for step in STEPS:
        moves = (1, 1 - step, 1 + step)
        slopes = best((slopes[0] * up, slopes[1] * down) for up, down in product(moves, moves))
    return slopes


def _wrong(
    answer: Float[np.ndarray, "n pixels"], recorded: Int32[np.ndarray, "n-1 pixels"], slopes: Slopes
) -> Float64[np.ndarray, " n-1"]:
    """Wrong events of each interval, every pixel starting from the memory that suits it best."""

    def block(first: int) -> Float64[np.ndarray, " intervals"]:
        pixels = np.s_[:, first : first + BLOCK]
        changes, sums = _changes(answer[pixels]), recorded[pixels].astype(np.float32)
        tried = _spread(MEMORIES)[:, None]
        best = tried[_misses(changes, sums, slopes, tried).argmin(0), 0]
        tried = np.concatenate([best[None], best + _spread(FINER)[:, None] / MEMORIES])
        finer = _misses(changes, sums, slopes, tried).argmin(0)
        best = np.take_along_axis(tried, finer[None], axis=0)
        return np.array([wrong.sum(dtype=np.float64) for wrong in _replayed(changes, sums, slopes, best)])

    with ThreadPoolExecutor() as threads:
        return np.sum(list(threads.map(block, range(0, answer.shape[1], BLOCK))), axis=0)


def _replayed(
    changes: Float32[np.ndarray, "k pixels"],
    sums: Float32[np.ndarray, "k pixels"],
    slopes: Slopes,
    memories: Float32[np.ndarray, "m _"],
) -> Iterator[Float32[np.ndarray, "m pixels"]]:
    """Wrong events of each interval, for start memories that lie these parts of a threshold below the first frame."""
    rise, fall = (np.float32(slope) for slope in slopes)
    up, down = (np.float32(1 / slope) if slope > 0 else np.float32(0) for slope in slopes)
    memory = -np.where(memories > 0, memories * up, memories * down)
    for change, recorded in zip(changes, sums, strict=True):
        above = change - memory
        fired = np.trunc(above * np.where(above > 0, rise, fall))
        memory = memory + fired * np.where(fired > 0, up, down)
        yield np.abs(fired - recorded)


def _misses(
    changes: Float32[np.ndarray, "k pixels"],
    sums: Float32[np.ndarray, "k pixels"],
    slopes: Slopes,
    memories: Float32[np.ndarray, "m _"],
) -> Float32[np.ndarray, "m pixels"]:
    """Wrong events of all intervals."""
    return sum(_replayed(changes, sums, slopes, memories), np.zeros(1, np.float32))


def _changes(answer: Float[np.ndarray, "n pixels"]) -> Float32[np.ndarray, "n-1 pixels"]:
    return (answer[1:] - answer[0]).astype(np.float32)


def _spread(count: int) -> Float32[np.ndarray, " {count}"]:
    """The middles of `count` parts of [-1, 1]."""
    return ((np.arange(count) + 0.5) / count * 2 - 1).astype(np.float32)
