"""Channels of an image that attend to channels of events: the cross-modal attention of EFNet (Sun et al., ECCV 2022).

What each pixel is given is the same small function of what it had; only sums over all pixels connect them. So both go over
blocks of pixels, and nothing but the result is ever as large as the picture.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from baselines.layers import EPSILON

BLOCK = 16_384
"""Pixels at a time, at most: 67 MB within the network of each, at the smallest of three sizes."""
WIDER = 4
"""Times the channels within the network of each pixel."""
SHORTEST = 1e-12
"""What a channel is divided by at least where its length is (`F.normalize`)."""


class Norm(NamedTuple):
    """Scale and offset of each channel after its normalisation."""

    scale: Float[Array, " c"]
    offset: Float[Array, " c"]


class Sums(NamedTuple):
    """Over pixels, for each head."""

    products: Float[Array, "heads d d"]
    """Of each channel of the queries with each of the keys."""
    query: Float[Array, "heads d"]
    """Squares."""
    key: Float[Array, "heads d"]
    """Squares."""


class CrossModalAttention(nn.Module):
    """`EventImage_ChannelAttentionTransformerBlock`: queries of the image, keys and values of the events, then a network for
    each pixel."""

    heads: int
    block: int = BLOCK

    @nn.compact
    def __call__(self, image: Float[Array, "h w c"], events: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        (height, width, c), heads = image.shape, self.heads
        kernels, ones, zeros = nn.initializers.lecun_normal(), nn.initializers.ones, nn.initializers.zeros
        of_image, of_events, of_both = (
            Norm(
                self.param(f"{name}.weight", ones, (c,), image.dtype),
                self.param(f"{name}.bias", zeros, (c,), image.dtype),
            )
            for name in ("norm1_image.body", "norm1_event.body", "norm2")
        )
        temperature = self.param("attn.temperature", ones, (heads, 1, 1), image.dtype)
        query, key, value, out = (
            self.param(f"attn.{name}.weight", kernels, (1, 1, c, c), image.dtype)[0, 0]
            for name in ("q", "k", "v", "project_out")
        )
        wide = self.param("ffn.fc1.weight", kernels, (c, WIDER * c), image.dtype)
        wide_bias = self.param("ffn.fc1.bias", zeros, (WIDER * c,), image.dtype)
        narrow = self.param("ffn.fc2.weight", kernels, (WIDER * c, c), image.dtype)
        narrow_bias = self.param("ffn.fc2.bias", zeros, (c,), image.dtype)

        size = _divisor(height * width, self.block)
        blocks = image.reshape(-1, size, c), events.reshape(-1, size, c)

        def add(sums: Sums, block: tuple[Array, Array]) -> tuple[Sums, None]:
            image, events = block
            q = (_normed(image, of_image) @ query).reshape(size, heads, -1)
            k = (_normed(events, of_events) @ key).reshape(size, heads, -1)
            products = sums.products + jnp.einsum("nhi,nhj->hij", q, k)
            return Sums(products, sums.query + jnp.square(q).sum(0), sums.key + jnp.square(k).sum(0)), None

        none = jnp.zeros((heads, c // heads), image.dtype)
        start = Sums(jnp.zeros((heads, c // heads, c // heads), image.dtype), none, none)
        sums, _ = jax.lax.scan(add, start, blocks)
        q, k = (jnp.maximum(jnp.sqrt(squares), SHORTEST) for squares in (sums.query, sums.key))
        weights = nn.softmax(sums.products / (q[:, :, None] * k[:, None, :]) * temperature)
        # Weighted means of values, and the layer after them, are one matrix for all pixels.
        mixing = jnp.einsum("chj,hij->chi", value.reshape(c, heads, -1), weights).reshape(c, c) @ out

        def finished(block: tuple[Array, Array]) -> Float[Array, "n c"]:
            image, events = block
            fused = image + _normed(events, of_events) @ mixing
            hidden = nn.gelu(_normed(fused, of_both) @ wide + wide_bias[None], approximate=False)
            return fused + hidden @ narrow + narrow_bias[None]

        return jax.lax.map(finished, blocks).reshape(height, width, c)


def _normed(x: Float[Array, "n c"], norm: Norm) -> Float[Array, "n c"]:
    """`nn.LayerNorm` of each pixel."""
    centred = x - x.mean(-1, keepdims=True)
    deviation = jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + EPSILON)
    return centred / deviation * norm.scale[None] + norm.offset[None]


def _divisor(number: int, most: int) -> int:
    """The largest divisor not above `most`: of a picture's pixels at least as many as a row has, if `most` allows them."""
    return next(size for size in range(min(number, most), 0, -1) if number % size == 0)
