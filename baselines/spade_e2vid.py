"""SPADE-E2VID (Cadena et al., "SPADE-E2VID: Spatially-Adaptive Denormalization for Event-Based Video Reconstruction", IEEE
TIP 2021): a recurrent U-Net whose way up is scaled and shifted, pixel by pixel, by the picture it made before.
"""

from collections.abc import Mapping
from typing import NamedTuple, cast

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from baselines.layers import Cell, ConvLSTM, ResidualBlock, batch_norm, conv, zero_cell
from baselines.method import Method, Plain, Shapes

PLANES = 3
"""Of the pictures it makes, whose mean is the result."""
HIDDEN = 64
"""Channels between the picture and the scales and shifts made of it."""


class SpadeState(NamedTuple):
    """What the network remembers."""

    cells: tuple[Cell, Cell, Cell, Cell]
    """Three on the way down, one on the way up."""
    picture: Float[Array, "h w 3"]
    """The last one it made."""
    first: Bool[Array, ""]
    """Whether it has made none."""


class SpadeE2VID(nn.Module):
    """`Unet6` of the authors' code. Rows and columns must be multiples of 4."""

    bins: int
    channels: int

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> SpadeState:
        """Zeros, and that there is no picture."""
        c = self.channels
        cells = (
            zero_cell(height, width, 2 * c, dtype),
            zero_cell(height // 2, width // 2, 4 * c, dtype),
            zero_cell(height // 4, width // 4, 8 * c, dtype),
            zero_cell(height, width, c, dtype),
        )
        return SpadeState(cells, jnp.zeros((height, width, PLANES), dtype), jnp.array(True))

    @nn.compact
    def __call__(
        self, grid: Float[Array, "h w {self.bins}"], state: SpadeState
    ) -> tuple[SpadeState, Float[Array, "h w"]]:
        c, (before0, before1, before2, before3) = self.channels, state.cells
        grid, picture = guide(grid, state)
        head = nn.relu(conv(c, 5, name="fc")(grid))
        cell0 = RecurrentLayer(2 * c, 1, name="rec0")(head, before0)
        cell1 = RecurrentLayer(4 * c, 2, name="rec1")(cell0.hidden, before1)
        cell2 = RecurrentLayer(8 * c, 2, name="rec2")(cell1.hidden, before2)
        x = ResidualBlock(8 * c, norm=True, name="res0")(cell2.hidden)
        x = ResidualBlock(8 * c, norm=True, name="res1")(x)
        x = UpLayer(4 * c, name="up0")(x + cell2.hidden, picture)
        x = UpLayer(2 * c, name="up1")(x + cell1.hidden, picture)
        cell3 = RecurrentLayer(c, 1, name="up2")(x + cell0.hidden, before3)
        x = conv(PLANES, 1, name="conv_img")(nn.relu(cell3.hidden + head))
        picture = nn.sigmoid(batch_norm("bn_img")(x))
        return SpadeState((cell0, cell1, cell2, cell3), picture, jnp.array(False)), picture.mean(-1)


def guide(grid: Float[Array, "h w b"], state: SpadeState) -> tuple[Float[Array, "h w b"], Float[Array, "h w 3"]]:
    """The grid that the network sees, and the picture that steers its way up: the last one, or for the first window the
    first bins of the grid, brought to 0 .. 1.

    The authors' code (benchmark.py), and EVREAL's, brings them there in place, so that the network sees them so, too.
    """
    bins = grid[..., :PLANES] - grid[..., :PLANES].min()
    top = bins.max()
    bins = bins / jnp.where(top > 0, top, 1)
    seen = jnp.concatenate([bins, grid[..., PLANES:]], -1)
    return jnp.where(state.first, seen, grid), jnp.where(state.first, bins, state.picture)


class RecurrentLayer(nn.Module):
    """A 5 x 5 convolution, batch normalisation, ReLU, and a `ConvLSTM` fed with that."""

    channels: int
    stride: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"], state: Cell) -> Cell:
        x = nn.relu(batch_norm("bn")(conv(self.channels, 5, self.stride, bias=False, name="conv0")(x)))
        return cast(Cell, ConvLSTM(self.channels, name="recurrent_block")(x, state))


class UpLayer(nn.Module):
    """A 3 x 3 convolution, a shuffle to twice the size, SPADE, and ReLU."""

    channels: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "h w c"], picture: Float[Array, "h2 w2 3"]
    ) -> Float[Array, "2*h 2*w {self.channels}"]:
        x = pixel_shuffle(conv(4 * self.channels, 3, bias=False, name="conv0")(x))
        return nn.relu(Spade(self.channels, name="norm")(x, picture))


class Spade(nn.Module):
    """Spatially adaptive denormalisation (Park et al., CVPR 2019, equation 1): scale and shift of each pixel are made of
    the picture there.
    """

    channels: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "h w {self.channels}"], picture: Float[Array, "h2 w2 3"]
    ) -> Float[Array, "h w {self.channels}"]:
        step = picture.shape[0] // x.shape[0]
        small = picture[::step, ::step]  # PyTorch's "nearest" takes the first pixel of each block, not the middle one
        hidden = nn.relu(conv(HIDDEN, 3, name="mlp_shared.0")(small))
        scale = 1 + conv(self.channels, 3, name="mlp_gamma")(hidden)
        return batch_norm("param_free_norm", affine=False)(x) * scale + conv(self.channels, 3, name="mlp_beta")(hidden)


def pixel_shuffle(x: Float[Array, "h w c4"]) -> Float[Array, "2*h 2*w c4//4"]:
    """`nn.PixelShuffle(2)`: channel 4 c + 2 i + j goes to row i and column j of each block of four pixels."""
    h, w, channels = x.shape
    return x.reshape(h, w, channels // 4, 2, 2).transpose(0, 3, 1, 4, 2).reshape(2 * h, 2 * w, channels // 4)


def network(shapes: Shapes, options: Mapping[str, Plain]) -> SpadeE2VID | None:
    """The network of such a checkpoint."""
    head = shapes.get("fc.weight")
    if head is None or "up0.norm.mlp_gamma.weight" not in shapes:
        return None
    return SpadeE2VID(head[1], head[0])


SPADE_E2VID = Method(
    name="spade-e2vid",
    title="SPADE-E2VID",
    paper="Cadena et al., SPADE-E2VID: Spatially-Adaptive Denormalization for Event-Based Video Reconstruction, TIP 2021",
    weights="SPADE_E2VID.pth of github.com/RodrigoGantier/SPADE_E2VID; pretrained/SPADE-E2VID/model.pth of EVREAL",
    licence="none stated by its authors; EVREAL, which has the file in its repository, is MIT",
    parameters=11_461_353,
    network=network,
    normalised=False,
    multiple=8,  # as EVREAL has it; 4 would do, but zeros at the borders change the result
    finish="none",
)
