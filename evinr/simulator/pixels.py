"""What every pixel of an event sensor does between two samples of the light that falls on it.

Each pixel remembers the log intensity of its last event and fires whenever the present one is a contrast threshold away;
in between log intensity goes in a line, so events get exact times (ESIM, Rebecq et al., CoRL 2018). The faults follow
v2e (Hu et al., CVPRW 2021).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int8, Int64

from evinr.simulator.sensor import SMALLEST, Sensor


class Pixels(NamedTuple):
    """What is peculiar to each pixel."""

    on: Float64[np.ndarray, " n"]
    off: Float64[np.ndarray, " n"]
    leak: Float64[np.ndarray, " n"]
    """Leak events per second."""


class State(NamedTuple):
    """What each pixel has at a time."""

    light: Float64[np.ndarray, " n"]
    """Log intensity."""
    seen: Float64[np.ndarray, " n"]
    """What the photoreceptor makes of it."""
    level: Float64[np.ndarray, " n"]
    """How far that is above what the pixel remembers."""
    free: Float64[np.ndarray, " n"]
    """When it may fire again, in seconds."""


class Fired(NamedTuple):
    """Events of a step, in any order."""

    t: Float64[np.ndarray, " k"]
    pixel: Int64[np.ndarray, " k"]
    p: Int8[np.ndarray, " k"]


def draw_pixels(sensor: Sensor, count: int, rng: np.random.Generator) -> Pixels:
    """Thresholds and leaks of `count` pixels: the first numbers that a seed gives."""
    nominal = np.array(sensor.thresholds)[:, None]
    on, off = np.maximum(nominal + sensor.mismatch * rng.standard_normal((2, count)), SMALLEST)
    spread = np.log(10) * sensor.leak_spread
    leak = sensor.leak_rate * np.exp(spread * rng.standard_normal(count) - spread**2 / 2)  # of mean leak_rate
    leak[rng.permutation(count)[: round(sensor.hot_pixels * count)]] = sensor.hot_rate
    return Pixels(on, off, leak)


def step(
    state: State,
    light: Float64[np.ndarray, " n"],
    start: float,
    end: float,
    sensor: Sensor,
    pixels: Pixels,
    rng: np.random.Generator,
) -> tuple[State, Fired]:
    """What happens from `start` to `end` (seconds), while log intensity goes in a line to `light`."""
    span = end - start
    bright = brightness(light) if sensor.bandwidth or sensor.shot_noise_rate else light
    seen = low_pass(state, light, span, sensor.bandwidth * bright) if sensor.bandwidth else light
    rise = seen - state.seen
    if pixels.leak.any():
        drift = pixels.leak * span
        # A random walk: a step of v2e's is as wide however short, so that its jitter fades with more samples.
        rise += pixels.on * (drift + sensor.leak_jitter * np.sqrt(drift) * rng.standard_normal(rise.size))
    level, free = state.level + rise, state.free.copy()
    held = np.flatnonzero(free > start)
    level[held] = rise[held] * (1 - np.minimum((free[held] - start) / span, 1))
    fired = [
        _crossings(level, rise, free, end, span, *side, sensor.refractory)
        for side in ((1, pixels.on), (-1, pixels.off))
    ]
    if sensor.shot_noise_rate:
        busy = np.concatenate([part.pixel for part in fired])
        fired.append(_shot_noise(level, rise, free, busy, start, span, bright, sensor, pixels, rng))
    return State(light, seen, level, free), Fired(*(np.concatenate(column) for column in zip(*fired, strict=True)))


def brightness(light: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """From 0.07 in the dark to 1 in white and beyond: v2e's intensity, of which it makes rates and bandwidths."""
    return (255 * np.exp(light) + 20) / 275


def low_pass(
    state: State, light: Float64[np.ndarray, " n"], span: float, cutoff: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """A first-order low pass of `cutoff` Hz after `span` seconds of a ramp to `light`: the exact solution."""
    tau = 1 / (2 * np.pi * cutoff)
    lag = (light - state.light) * tau / span
    return light - lag + (state.seen - state.light + lag) * np.exp(-span / tau)


def _crossings(
    level: Float64[np.ndarray, " n"],
    rise: Float64[np.ndarray, " n"],
    free: Float64[np.ndarray, " n"],
    end: float,
    span: float,
    sign: int,
    threshold: Float64[np.ndarray, " n"],
    refractory: float,
) -> Fired:
    """Events of one polarity; `level` (at the end of the span) and `free` are brought up to date."""
    crossed = np.flatnonzero(sign * level >= threshold)
    height, slope, first = sign * level[crossed], np.maximum(sign * rise[crossed], 1e-300), threshold[crossed]
    each = first + slope * (refractory / span)  # what passes unseen while a pixel is held counts for the next event
    count = np.floor((height - first) / each).astype(np.int64) + 1
    nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    whose = np.repeat(np.arange(crossed.size), count)
    before_end = (height[whose] - first[whose] - nth * each[whose]) / slope[whose]
    t = end - span * np.clip(before_end, 0, 1)
    level[crossed] = sign * np.maximum(height - count * each, 0)
    if refractory:
        free[crossed] = t[np.cumsum(count) - 1] + refractory
    return Fired(t, crossed[whose], np.full(t.size, sign, np.int8))


def _shot_noise(
    level: Float64[np.ndarray, " n"],
    rise: Float64[np.ndarray, " n"],
    free: Float64[np.ndarray, " n"],
    busy: Int64[np.ndarray, " b"],
    start: float,
    span: float,
    bright: Float64[np.ndarray, " n"],
    sensor: Sensor,
    pixels: Pixels,
    rng: np.random.Generator,
) -> Fired:
    """Noise in pixels that are not `busy`, which then remember what they see; `level` and `free` are brought up to date.

    A Poisson process of v2e's rate: half of it for each polarity, in proportion to nominal over actual threshold.
    """
    nominal = sensor.thresholds
    most = sensor.shot_noise_rate / 2 * max(nominal[0] / pixels.on.min(), nominal[1] / pixels.off.min())
    tries = rng.poisson(2 * most * span * level.size)
    pixel, p = rng.integers(0, level.size, tries), rng.choice(np.array([-1, 1], np.int8), tries)
    t = start + span * rng.random(tries)
    rate = sensor.shot_noise_rate / 2 * (1 - 0.75 * np.minimum(bright[pixel], 1))
    rate *= np.where(p > 0, nominal[0] / pixels.on[pixel], nominal[1] / pixels.off[pixel])
    taken = (rng.random(tries) * most < rate) & (free[pixel] <= t) & ~np.isin(pixel, busy)
    order = np.flatnonzero(taken)[np.lexsort((t[taken], pixel[taken]))]
    t, pixel, p = t[order], pixel[order], p[order]
    apart = np.ones(t.size, bool)
    apart[1:] = (np.diff(pixel) > 0) | (np.diff(t) >= sensor.refractory)
    t, pixel, p = t[apart], pixel[apart], p[apart]
    last = np.ones(t.size, bool)
    last[:-1] = np.diff(pixel) > 0
    whose, since = pixel[last], t[last] + sensor.refractory
    level[whose] = rise[whose] * np.maximum(start + span - since, 0) / span
    if sensor.refractory:
        free[whose] = since
    return Fired(t, pixel, p)
