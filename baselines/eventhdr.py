"""EventHDR (Zou et al., "Learning To Reconstruct High Speed and High Dynamic Range Videos From Events", CVPR 2021): a picture
of linear light from each window of events and its two neighbours, whose features are aligned to it.
"""

from collections.abc import Mapping
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Float32, Int32

from baselines.alignment import AttentionFusion, Pyramid, PyramidAlignment, leaky
from baselines.layers import Cell, RecurrentConvLayer, conv, zero_cell
from baselines.method import Method, Network, Plain, Shapes, Variables, members
from baselines.voxel_grid import positive_negative
from evinr.events import Events

ROOT = "model"
FRAMES = 3
"""Windows seen together."""


class HDRState(NamedTuple):
    """What the network remembers."""

    before: tuple[Pyramid, Pyramid]
    """Features of the last two windows, so that each window's are made once, not three times."""
    cell: Cell
    seen: Int32[Array, ""]
    """Windows so far, counted up to two: only the third has two before it, and the memory begins with it."""


class EventHDR(nn.Module):
    """The picture of the window before the one it is given. The first two pictures mean nothing.

    Rows and columns must be multiples of 4.
    """

    bins: int
    channels: int
    groups: int
    """Of channels, with offsets of their own."""
    extract: int
    reconstruct: int
    """Residual blocks before the alignment and after the memory."""

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> HDRState:
        """Zeros."""
        sizes = [(height >> scale, width >> scale, self.channels) for scale in range(FRAMES)]
        nothing = Pyramid(*(jnp.zeros(size, dtype) for size in sizes))
        return HDRState((nothing, nothing), zero_cell(*sizes[0], dtype), jnp.int32(0))

    @nn.compact
    def __call__(self, grid: Float[Array, "h w {self.bins}"], state: HDRState) -> tuple[HDRState, Float[Array, "h w"]]:
        return _Body(self, name=ROOT)(grid, state)


class _Body(nn.Module):
    """The network, below the name that all its entries begin with."""

    of: EventHDR

    @nn.compact
    def __call__(
        self, grid: Float[Array, "h w {self.of.bins}"], state: HDRState
    ) -> tuple[HDRState, Float[Array, "h w"]]:
        c = self.of.channels
        x = leaky(conv(c, 3, name="conv_first")(grid))
        for block in range(self.of.extract):
            x = PlainBlock(c, name=f"feature_extraction.{block}")(x)
        half = leaky(conv(c, 3, name="conv_l2_2")(leaky(conv(c, 3, 2, name="conv_l2_1")(x))))
        quarter = leaky(conv(c, 3, name="conv_l3_2")(leaky(conv(c, 3, 2, name="conv_l3_1")(half))))
        windows = (*state.before, Pyramid(x, half, quarter))
        align = PyramidAlignment(self.of.groups, name="pcd_align")
        x = AttentionFusion(name="fusion")(tuple(align(window, windows[1]) for window in windows))
        cell = cast(Cell, RecurrentConvLayer(c, 3, 1, name="convlstm")(x, state.cell))
        cell = jax.tree.map(lambda new, old: jnp.where(state.seen < FRAMES - 1, old, new), cell, state.cell)
        x = cell.hidden
        for block in range(self.of.reconstruct):
            x = PlainBlock(c, name=f"reconstruction.{block}")(x)
        picture = conv(1, 3, name="conv_last")(x)[..., 0]
        return HDRState(windows[1:], cell, jnp.minimum(state.seen + 1, FRAMES - 1)), picture


class PlainBlock(nn.Module):
    """Two 3 x 3 convolutions around a ReLU, and the input; no ReLU after that."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w {self.channels}"]) -> Float[Array, "h w {self.channels}"]:
        return x + conv(self.channels, 3, name="conv2")(nn.relu(conv(self.channels, 3, name="conv1")(x)))


def network(shapes: Shapes, options: Mapping[str, Plain]) -> EventHDR | None:
    """The network of such a checkpoint."""
    first, fusion = shapes.get(f"{ROOT}.conv_first.weight"), shapes.get(f"{ROOT}.fusion.feat_fusion.weight")
    offsets = shapes.get(f"{ROOT}.pcd_align.dcn_pack.l1.conv_offset.weight")
    if first is None or fusion is None or offsets is None or fusion[1] != FRAMES * first[0]:
        return None
    blocks = [members(shapes, f"{ROOT}.{part}") for part in ("feature_extraction", "reconstruction")]
    return EventHDR(first[1], first[0], offsets[0] // 27, *blocks)


def represent(network: Network, variables: Variables, window: Events) -> Float32[np.ndarray, "h w bins"]:
    """Bins of positive events, then of negative ones."""
    return positive_negative(window, network.bins // 2)


EVENTHDR = Method(
    name="eventhdr",
    title="EventHDR",
    paper="Zou et al., Learning To Reconstruct High Speed and High Dynamic Range Videos From Events, CVPR 2021",
    weights="the link 'pretrained' (OneDrive) in the README of github.com/jackzou233/EventHDR; its pretrained/model.pth",
    licence="none stated by its authors",
    parameters=3_286_369,
    network=network,
    normalised=False,
    multiple=16,  # as its inference has it; 4 would do, but zeros at the borders change the result
    finish="light",
    represent=represent,
    delay=1,
    windows="stored",
)
