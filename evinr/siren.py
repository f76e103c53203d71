"""The network: a SIREN of time alone, whose basis every pixel combines (EvINR, section 3.2; SIREN, Sitzmann et al., 2020).

The only module that knows flax: everything else calls `network`, `init` and `log_intensity`.
"""

from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from evinr.config import FitConfig

Params = Any
"""Parameters of the network: `sine_i` are its layers, `head_l` its output at 1 / FACTOR^l of the resolution. Matrices of
inputs + 1 rows, the last of them the bias."""

FACTOR = 4
"""Ratio of resolution between levels of the head. 2 gave the same scores, but took a quarter longer to compile."""

COARSEST = 16
"""Levels stop when a side is this short, in pixels."""


class Siren(nn.Module):
    """Times (k,) in [-1, 1] to log intensity (k, planes, height, width)."""

    planes: int
    height: int
    width: int
    hidden: int
    depth: int
    basis: int
    levels: int
    omega: float
    factors: str

    @nn.compact
    def __call__(self, times: Float[Array, " k"]) -> Float[Array, "k planes h w"]:
        features = times[:, None]
        for layer, units in enumerate(sine_units(self)):
            features = jnp.sin(self.omega * self._affine(f"sine_{layer}", features, units, features.dtype))
        return self.omega * self._head(features)

    def _head(self, features: Float[Array, "k b"]) -> Float[Array, "k planes h w"]:
        """sum over levels l of upsample^l (W_l features + b_l), level l at 1 / FACTOR^l of the resolution.

        Adam in this basis reaches large smooth structures that a per-pixel layer needs thousands of steps for.
        """
        factors = features.dtype if features.dtype == jnp.float64 else jnp.dtype(self.factors)
        total = None
        for level, (height, width) in reversed(list(enumerate(level_sizes(self)))):
            image = self._affine(f"head_{level}", features, self.planes * height * width, factors)
            image = image.reshape(-1, self.planes, height, width)
            total = image if total is None else image + upsample(total, height, width)
        return cast(Array, total)

    def _affine(self, name: str, features: Float[Array, "k b"], units: int, factors: Any) -> Float[Array, "k {units}"]:
        weights = self.param(name, nn.initializers.zeros, (features.shape[1] + 1, units), features.dtype)
        ones = jnp.ones((features.shape[0], 1), features.dtype)
        return jnp.matmul(
            jnp.concatenate([features, ones], 1).astype(factors),
            weights.astype(factors),
            preferred_element_type=features.dtype,
            precision="highest",
        )


def sine_units(net: Siren) -> list[int]:
    """Units of every sine layer."""
    return [net.hidden] * (net.depth + 1) + [net.basis]


def level_sizes(net: Siren) -> list[tuple[int, int]]:
    """Rows and columns of every level of the head, from fine to coarse."""
    sizes = [(net.height, net.width)]
    while len(sizes) < net.levels and min(sizes[-1]) > COARSEST:
        sizes.append((-(-sizes[-1][0] // FACTOR), -(-sizes[-1][1] // FACTOR)))
    return sizes


def upsample(images: Float[Array, "*n a b"], height: int, width: int) -> Float[Array, "*n {height} {width}"]:
    """Bilinear enlargement by FACTOR with pixel centres aligned, cut to `height` x `width`.

    Two matrix products: a stencil of slices does less arithmetic, but took 0.2 s longer to compile and no less to run
    (240 x 180, 2 cores).
    """
    *batch, rows, columns = images.shape
    wide = (images.reshape(-1, columns) @ _weights(columns, width, images.dtype).T).reshape(-1, rows, width)
    tall = jnp.broadcast_to(_weights(rows, height, images.dtype), (wide.shape[0], height, rows)) @ wide
    return tall.reshape(*batch, height, width)


def _weights(coarse: int, fine: int, kind: Any) -> Float[np.ndarray, "{fine} {coarse}"]:
    """What each of `fine` samples takes of each of `coarse` ones; beyond the outermost centres, all of the outermost."""
    at = np.clip((np.arange(fine) + 0.5) / FACTOR - 0.5, 0, coarse - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(coarse))).astype(kind)


def network(config: FitConfig, planes: int, height: int, width: int) -> Siren:
    """The network a configuration describes, for planes of this size."""
    return Siren(
        planes=planes,
        height=height,
        width=width,
        hidden=config.hidden,
        depth=config.depth,
        basis=config.basis,
        levels=config.levels,
        omega=config.omega,
        factors=config.precision,
    )


def init(net: Siren, config: FitConfig) -> Params:
    """Parameters before the first step: weights uniform in +- sqrt(6 / n) / omega, which keeps pre-activations at unit
    variance (SIREN, section 3.2), the first layer's in +- 1, biases in +- 1 / sqrt(n), and a head of zeros if so asked.

    Drawn by numpy: the same on every device, and without the 3 s that compiling the draws took.
    """
    rng = np.random.default_rng(config.seed)
    kind = np.float64 if config.precision == "float64" else np.float32

    def draw(inputs: int, units: int, limit: float) -> np.ndarray:
        limits = np.full((inputs + 1, 1), limit, kind)
        limits[-1] = inputs**-0.5
        return (2 * rng.random((inputs + 1, units), kind) - 1) * limits

    units = sine_units(net)
    params = {
        f"sine_{layer}": draw(before, after, (6 / before) ** 0.5 / net.omega if layer else 1.0)
        for layer, (before, after) in enumerate(zip([1, *units], units, strict=False))
    }
    for level, (height, width) in enumerate(level_sizes(net)):
        pixels = net.planes * height * width
        params[f"head_{level}"] = (
            np.zeros((net.basis + 1, pixels), kind)
            if config.zero_head
            else draw(net.basis, pixels, (6 / net.basis) ** 0.5 / net.omega)
        )
    return params


def log_intensity(net: Siren, params: Params, times: Float[Array, " k"]) -> Float[Array, "k planes h w"]:
    """The network's answer at `times` in [-1, 1], in the units of the fit: the typed seam to flax."""
    return cast(Array, net.apply({"params": params}, times))
