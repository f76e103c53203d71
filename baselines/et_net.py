"""ET-Net (Weng et al., "Event-based Video Reconstruction Using Transformer", ICCV 2021): E2VID's way down and up, and in
between transformers over its three scales, the token pyramid aggregation.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from baselines.layers import Cell, ConvLayer, RecurrentConvLayer, UpsampleConvLayer, zero_cell
from baselines.method import Method, Plain, Shapes
from baselines.transformer import DecoderLayer, EncoderLayer, position_code

SCALES = 3
HEADS = 8
ENCODERS = 3
"""Layers that look within a scale."""
DECODERS = 2
"""Layers that look from a scale at the coarser one."""


class ETNet(nn.Module):
    """`EITR` of the authors' code. Rows and columns must be multiples of 8."""

    bins: int
    channels: int
    norm: bool

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> tuple[Cell, ...]:
        """Zeros."""
        scales = range(1, SCALES + 1)
        return tuple(zero_cell(height >> scale, width >> scale, self.channels << scale, dtype) for scale in scales)

    @nn.compact
    def __call__(
        self, grid: Float[Array, "h w {self.bins}"], state: tuple[Cell, ...]
    ) -> tuple[tuple[Cell, ...], Float[Array, "h w"]]:
        head = x = ConvLayer(self.channels, 5, norm=self.norm, name="head")(grid)
        cells = list[Cell]()
        for scale, before in enumerate(state):
            channels = self.channels << (scale + 1)
            cells.append(RecurrentConvLayer(channels, 5, 2, self.norm, name=f"DownsampleConv.{scale}")(x, before))
            x = cells[-1].hidden
        x = aggregate([cell.hidden for cell in reversed(cells)])
        for place, cell in enumerate(reversed(cells)):
            channels = self.channels << (SCALES - 1 - place)
            x = UpsampleConvLayer(channels, 5, self.norm, name=f"UpsampleConv.{place}")(x + cell.hidden)
        picture = ConvLayer(1, 1, norm=self.norm, relu=False, name="pred")(x + head)[..., 0]
        return tuple(cells), nn.sigmoid(picture)


def aggregate(pyramid: list[Float[Array, "_ _ _"]]) -> Float[Array, "h w c"]:
    """Pictures from coarse to fine, each cut to as many tokens as the coarsest has pixels; the mean over scales of
    what their tokens tell each other, and of what they read from the next coarser one. Its parameters are those of the
    module that calls.
    """
    height, width, channels = pyramid[0].shape
    code = jnp.asarray(position_code(height * width, channels), pyramid[0].dtype)
    seen, told = list[Array](), list[Array]()
    for scale, x in enumerate(pyramid):
        if scale:
            x = nn.Conv(channels, (1 << scale,) * 2, (1 << scale,) * 2, "VALID", name=f"split{scale}")(x)
        x = x.reshape(-1, channels) + code
        for layer in range(ENCODERS):
            x = EncoderLayer(HEADS, name=f"trans_encoder{scale}.encoder.layers.{layer}")(x)
        seen.append(x)
        for layer in range(DECODERS):
            x = DecoderLayer(HEADS, name=f"trans_decoder{scale}.decoder.layers.{layer}")(x, seen[max(scale - 1, 0)])
        told.append(x)
    return jnp.mean(jnp.stack(seen + told), 0).reshape(height, width, channels)


def network(shapes: Shapes, options: Mapping[str, Plain]) -> ETNet | None:
    """The network of such a checkpoint."""
    head = shapes.get("head.conv2d.weight")
    if head is None or "trans_encoder0.encoder.layers.0.self_attn.in_proj_weight" not in shapes:
        return None
    return ETNet(head[1], head[0], norm="head.norm_layer.weight" in shapes)


ET_NET = Method(
    name="et-net",
    title="ET-Net",
    paper="Weng et al., Event-based Video Reconstruction Using Transformer, ICCV 2021",
    weights="from the README of github.com/WarranWeng/ET-Net; pretrained/ET-Net/model.pth of EVREAL",
    licence="none stated by its authors; EVREAL, which has the file in its repository, is MIT",
    parameters=22_175_361,
    network=network,
    normalised=False,
    multiple=8,
    finish="none",
)
