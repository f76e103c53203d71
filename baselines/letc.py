"""Learned event timestamp calibration (LETC; Liu et al., "Seeing Motion at Nighttime with an Event Camera", CVPR 2024): a
voxel grid whose kernel is learned, and two convolutions.

Each event adds to all bins of its pixel and polarity: to bin i its time, 0 for the first event of the window to bins - 1
for the last, multiplied by what a small network makes of that time less i.
"""

from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Float32, Int, Int32, Integer

from baselines.layers import conv
from baselines.method import Variables
from evinr.events import Events

BLOCK = 8192
"""Events at a time: 3.1 million a second on two cores; 65536 at a time, whose layers leave the caches, 1.1 million."""
SLOPE = 0.1
"""Of the leaky ReLU below zero."""
VALUES, CONVOLUTIONS = "quantization_layer.value_layer", "ConvLayer"


class ValueLayer(nn.Module):
    """The kernel of the voxel grid: what an event gives a bin so many bins before its time."""

    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, times: Float[Array, "*n"]) -> Float[Array, "*n"]:
        x = times[..., None]
        for place, channels in enumerate(self.hidden):
            x = nn.leaky_relu(nn.Dense(channels, name=f"mlp.{place}")(x), SLOPE)
        return nn.Dense(1, name=f"mlp.{len(self.hidden)}")(x)[..., 0]


class Convolutions(nn.Module):
    """Two without bias, a ReLU between them."""

    features: int

    @nn.compact
    def __call__(self, voxels: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        x = nn.relu(conv(self.features, 3, bias=False, name="cnn.0")(voxels))
        return conv(voxels.shape[-1], 3, bias=False, name="cnn.2")(x)


class Letc(nn.Module):
    """All of it at once, differentiable: from `times_in_bins` and `cells_of` the events, bins of rises before bins of falls.

    It takes kilobytes for each event, and more for its gradient; `representation` is for any number of them.
    """

    bins: int
    hidden: tuple[int, ...]
    """Of the kernel's layers."""
    features: int
    """Between the convolutions."""

    @nn.compact
    def __call__(
        self, times: Float[Array, " n"], cells: Integer[Array, " n"], height: int, width: int
    ) -> Float[Array, "{height} {width} 2*{self.bins}"]:
        grid = jnp.zeros((2 * height * width, self.bins), times.dtype)
        grid = added(grid, times, cells, ValueLayer(self.hidden, name=VALUES))
        return Convolutions(self.features, name=CONVOLUTIONS)(grid.reshape(height, width, 2 * self.bins))


def added(
    grid: Float[Array, "cells bins"], times: Float[Array, " n"], cells: Integer[Array, " n"], values: ValueLayer
) -> Float[Array, "cells bins"]:
    """The grid with these events in it. An event of time 0 adds zeros."""
    before = times[:, None] - jnp.arange(grid.shape[1], dtype=times.dtype)[None]
    return grid.at[cells].add(times[:, None] * values(before))


def times_in_bins(t: Float[np.ndarray, " n"], bins: int) -> Float[np.ndarray, " n"]:
    """Times in bins: 0 for the first event, `bins` - 1 for the last. Where these two are of one time, all are left as they
    are, as the original leaves them.
    """
    span = t[-1:] - t[:1]
    return (t - t[:1]) / span * (bins - 1) if span.any() else t


def cells_of(
    x: Integer[np.ndarray, " n"], y: Integer[np.ndarray, " n"], p: Int[np.ndarray, " n"], width: int
) -> Int32[np.ndarray, " n"]:
    """The row of the grid that events add to: that of rises (+1), for each pixel, comes before that of falls."""
    return 2 * (y.astype(np.int32) * width + x) + (p < 0)


def representation(letc: Letc, weights: Variables, window: Events) -> Float32[np.ndarray, "h w 2*{letc.bins}"]:
    """Of a window: bins of rises, then bins of falls, `BLOCK` events at a time. No events give zeros.

    Times are normalised in double precision. The original does that in single precision, with the absolute time of the
    recording, whose rounding is up to 4e-6 s after a minute; and it counts its cells so, which are confused from 2^24 on.
    """
    times = times_in_bins(window.t - window.t[:1], letc.bins).astype(np.float32)
    cells = cells_of(window.x, window.y, window.p, window.width)
    weights = jax.tree.map(jnp.asarray, weights)
    grid = jnp.zeros((2 * window.height * window.width, letc.bins), jnp.float32)
    for start in range(0, window.count, BLOCK):
        # Events to fill the last block: of time 0.
        block = [np.zeros(BLOCK, values.dtype) for values in (times, cells)]
        for place, values in zip(block, (times, cells), strict=True):
            place[: window.count - start] = values[start : start + BLOCK]
        grid = _block(grid, *block, weights[VALUES], hidden=letc.hidden)
    size = window.height, window.width, 2 * letc.bins
    return np.asarray(_convolved(grid.reshape(size), weights[CONVOLUTIONS], features=letc.features))


@partial(jax.jit, static_argnames="hidden", donate_argnames="grid")
def _block(
    grid: Float[Array, "cells bins"],
    times: Float[Array, " n"],
    cells: Integer[Array, " n"],
    weights: Variables,
    *,
    hidden: tuple[int, ...],
) -> Float[Array, "cells bins"]:
    return added(grid, times, cells, ValueLayer(hidden).bind({"params": weights}))


@partial(jax.jit, static_argnames="features")
def _convolved(grid: Float[Array, "h w c"], weights: Variables, *, features: int) -> Float[Array, "h w c"]:
    return cast(Array, Convolutions(features).apply({"params": weights}, grid))
