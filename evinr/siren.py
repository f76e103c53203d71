"""The network: a SIREN of time alone, whose basis every pixel combines (EvINR, section 3.2; SIREN, Sitzmann et al., 2020).

The only module that knows flax: everything else calls `network`, `init` and `log_intensity`, or, for windows, whose sine
layers stay as they were drawn, `cardinal`, `cardinal_functions` and `cardinal_slopes`.
"""

from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Float64

from evinr.config import FitConfig

Params = Any
"""Parameters of the network: `sine_i` are its layers, `head_l` its output at 1 / FACTOR^l of the resolution. Matrices of
inputs + 1 rows, the last of them the bias."""

FACTOR = 4
"""Ratio of resolution between levels of the head. 2 gave the same scores, but took a quarter longer to compile."""

COARSEST = 16
"""Levels stop when a side is this short, in pixels."""

KNOTS_PER_UNIT = 12
"""Knots of a window in one unit of the input of the first sine layer: those of 32 intervals lie in [-4/3, 4/3]."""

POINTS = 64
"""Times at which the sine layers of a window are evaluated at once, so that one shape is compiled."""


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
        return self.omega * self._head(self._sines(times))

    def _sines(self, times: Float[Array, " k"]) -> Float[Array, "k b"]:
        features = times[:, None]
        for layer, units in enumerate(sine_units(self)):
            features = jnp.sin(self.omega * self._affine(f"sine_{layer}", features, units, features.dtype))
        return features

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


class Sines(Siren):
    """The network without its head: times (k,) to the functions of time (k, basis) that pixels combine."""

    @nn.compact
    def __call__(self, times: Float[Array, " k"]) -> Float[Array, "k b"]:
        return self._sines(times)


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
    params = _draw_sines(rng, net, kind)
    for level, (height, width) in enumerate(level_sizes(net)):
        pixels = net.planes * height * width
        params[f"head_{level}"] = (
            np.zeros((net.basis + 1, pixels), kind)
            if config.zero_head
            else _draw(rng, net.basis, pixels, (6 / net.basis) ** 0.5 / net.omega, kind)
        )
    return params


def _draw_sines(rng: np.random.Generator, net: Siren, kind: Any) -> dict[str, np.ndarray]:
    units = sine_units(net)
    return {
        f"sine_{layer}": _draw(rng, before, after, (6 / before) ** 0.5 / net.omega if layer else 1.0, kind)
        for layer, (before, after) in enumerate(zip([1, *units], units, strict=False))
    }


def _draw(rng: np.random.Generator, inputs: int, units: int, limit: float, kind: Any) -> np.ndarray:
    limits = np.full((inputs + 1, 1), limit, kind)
    limits[-1] = inputs**-0.5
    return (2 * rng.random((inputs + 1, units), kind) - 1) * limits


def log_intensity(net: Siren, params: Params, times: Float[Array, " k"]) -> Float[Array, "k planes h w"]:
    """The network's answer at `times` in [-1, 1], in the units of the fit: the typed seam to flax."""
    return cast(Array, net.apply({"params": params}, times))


class Cardinal(NamedTuple):
    """The network of a window with a head that is written as the log intensity at its knots."""

    net: Sines
    sines: Params
    mix: Float64[np.ndarray, "basis_plus_1 knots"]
    """From values at the knots to weights of the basis and, in the last row, the bias."""


def cardinal(config: FitConfig, knots: int) -> Cardinal:
    """The network of a window of so many knots, which lie at 0, 1, ... knots - 1. Needs a basis of as many functions.

    The sine layers are drawn as by `init`, always in float64. Of the heads that give 1 at one knot and 0 at the others the
    smallest is taken, but a constant is left to the bias alone: else it would ripple by 1.5 % between the knots.
    """
    return _cardinal(config.hidden, config.depth, config.basis, config.omega, config.seed, knots)


@lru_cache
def _cardinal(hidden: int, depth: int, basis: int, omega: float, seed: int, knots: int) -> Cardinal:
    net = Sines(1, 1, 1, hidden, depth, basis, levels=1, omega=omega, factors="float64")
    sines = _draw_sines(np.random.default_rng(seed), net, np.float64)
    mix = np.linalg.pinv(_features(net, sines, knots, np.arange(float(knots)))[0])
    bias = np.eye(basis + 1)[:, -1:]
    return Cardinal(net, sines, mix + (bias - mix.sum(1, keepdims=True)) / knots)


def cardinal_functions(cardinal: Cardinal, u: Float64[np.ndarray, " t"]) -> Float64[np.ndarray, "t knots"]:
    """What the values at the knots weigh at `u`, counted in knots from 0: function j is 1 at knot j and 0 at the others."""
    return _features(cardinal.net, cardinal.sines, cardinal.mix.shape[1], u)[0] @ cardinal.mix


def cardinal_slopes(cardinal: Cardinal, u: Float64[np.ndarray, " t"]) -> Float64[np.ndarray, "t knots"]:
    """The derivatives of the cardinal functions with respect to `u`, exact (forward mode)."""
    return _features(cardinal.net, cardinal.sines, cardinal.mix.shape[1], u)[1] @ cardinal.mix


def _features(
    net: Sines, sines: Params, knots: int, u: Float64[np.ndarray, " t"]
) -> tuple[Float64[np.ndarray, "t b"], Float64[np.ndarray, "t b"]]:
    """The functions of time and, last, the one of the bias; and their derivatives."""
    inputs = (u - (knots - 1) / 2) / KNOTS_PER_UNIT
    values = np.ones((len(u), net.basis + 1))
    slopes = np.zeros_like(values)
    with jax.enable_x64(True):
        for start in range(0, len(u), POINTS):
            here = slice(start, start + POINTS)
            found = _sines_and_slopes(net, sines, np.resize(inputs[here], POINTS))
            values[here, :-1], slopes[here, :-1] = (np.asarray(part)[: len(u) - start] for part in found)
    return values, slopes / KNOTS_PER_UNIT


@partial(jax.jit, static_argnums=0)
def _sines_and_slopes(
    net: Sines, sines: Params, times: Float[Array, " k"]
) -> tuple[Float[Array, "k b"], Float[Array, "k b"]]:
    def at(times: Float[Array, " k"]) -> Float[Array, "k b"]:
        return cast(Array, net.apply({"params": sines}, times))

    return jax.jvp(at, (times,), (jnp.ones_like(times),))
