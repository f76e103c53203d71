"""EFNet (Sun et al., "Event-Based Fusion for Motion Deblurring with Cross-modal Attention", ECCV 2022): a blurred image and
the events of its exposure to a sharp image, in two stages.

Each stage is a U-Net; the first is given what attention finds in the events, the second what the first learned, gated by
where events are.
"""

from collections.abc import Mapping
from itertools import count, takewhile

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from baselines.convolution import convolve
from baselines.cross_modal import CrossModalAttention
from baselines.layers import Weights, conv
from baselines.method import Method, Plain, Shapes

COLOURS = 3
"""First of its channels; then come those of the events, and the mask."""
SLOPE = 0.2
"""Of LeakyReLU below 0."""
GATES = ("emgc_enc", "emgc_enc_mask", "emgc_dec", "emgc_dec_mask")


class EFNet(nn.Module):
    """The network, which remembers nothing. Rows and columns must be multiples of 2 to the number of levels less one: 4.

    It is given the image's colours in [0, 1], the channels of the events, and the mask of events, 0 or 1, in that order.
    """

    bins: int
    channels: int
    """At full size; each level after that has half the rows and columns, and twice the channels."""
    heads: tuple[int, ...]
    """Of the attention, level by level."""
    masked: bool = True
    """Whether the second stage looks at the mask, and at the first stage through it."""

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> tuple[()]:
        """Nothing."""
        return ()

    def __call__(self, x: Float[Array, "h w {self.bins}"], state: tuple[()]) -> tuple[tuple[()], Float[Array, "h w 3"]]:
        return (), self.stages(x)[1]

    @nn.compact
    def stages(self, x: Float[Array, "h w {self.bins}"]) -> tuple[Float[Array, "h w 3"], Float[Array, "h w 3"]]:
        """The images that the first stage makes and the second, which is the result."""
        image, events, mask = jnp.split(x, [COLOURS, self.bins - 1], -1)
        widths = [self.channels << level for level in range(len(self.heads))]
        last = len(widths) - 1

        x, of_events = conv(self.channels, 3, name="conv_ev1")(events), list[Array]()
        for level, width in enumerate(widths):
            x, full = EventBlock(width, level < last, name=f"down_path_ev.{level}")(x)
            of_events.append(full)

        x, encoded = conv(self.channels, 3, name="conv_01")(image), list[Array]()
        for level, (width, heads) in enumerate(zip(widths, self.heads, strict=True)):
            x, full = FusionBlock(width, heads, level < last, name=f"down_path_1.{level}")(x, of_events[level])
            encoded.append(full)
        decoded = dict[int, Array]()
        for place, level in enumerate(reversed(range(last))):
            skip = conv(widths[level], 3, name=f"skip_conv_1.{place}")(encoded[level])
            x = decoded[level] = UpBlock(widths[level], name=f"up_path_1.{place}")(x, skip)
        features, first = SupervisedAttention(name="sam12")(x, image)

        x = jnp.concatenate([conv(self.channels, 3, name="conv_02")(image), features], -1)
        x, skips = conv(self.channels, 1, name="cat12")(x), list[Array]()
        for level in range(last):
            seen = mask[:: 1 << level, :: 1 << level]  # PyTorch's "nearest"
            block = GatedBlock(widths[level], self.masked, name=f"down_path_2.{level}")
            x, full = block(x, encoded[level], decoded[level], seen)
            skips.append(full)
        x = Block(widths[last], name=f"down_path_2.{last}")(x)
        for place, level in enumerate(reversed(range(last))):
            skip = conv(widths[level], 3, name=f"skip_conv_2.{place}")(skips[level])
            x = UpBlock(widths[level], name=f"up_path_2.{place}")(x, skip)
        return first, conv(COLOURS, 3, name="last")(x) + image


class Block(nn.Module):
    """What all blocks begin with: two convolutions, and one of a single pixel beside them."""

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w {self.channels}"]:
        return convolved(self.channels, x)


class EventBlock(nn.Module):
    """Of events: what goes on, of half the size but at the last level, and what is fused with the image."""

    channels: int
    halve: bool

    @nn.compact
    def __call__(self, x: Float[Array, "h w c"]) -> tuple[Float[Array, "h2 w2 d"], Float[Array, "h w d"]]:
        x = convolved(self.channels, x)
        return halved(x) if self.halve else x, conv(self.channels, 1, name="conv_before_merge")(x)


class FusionBlock(nn.Module):
    """Of the image: what goes on, of half the size but at the last level, and what it has learned of the events."""

    channels: int
    heads: int
    halve: bool

    @nn.compact
    def __call__(
        self, x: Float[Array, "h w c"], events: Float[Array, "h w d"]
    ) -> tuple[Float[Array, "h2 w2 d"], Float[Array, "h w d"]]:
        attention = CrossModalAttention(self.heads, name="image_event_transformer")
        x = attention(convolved(self.channels, x), events)
        return halved(x) if self.halve else x, x


class GatedBlock(nn.Module):
    """Of the second stage, with the event mask gated connection: of the first stage's way down it takes more where no event
    was, of its way up where there were some."""

    channels: int
    masked: bool

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "h w c"],
        encoded: Float[Array, "h w d"],
        decoded: Float[Array, "h w d"],
        mask: Float[Array, "h w 1"],
    ) -> tuple[Float[Array, "h//2 w//2 d"], Float[Array, "h w d"]]:
        x = convolved(self.channels, x)
        given = (encoded, (1 - mask) * encoded, decoded, mask * decoded)
        # The weights are there in any case, as a checkpoint has them; what is not used costs nothing under jit.
        gated = sum((conv(self.channels, 3, name=gate)(of) for gate, of in zip(GATES, given, strict=True)), x)
        x = gated if self.masked else x
        return halved(x), x


class UpBlock(nn.Module):
    """Twice the size by a transposed convolution of 2 x 2, and what comes from the way down."""

    channels: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "h w c"], skip: Float[Array, "2*h 2*w {self.channels}"]
    ) -> Float[Array, "2*h 2*w {self.channels}"]:
        kernel, bias = Weights(self.channels, 2, transposed=True, name="up")(x)
        (height, width, _), d = x.shape, self.channels
        four = jnp.einsum("hwi,rsoi->hrwso", x, kernel).reshape(2 * height, 2 * width, d) + bias
        return Block(self.channels, name="conv_block")(jnp.concatenate([four, skip], -1))


class SupervisedAttention(nn.Module):
    """The supervised attention module of MPRNet (Zamir et al., CVPR 2021): an image, and features weighted by it."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "h w c"], image: Float[Array, "h w 3"]
    ) -> tuple[Float[Array, "h w c"], Float[Array, "h w 3"]]:
        channels = x.shape[-1]
        made = conv(COLOURS, 3, name="conv2")(x) + image
        weights = nn.sigmoid(conv(channels, 3, name="conv3")(made))
        return conv(channels, 3, name="conv1")(x) * weights + x, made


def convolved(channels: int, x: Float[Array, "h w c"]) -> Float[Array, "h w {channels}"]:
    """The body of a block: parameters of the module that calls."""
    inner = nn.leaky_relu(conv(channels, 3, name="conv_1")(x), SLOPE)
    inner = nn.leaky_relu(conv(channels, 3, name="conv_2")(inner), SLOPE)
    return inner + conv(channels, 1, name="identity")(x)


def halved(x: Float[Array, "h w c"]) -> Float[Array, "h//2 w//2 c"]:
    """A convolution of 4 x 4 with steps of 2, no bias: parameters of the module that calls."""
    kernel, _ = Weights(x.shape[-1], 4, bias=False, name="downsample")(x)
    return convolve(x, kernel, [(1, 1)] * 2, 2)


def network(shapes: Shapes, options: Mapping[str, Plain]) -> EFNet | None:
    """The network of such a checkpoint. Whether it was trained with masks the file does not say."""
    events = shapes.get("conv_ev1.weight")
    if events is None or "down_path_2.0.emgc_enc.weight" not in shapes:
        return None
    named = (f"down_path_1.{level}.image_event_transformer.attn.temperature" for level in count())
    heads = tuple(shapes[name][0] for name in takewhile(shapes.__contains__, named))
    return EFNet(COLOURS + events[1] + 1, events[0], heads)


EFNET = Method(
    name="efnet",
    title="EFNet",
    paper="Sun et al., Event-Based Fusion for Motion Deblurring with Cross-modal Attention, ECCV 2022",
    weights="EFNet-GoPro.pth and EFNet-REBlur.pth, Google Drive links in the README of github.com/AHupuJR/EFNet",
    licence="Apache-2.0",
    parameters=8_466_445,
    network=network,
    normalised=False,
    multiple=4,
    finish="none",
)
