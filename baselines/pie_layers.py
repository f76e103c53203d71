"""Layers of PIE-Net, named as the package event-pienet names them (model.py)."""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from baselines.layers import EPSILON, Cell

FEW = 8
"""Input channels below which XLA's convolution on a CPU is slower than a matrix product: 1.6 ms and 0.3 ms for 3 of them at
240 x 180, 1.9 ms and 1.5 ms for 5; but 1.2 ms and 40 ms for 32."""
WHOLE = 16
"""More output channels than this are made in multiples of it: 28 to 56 channels took that convolution 9.2 ms, 28 to 64 5.9."""


class Conv(nn.Module):
    """`nn.Conv2d(.., kernel, padding=kernel // 2)`, its input channels first multiplied by `weights`."""

    channels: int
    kernel: int = 3

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"], weights: Float[Array, " c"] | None = None) -> Float[Array, "h w d"]:
        height, width, few = x.shape
        shape = (self.kernel, self.kernel, few, self.channels)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,), x.dtype)
        kernel = (
            kernel if weights is None else kernel * weights[None, None, :, None]
        )  # fewer numbers than the picture has
        if self.kernel > 1 and few >= FEW:
            more = -self.channels % WHOLE if self.channels > WHOLE else 0
            kernel, form = jnp.pad(kernel, ((0, 0), (0, 0), (0, 0), (0, more))), ("NHWC", "HWIO", "NHWC")
            out = lax.conv_general_dilated(x[None], kernel, (1, 1), "SAME", dimension_numbers=form)[0]
        else:
            x = jnp.pad(x, ((self.kernel // 2,) * 2, (self.kernel // 2,) * 2, (0, 0)))
            places = np.ndindex(self.kernel, self.kernel)
            x = jnp.concatenate([x[row : row + height, column : column + width] for row, column in places], -1)
            out = (x.reshape(height * width, -1) @ kernel.reshape(-1, self.channels)).reshape(height, width, -1)
        return out[..., : self.channels] + bias[None, None]


class GroupNorm(nn.Module):
    """`nn.GroupNorm` of one picture: Flax's takes the rows for different pictures."""

    groups: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        members = x.shape[-1] // self.groups
        weight = self.param("scale", nn.initializers.ones, x.shape[-1:], x.dtype)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], x.dtype)
        mean = jnp.repeat(average(x).reshape(-1, members).mean(1), members)
        variance = jnp.repeat(average(jnp.square(x - mean[None, None])).reshape(-1, members).mean(1), members)
        weight = weight * lax.rsqrt(variance + EPSILON)
        return x * weight[None, None] + (bias - mean * weight)[None, None]


class Block(nn.Module):
    """Convolution, normalisation and SiLU."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w d"]:
        return nn.silu(GroupNorm(name="convna.1")(Conv(self.channels, name="convna.0")(x)))


class NormalisedLSTM(nn.Module):
    """Convolutional LSTM (Shi et al., 2015), gates in the order i, f, o, g; its state is normalised in four groups."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"], state: Cell) -> Cell:
        gates = _Gates(4 * self.channels, name="Gates")(jnp.concatenate([x, state.hidden], -1))
        take, keep, show = jnp.split(nn.sigmoid(gates[..., : 3 * self.channels]), 3, axis=-1)
        cell = keep * state.cell + take * jnp.tanh(gates[..., 3 * self.channels :])
        cell = GroupNorm(4, name="norm_c")(cell)
        return Cell(GroupNorm(4, name="norm_h")(show * jnp.tanh(cell)), cell)


class _Gates(nn.Module):
    """Fused inverted bottleneck (Tan and Le, ICML 2021) with squeeze and excitation (Hu et al., CVPR 2018)."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w d"]:
        wide = 2 * x.shape[-1]
        x = Block(wide, name="mbconv.0")(x)
        squeezed = nn.relu(nn.Conv(max(1, wide // 8), (1, 1), use_bias=False, name="mbconv.1.fc1")(average(x)))
        weights = nn.sigmoid(nn.Conv(wide, (1, 1), use_bias=False, name="mbconv.1.fc2")(squeezed))
        x = Conv(self.channels, 1, name="mbconv.2.convna.0")(x, weights[0, 0])
        return GroupNorm(name="mbconv.2.convna.1")(x)


def average(x: Float[Array, "h w c"]) -> Float[Array, "1 1 c"]:
    """Of each channel."""
    return x.mean((0, 1), keepdims=True)


def max_pool(x: Float[Array, "h w c"], size: int) -> Float[Array, "h2 w2 c"]:
    """Of rows and columns that fill a pool."""
    rows, columns, channels = x.shape[0] // size, x.shape[1] // size, x.shape[2]
    return x[: rows * size, : columns * size].reshape(rows, size, columns, size, channels).max((1, 3))


def centred(x: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "{height} {width} c"]:
    """With zeros around, one more below and to the right where their number is odd."""
    rows, columns = height - x.shape[0], width - x.shape[1]
    return jnp.pad(x, ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0)))


def resize(x: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "{height} {width} c"]:
    """Bilinear, with the centres of corner pixels where they were (`align_corners=True`)."""
    for axis, size in enumerate((height, width)):
        last = x.shape[axis] - 1
        if size == last + 1:
            continue
        at = np.linspace(0, last, size)
        low = at.astype(int)
        part = jnp.asarray(np.expand_dims(at - low, (1 - axis, 2)), x.dtype)
        x = jnp.take(x, low, axis) * (1 - part) + jnp.take(x, np.minimum(low + 1, last), axis) * part
    return x
