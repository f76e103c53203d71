"""Layers of NER-Net, named as its authors name them: the non-stationary spatio-temporal cell, and the global context before
it (Liu et al., "Seeing Motion at Nighttime with an Event Camera", CVPR 2024).
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from baselines.convolution import convolve
from baselines.layers import EPSILON, Cell, ConvLayer, Weights, conv


class Remembered(NamedTuple):
    """What a cell makes of an input and the states before it."""

    cell: Cell
    memory: Float[Array, "h w c"]
    """That which goes from scale to scale."""


class Encoder(nn.Module):
    """Half the size and twice the channels: the input with its global context, the memory, and the cell of both."""

    channels: int
    kernel: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"], memory: Float[Array, "h w c"], before: Cell) -> Remembered:
        context = ContextBlock(name="GCB")(conv(x.shape[-1], 1, name="conv_1x1")(x))
        x = ConvLayer(self.channels, self.kernel, 2, name="conv")(context + x)
        memory = ConvLayer(self.channels, self.kernel, 2, name="conv_mem")(memory)
        return NonStationaryCell(self.channels, name="recurrent_block")(x, memory, before)


class NonStationaryCell(nn.Module):
    """The spatio-temporal LSTM of PredRNN (Wang et al., NeurIPS 2017) with a local adaptation gate: how much of the cell is
    kept is less, the more is taken in and the more the gate, between 1 and e, says that the input has changed.

    The gates of both states are convolutions of their own, of the input and that state, so that no more than four gates
    are there at once; the original has all seven of the input first.
    """

    channels: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "h w c"], memory: Float[Array, "h w {self.channels}"], before: Cell
    ) -> Remembered:
        kernel, _ = Weights(7 * self.channels, 3, bias=False, name="conv_x.0")(x)
        of_hidden, _ = Weights(4 * self.channels, 3, bias=False, name="conv_h.0")(before.hidden)
        of_memory, _ = Weights(3 * self.channels, 3, bias=False, name="conv_m.0")(memory)
        first, second, last = jnp.split(kernel, [3 * self.channels, 6 * self.channels], -1)

        gates = _of_both(x, before.hidden, jnp.concatenate([first, last], -1), of_hidden)
        take, keep, new, show = jnp.split(gates, 4, -1)
        take = nn.sigmoid(take)
        change = jnp.exp(nn.sigmoid(conv(x.shape[-1], 1, bias=False, name="LAG_conv")(x)))
        keep = nn.sigmoid(nn.sigmoid(keep + 1) - change * take)
        cell = keep * before.cell + take * jnp.tanh(new)

        take, keep, new = jnp.split(_of_both(x, memory, second, of_memory), 3, -1)
        memory = nn.sigmoid(keep + 1) * memory + nn.sigmoid(take) * jnp.tanh(new)

        both = jnp.concatenate([cell, memory], -1)
        show = nn.sigmoid(show + conv(self.channels, 3, bias=False, name="conv_o.0")(both))
        hidden = show * jnp.tanh(conv(self.channels, 1, bias=False, name="conv_last")(both))
        return Remembered(Cell(hidden, cell), memory)


def _of_both(
    x: Float[Array, "h w c"],
    state: Float[Array, "h w d"],
    of_x: Float[Array, "k k c e"],
    of_state: Float[Array, "k k d e"],
) -> Float[Array, "h w e"]:
    """The sum of two convolutions."""
    padding = [(len(of_x) // 2, len(of_x) // 2)] * 2
    return convolve(jnp.concatenate([x, state], -1), jnp.concatenate([of_x, of_state], 2), padding)


class ContextBlock(nn.Module):
    """Global context (Cao et al., "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond", ICCVW 2019): each
    pixel gets the same, made of the mean of all, weighted by how much the network looks at them.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        channels = x.shape[-1]
        attention = nn.softmax(conv(1, 1, name="conv_mask")(x).reshape(-1))
        mean = attention @ x.reshape(-1, channels)
        y = conv(channels // 4, 1, name="channel_add_conv.0")(mean[None, None])
        # LayerNorm and PReLU, whose entries have shapes of their own.
        scale, shift = (
            self.param(f"channel_add_conv.1.{leaf}", start, (channels // 4, 1, 1), x.dtype)
            for leaf, start in (("weight", nn.initializers.ones), ("bias", nn.initializers.zeros))
        )
        y = y - y.mean()
        y = y / jnp.sqrt(jnp.square(y).mean() + EPSILON) * scale.reshape(1, 1, -1) + shift.reshape(1, 1, -1)
        slope = self.param("channel_add_conv.2.weight", nn.initializers.constant(0.25), (1,), x.dtype)
        y = jnp.where(y > 0, y, slope[0] * y)
        return x + conv(channels, 1, name="channel_add_conv.3")(y)
