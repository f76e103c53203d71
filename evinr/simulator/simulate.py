"""An event camera simulated: a scene of known intensity in, events out (after ESIM, Rebecq et al., CoRL 2018)."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from evinr.events import Events
from evinr.simulator.pixels import Fired, State, draw_pixels, step
from evinr.simulator.sensor import Sensor as Sensor

Scene = Callable[[float], Float[np.ndarray, "h w"]]
"""The log intensity of every pixel at a time in seconds; 0 is white to the sensor, lamps are above."""

BLOCK = 2**16
"""Events in a block, about."""


def simulate(scene: Scene, times: Float[np.ndarray, " n"], sensor: Sensor, seed: int = 0) -> Events:
    """The events that `sensor` fires looking at `scene` from the first of `times` to the last.

    `times` are the seconds at which the scene is sampled: dense enough that no pixel changes direction unseen between two.
    """
    parts = list(blocks(scene, times, sensor, seed))
    t, x, y, p = (np.concatenate(column) for column in zip(*(part[:4] for part in parts), strict=True))
    return Events(t, x, y, p, parts[0].height, parts[0].width)


def blocks(scene: Scene, times: Float[np.ndarray, " n"], sensor: Sensor, seed: int = 0) -> Iterator[Events]:
    """The same in blocks of consecutive events, the last one perhaps empty: memory does not grow with time."""
    rng = np.random.default_rng(seed)
    first = scene(float(times[0]))
    height, width = first.shape
    pixels = draw_pixels(sensor, first.size, rng)
    light = first.ravel().astype(np.float64)
    # Pixels remember the first light; those that leak have done so before, and are anywhere on their way to an event.
    level = np.where(pixels.leak > 0, rng.random(first.size) * pixels.on, 0.0)
    state = State(light, light, level, np.full(first.size, -np.inf))
    gathered = [_NOTHING]

    def block() -> Events:
        t, pixel, p = (np.concatenate(column) for column in zip(*gathered, strict=True))
        y, x = np.divmod(pixel, width)
        gathered[:] = [_NOTHING]
        return Events(t, x.astype(np.uint16), y.astype(np.uint16), p, height, width)

    for start, end in pairwise(times.tolist()):
        light = scene(end).ravel().astype(np.float64)
        state, fired = step(state, light, start, end, sensor, pixels, rng)
        order = np.argsort(fired.t, kind="stable")
        gathered.append(Fired(*(column[order] for column in fired)))
        if sum(len(part.t) for part in gathered) >= BLOCK:
            yield block()
    yield block()


_NOTHING = Fired(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int8))
