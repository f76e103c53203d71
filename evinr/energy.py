"""What the head's values at the knots are to minimise, and its gradient in a few passes over memory.

The objective of `losses` in one window, with the sine layers fixed: convex in the values, one for each knot, plane and pixel.
Times the number of intervals and pixels, so that a step does not depend on either:

    sum pseudo-Huber(change - events) + smooth / n sum |gradient| + still / n sum |change|
      + constancy pixels sum means^2 + ridge sum values^2 + sum tie (values - neighbour)^2
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from evinr.goal import Goal
from evinr.losses import green_variation

Some = Array | np.ndarray
Values = Float[Some, "k planes h w"]

FLAT = 0.07
"""Rounding of the length of a gradient, in contrast thresholds, as in `losses`."""
REST = 0.05
"""Rounding of |change| at 0, where it has no derivative."""


class Problem(NamedTuple):
    """One window: its events, and what its neighbours say of the knots that they share with it."""

    images: Float[Some, "n planes h w"]
    """Event images between its knots, in contrast thresholds."""
    before: Float[Some, "m planes h w"]
    """Of its first knots, by the window before."""
    after: Float[Some, "m planes h w"]
    """Of its last knots, by the window behind."""
    tie: Float[Some, "2"]
    """Weights of the squared differences from either; 0 where there is none."""


def value(values: Values, problem: Problem, goal: Goal) -> Float[Array, ""]:
    """The objective."""
    intervals, planes = problem.images.shape[:2]
    change = values[1:] - values[:-1]
    residual = change - problem.images
    if goal.robust:
        events = 2 * goal.outlier**2 * (jnp.sqrt(1 + (residual / goal.outlier) ** 2) - 1)
    else:
        events = residual**2
    down, right = _differences(values)
    length = jnp.sqrt(2 * (down**2 + right**2) + FLAT**2)
    means = values.mean((1, 2, 3))
    pixels = values[0].size
    total = events.sum() + goal.smooth / intervals * length.sum()
    total += goal.still / intervals * jnp.sqrt(change**2 + REST**2).sum()
    total += goal.constancy * pixels * jnp.square(means).sum()
    total += goal.ridge * jnp.square(values).sum()
    first, last = _neighbours(values, problem)
    total += problem.tie[0] * jnp.square(first).sum() + problem.tie[1] * jnp.square(last).sum()
    return total + _greens(values, intervals, goal) if planes == 4 else total


def gradient(values: Values, problem: Problem, goal: Goal) -> tuple[Values, Float[Array, "planes h w"]]:
    """The derivative of `value`, and the curvature of its variation at every pixel, a mean over knots.

    The transpose of change is a product of matrices because XLA on a CPU then computes `pull` once: fused with the sum, it took
    each square root anew for every neighbour that needs it (240 x 180, 33 knots, 2 cores: 9 ms, now 3).
    """
    intervals, planes = problem.images.shape[:2]
    change = values[1:] - values[:-1]
    residual = change - problem.images
    pull = 2 * residual * (jax.lax.rsqrt(1 + (residual * (1 / goal.outlier)) ** 2) if goal.robust else 1)
    pull += goal.still / intervals * change * jax.lax.rsqrt(change**2 + REST**2)
    slope = jnp.tensordot(jnp.diff(jnp.eye(len(values), dtype=pull.dtype), axis=0).T, pull, 1)

    down, right = _differences(values)
    weight = 2 * goal.smooth / intervals * jax.lax.rsqrt(2 * (down**2 + right**2) + FLAT**2)
    down, right = weight * down, weight * right
    slope += _after(down, -2) - down + _after(right, -1) - right
    mean = weight[::4].mean(0)  # every fourth knot tells as much
    curvature = 2 * mean + _after(mean, -2) + _after(mean, -1)

    shift = 2 * goal.constancy * values.mean((1, 2, 3))
    slope += shift[:, None, None, None] + 2 * goal.ridge * values
    first, last = _neighbours(values, problem)
    others = len(values) - len(first)
    slope += jnp.pad(2 * problem.tie[0] * first, [(0, others), *[(0, 0)] * 3])
    slope += jnp.pad(2 * problem.tie[1] * last, [(others, 0), *[(0, 0)] * 3])
    if planes == 4:
        slope += jax.grad(_greens)(values, intervals, goal)
        # Each green is also next to those of the other plane; not counted, steps went round 0.3 % above the minimum.
        near = [1 + (colour == "g") for colour in goal.bayer or ""]
        curvature *= jnp.array(near, curvature.dtype)[:, None, None]
    return slope, curvature


def _differences(values: Values) -> tuple[Values, Values]:
    """To the next row and column, 0 at the last."""
    down = jnp.pad(values[..., 1:, :] - values[..., :-1, :], [(0, 0)] * 2 + [(0, 1), (0, 0)])
    right = jnp.pad(values[..., 1:] - values[..., :-1], [(0, 0)] * 3 + [(0, 1)])
    return down, right


def _neighbours(values: Values, problem: Problem) -> tuple[Float[Some, "m planes h w"], Float[Some, "m planes h w"]]:
    """Differences from the window before and from the one behind, at shared knots."""
    shared = len(problem.before)
    return values[:shared] - problem.before, values[-shared:] - problem.after


def _after(array: Float[Array, "*s"], axis: int) -> Float[Array, "*s"]:
    """Moved by one along an axis, 0 at its begin."""
    moved = jax.lax.slice_in_dim(array, 0, array.shape[axis] - 1, axis=axis)
    return jnp.pad(moved, [(int(i == axis % array.ndim), 0) for i in range(array.ndim)])


def _greens(values: Values, intervals: int, goal: Goal) -> Float[Array, ""]:
    assert goal.bayer is not None
    return (
        goal.smooth / intervals * green_variation(jnp.asarray(values), goal.bayer) * values.shape[0] * values[0, 0].size
    )
