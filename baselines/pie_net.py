"""PIE-Net and PIE-Net-Lite (Qu, "PIE-Net: Probabilistic Intensity-Event Modeling for High Quality Event-Based Video
Generation", 2026: the package event-pienet and its README; the line of E2HQV, Qu et al., AAAI 2024).

A recurrent U-Net sees the events and the picture that it made last. Per pixel it gives mean and variance of the change and
a better last picture; the new picture follows from these in closed form, and its variance gates the skips of the next window.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from baselines.layers import Cell, zero_cell
from baselines.method import Method, Plain, Shapes
from baselines.pie_layers import Block, Conv, NormalisedLSTM, average, centred, max_pool, resize

UNREAD = tuple(f"model.downs.{scale}.out.mbconv_0." for scale in range(3))
"""How names of entries begin that the published model.pth has, trained, but that the package's own PIE-Net does not use: it
is made without these blocks, and its loader drops what is left over without a word. Here, too, they are not used."""


class PieState(NamedTuple):
    """What the network remembers."""

    cells: tuple[Cell, ...]
    picture: Float[Array, "h w"]
    variance: Float[Array, "h w"]
    """Of each pixel of the picture, as the network expects it."""
    seen: Bool[Array, ""]
    """Whether there was a window: the first one's skips are not gated."""


class PieNet(nn.Module):
    """An LSTM, and a skip from it, at each scale."""

    bins: int
    channels: tuple[int, ...]
    """Of the full resolution before the first LSTM, then of each scale."""
    pools: tuple[int, ...]
    """How many pixels a side of each scale make one of the next."""
    blocks: int
    """Convolutions between an LSTM and its skip."""

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> PieState:
        """Zeros, and nothing seen."""
        cells, zeros = list[Cell](), jnp.zeros((height, width), dtype)
        for channels, pool in zip(self.channels[1:], self.pools, strict=True):
            cells.append(zero_cell(height, width, channels, dtype))
            height, width = height // pool, width // pool
        return PieState(tuple(cells), zeros, zeros, jnp.zeros((), bool))

    @nn.compact
    def __call__(self, grid: Float[Array, "h w b"], state: PieState) -> tuple[PieState, Float[Array, "h w"]]:
        events = Block(self.channels[0], name="model.stem.event_branch.mbconv")(grid)
        picture = Block(self.channels[0], name="model.stem.frame_branch.mbconv")(state.picture[..., None])
        both, x = jnp.concatenate([average(events), average(picture)], -1), events + picture
        cells, skips = list[Cell](), list[Array]()
        for scale, (pool, before) in enumerate(zip(self.pools, state.cells, strict=True)):
            channels, name = self.channels[scale + 1], f"model.downs.{scale}"
            cells.append(NormalisedLSTM(channels, name=f"{name}.mbd")(x, before))
            x = cells[-1].hidden
            for block in range(self.blocks):
                x = x + Block(channels, name=f"{name}.out.mbconv_{block}.mbconv")(x)
            times, plus = jnp.split(nn.Conv(2 * channels, (1, 1), name=f"{name}.film.film")(both), 2, -1)
            skips.append(x * (1 + times) + plus)
            x = max_pool(skips[-1], pool)
        for place, (pool, skip) in enumerate(zip(self.pools[::-1], skips[::-1], strict=True)):
            name, (height, width, channels) = f"model.ups.{place}", skip.shape
            variance = resize(state.variance[..., None], height, width)
            gate = nn.sigmoid(Conv(channels, 1, name=f"{name}.ugate.gate_conv")(variance))
            x = centred(resize(x, pool * x.shape[0], pool * x.shape[1]), height, width)
            x = jnp.concatenate([skip * jnp.where(state.seen, gate, 1), x], -1)
            x = Block(self.channels[-2 - place], name=f"{name}.fuse.0.mbconv")(x)
        x = Conv(3, 1, name="model.outc")(x)
        threshold = nn.relu(Block(1, name="cal_k.mbconv")(x)[..., 0])
        mean, variance, start = jnp.moveaxis(nn.relu(x), -1, 0)
        picture = jnp.clip((start + threshold) * mean - threshold, 0, 1)
        return PieState(tuple(cells), picture, (start + threshold) ** 2 * variance, jnp.ones((), bool)), picture


def _network(shapes: Shapes, pools: tuple[int, ...], blocks: int) -> PieNet | None:
    stem = shapes.get("model.stem.event_branch.mbconv.convna.0.weight")
    scales = [name for name in shapes if name.startswith("model.downs.") and name.endswith(".mbd.norm_h.weight")]
    if stem is None or len(scales) != len(pools):
        return None
    channels = [shapes[f"model.downs.{scale}.mbd.norm_h.weight"][0] for scale in range(len(pools))]
    return PieNet(stem[1], (stem[0], *channels), pools, blocks)


def _full(shapes: Shapes, options: Mapping[str, Plain]) -> PieNet | None:
    return _network(shapes, (2, 2, 5), 0)


def _lite(shapes: Shapes, options: Mapping[str, Plain]) -> PieNet | None:
    return _network(shapes, (2, 2), 1)


PIE_NET = Method(
    name="pie-net",
    title="PIE-Net",
    paper="none found; Qu, PIE-Net: Probabilistic Intensity-Event Modeling for High Quality Event-Based Video Generation, 2026 "
    "(README of the package event-pienet)",
    weights="pie_net/pretrained/model.pth in the package event-pienet 1.1.3: pip install --no-deps event-pienet",
    licence="MIT, as the package",
    parameters=154_201,
    network=_full,
    normalised=False,
    multiple=1,
    finish="none",
    smallest=20,
    unused=UNREAD,
)
PIE_NET_LITE = Method(
    name="pie-net-lite",
    title="PIE-Net-Lite",
    paper=PIE_NET.paper,
    weights="pie_net/pretrained/model_lite.pth in the package event-pienet 1.1.3: pip install --no-deps event-pienet",
    licence="MIT, as the package",
    parameters=78_537,
    network=_lite,
    normalised=False,
    multiple=1,
    finish="none",
    smallest=4,
)
