"""FireNet (Scheerlinck et al., "Fast Image Reconstruction with an Event Camera", WACV 2020), and FireNet+, the same
trained by Stoffregen et al. (ECCV 2020). The two published files name the same layers differently.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from baselines.layers import ConvGRU, ConvLayer, ResidualBlock
from baselines.method import Method, Plain, Shapes


class FireState(NamedTuple):
    """States of the two GRUs."""

    first: Float[Array, "h w c"]
    second: Float[Array, "h w c"]


class FireNames(NamedTuple):
    """What the layers are called, dots included, from the events to the picture."""

    head: str
    first: str
    first_block: str
    second: str
    second_block: str
    picture: str


LEGACY = FireNames(
    "net.head.conv",
    "net.head.recurrent_block",
    "net.resblocks.0.conv",
    "net.resblocks.0.recurrent_block",
    "net.resblocks.1",
    "net.pred",
)
"""In the first checkpoint."""
PLUS = FireNames("head", "G1", "R1", "G2", "R2", "pred")
"""In FireNet+'s."""


class FireNet(nn.Module):
    """Two convolutional GRUs at full resolution, each followed by a residual block."""

    bins: int
    channels: int
    names: FireNames

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> FireState:
        """Zeros."""
        zeros = jnp.zeros((height, width, self.channels), dtype)
        return FireState(zeros, zeros)

    @nn.compact
    def __call__(self, grid: Float[Array, "h w b"], state: FireState) -> tuple[FireState, Float[Array, "h w"]]:
        names = self.names
        x = ConvLayer(self.channels, 3, name=names.head)(grid)
        first = ConvGRU(self.channels, name=names.first)(x, state.first)
        x = ResidualBlock(self.channels, name=names.first_block)(first)
        second = ConvGRU(self.channels, name=names.second)(x, state.second)
        x = ResidualBlock(self.channels, name=names.second_block)(second)
        return FireState(first, second), ConvLayer(1, 1, relu=False, name=names.picture)(x)[..., 0]


def _network(names: FireNames, shapes: Shapes) -> FireNet | None:
    head = shapes.get(f"{names.head}.conv2d.weight")
    if head is None or f"{names.first}.reset_gate.weight" not in shapes:
        return None
    return FireNet(head[1], head[0], names)


def _legacy(shapes: Shapes, options: Mapping[str, Plain]) -> FireNet | None:
    return _network(LEGACY, shapes)


def _plus(shapes: Shapes, options: Mapping[str, Plain]) -> FireNet | None:
    return _network(PLUS, shapes)


FIRENET = Method(
    name="firenet",
    title="FireNet",
    paper="Scheerlinck et al., Fast Image Reconstruction with an Event Camera, WACV 2020",
    weights="pretrained/FireNet/model.pth of github.com/ercanburak/EVREAL; first published as firenet_1000.pth.tar",
    licence="none stated by its authors; EVREAL, which has the file in its repository, is MIT",
    parameters=37_777,
    network=_legacy,
    normalised=True,
    multiple=16,  # its checkpoint states no number of encoders, and EVREAL takes 4: zeros at the borders change the result
    finish="none",
)
FIRENET_PLUS = Method(
    name="firenet+",
    title="FireNet+",
    paper="Stoffregen et al., Reducing the Sim-to-Real Gap for Event Cameras, ECCV 2020",
    weights="pretrained/FireNet+/model.pth of github.com/ercanburak/EVREAL",
    licence="none stated by its authors; EVREAL, which has the file in its repository, is MIT",
    parameters=37_777,
    network=_plus,
    normalised=False,
    multiple=1,
    finish="none",
)
