"""Layers that several networks share, named as their PyTorch originals name them.

Arrays are channels last and without a batch axis: written for one picture, for `jax.vmap` over more. Names of submodules
are the originals', dots included, so that an entry of a checkpoint and a parameter here have one name (see weights.py).
Padding is symmetric zeros everywhere, as PyTorch's; "SAME" of a strided convolution is not that.
"""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

EPSILON = 1e-5
"""Of PyTorch's normalisations. Flax's own default for LayerNorm and GroupNorm is 1e-6."""


class Cell(NamedTuple):
    """State of a convolutional LSTM."""

    hidden: Float[Array, "h w c"]
    cell: Float[Array, "h w c"]


def conv(channels: int, kernel: int, stride: int = 1, *, bias: bool = True, name: str) -> nn.Conv:
    """`nn.Conv2d(.., kernel, stride, padding=kernel // 2)`, for odd kernels."""
    return nn.Conv(channels, (kernel, kernel), (stride, stride), padding=kernel // 2, use_bias=bias, name=name)


def batch_norm(name: str, *, affine: bool = True) -> nn.BatchNorm:
    """`nn.BatchNorm2d` in evaluation: by its running statistics."""
    return nn.BatchNorm(True, epsilon=EPSILON, use_scale=affine, use_bias=affine, name=name)


def upsample(x: Float[Array, "h w c"]) -> Float[Array, "2*h 2*w c"]:
    """Twice the size, bilinear with half-pixel centres and clamped edges (`align_corners=False`)."""
    for axis in (0, 1):
        size = x.shape[axis]
        before = jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)
        after = jax.lax.slice_in_dim(x, 1, size, axis=axis)
        first, last = jax.lax.slice_in_dim(x, 0, 1, axis=axis), jax.lax.slice_in_dim(x, size - 1, size, axis=axis)
        lower = 0.75 * x + 0.25 * jnp.concatenate([first, before], axis)
        upper = 0.75 * x + 0.25 * jnp.concatenate([after, last], axis)
        shape = (*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
        x = jnp.stack([lower, upper], axis + 1).reshape(shape)
    return x


class ConvLayer(nn.Module):
    """Convolution, batch normalisation if any, and ReLU if any."""

    channels: int
    kernel: int
    stride: int = 1
    norm: bool = False
    relu: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h2 w2 {self.channels}"]:
        x = conv(self.channels, self.kernel, self.stride, bias=not self.norm, name="conv2d")(x)
        x = batch_norm("norm_layer")(x) if self.norm else x
        return nn.relu(x) if self.relu else x


class UpsampleConvLayer(nn.Module):
    """Bilinear upsampling, then a `ConvLayer`."""

    channels: int
    kernel: int
    norm: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "2*h 2*w {self.channels}"]:
        x = conv(self.channels, self.kernel, bias=not self.norm, name="conv2d")(upsample(x))
        return nn.relu(batch_norm("norm_layer")(x) if self.norm else x)


class TransposedConvLayer(nn.Module):
    """`nn.ConvTranspose2d(.., kernel, stride=2, padding=kernel // 2, output_padding=1)`, batch normalisation, ReLU."""

    channels: int
    kernel: int
    norm: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "2*h 2*w {self.channels}"]:
        low = self.kernel - 1 - self.kernel // 2
        x = nn.ConvTranspose(
            self.channels,
            (self.kernel, self.kernel),
            (2, 2),
            padding=[(low, low + 1)] * 2,  # as a convolution of the input with zeros between its pixels
            transpose_kernel=True,
            use_bias=not self.norm,
            name="transposed_conv2d",
        )(x)
        return nn.relu(batch_norm("norm_layer")(x) if self.norm else x)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a ReLU; the input is added before the last ReLU."""

    channels: int
    norm: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "h w {self.channels}"]) -> Float[Array, "h w {self.channels}"]:
        out = conv(self.channels, 3, bias=not self.norm, name="conv1")(x)
        out = nn.relu(batch_norm("bn1")(out) if self.norm else out)
        out = conv(self.channels, 3, bias=not self.norm, name="conv2")(out)
        out = batch_norm("bn2")(out) if self.norm else out
        return nn.relu(out + x)


class ConvLSTM(nn.Module):
    """Convolutional LSTM (Shi et al., 2015) without peepholes and forget bias; gates in the order i, f, o, g."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"], state: Cell) -> Cell:
        gates = conv(4 * self.channels, 3, name="Gates")(jnp.concatenate([x, state.hidden], -1))
        take, keep, show = jnp.split(nn.sigmoid(gates[..., : 3 * self.channels]), 3, axis=-1)
        cell = keep * state.cell + take * jnp.tanh(gates[..., 3 * self.channels :])
        return Cell(show * jnp.tanh(cell), cell)


class ConvGRU(nn.Module):
    """Convolutional GRU (Ballas et al., 2016); the update gate is the part of the NEW candidate."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"], state: Float[Array, "h w d"]) -> Float[Array, "h w d"]:
        both = jnp.concatenate([x, state], -1)
        update = nn.sigmoid(conv(self.channels, 3, name="update_gate")(both))
        reset = nn.sigmoid(conv(self.channels, 3, name="reset_gate")(both))
        new = jnp.tanh(conv(self.channels, 3, name="out_gate")(jnp.concatenate([x, state * reset], -1)))
        return state * (1 - update) + new * update


class RecurrentConvLayer(nn.Module):
    """A `ConvLayer`, and a `ConvLSTM` fed with what it gives."""

    channels: int
    kernel: int
    stride: int
    norm: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"], state: Cell) -> Cell:
        x = ConvLayer(self.channels, self.kernel, self.stride, self.norm, name="conv")(x)
        return cast(Cell, ConvLSTM(self.channels, name="recurrent_block")(x, state))


def zero_cell(height: int, width: int, channels: int, dtype: jnp.dtype) -> Cell:
    """The state of a `ConvLSTM` before anything was seen."""
    zeros = jnp.zeros((height, width, channels), dtype)
    return Cell(zeros, zeros)
