"""What a camera beside the events sees of a simulated scene: exposures that blur, sharp pictures, and the light itself."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from evinr.simulator.scenes.world import World


class Shutter(NamedTuple):
    """When a camera is open."""

    times: Float64[np.ndarray, " n"]
    """Middle of each exposure, seconds."""
    exposure: float
    """Seconds that each takes."""


def shutter(start: float, end: float, fps: float, exposure: float) -> Shutter:
    """Exposures that lie between `start` and `end` (seconds) whole, `fps` a second; none takes longer than 1 / fps."""
    count = int(np.floor((end - start - exposure) * fps + 1e-9)) + 1
    return Shutter(start + exposure / 2 + np.arange(max(count, 0)) / fps, exposure)


def exposed(world: World, time: float, exposure: float) -> UInt8[np.ndarray, "h w"]:
    """The mean intensity over an exposure about `time`, as an 8-bit picture."""
    times = world.times(time - exposure / 2, time + exposure / 2)
    middles = (times[1:] + times[:-1]) / 2
    total = sum(width * np.exp(world.light(at)) for at, width in zip(middles.tolist(), np.diff(times), strict=True))
    return eight_bit(total / (times[-1] - times[0]), world.white)


def sharp(world: World, time: float) -> UInt8[np.ndarray, "h w"]:
    """The intensity at a time, as an 8-bit picture."""
    return eight_bit(np.exp(world.light(time)), world.white)


def radiance(world: World, time: float) -> Float32[np.ndarray, "h w"]:
    """The intensity at a time, however bright."""
    return np.exp(world.light(time)).astype(np.float32)


def eight_bit(intensity: Float64[np.ndarray, "h w"], white: float) -> UInt8[np.ndarray, "h w"]:
    """Proportional to intensity, as the frames of event cameras are; `white` and what is brighter becomes 255."""
    return np.rint(255 * np.clip(intensity / white, 0, 1)).astype(np.uint8)
