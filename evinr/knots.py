"""From events to what the network is fitted to: knot times and the event images between them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int

from evinr import bayer
from evinr.config import FitConfig
from evinr.events import Events, InputError

EVENTS_PER_PIXEL = 0.05
"""Aimed at in one interval. On slider_depth that makes 23 intervals; 35 and 50 scored worse, 15 much the same."""
FEWEST, MOST = 8, 50


class Knots(NamedTuple):
    """Cuts of a recording: event image `i` holds events `first[i]` to `first[i + 1] - 1`."""

    times: Float64[np.ndarray, " k"]
    """Seconds at which the network is evaluated."""
    first: Int[np.ndarray, " n_plus_1"]
    """Event index at which each interval starts, and the end of the last one."""


def automatic(events: Events) -> int:
    """How many intervals suit the recording."""
    wanted = round(events.count / (EVENTS_PER_PIXEL * events.height * events.width))
    return min(max(wanted, FEWEST), MOST, max(events.count, 1))


def edges(events: Events, count: int) -> Knots:
    """`count` intervals of equally many events and their `count + 1` edges (fewer where many events share one time).

    An inner edge lies midway between the events it separates, the outer ones at the first and last event.

    Raises:
        InputError: fewer events than intervals, or all of them at one time.
    """
    require(events, count, count)
    first = np.round(np.linspace(0, events.count, count + 1)).astype(np.int64)[1:-1]
    # Events of one time stay together, so that every edge has a time of its own.
    first = np.unique(np.searchsorted(events.t, events.t[first], "left"))
    first = first[first > 0]
    inner = (events.t[first - 1] + events.t[first]) / 2
    times = np.concatenate([events.t[:1], inner, events.t[-1:]])
    if times[0] == times[-1]:
        raise InputError(
            f"all {events.count} events have the same time {times[0]} s: there is no span to fit; check the time column"
        )
    return Knots(times, np.concatenate([[0], first, [events.count]]))


def midpoints(events: Events, count: int) -> Knots:
    """The original's cuts: `count` chunks of equally many events, each stamped midway between its first and last event.

    The difference of the network between stamps i and i + 1 is then held against all events of chunk i, which is half a
    chunk late, and the last chunk is not used (EvINR's code, event_data.py and model.py).

    Raises:
        InputError: fewer events than chunks.
    """
    require(events, count, count)
    sizes = np.full(count, events.count // count)
    sizes[: events.count % count] += 1
    first = np.concatenate([[0], np.cumsum(sizes)])
    return Knots((events.t[first[:-1]] + events.t[first[1:] - 1]) / 2, first)


def event_images(events: Events, first: Int[np.ndarray, " n_plus_1"]) -> Float32[np.ndarray, "n h w"]:
    """The sum of polarities at every pixel, per interval. Memory is that of the images and of one interval's events."""
    height, width = events.height, events.width
    images = np.empty((len(first) - 1, height * width), np.float32)
    for image, start, end in zip(images, first[:-1], first[1:], strict=True):
        pixel = events.y[start:end].astype(np.int64) * width + events.x[start:end]
        image[:] = np.bincount(pixel, weights=events.p[start:end], minlength=height * width)
    return images.reshape(-1, height, width)


def planes(images: Float32[np.ndarray, "n h w"], config: FitConfig) -> Float32[np.ndarray, "n planes hh ww"]:
    """Images of the sensor as the planes that are fitted; a mosaic with an odd side is padded by one row or column."""
    height, width = images.shape[1:]
    least = 2 if config.bayer is None else 4  # smoothness needs neighbours
    if min(height, width) < least:
        raise InputError(
            f"a {width} x {height} sensor is too small: a fit needs {least} x {least}; check --height and --width"
        )
    if config.bayer is None:
        return images[:, None]
    if config.colour == "planes":
        if height % 2 or width % 2:
            raise InputError(
                f"a {width} x {height} sensor has no whole Bayer cells: pass --colour mosaic, which pads it"
            )
        return bayer.rgb_planes(images, config.bayer)
    return bayer.phases(np.pad(images, ((0, 0), (0, height % 2), (0, width % 2))))


def require(events: Events, needed: int, asked: int) -> None:
    """Raise InputError where there are fewer events than intervals: `asked` of them, of which a fit makes `needed` later."""
    if events.count < needed:
        most = events.count * asked // needed
        mend = f"pass --knots {most} or less" if most >= 2 else "give a longer recording"
        raise InputError(f"{events.count} events are too few for {needed} intervals: {mend}")
