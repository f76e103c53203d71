"""A small event-camera simulator: a scene of known intensity in, events out (after ESIM, Rebecq et al., CoRL 2018).

Each pixel remembers the log intensity of its last event and fires whenever the present one is a contrast threshold away;
between two samples of the scene the log intensity is taken to be linear, so events get exact times. The non-idealities
follow v2e (Hu et al., CVPRW 2021): thresholds differ from pixel to pixel, the memory leaks (ON events at a fixed rate), and
shot noise fires at random, more in the dark.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from evinr.events import Events

Scene = Callable[[float], Float[np.ndarray, "h w"]]
"""The log intensity of every pixel at a time in seconds."""


@dataclass(frozen=True)
class Sensor:
    """What makes a pixel fire. Defaults are those of a good DVS in daylight."""

    contrast_threshold: float = 0.2
    """Change of log intensity that fires an event."""
    mismatch: float = 0.03
    """Standard deviation of the thresholds over pixels and polarities, in log intensity."""
    leak_rate: float = 0.1
    """ON events per second and pixel without any change (v2e, section 3.4)."""
    shot_noise_rate: float = 1.0
    """Noise events per second in a black pixel; a white one has a quarter of it (v2e, section 3.3)."""


def simulate(scene: Scene, times: Float[np.ndarray, " n"], sensor: Sensor, seed: int = 0) -> Events:
    """The events that `sensor` fires looking at `scene` from the first of `times` to the last.

    `times` are the seconds at which the scene is sampled: dense enough that no pixel changes direction unseen between two.
    """
    rng = np.random.default_rng(seed)
    before = scene(float(times[0]))
    height, width = before.shape
    thresholds = sensor.contrast_threshold + sensor.mismatch * rng.standard_normal((2, height * width))
    on, off = np.maximum(thresholds, 0.01)
    before = before.ravel().astype(np.float64)
    memory = before - rng.uniform(-off, on)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for start, end in zip(times[:-1], times[1:], strict=True):
        span = float(end - start)
        now = scene(float(end)).ravel().astype(np.float64)
        # How far log intensity is above the memory, at the start of this span and (the memory leaking) at its end.
        above, end_above = before - memory, now - memory + sensor.leak_rate * span * on
        memory -= sensor.leak_rate * span * on
        for sign, threshold in ((1, on), (-1, off)):
            crossings = np.maximum((sign * end_above / threshold).astype(np.int64), 0)
            pixel = np.repeat(np.arange(crossings.size), crossings)
            nth = np.arange(pixel.size) - np.repeat(np.cumsum(crossings) - crossings, crossings) + 1
            way = (sign * nth * threshold[pixel] - above[pixel]) / (end_above - above)[pixel]
            memory += sign * crossings * threshold
            parts.append((start + span * np.clip(way, 0, 1), pixel, np.full(pixel.size, sign)))
        darkness = 1 - 0.75 * np.clip(np.exp(now), 0, 1)
        noisy = np.flatnonzero(rng.random(now.size) < sensor.shot_noise_rate * span * darkness)
        parts.append((rng.uniform(start, end, noisy.size), noisy, rng.choice([-1, 1], noisy.size)))
        memory[noisy] = now[noisy]
        before = now
    t, pixel, polarity = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(t, kind="stable")
    y, x = np.divmod(pixel[order], width)
    return Events(t[order], x.astype(np.uint16), y.astype(np.uint16), polarity[order].astype(np.int8), height, width)
