"""Flat shapes with clean edges, painted one over another on a canvas of intensities."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float32

Coordinates = np.ndarray
"""How far points are down, or right, of a shape's middle, in units of its size."""
Shape = Callable[[Coordinates, Coordinates], Coordinates]
"""How far points (down, right) are outside, in units of the shape's size; negative inside."""
Canvas = Float32[np.ndarray, "h w"]
"""Intensity of every texel; painted in place."""


def disc(v: Coordinates, u: Coordinates) -> Coordinates:
    return np.hypot(u, v) - 1


def box(stretch: float) -> Shape:
    """A rectangle `stretch` times as wide as high."""
    return lambda v, u: np.maximum(np.abs(v) - 1, np.abs(u) - stretch)


def leaf(slim: float) -> Shape:
    """Two arcs that meet in points at both ends; `slim` is its width over its length."""
    radius = (1 + slim**2) / (2 * slim)
    return lambda v, u: np.hypot(u, np.abs(v) + radius - slim) - radius


def pebble(stretch: float, wobble: float, phase: float) -> Shape:
    """A disc gone soft."""
    return partial(_outside_pebble, stretch, wobble, phase)


def _outside_pebble(stretch: float, wobble: float, phase: float, v: Coordinates, u: Coordinates) -> Coordinates:
    angle = np.arctan2(v, u / stretch)
    return np.hypot(v, u / stretch) - 1 - wobble * (np.cos(2 * angle + phase) + np.cos(3 * angle - phase) / 2)


def star(points: int) -> Shape:
    """A star with round tips."""
    return lambda v, u: np.hypot(u, v) - 0.72 - 0.28 * np.cos(points * np.arctan2(v, u))


def paint(
    canvas: Canvas,
    place: tuple[float, float],
    size: float,
    angle: float,
    shape: Shape,
    shade: float | Callable[[Coordinates, Coordinates], Coordinates],
    soft: float = 1.0,
    opacity: float = 1.0,
    reach: float = 1.0,
) -> None:
    """Paint a shape of `size` texels at `place` (row, column), turned by `angle`.

    `shade` is its intensity, or gives it from (down, right) in its own units; `soft` is the width of its edge in texels;
    nothing of it is farther than `reach` sizes from its place.
    """
    around = size * reach + soft
    top, left = (max(int(at - around), 0) for at in place)
    bottom, right = (min(int(at + around) + 2, side) for at, side in zip(place, canvas.shape, strict=True))
    if top >= bottom or left >= right:
        return
    rows = (np.arange(top, bottom)[:, None] - place[0]) / size
    columns = (np.arange(left, right)[None, :] - place[1]) / size
    v, u = rows * np.cos(angle) - columns * np.sin(angle), columns * np.cos(angle) + rows * np.sin(angle)
    cover = opacity * np.clip(0.5 - shape(v, u) * size / soft, 0, 1)
    under = canvas[top:bottom, left:right]
    under += cover * ((shade(v, u) if callable(shade) else shade) - under)
