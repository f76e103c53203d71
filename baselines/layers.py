"""Layers that several networks share, named as their PyTorch originals name them.

Arrays are channels last and without a batch axis: written for one picture, for `jax.vmap` over more. Names of submodules
are the originals', dots included, so that an entry of a checkpoint and a parameter here have one name (see weights.py).
Padding is symmetric zeros everywhere, as PyTorch's; "SAME" of a strided convolution is not that.
"""

from collections.abc import Callable
from typing import NamedTuple, cast

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from baselines.convolution import convolve, transposed, upsampled

EPSILON = 1e-5
"""Of PyTorch's normalisations. Flax's own default for LayerNorm and GroupNorm is 1e-6."""


class Cell(NamedTuple):
    """State of a convolutional LSTM."""

    hidden: Float[Array, "h w c"]
    cell: Float[Array, "h w c"]


class Weights(nn.Module):
    """Kernel and bias of a convolution of x, for a layer to use as it likes; the bias is zeros where there is none."""

    channels: int
    kernel: int
    bias: bool = True
    transposed: bool = False
    """Output channels before input channels, as `nn.ConvTranspose2d` has them after PyTorch's axes are reversed."""

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> tuple[Float[Array, "k k i o"], Float[Array, "1 1 {self.channels}"]]:
        ends = (self.channels, x.shape[-1]) if self.transposed else (x.shape[-1], self.channels)
        kernel = jnp.asarray(
            self.param("kernel", nn.initializers.lecun_normal(), (self.kernel, self.kernel, *ends), x.dtype)
        )
        if not self.bias:
            return kernel, jnp.zeros((1, 1, self.channels), x.dtype)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.channels,), x.dtype)
        return kernel, jnp.expand_dims(bias, (0, 1))


def conv(
    channels: int, kernel: int, stride: int = 1, *, bias: bool = True, name: str
) -> Callable[[Float[Array, "h w c"]], Float[Array, "h2 w2 d"]]:
    """`nn.Conv2d(.., kernel, stride, padding=kernel // 2)`, for odd kernels."""
    weights = Weights(channels, kernel, bias, name=name)

    def layer(x: Float[Array, "h w c"]) -> Float[Array, "h2 w2 d"]:
        values, offset = weights(x)
        return convolve(x, values, [(kernel // 2, kernel // 2)] * 2, stride) + offset

    return layer


def batch_norm(name: str, *, affine: bool = True) -> nn.BatchNorm:
    """`nn.BatchNorm2d` in evaluation: by its running statistics."""
    return nn.BatchNorm(True, epsilon=EPSILON, use_scale=affine, use_bias=affine, name=name)


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
        kernel, bias = Weights(self.channels, self.kernel, not self.norm, name="conv2d")(x)
        x = upsampled(x, kernel) + bias
        return nn.relu(batch_norm("norm_layer")(x) if self.norm else x)


class TransposedConvLayer(nn.Module):
    """`nn.ConvTranspose2d(.., kernel, stride=2, padding=kernel // 2, output_padding=1)`, batch normalisation, ReLU."""

    channels: int
    kernel: int
    norm: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "2*h 2*w {self.channels}"]:
        kernel, bias = Weights(self.channels, self.kernel, not self.norm, True, name="transposed_conv2d")(x)
        x = transposed(x, kernel) + bias
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
        gates = [Weights(self.channels, 3, name=f"{name}_gate")(both) for name in ("update", "reset", "out")]
        kernel, bias = (jnp.concatenate(parts, -1) for parts in zip(*gates, strict=True))
        # What x gives to all gates at once, and no concatenated input: 4.5 ms, as usual 6.9 (16 channels, 240 x 192).
        of_x, of_state = jnp.split(kernel, [x.shape[-1]], 2)
        pair, new = jnp.split(convolve(x, of_x, [(1, 1)] * 2) + bias, [2 * self.channels], -1)
        pair_kernel, new_kernel = jnp.split(of_state, [2 * self.channels], -1)
        update, reset = jnp.split(nn.sigmoid(pair + convolve(state, pair_kernel, [(1, 1)] * 2)), 2, -1)
        new = jnp.tanh(new + convolve(state * reset, new_kernel, [(1, 1)] * 2))
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
