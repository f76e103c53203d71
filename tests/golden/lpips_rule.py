"""Weights and pictures by rule, for the test of LPIPS and for the script that made its numbers with PyTorch."""

import zlib
from collections.abc import Mapping

import numpy as np

SIZES = {"alex": [(31, 33), (65, 97), (180, 240)], "vgg": [(16, 19), (65, 97)]}


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Sines of a frequency and phase by the entry's name, of the deviation that keeps features in scale (He et al., 2015).

    Heads (`lin*`) are positive, as the published ones.
    """
    made = {}
    for name, shape in shapes.items():
        seed = zlib.crc32(name.encode()) / 2**32
        waves = np.sin((1.5 + seed) * np.arange(np.prod(shape)) ** 1.25 + 7 * seed).reshape(shape)
        if name.startswith("lin"):
            made[name] = np.float32((1 + waves) / shape[1])
        elif len(shape) == 4:
            made[name] = np.float32(waves * 2 / np.sqrt(np.prod(shape[1:])))
        else:
            made[name] = np.float32(0.05 * waves)
    return made


def pictures(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Two pairs of pictures (2, height, width, 3) in [0, 1]: colours that differ, and gray against dimmed gray."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin((0.2 + 0.1 * c) * x + 0.05 * y * (1 + c)) * np.cos(0.17 * y - 0.02 * c * x) for c in range(3)]
    colour = 0.5 + 0.5 * np.stack(waves, -1)
    gray = np.repeat(colour[..., :1], 3, -1)
    return np.stack([colour, gray]), np.stack([colour[::-1] ** 2, 0.1 + 0.7 * np.roll(gray, 2, 1)])
