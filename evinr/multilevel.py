"""The optimiser of a window's head: momentum, preconditioned at several resolutions and in the slowest temporal modes.

Where nothing fires, only smoothness says what a pixel's level is, and plain gradients carry that one pixel a step. So the
gradient of the slowest modes (of change from knot to knot, and of ties; without ties these are cosines) is also seen at
1/2, 1/4, ... of the resolution, divided there by its own curvature, and what that gives is added (BPX: Bramble, Pasciak
and Xu, Parallel multilevel preconditioners, 1990). 40 steps come lower than 1000 of Adam on all weights: 0.0358 and 0.0361
on slider_depth.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from evinr.energy import REST, Problem, Some, Values, gradient
from evinr.goal import Goal

MODES = 4
"""Temporal modes that are seen at several resolutions: 0 is the picture itself. All of them did no better."""
COARSEST = 8
"""Pixels of the short side at which resolutions stop."""
STEP, MOMENTUM = 0.3, 0.9
"""Stable for curvatures up to (2 + 2 MOMENTUM) / STEP = 13 times those that are divided by."""
ROOM = 2.6
"""Times that a change at rest may curve more than what it is divided by, as it does with 32 intervals and the defaults.
Without it 8 intervals, or ten times the stillness, went round the minimum: 0.06 % and 130 % above it."""
GAIN = 0.3
"""Of what comes from lower resolutions: they overlap. With 1 it is unstable, with 0.1 the dark half of hdr_room is late."""


COMPILER = {"xla_cpu_experimental_ynn_fusion_type": "", "xla_cpu_use_fusion_emitters": False}
"""For the CPU. Fusions by YNN of jaxlib 0.10.2 can give wrong numbers (jax issue 39103), and make steps slower here. Without
its newer emitters the steps of a 240 x 180 window compile in 0.72 s of processor time instead of 1.42, and run as fast."""


class Moving(NamedTuple):
    """The values of a window's head, and where they are going."""

    values: Float[Some, "*b k planes h w"]
    velocity: Float[Some, "*b k planes h w"]


def still(values: Float[Some, "*b k planes h w"], goal: Goal) -> Moving:
    """To start from."""
    kind = jnp.bfloat16 if goal.precision == "bfloat16" else values.dtype
    return Moving(values, jnp.zeros(values.shape, kind))


class Modes(NamedTuple):
    """How the knots of a window hang together in time."""

    change: Float[Array, ""]
    """Half the curvature of a change from knot to knot."""
    slow: Float[Array, "modes k"]
    """The slowest modes, orthonormal."""
    stiffness: Float[Array, " modes"]
    """How change from knot to knot, neighbours and the ridge hold each."""
    inverse: Float[Array, "k k"]
    """Of the curvature of the means of frames, which constancy holds as well."""


@partial(jax.jit, donate_argnames="state", compiler_options=COMPILER)
@jax.default_matmul_precision("highest")  # on a GPU, TF32 would round levels of hundreds by 0.1
def advance(state: Moving, problem: Problem, count: Int[Array, ""] | int, goal: Goal) -> Moving:
    """`count` steps. Their number is no constant of the program: any is compiled once."""
    along = modes(problem, goal)
    return jax.lax.fori_loop(0, count, lambda _, state: step(state, problem, along, goal), state)


def modes(problem: Problem, goal: Goal) -> Modes:
    """Of one window."""
    knots, shared, kind = len(problem.images) + 1, len(problem.before), problem.images.dtype
    held = jnp.full(knots, goal.ridge, kind).at[:shared].add(problem.tie[0]).at[-shared:].add(problem.tie[1])
    difference = jnp.diff(jnp.eye(knots, dtype=kind), axis=0)
    change = jnp.asarray(jnp.maximum(1.0, (1 + goal.still / (2 * len(problem.images) * REST)) / ROOM), kind)
    curvature = change * difference.T @ difference + jnp.diag(held)
    stiffness, vectors = jnp.linalg.eigh(curvature)
    inverse = jnp.linalg.inv(2 * curvature + 2 * goal.constancy * jnp.eye(knots, dtype=kind))
    return Modes(change, vectors[:, :MODES].T, jnp.maximum(stiffness[:MODES], goal.ridge), inverse)


def step(state: Moving, problem: Problem, along: Modes, goal: Goal) -> Moving:
    """One step of Nesterov's kind: the gradient is taken where momentum leads."""
    momentum = MOMENTUM * state.velocity.astype(state.values.dtype)
    slope, curvature = gradient(state.values + momentum, problem, goal)
    velocity = momentum - STEP * preconditioned(slope, curvature, along)
    return Moving(state.values + velocity, velocity.astype(state.velocity.dtype))


def preconditioned(slope: Values, curvature: Float[Array, "planes h w"], along: Modes) -> Values:
    """The gradient, each part of it divided by about its own curvature."""
    slow = jnp.tensordot(along.slow, slope, 1)
    around = 1 / (8 * along.change + curvature[None])  # 8: the most that change from knot to knot curves
    correction = _levels(slow, curvature, along.stiffness[:, None, None, None], 1.0) - slow * around
    change = slope * around + jnp.tensordot(along.slow.T, correction, 1)
    means = along.inverse @ slope.mean((1, 2, 3)) - change.mean((1, 2, 3))
    return change + means[:, None, None, None]


def _levels(
    slow: Float[Array, "modes planes h w"],
    curvature: Float[Array, "planes h w"],
    stiffness: Float[Array, "modes 1 1 1"],
    part: float,
) -> Float[Array, "modes planes h w"]:
    """The sum over resolutions of what each makes of the gradient; `part` of it at this one."""
    here = part * slow / (2 * stiffness + curvature[None])
    height, width = slow.shape[-2:]
    if min(height, width) <= COARSEST:
        return here
    # A hat twice as wide has four times the area for change and ties, and the same curvature of variation.
    below = _levels(shrink(slow), shrink(curvature) / 4, 4 * stiffness, GAIN)
    return here + enlarge(below, height, width)


def enlarge(coarse: Float[Array, "*n a b"], height: int, width: int) -> Float[Array, "*n {height} {width}"]:
    """Bilinear to twice the resolution with pixel centres aligned, cut to `height` x `width`.

    By products of matrices: a stencil of slices does less arithmetic, but took 2 s longer to compile (240 x 180, 2 cores).
    """
    rows, columns = _weights(height, coarse.dtype), _weights(width, coarse.dtype)
    return jnp.einsum("hr,...rc,wc->...hw", rows, coarse, columns)


def shrink(fine: Float[Array, "*n h w"]) -> Float[Array, "*n a b"]:
    """The transpose of `enlarge`, to half the resolution, rounded up."""
    rows, columns = (_weights(side, fine.dtype) for side in fine.shape[-2:])
    return jnp.einsum("hr,...hw,wc->...rc", rows, fine, columns)


def _weights(fine: int, kind: Any) -> Float[np.ndarray, "{fine} coarse"]:
    """What each of `fine` samples takes of each of half as many; beyond the outermost centres, all of the outermost."""
    coarse = -(-fine // 2)
    at = np.clip((np.arange(fine) + 0.5) / 2 - 0.5, 0, coarse - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(coarse))).astype(kind)
