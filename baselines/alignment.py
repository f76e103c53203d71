"""How features of neighbouring windows are brought together (Wang et al., "EDVR: Video Restoration with Enhanced Deformable
Convolutional Networks", CVPR Workshops 2019, sections 3.2 and 3.3): alignment in a pyramid, then fusion by attention.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from baselines.convolution import upsample
from baselines.deformable import deformable
from baselines.layers import conv

SLOPE = 0.1
"""Of all leaky ReLUs."""


class Pyramid(NamedTuple):
    """Features of one window at three scales."""

    full: Float[Array, "h w c"]
    half: Float[Array, "h//2 w//2 c"]
    quarter: Float[Array, "h//4 w//4 c"]


def leaky(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Leaky ReLU."""
    return nn.leaky_relu(x, SLOPE)


def joined(*parts: Float[Array, "h w _"]) -> Float[Array, "h w _"]:
    """The channels of all."""
    return jnp.concatenate(parts, -1)


class DeformablePack(nn.Module):
    """A deformable convolution whose offsets and mask are made of other features than those it looks at (`DCNv2Pack`)."""

    groups: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"], guide: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        channels, taps = x.shape[-1], 9 * self.groups
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, channels, channels), x.dtype)
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,), x.dtype)
        made = conv(3 * taps, 3, name="conv_offset")(guide)
        offsets, mask = made[..., : 2 * taps], nn.sigmoid(made[..., 2 * taps :])
        return deformable(x, offsets, mask, jnp.asarray(kernel)) + jnp.expand_dims(bias, (0, 1))


class PyramidAlignment(nn.Module):
    """Pyramid, cascading and deformable alignment (`PCDAlignment`): a neighbour's features moved to where those of the window
    in the middle are. Offsets of a scale help to find those of the next larger one.
    """

    groups: int

    @nn.compact
    def __call__(self, neighbour: Pyramid, middle: Pyramid) -> Float[Array, "h w c"]:
        channels = middle.full.shape[-1]

        def layer(name: str, *parts: Float[Array, "h w _"]) -> Float[Array, "h w d"]:
            return conv(channels, 3, name=name)(joined(*parts))

        guide = leaky(layer("offset_conv1.l3", neighbour.quarter, middle.quarter))
        guide = leaky(layer("offset_conv2.l3", guide))
        x = leaky(DeformablePack(self.groups, name="dcn_pack.l3")(neighbour.quarter, guide))
        for level, theirs, ours in (("l2", neighbour.half, middle.half), ("l1", neighbour.full, middle.full)):
            smaller_guide, smaller = 2 * upsample(guide), upsample(x)  # offsets are in pixels of their own scale
            guide = leaky(layer(f"offset_conv1.{level}", theirs, ours))
            guide = leaky(layer(f"offset_conv2.{level}", guide, smaller_guide))
            guide = leaky(layer(f"offset_conv3.{level}", guide))
            x = DeformablePack(self.groups, name=f"dcn_pack.{level}")(theirs, guide)
            x = layer(f"feat_conv.{level}", x, smaller)
            x = leaky(x) if level == "l2" else x
        guide = leaky(layer("cas_offset_conv1", x, middle.full))
        guide = leaky(layer("cas_offset_conv2", guide))
        return leaky(DeformablePack(self.groups, name="cas_dcnpack")(x, guide))


class AttentionFusion(nn.Module):
    """Fusion by temporal and spatial attention (`TSAFusion`): each window counts where it agrees with the one in the middle,
    and a pyramid decides how much each pixel of the sum counts.
    """

    @nn.compact
    def __call__(self, aligned: tuple[Float[Array, "h w c"], ...]) -> Float[Array, "h w c"]:
        channels = aligned[0].shape[-1]

        def layer(name: str, size: int, *parts: Float[Array, "h w _"]) -> Float[Array, "h w d"]:
            return conv(channels, size, name=name)(joined(*parts))

        middle = layer("temporal_attn1", 3, aligned[len(aligned) // 2])
        embed = conv(channels, 3, name="temporal_attn2")
        agreement = [nn.sigmoid((embed(one) * middle).sum(-1, keepdims=True)) for one in aligned]
        x = joined(*(one * much for one, much in zip(aligned, agreement, strict=True)))
        fused = leaky(layer("feat_fusion", 1, x))
        half = leaky(layer("spatial_attn2", 1, *pooled(leaky(layer("spatial_attn1", 1, x)))))
        quarter = leaky(layer("spatial_attn_l2", 3, *pooled(leaky(layer("spatial_attn_l1", 1, half)))))
        quarter = leaky(layer("spatial_attn_l3", 3, quarter))
        half = leaky(layer("spatial_attn3", 3, half)) + upsample(quarter)
        much = layer("spatial_attn5", 3, upsample(leaky(layer("spatial_attn4", 1, half))))
        more = layer("spatial_attn_add2", 1, leaky(layer("spatial_attn_add1", 1, much)))
        return 2 * fused * nn.sigmoid(much) + more


def pooled(x: Float[Array, "h w c"]) -> tuple[Float[Array, "h//2 w//2 c"], Float[Array, "h//2 w//2 c"]]:
    """The largest and the mean of the 3 x 3 pixels around every second one; zeros around count for the mean."""
    window, stride, around = (3, 3, 1), (2, 2, 1), ((1, 1), (1, 1), (0, 0))
    most = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, stride, around)
    return most, jax.lax.reduce_window(x, 0.0, jax.lax.add, window, stride, around) / 9
