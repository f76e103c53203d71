"""Windows fitted one after another: each from the answer of the one before, which is revised after it."""

from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from evinr import devices
from evinr.config import FitConfig
from evinr.energy import Problem, Some, Values
from evinr.goal import Goal, goal
from evinr.heads import Head
from evinr.looks import Allow, Answer, Look, answer_of, kind_of, look, on_host, plain
from evinr.multilevel import Moving, advance, still
from evinr.windows import Window

FIRM = 10.0
"""Times the tie that holds a revised window to the one behind it. With 1, seams flickered 1.17 times as much as windows do
inside, with this 0.94; correlations fell by 0.0005."""
STEEP = 20.0
"""Thresholds that a pixel may rise in an interval where a window starts: more is a pixel that never rests, which its few steps
could not take back. With 3000 events an interval the third window went beyond float16."""


def sequential(
    cut: Iterable[Window], config: FitConfig, allow: Allow, last: Answer | None, mesh: Mesh | None
) -> Iterator[Look]:
    """A window starts from the last one's answer at the knots they share, and from the sum of its events behind these; and
    is held to that answer there. The steps and ties are those of the configuration."""
    kind, double, aim = kind_of(config), config.precision == "float64", goal(config)
    for window in cut:
        images = window.images.astype(kind)
        answer = (
            np.zeros((len(window.times), *images.shape[1:]), kind) if last is None else last.head.values.astype(kind)
        )
        wanted, done = config.warm_iterations if last else config.iterations, 0
        with jax.enable_x64(double):
            images, answer = (images, answer) if mesh is None else devices.place((images, answer), mesh)
            state, problem = enter(images, answer, window.shared, aim)
            terms = look(state.values, problem.images, aim)
        while count := allow(done, wanted, wanted + (config.revisions if last else 0)):
            with jax.enable_x64(double):
                state = advance(state, problem, count, aim)
                terms = look(state.values, problem.images, aim)
            done += count
            yield Look([window], done, wanted, plain(terms), [])
        head = answer_of(window, on_host(state.values, mesh), config)
        answers = [Answer(window, head)]
        if last is not None and config.revisions:
            answers = [_revised(last, head, config, allow, done, mesh), *answers]
        last = answers[-1]
        yield Look([window], done, wanted, plain(terms), answers)


def _revised(last: Answer, head: Head, config: FitConfig, allow: Allow, done: int, mesh: Mesh | None) -> Answer:
    """A window after the one behind it has had its `done` steps: held by that and by its own first knots."""
    kind, shared, wanted = kind_of(config), config.overlap + 1, done + config.revisions
    values = last.head.values.astype(kind)
    after = head.values[head.shared - shared : head.shared].astype(kind)
    problem = Problem(
        last.window.images.astype(kind), values[:shared], after, np.array([config.tie, FIRM * config.tie], kind)
    )
    with jax.enable_x64(config.precision == "float64"):
        values, problem = (values, problem) if mesh is None else devices.place((values, problem), mesh)
        state = still(values, goal(config))
        while count := allow(done, wanted, wanted):
            state = jax.block_until_ready(advance(state, problem, count, goal(config)))
            done += count
    return Answer(last.window, answer_of(last.window, on_host(state.values, mesh), config))


@jax.jit
def enter(
    images: Float[Some, "n planes h w"], answer: Values, shared: Int[Array, ""] | int, goal: Goal
) -> tuple[Moving, Problem]:
    """Where a window starts, given the answer of the one before: there at shared knots, and its events added behind them."""
    knots = jnp.arange(len(answer))
    behind = ((knots >= shared) & (shared > 0))[1:, None, None, None]
    values = answer[jnp.minimum(knots + len(answer) - shared, len(answer) - 1)]
    values = values.at[1:].add(jnp.cumsum(jnp.where(behind, jnp.clip(images, -STEEP, STEEP), 0), 0))
    held = jnp.where(shared > 0, goal.tie, 0).astype(images.dtype)
    neighbours = values[: goal.overlap + 1]
    tie = jnp.stack([held, jnp.zeros_like(held)])
    return still(values, goal), Problem(images, neighbours, jnp.zeros_like(neighbours), tie)
