"""The network: a SIREN of time alone, whose basis every pixel combines (EvINR, section 3.2; SIREN, Sitzmann et al., 2020).

The only module that knows flax: everything else calls `log_intensity` and `init`.
"""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from evinr.config import FitConfig

Params = Any
Initializer = Callable[..., Array]


def _uniform(limit: float) -> Initializer:
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -limit, limit)


def _sine_limit(inputs: int, omega: float) -> float:
    """Weights uniform in +- sqrt(6 / n) / omega keep the pre-activations at unit variance (SIREN, section 3.2)."""
    return (6 / inputs) ** 0.5 / omega


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
    zero_head: bool
    factors: str

    @nn.compact
    def __call__(self, times: Float[Array, " k"]) -> Float[Array, "k planes h w"]:
        features = times[:, None]
        for layer, units in enumerate([self.hidden] * (self.depth + 1) + [self.basis]):
            inputs = features.shape[1]
            limit = 1.0 if layer == 0 else _sine_limit(inputs, self.omega)
            dense = nn.Dense(
                units,
                kernel_init=_uniform(limit),
                bias_init=_uniform(inputs**-0.5),
                param_dtype=times.dtype,
                precision="highest",
                name=f"sine_{layer}",
            )
            features = jnp.sin(self.omega * dense(features))
        return self.omega * self._head(features)

    def _head(self, features: Float[Array, "k b"]) -> Float[Array, "k planes h w"]:
        """sum over levels l of upsample^l (W_l features + b_l), level l at 1 / 2^l of the resolution.

        Adam in this basis reaches large smooth structures that a per-pixel layer needs thousands of steps for.
        """
        sizes = [(self.height, self.width)]
        while len(sizes) < self.levels and min(sizes[-1]) > 1:
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        limit = 0.0 if self.zero_head else _sine_limit(self.basis, self.omega)
        bias_limit = 0.0 if self.zero_head else self.basis**-0.5
        total = None
        for level, (height, width) in reversed(list(enumerate(sizes))):
            shape = (self.planes, height, width)
            kernel = self.param(f"head_{level}_kernel", _uniform(limit), (self.basis, *shape), features.dtype)
            bias = self.param(f"head_{level}_bias", _uniform(bias_limit), shape, features.dtype)
            factors = features.dtype if features.dtype == jnp.float64 else jnp.dtype(self.factors)
            product = jnp.tensordot(
                features.astype(factors),
                kernel.astype(factors),
                axes=1,
                preferred_element_type=features.dtype,
                precision="highest",
            )
            image = product + bias
            total = image if total is None else image + upsample(total, height, width)
        return cast(Array, total)


def upsample(images: Float[Array, "*n a b"], height: int, width: int) -> Float[Array, "*n {height} {width}"]:
    """Twice the resolution, bilinear with pixel centres aligned, cut to `height` x `width`."""
    return _double(_double(images, -2, height), -1, width)


def _double(images: Array, axis: int, size: int) -> Array:
    first, last = jax.lax.slice_in_dim(images, 0, 1, axis=axis), jax.lax.slice_in_dim(images, -1, None, axis=axis)
    before = jnp.concatenate([first, jax.lax.slice_in_dim(images, 0, -1, axis=axis)], axis)
    after = jnp.concatenate([jax.lax.slice_in_dim(images, 1, None, axis=axis), last], axis)
    both = jnp.stack([0.75 * images + 0.25 * before, 0.75 * images + 0.25 * after], axis)
    shape = list(images.shape)
    shape[axis] *= 2
    return jax.lax.slice_in_dim(both.reshape(shape), 0, size, axis=axis)


def network(config: FitConfig, planes: int, height: int, width: int) -> Siren:
    """The network a configuration describes, for planes of this size."""
    return Siren(
        planes=planes,
        height=height,
        width=width,
        hidden=config.width,
        depth=config.depth,
        basis=config.basis,
        levels=config.levels,
        omega=config.omega,
        zero_head=config.zero_head,
        factors=config.precision,
    )


def init(net: Siren, key: PRNGKeyArray, times: Float[Array, " k"]) -> Params:
    """Parameters before the first step, in the precision of `times`."""
    return net.init(key, times)["params"]


def log_intensity(net: Siren, params: Params, times: Float[Array, " k"]) -> Float[Array, "k planes h w"]:
    """The network's answer at `times` in [-1, 1], in the units of the fit: the typed seam to flax."""
    return cast(Array, net.apply({"params": params}, times))
