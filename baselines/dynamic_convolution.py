"""HyperE2VID's decoder, whose filters differ from pixel to pixel (Ercan et al., "HyperE2VID: Improving Event-Based Video
Reconstruction via Hypernetworks", TIP 2024): events and the last picture decide the filters' atoms, learned
coefficients compose them.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from baselines.convolution import upsample
from baselines.fourier_bessel import multiscale
from baselines.layers import batch_norm, conv

ATOMS = 6
CONTEXT = 32
HIDDEN = 64
"""The published network's sizes, which its options leave alone."""


class DynamicUpsampleLayer(nn.Module):
    """Bilinear upsampling, per-pixel filters, ReLU, to a quarter of the resolution of the events."""

    channels: int
    kernel: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "h w c"], grid: Float[Array, "8*h 8*w b"], picture: Float[Array, "8*h 8*w"]
    ) -> Float[Array, "2*h 2*w {self.channels}"]:
        both = jnp.concatenate([grid, picture[..., None]], -1)
        context = conv(CONTEXT, 3, name="context_fusion.conv")(quarter(both))
        atoms = DynamicAtoms(self.kernel, name="dynamic_atom_generation")(context)
        return nn.relu(DynamicConv(self.channels, name="dynamic_conv")(x, atoms))


class DynamicAtoms(nn.Module):
    """Two convolutions, and the Fourier-Bessel functions in the amounts that they give."""

    kernel: int

    @nn.compact
    def __call__(self, context: Float[Array, "h w c"]) -> Float[Array, "h w m {self.kernel} {self.kernel}"]:
        functions = jnp.asarray(multiscale(self.kernel), context.dtype)
        x = conv(HIDDEN, 3, name="bases_net.0")(context)
        x = jnp.tanh(batch_norm("bases_net.1")(x))
        x = conv(ATOMS * len(functions), 3, name="bases_net.3")(x)
        x = jnp.tanh(batch_norm("bases_net.4")(x))
        amounts = x.reshape(*x.shape[:2], ATOMS, len(functions))
        return (amounts @ functions).reshape(*amounts.shape[:3], self.kernel, self.kernel)


class DynamicConv(nn.Module):
    """Upsampling, a filter for each pixel and atom, and a 1 x 1 convolution of what all filters give for all channels.

    What acts on channels alone can go first, and then needs a quarter of the pixels and filters half the channels, one
    atom at a time. At 240 x 180 that is 2 ms on two CPU cores; in the order of the paper 58 ms, in PyTorch 107 ms.
    """

    channels: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "h w c"], atoms: Float[Array, "2*h 2*w m k k"]
    ) -> Float[Array, "2*h 2*w {self.channels}"]:
        count, kernel = atoms.shape[2:4]
        shape = (1, 1, x.shape[-1] * count, self.channels)
        normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        composition = self.param("compositional_coefficients", normal, shape)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.channels,))
        by_atom = composition.reshape(x.shape[-1], count, self.channels).swapaxes(0, 1)  # channel-major

        def add(
            total: Float[Array, "h2 w2 d"], of: tuple[Float[Array, "c d"], Float[Array, "h2 w2 k k"]]
        ) -> tuple[Float[Array, "h2 w2 d"], None]:
            mixed, atom = of
            return total + filtered(upsample(x @ mixed), atom), None

        start = jnp.broadcast_to(bias, (*atoms.shape[:2], self.channels))
        return jax.lax.scan(add, start, (by_atom, jnp.moveaxis(atoms, 2, 0)))[0]


def filtered(x: Float[Array, "h w c"], filters: Float[Array, "h w k k"]) -> Float[Array, "h w c"]:
    """Each pixel's neighbourhood weighed with the pixel's own filter, zeros outside."""
    height, width, kernel, _ = filters.shape
    padded = jnp.pad(x, ((kernel // 2, kernel // 2), (kernel // 2, kernel // 2), (0, 0)))
    places = [(row, column) for row in range(kernel) for column in range(kernel)]
    terms = [filters[:, :, i, j, None] * padded[i : i + height, j : j + width] for i, j in places]
    return sum(terms[1:], terms[0])


def quarter(x: Float[Array, "h w c"]) -> Float[Array, "h//4 w//4 c"]:
    """A quarter of the size, bilinear with half-pixel centres and no smoothing first: means of the middle 2 x 2 of 4 x 4."""
    height, width, channels = x.shape
    return x.reshape(height // 4, 4, width // 4, 4, channels)[:, 1:3, :, 1:3].mean((1, 3))
