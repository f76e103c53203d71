"""NER-Net (Liu et al., "Seeing Motion at Nighttime with an Event Camera", CVPR 2024), as its config/ner.json builds it: a
recurrent U-Net with a second memory, which goes through all scales and back, fed with a learned representation (letc.py).
"""

from collections.abc import Mapping
from typing import NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Float32

from baselines.layers import Cell, ConvLayer, ResidualBlock, UpsampleConvLayer, zero_cell
from baselines.letc import CONVOLUTIONS, VALUES, Letc, representation
from baselines.method import Method, Network, Plain, Shapes, Variables, members
from baselines.non_stationary import Encoder
from evinr.events import Events

LEARNED, ROOT = "representation", "unetrecurrent"


class NerState(NamedTuple):
    """What the network remembers."""

    encoders: tuple[Cell, ...]
    memory: Float[Array, "h w c"]
    """That which goes through all scales, at full resolution again."""


class NerNet(nn.Module):
    """Cells on the way down, residual blocks, sums of both ways on the way up; the memory goes up a way of its own."""

    bins: int
    """Of rises, and as many of falls."""
    channels: int
    encoders: int
    blocks: int
    kernel: int
    hidden: tuple[int, ...]
    """Of the representation's kernel."""
    features: int
    """Between the representation's convolutions."""

    @property
    def letc(self) -> Letc:
        """What makes the grids."""
        return Letc(self.bins // 2, self.hidden, self.features, name=LEARNED)

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> NerState:
        """Zeros."""
        sizes = [(height >> scale, width >> scale, self.channels << scale) for scale in range(1, self.encoders + 1)]
        cells = tuple(zero_cell(*size, dtype) for size in sizes)
        return NerState(cells, jnp.zeros((height, width, self.channels), dtype))

    @nn.compact
    def __call__(self, grid: Float[Array, "h w {self.bins}"], state: NerState) -> tuple[NerState, Float[Array, "h w"]]:
        if self.is_initializing():  # its weights are of the same file
            self.letc(jnp.zeros(1, grid.dtype), jnp.zeros(1, int), 1, 1)
        head = x = ConvLayer(self.channels, self.kernel, name=f"{ROOT}.head")(grid)
        cells, memories, memory = list[Cell](), list[Array](), state.memory
        for scale, before in enumerate(state.encoders):
            encoder = Encoder(self.channels << (scale + 1), self.kernel, name=f"{ROOT}.encoders.{scale}")
            cell, memory = encoder(x, memory, before)
            x = cell.hidden
            cells.append(cell)
            memories.append(memory)
        for block in range(self.blocks):
            x = ResidualBlock(self.channels << self.encoders, name=f"{ROOT}.resblocks.{block}")(x)
        for place, (cell, skip) in enumerate(zip(cells[::-1], memories[::-1], strict=True)):
            channels = self.channels << (self.encoders - 1 - place)
            up = UpsampleConvLayer(channels, self.kernel, name=f"{ROOT}.m_t_UpsampleLayer.{place}")
            memory = up(memory + skip)  # twice the last one, first
            x = UpsampleConvLayer(channels, self.kernel, name=f"{ROOT}.decoders.{place}")(x + cell.hidden)
        picture = ConvLayer(1, 1, relu=False, name=f"{ROOT}.pred")(x + head)[..., 0]
        return NerState(tuple(cells), memory), picture


def network(shapes: Shapes, options: Mapping[str, Plain]) -> NerNet | None:
    """The network of such a checkpoint."""
    head, values = shapes.get(f"{ROOT}.head.conv2d.weight"), f"{LEARNED}.{VALUES}.mlp"
    if head is None or f"{values}.0.weight" not in shapes:
        return None
    if options.get("final_activation") not in (None, "", "none"):
        raise ValueError(f"final activation {options['final_activation']}")
    layers = members(shapes, values)
    return NerNet(
        bins=head[1],
        channels=head[0],
        kernel=head[2],
        encoders=members(shapes, f"{ROOT}.encoders"),
        blocks=members(shapes, f"{ROOT}.resblocks"),
        hidden=tuple(shapes[f"{values}.{layer}.weight"][0] for layer in range(layers - 1)),
        features=shapes[f"{LEARNED}.{CONVOLUTIONS}.cnn.0.weight"][0],
    )


def learned(network: Network, variables: Variables, window: Events) -> Float32[np.ndarray, "h w {network.bins}"]:
    """The representation of a window, by the network's own weights."""
    return representation(cast(NerNet, network).letc, variables["params"][LEARNED], window)


NER_NET = Method(
    name="ner-net",
    title="NER-Net",
    paper="Liu et al., Seeing Motion at Nighttime with an Event Camera, CVPR 2024",
    weights="ner.pth, behind the links (Baidu, OneDrive) in the README of github.com/Liu-haoyue/NER-Net",
    licence="none stated: its repository has no licence file",
    parameters=19_364_754,
    network=network,
    normalised=False,
    multiple=8,
    finish="none",
    represent=learned,
    windows="stored",
)
