"""Layers of a transformer (Vaswani et al., "Attention Is All You Need", 2017) with the norms before each step, named as
PyTorch names them.
"""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float


class Attention(nn.Module):
    """`nn.MultiheadAttention`: what tokens read from a memory (section 3.2)."""

    heads: int

    @nn.compact
    def __call__(self, x: Float[Array, "n c"], memory: Float[Array, "m c"]) -> Float[Array, "n c"]:
        c = x.shape[-1]
        kernel = self.param("in_proj_weight", nn.initializers.xavier_uniform(), (c, 3 * c), x.dtype)
        bias = self.param("in_proj_bias", nn.initializers.zeros, (3 * c,), x.dtype)
        query = x @ kernel[:, :c] + bias[None, :c]
        key, value = jnp.split(memory @ kernel[:, c:] + bias[None, c:], 2, axis=-1)
        read = attend(*(part.reshape(-1, self.heads, c // self.heads) for part in (query, key, value)))
        return nn.Dense(c, name="out_proj")(read.reshape(-1, c))


def attend(
    query: Float[Array, "n heads d"], key: Float[Array, "m heads d"], value: Float[Array, "m heads d"]
) -> Float[Array, "n heads d"]:
    """Means of the values, weighted by how much each query resembles each key (equation 1), head by head."""
    scores = jnp.einsum("nhd,mhd->hnm", query / np.sqrt(query.shape[-1]), key)
    return jnp.einsum("hnm,mhd->nhd", nn.softmax(scores), value)


class FeedForward(nn.Module):
    pass
