"""What a moving camera sees of a flat world, and things before it that hide each other."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import map_coordinates

from evinr.simulator.scenes.motions import Motion, Pose, look
from evinr.simulator.scenes.shapes import Canvas
from evinr.simulator.scenes.textures import Texture

PER_PIXEL = 2
"""Texels in a sensor pixel: with one, bilinear interpolation would blur and clear as things move."""
DESIGN = 180
"""Rows that scenes are drawn for; `px` texels are one of those."""

Picture = Float[np.ndarray, "h w"]


def canvas(texture: Texture, rng: np.random.Generator, height: int, width: int, margin: tuple[float, float]) -> Canvas:
    """A world `margin` times as high and wide as the sensor's picture of it."""
    rows, columns = (round(PER_PIXEL * side * more) for side, more in zip((height, width), margin, strict=True))
    return texture(rng, rows, columns, texels(height))


def texels(height: int) -> float:
    """Texels in a row of the design."""
    return PER_PIXEL * height / DESIGN


def camera(world: Canvas, motion: Motion, height: int, width: int) -> Callable[[float], Picture]:
    """The picture of a world at any time; beyond its edges is its mirror image."""
    rows, columns = (np.arange(side) - (side - 1) / 2 for side in (height, width))
    middle = [PER_PIXEL * side / (2 * PER_PIXEL) - 0.5 for side in world.shape]

    def picture(t: float) -> Picture:
        places = look(Pose(*map(float, motion(t))), rows[:, None], columns[None, :])
        at = [PER_PIXEL * place + half for place, half in zip(places, middle, strict=True)]
        return map_coordinates(world, at, order=1, mode="mirror", output=np.float64)

    return picture


class Thing(NamedTuple):
    """Something flat that moves in the picture."""

    shade: Float32[np.ndarray, "s s"]
    """Intensity, `PER_PIXEL` texels in a pixel."""
    cover: Float32[np.ndarray, "s s"]
    """What part of each texel it covers; nothing at its edges."""
    reach: float
    """Pixels from its middle to its farthest point."""
    motion: Callable[[float | np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
    """Row and column of its middle from the picture's, in pixels, and its turn, at any time."""


def put(thing: Thing, t: float, picture: Picture, shadow: float = 0.0) -> None:
    """Put a thing before what is in the picture, in place; or, `shadow` pixels off, its shadow only."""
    height, width = picture.shape
    down, right, turn = (float(value) for value in thing.motion(t))
    row, column = down + (height - 1) / 2 + shadow, right + (width - 1) / 2 + shadow
    top, bottom = max(int(row - thing.reach), 0), min(int(row + thing.reach) + 2, height)
    left, end = max(int(column - thing.reach), 0), min(int(column + thing.reach) + 2, width)
    if top >= bottom or left >= end:
        return
    v, u = np.arange(top, bottom)[:, None] - row, np.arange(left, end)[None, :] - column
    half = (thing.shade.shape[0] - 1) / 2
    at = [
        PER_PIXEL * (v * np.cos(turn) - u * np.sin(turn)) + half,
        PER_PIXEL * (u * np.cos(turn) + v * np.sin(turn)) + half,
    ]
    cover = map_coordinates(thing.cover, at, order=1, output=np.float64)
    under = picture[top:bottom, left:end]
    if shadow:
        under *= 1 - 0.55 * cover
    else:
        under += map_coordinates(thing.shade, at, order=1, mode="nearest", output=np.float64) * cover - under * cover
