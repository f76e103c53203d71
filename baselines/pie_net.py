"""PIE-Net and PIE-Net-Lite (Qu, "PIE-Net: Probabilistic Intensity-Event Modeling for High Quality Event-Based Video
Generation", 2026: the package `event-pienet` 1.1.3 and its README; it follows E2HQV, Qu et al., AAAI 2024).

A recurrent U-Net sees events and the picture it made last. It gives mean and variance of the change of each pixel and a
better picture to start from; the picture is a closed form of these, and its variance gates the next window's skips.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from baselines.layers import EPSILON, Cell, conv, zero_cell
from baselines.method import Plain, Shapes

PARTS = 4
"""Groups of the normalisations of an LSTM's state."""
SQUEEZE = 8
"""Channels for each one that a squeeze-and-excitation block keeps (Hu et al., CVPR 2018)."""


class PieState(NamedTuple):
    """What the network remembers."""

    cells: tuple[Cell, ...]
    picture: Float[Array, "h w"]
    variance: Float[Array, "h w"]
    """Of the picture, pixel by pixel: how sure the network is."""
    seen: Bool[Array, ""]
    """Whether there was a window: before, there is no variance, and no skip is gated."""


class PieNet(nn.Module):
    """The network."""

    bins: int
    channels: tuple[int, ...]
    """Of the stem and of each scale."""
    pools: tuple[int, ...]
    """How many pixels of a scale make one of the next."""
    blocks: int
    """Convolutions between the LSTM of a scale and its skip."""

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> PieState:
        """Zeros."""
        cells = list[Cell]()
        rows, columns = height, width
        for channels, pool in zip(self.channels[1:], self.pools, strict=True):
            cells.append(zero_cell(rows, columns, channels, dtype))
            rows, columns = rows // pool, columns // pool
        zeros = jnp.zeros((height, width), dtype)
        return PieState(tuple(cells), zeros, zeros, jnp.zeros((), bool))

    @nn.compact
    def __call__(self, grid: Float[Array, "h w b"], state: PieState) -> tuple[PieState, Float[Array, "h w"]]:
        events = _Block(self.channels[0], name="model.stem.event_branch")(grid)
        frame = _Block(self.channels[0], name="model.stem.frame_branch")(state.picture[..., None])
        described = jnp.concatenate([_mean(events), _mean(frame)])
        x = events + frame
        cells, skips = list[Cell](), list[Array]()
        for scale, (pool, before) in enumerate(zip(self.pools, state.cells, strict=True)):
            channels, name = self.channels[scale + 1], f"model.downs.{scale}"
            cells.append(_LSTM(channels, name=f"{name}.mbd")(x, before))
            x = cells[-1].hidden
            for block in range(self.blocks):
                x = _Block(channels, name=f"{name}.out.mbconv_{block}")(x)
            skips.append(_Film(channels, name=f"{name}.film")(x, described))
            x = _max_pool(skips[-1], pool)
        for place, (pool, skip) in enumerate(zip(self.pools[::-1], skips[::-1], strict=True)):
            gate = _Gate(skip.shape[-1], name=f"model.ups.{place}.ugate")(resize(state.variance, skip.shape[:2]))
            skip = skip * jnp.where(state.seen, gate, 1)
            x = _centred(upsample(x, pool), skip.shape[:2])
            x = _Block(self.channels[-2 - place], name=f"model.ups.{place}.fuse.0")(jnp.concatenate([skip, x], -1))
        features = nn.Conv(3, (1, 1), name="model.outc")(x)
        ratio = nn.relu(_Block(1, name="cal_k")(features)[..., 0])
        mean, variance, start = jnp.moveaxis(nn.relu(features), -1, 0)
        scale = start + ratio
        picture = jnp.clip(scale * mean - ratio, 0, 1)
        return PieState(tuple(cells), picture, scale**2 * variance, jnp.ones((), bool)), picture


class _GroupNorm(nn.Module):
    """`nn.GroupNorm`, which Flax's takes for one of many pictures."""

    groups: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        height, width, channels = x.shape
        weight = self.param("scale", nn.initializers.ones, (channels,), x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,), x.dtype)
        return group_norm(x, weight, bias, self.groups)


def group_norm(x, weight, bias, groups):
    h, w, c = x.shape
    n = c // groups
    mean = x.sum(0).sum(0).reshape(groups, n).sum(-1) / (h * w * n)
    m = jnp.repeat(mean, n)
    var = jnp.square(x - m[None, None]).sum(0).sum(0).reshape(groups, n).sum(-1) / (h * w * n)
    s = weight * jnp.repeat(jax.lax.rsqrt(var + EPSILON), n)
    return x * s[None, None] + (bias - m * s)[None, None]


class _ConvNorm(nn.Module):
    """Convolution, normalisation, SiLU."""

    channels: int
    kernel: int = 3

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w d"]:
        x = conv(self.channels, self.kernel, name="convna.0")(x)
        return _GroupNorm(name="convna.1")(x)


class _Block(nn.Module):
    """Convolution, normalisation and SiLU; the input is added where there are as many channels."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w d"]:
        out = nn.silu(_ConvNorm(self.channels, name="mbconv")(x))
        return out + x if x.shape == out.shape else out


class _LSTM(nn.Module):
    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"], state: Cell) -> Cell:
        gates = _Gates(4 * self.channels, name="Gates")(jnp.concatenate([x, state.hidden], -1))
        take, keep, show = jnp.split(nn.sigmoid(gates[..., : 3 * self.channels]), 3, axis=-1)
        cell = _GroupNorm(PARTS, name="norm_c")(keep * state.cell + take * jnp.tanh(gates[..., 3 * self.channels :]))
        return Cell(_GroupNorm(PARTS, name="norm_h")(show * jnp.tanh(cell)), cell)


class _Gates(nn.Module):
    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w d"]:
        wide = 2 * x.shape[-1]
        x = nn.silu(_ConvNorm(wide, name="mbconv.0")(x))
        squeezed = nn.relu(
            nn.Conv(max(1, wide // SQUEEZE), (1, 1), use_bias=False, name="mbconv.1.fc1")(_mean(x)[None, None])
        )
        weight = nn.sigmoid(nn.Conv(wide, (1, 1), use_bias=False, name="mbconv.1.fc2")(squeezed))
        return _ConvNorm(self.channels, 1, name="mbconv.2")(x * weight)


class _Film(nn.Module):
    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"], described: Float[Array, " d"]) -> Float[Array, "h w c"]:
        by = nn.Conv(2 * self.channels, (1, 1), name="film")(described[None, None])
        scale, shift = jnp.split(by, 2, axis=-1)
        return x * (1 + scale) + shift


class _Gate(nn.Module):
    channels: int

    @nn.compact
    def __call__(self, variance: Float[Array, "h w"]) -> Float[Array, "h w c"]:
        return nn.sigmoid(nn.Conv(self.channels, (1, 1), name="gate_conv")(variance[..., None]))


def _mean(x: Float[Array, "h w c"]) -> Float[Array, " c"]:
    return x.sum(0).sum(0) / (x.shape[0] * x.shape[1])


def _max_pool(x: Float[Array, "h w c"], size: int) -> Float[Array, "h2 w2 c"]:
    """Rows and columns that do not fill a pool are left out."""
    height, width, channels = x.shape[0] // size, x.shape[1] // size, x.shape[2]
    return x[: height * size, : width * size].reshape(height, size, width, size, channels).max((1, 3))


def _centred(x: Float[Array, "h w c"], size: tuple[int, int]) -> Float[Array, "h2 w2 c"]:
    """With zeros around up to this size; where their number is odd, one more below and to the right."""
    rows, columns = size[0] - x.shape[0], size[1] - x.shape[1]
    return jnp.pad(x, ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0)))


def upsample(x: Float[Array, "h w c"], scale: int) -> Float[Array, "h2 w2 c"]:
    for axis in (0, 1):
        x = resized(x, scale * x.shape[axis], axis)
    return x


def resize(x: Float[Array, "h w"], size: tuple[int, int]) -> Float[Array, "h2 w2"]:
    """Bilinear, the middles of the corner pixels kept in place (`align_corners=True`)."""
    if x.shape == size:
        return x
    for axis in (0, 1):
        x = resized(x, size[axis], axis)
    return x


def resized(x, size: int, axis: int):
    old = x.shape[axis]
    at = np.linspace(0, old - 1, size) if size > 1 else np.zeros(1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, old - 1)
    part = jnp.asarray((at - low).reshape([-1 if i == axis else 1 for i in range(x.ndim)]), x.dtype)
    return jnp.take(x, low, axis) * (1 - part) + jnp.take(x, high, axis) * part


def _network(pools: tuple[int, ...], blocks: int, shapes: Shapes) -> PieNet | None:
    stem = shapes.get("model.stem.event_branch.mbconv.convna.0.weight")
    if stem is None:
        return None
    norms = [shapes.get(f"model.downs.{scale}.mbd.norm_h.weight") for scale in range(len(pools) + 1)]
    channels = [norm[0] for norm in norms if norm is not None]
    if len(channels) != len(pools):
        return None
    return PieNet(stem[1], (stem[0], *channels), pools, blocks)


def _full(shapes: Shapes, options: Mapping[str, Plain]) -> PieNet | None:
    return _network((2, 2, 5), 0, shapes)


def _lite(shapes: Shapes, options: Mapping[str, Plain]) -> PieNet | None:
    return _network((2, 2), 1, shapes)
