"""Are there edges where the sensor saw edges? A score that needs no truth."""

import numpy as np
from jaxtyping import Bool, Float32, Float64

from evinr.events import Events, InputError

EVENTS_PER_PIXEL = 0.05
"""Events around a time, over the pixels of the sensor, that say where edges are: as many as make an interval of a fit."""


def edge_sharpness(
    pictures: Float32[np.ndarray, "n h w"], times: Float64[np.ndarray, " n"], events: Events
) -> Float64[np.ndarray, " n"]:
    """Mean length of the gradient over the pixels that fired around each time, in part of the range a pixel.

    Of pictures in [0, 1] with central differences, where one of the `EVENTS_PER_PIXEL` events a pixel nearest in time was.
    NaN without events. Scores of one recording can be compared, those of two cannot; noise counts as edges.

    Raises:
        InputError: the sensor is of another size.
    """
    height, width = pictures.shape[1:]
    if (height, width) != (events.height, events.width):
        raise InputError(
            f"pictures are {width} x {height}, the sensor {events.width} x {events.height}: they must be alike"
        )
    if not events.count:
        return np.full(len(times), np.nan)
    return np.array(
        [_gradient(picture)[_fired(time, events)].mean() for picture, time in zip(pictures, times, strict=True)]
    )


def _gradient(picture: Float32[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
    down, right = np.gradient(picture.astype(np.float64))
    return np.hypot(down, right)


def _fired(time: float, events: Events) -> Bool[np.ndarray, "h w"]:
    """The pixels of the events nearest to a time."""
    count = max(round(EVENTS_PER_PIXEL * events.height * events.width), 1)
    middle = int(np.searchsorted(events.t, time))
    near = np.arange(max(middle - count, 0), min(middle + count, events.count))
    nearest = near[np.argsort(np.abs(events.t[near] - time), kind="stable")[:count]]
    fired = np.zeros((events.height, events.width), np.bool_)
    fired[events.y[nearest], events.x[nearest]] = True
    return fired
