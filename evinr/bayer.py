"""Colour sensors: between the mosaic that fires events and the planes that are fitted and shown.

Gray sensors are the case of one plane, so that everything between has one shape: (..., plane, row, column).
"""

import numpy as np
from jaxtyping import Float, Shaped

from evinr.config import Bayer


def phases(mosaic: Shaped[np.ndarray, "*n h w"]) -> Shaped[np.ndarray, "*n 4 hh hw"]:
    """The four half-resolution planes of a mosaic with even sides, in the order (row, column) = 00, 01, 10, 11."""
    return np.stack([mosaic[..., row::2, column::2] for row in (0, 1) for column in (0, 1)], axis=-3)


def mosaic(planes: Shaped[np.ndarray, "*n 4 hh hw"]) -> Shaped[np.ndarray, "*n h w"]:
    """The inverse of `phases`."""
    *batch, _, height, width = planes.shape
    whole = np.empty((*batch, 2 * height, 2 * width), planes.dtype)
    for plane in range(4):
        whole[..., plane // 2 :: 2, plane % 2 :: 2] = planes[..., plane, :, :]
    return whole


def rgb_planes(mosaic: Float[np.ndarray, "*n h w"], order: Bayer) -> Float[np.ndarray, "*n 3 h w"]:
    """The original's colour: half-resolution red, mean green and blue, every value repeated 2 x 2 (EvINR, utils.py)."""
    planes = phases(mosaic)
    colours = [np.mean([planes[..., i, :, :] for i, c in enumerate(order) if c == colour], axis=0) for colour in "rgb"]
    return np.stack(colours, axis=-3).repeat(2, axis=-2).repeat(2, axis=-1).astype(mosaic.dtype)


def demosaic(mosaic: Float[np.ndarray, "n h w"], order: Bayer) -> Float[np.ndarray, "n h w 3"]:
    """Bilinear demosaicing: measured values are kept, the others are means of the nearest of their colour."""
    from scipy.ndimage import convolve  # 0.4 s, for colour only

    colours = np.tile(np.array(list(order)).reshape(2, 2), (mosaic.shape[-2] // 2 + 1, mosaic.shape[-1] // 2 + 1))
    colours = colours[: mosaic.shape[-2], : mosaic.shape[-1]]
    cross, square = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]), np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    channels = []
    for colour in "rgb":
        mask = (colours == colour).astype(mosaic.dtype)
        kernel = (cross if colour == "g" else square)[None]
        # Dividing by the same mean of the mask keeps the borders right.
        channels.append(
            convolve(mosaic * mask, kernel, mode="constant") / convolve(mask[None], kernel, mode="constant")
        )
    return np.stack(channels, axis=-1)
