"""The terms of the objective, as means over knots, planes and pixels (EvINR, eq. 6 to 9)."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from evinr.config import Bayer
from evinr.goal import Goal

Images = Float[Array, "k planes h w"]
Scalar = Float[Array, ""]


class Terms(NamedTuple):
    """Each term unweighted, and their weighted sum."""

    events: Scalar
    variation: Scalar
    still: Scalar
    constancy: Scalar
    total: Scalar


class Weights(NamedTuple):
    """Weights of the variation and of stillness, after scaling."""

    smooth: Scalar | float
    still: Scalar | float


def objective(
    log_intensity: Images, event_images: Float[Array, "k-1 planes h w"], weights: Weights, goal: Goal
) -> Terms:
    """What is minimised."""
    change = log_intensity[1:] - log_intensity[:-1]
    events = _event_error(change - event_images, goal)
    variation = _variation(log_intensity, goal)
    still = jnp.abs(change).mean()
    constancy = jnp.var(log_intensity.mean((1, 2, 3)), ddof=1)
    total = events + weights.smooth * variation + weights.still * still + goal.constancy * constancy
    return Terms(events, variation, still, constancy, total)


def _event_error(residual: Images, goal: Goal) -> Scalar:
    """mean r^2, beyond `outlier` growing like 2 outlier |r| (pseudo-Huber; Charbonnier et al., 1997)."""
    if not goal.robust:
        return jnp.square(residual).mean()
    return (2 * goal.outlier**2 * (jnp.sqrt(1 + jnp.square(residual / goal.outlier)) - 1)).mean()


def _variation(images: Images, goal: Goal) -> Scalar:
    down, right = images[..., 1:, :] - images[..., :-1, :], images[..., 1:] - images[..., :-1]
    if goal.variation == "anisotropic":
        total = jnp.abs(down).mean() + jnp.abs(right).mean()
    else:
        total = _length(down[..., :-1], right[..., :-1, :])
    if goal.bayer is None or goal.colour == "planes":
        return total
    if goal.variation == "anisotropic":
        left, right = _green_diagonals(images, goal.bayer)
        return total + jnp.abs(left).mean() + jnp.abs(right).mean()
    return total + green_variation(images, goal.bayer)


def green_variation(images: Images, order: Bayer) -> Scalar:
    """The isotropic variation between the two greens of a mosaic, which lie diagonally to each other."""
    return _length(*_green_diagonals(images, order))


def _length(first: Array, second: Array) -> Scalar:
    # Rounded over 0.05 thresholds, where the root has no derivative; sqrt 2 makes it the anisotropic sum on diagonals.
    return jnp.sqrt(2 * (jnp.square(first) + jnp.square(second)) + 0.07**2).mean()


def _green_diagonals(images: Images, order: Bayer) -> tuple[Array, Array]:
    """Differences of each upper green to its two lower green neighbours: same colour, but in two planes of the mosaic."""
    upper, lower = (images[:, plane] for plane, colour in enumerate(order) if colour == "g")
    if order.index("g") == 1:  # the upper green of a 2 x 2 cell is on the right, the lower one on the left
        return (lower - upper)[..., :-1], lower[..., 1:] - upper[..., :-1]
    return lower[..., :-1] - upper[..., 1:], (lower - upper)[..., 1:]
