"""Zeros around a picture so that a network can halve it, and off again (EVREAL, utils/util.py, CropParameters)."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Padding(NamedTuple):
    """Rows and columns of zeros."""

    top: int
    bottom: int
    left: int
    right: int


def padding(height: int, width: int, multiple: int) -> Padding:
    """Up to the next multiple; where the number is odd, one more above and to the left."""
    rows, columns = -height % multiple, -width % multiple
    return Padding(rows - rows // 2, rows // 2, columns - columns // 2, columns // 2)


def pad(grid: Float[Array, "h w b"], by: Padding) -> Float[Array, "h2 w2 b"]:
    """The grid with zeros around."""
    return jnp.pad(grid, ((by.top, by.bottom), (by.left, by.right), (0, 0)))


def crop(picture: Float[Array, "h2 w2 *c"], by: Padding) -> Float[Array, "h w *c"]:
    """The picture without what was padded."""
    height, width = picture.shape[:2]
    return picture[by.top : height - by.bottom, by.left : width - by.right]
