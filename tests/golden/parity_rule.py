"""Weights by the rule of the parity fixtures (../shared/parity/README.md), for the tests and for scripts that make numbers."""

import zlib

import numpy as np


def rule(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """The weights of the PyTorch entry `name`, in PyTorch's layout."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        values = 0.1 * rng.standard_normal(shape)
    elif len(shape) >= 2:
        values = rng.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:])) * gain
    else:
        values = rng.standard_normal(shape)
        values = 1.0 + 0.1 * values if name.endswith("weight") else 0.1 * values
    return values.astype(np.float32)
