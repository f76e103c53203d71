"""What the networks are given: events of one window as a voxel grid (Zhu et al., "Unsupervised Event-based Learning of
Optical Flow, Depth, and Egomotion", CVPR 2019, equations 1 and 2), as EVREAL makes it (utils/event_utils.py).
"""

from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Integer

from evinr.events import Events

SAME_TIME = 1e-9
"""Seconds; shorter windows have their events spread evenly."""

FEWEST = 3
"""Events of a window of EventHDR that is not taken for empty."""

Real = TypeVar("Real", bound=np.floating)


def of_window(window: Events, bins: int) -> Float32[np.ndarray, "h w {bins}"]:
    """The voxel grid of a window's events, their times taken since the first of them."""
    since = (window.t - window.t[:1]).astype(np.float32)
    return voxel_grid(window.x, window.y, since, window.p, bins, window.height, window.width)


def positive_negative(window: Events, bins: int) -> Float32[np.ndarray, "h w {2*bins}"]:
    """How many positive events a window has in each bin, then how many negative ones, shared between bins as in
    `voxel_grid`; zeros for less than three events (EventHDR, data_loader/dataset.py).

    All events decide together where bins begin and end. Where all are of one time its authors' code divides by zero.
    """
    if window.count < FEWEST:
        return np.zeros((window.height, window.width, 2 * bins), np.float32)
    ones = [(window.p == kind).astype(np.int8) for kind in (1, -1)]
    return np.concatenate([of_window(window._replace(p=one), bins) for one in ones], -1)


def voxel_grid(
    x: Integer[np.ndarray, " n"],
    y: Integer[np.ndarray, " n"],
    t: Float[np.ndarray, " n"],
    p: Int[np.ndarray, " n"],
    bins: int,
    height: int,
    width: int,
) -> Float[np.ndarray, "{height} {width} {bins}"]:
    """Polarities -1 and +1, shared between the two bins nearest in time; the first event lies on the first bin, the last on
    the last one. No events give zeros.

    The grid has the type of `t`, seconds. EVREAL counts them from the window's first event and has them in float32; sums
    are taken in the order of the events, as PyTorch takes them, so that in float32 the grid is EVREAL's to the bit, but for
    windows of one time.
    """
    grid = np.zeros((height, width, bins), t.dtype)
    if not t.size:
        return grid
    span = t[-1] - t[0]
    last = bins - 1
    place = np.linspace(0, last, t.size, dtype=t.dtype) if span < SAME_TIME else (t - t[0]) / span * last
    lower = np.clip(np.floor(place).astype(np.intp), 0, max(last - 1, 0))
    cell = (y.astype(np.intp) * width + x) * bins + lower
    # What a bin gets from before its middle it gets first.
    for step in range(min(1, last), -1, -1):
        weight = np.maximum(1 - np.abs(place - (lower + step).astype(t.dtype)), 0)
        np.add.at(grid.reshape(-1), cell + step, p.astype(t.dtype) * weight)
    return grid


def normalised(grid: Float[Array, "h w b"]) -> Float[Array, "h w b"]:
    """The grid with its non-zero cells brought to mean 0 and standard deviation 1; zeros stay zeros (EVREAL, eval.py)."""
    full = grid != 0
    count = jnp.maximum(full.sum(), 1)
    mean = grid.sum() / count
    deviation = jnp.sqrt(jnp.maximum(jnp.square(grid).sum() / count - jnp.square(mean), 0))
    return jnp.where(full, (grid - mean) / jnp.maximum(deviation, 1e-6), 0)
