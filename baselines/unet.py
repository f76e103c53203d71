"""The recurrent U-Net of the E2VID family (Rebecq et al., TPAMI 2019)."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Float32

from baselines.dynamic_convolution import DynamicUpsampleLayer
from baselines.fourier_bessel import multiscale
from baselines.layers import (
    Cell,
    ConvLayer,
    RecurrentConvLayer,
    ResidualBlock,
    TransposedConvLayer,
    UpsampleConvLayer,
    zero_cell,
)
from baselines.method import Plain, Shapes, members

ROOT = "unetrecurrent"


class UNetState(NamedTuple):
    """What the network remembers."""

    encoders: tuple[Cell, ...]
    picture: Float[Array, "h w"]
    """The last one it made, which only the dynamic decoder looks at."""


class UNetRecurrent(nn.Module):
    """Convolutional LSTMs on the way down, residual blocks, sums of both ways on the way up."""

    bins: int
    channels: int
    encoders: int
    blocks: int
    kernel: int
    norm: bool
    upsample: bool
    """Bilinear upsampling and a convolution on the way up, not a transposed convolution."""
    dynamic: bool
    """HyperE2VID: the first decoder has filters of its own for each pixel."""
    final: Literal["none", "sigmoid"]

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> UNetState:
        """Zeros."""
        sizes = [(height >> scale, width >> scale, self.channels << scale) for scale in range(1, self.encoders + 1)]
        return UNetState(tuple(zero_cell(*size, dtype) for size in sizes), jnp.zeros((height, width), dtype))

    @nn.compact
    def __call__(self, grid: Float[Array, "h w b"], state: UNetState) -> tuple[UNetState, Float[Array, "h w"]]:
        return _Body(self, name=ROOT)(grid, state)


class _Body(nn.Module):
    """The network, below the name that all its entries begin with."""

    of: UNetRecurrent

    @nn.compact
    def __call__(self, grid: Float[Array, "h w b"], state: UNetState) -> tuple[UNetState, Float[Array, "h w"]]:
        of = self.of
        head = x = ConvLayer(of.channels, of.kernel, name="head")(grid)
        cells = list[Cell]()
        for scale, before in enumerate(state.encoders):
            channels = of.channels << (scale + 1)
            cells.append(RecurrentConvLayer(channels, of.kernel, 2, of.norm, name=f"encoders.{scale}")(x, before))
            x = cells[-1].hidden
        for block in range(of.blocks):
            x = ResidualBlock(of.channels << of.encoders, of.norm, name=f"resblocks.{block}")(x)
        for place, cell in enumerate(reversed(cells)):
            channels, name = of.channels << (of.encoders - 1 - place), f"decoders.{place}"
            if of.dynamic and place == 0:
                x = DynamicUpsampleLayer(channels, of.kernel, name=name)(x + cell.hidden, grid, state.picture)
            else:
                layer = UpsampleConvLayer if of.upsample else TransposedConvLayer
                x = layer(channels, of.kernel, of.norm, name=name)(x + cell.hidden)
        picture = ConvLayer(1, 1, norm=of.norm, relu=False, name="pred")(x + head)[..., 0]
        picture = nn.sigmoid(picture) if of.final == "sigmoid" else picture
        return UNetState(tuple(cells), picture), picture


def of_checkpoint(shapes: Shapes, options: Mapping[str, Plain]) -> UNetRecurrent | None:
    """The network with entries of these shapes, or None where they are of another one.

    What shapes do not tell, the final activation, is taken from the checkpoint's options, and is none where they do not
    state it. All else that they state can be read off the shapes.
    """
    head = shapes.get(f"{ROOT}.head.conv2d.weight")
    if head is None or f"{ROOT}.encoders.0.conv_mem.conv2d.weight" in shapes:  # NER-Net has that
        return None
    final = options.get("final_activation") or "none"
    if final not in ("none", "sigmoid"):
        raise ValueError(f"final activation {final}")
    return UNetRecurrent(
        bins=head[1],
        channels=head[0],
        kernel=head[2],
        encoders=members(shapes, f"{ROOT}.encoders"),
        blocks=members(shapes, f"{ROOT}.resblocks"),
        norm=f"{ROOT}.encoders.0.conv.norm_layer.weight" in shapes,
        upsample=f"{ROOT}.decoders.1.conv2d.weight" in shapes,
        dynamic=f"{ROOT}.decoders.0.dynamic_conv.bias" in shapes,
        final=final,
    )


def computed(network: UNetRecurrent) -> dict[str, Float32[np.ndarray, "..."]]:
    """The entries of a checkpoint that are no weights: their values follow from the network, and it has them itself."""
    return {f"{ROOT}.decoders.0.dynamic_atom_generation.bases": multiscale(network.kernel)} if network.dynamic else {}
