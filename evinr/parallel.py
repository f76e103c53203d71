"""Windows fitted many at once: those of a batch start from nothing, then the levels of all their pixels are solved for
together, and in the last steps neighbours hold each other."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from evinr import devices
from evinr.config import FitConfig
from evinr.energy import Problem, Some
from evinr.goal import Goal, goal
from evinr.looks import Allow, Answer, Look, answer_of, kind_of, look, on_host, plain
from evinr.losses import Terms
from evinr.multilevel import COMPILER, Moving, modes, step, still
from evinr.sequential import sequential
from evinr.windows import Window

MEMORY = 0.1
"""How much a window's own level counts beside what it shares with each neighbour, when the levels of a batch are solved for:
levels are carried over some 1 / sqrt(MEMORY) windows. 0.01 scored the same on the suite, none at all worse."""

JOINT = 2.0
"""Times the tie, between neighbours in the last steps of a batch. With 1, seams flickered 1.1 times as much as windows do
inside, with this as much; correlations fell by 0.001."""

PIXELS = 2**20
"""Of all windows of a batch at most: 140 MB for each array of 33 knots."""


class Batch(NamedTuple):
    """Windows that are fitted at once; the first axis counts them."""

    images: Float[Some, "b n planes h w"]
    before: Float[Some, "b m planes h w"]
    """What the window before the first one says of shared knots; the other rows are unused."""
    links: Float[Some, "b 2"]
    """1 where there is a window before and behind, else 0."""


def parallel(
    cut: Iterable[Window], config: FitConfig, allow: Allow, last: Answer | None, mesh: Mesh | None
) -> Iterator[Look]:
    """Batches of windows, those of each together. One that is alone, and a last one that slid back, which shares more than
    others do, are fitted as if sequentially."""
    double, wanted, aim = config.precision == "float64", config.iterations + config.warm_iterations, goal(config)
    for windows in _batches(cut, config, mesh):
        if windows[0].shared > config.overlap + 1 or (last is None and len(windows) == 1):
            for one in sequential(windows, config, allow, last, None):
                last = one.answers[-1] if one.answers else last
                yield one
            continue
        full = mesh is not None or last is not None
        batch = _gathered(windows, at_once(windows[0], config, mesh) if full else len(windows), last, config)
        with jax.enable_x64(double):
            batch = batch if mesh is None else devices.place(batch, mesh)
            state = begin(batch, aim, mesh=mesh)
            terms = look_at(state.values, batch.images, len(windows), aim)
        done = 0
        for part, tie in ((config.iterations, 0.0), (wanted, JOINT * config.tie)):
            while count := allow(done, part, wanted):
                with jax.enable_x64(double):
                    state = advance_batch(state, batch, count, tie, aim, mesh=mesh)
                    terms = look_at(state.values, batch.images, len(windows), aim)
                done += count
                yield Look(windows, done, wanted, plain(terms), [])
            if tie == 0:
                with jax.enable_x64(double):
                    state = settle(state, batch)
        values = on_host(state.values, mesh)
        answers = [Answer(window, answer_of(window, own, config)) for window, own in zip(windows, values, strict=False)]
        last = answers[-1]
        yield Look(windows, done, wanted, plain(terms), answers)


@partial(jax.jit, static_argnames="mesh")
def begin(batch: Batch, goal: Goal, *, mesh: Mesh | None = None) -> Moving:
    """A batch before its first step."""
    windows, intervals, *sides = batch.images.shape
    state = still(jnp.zeros((windows, intervals + 1, *sides), batch.images.dtype), goal)
    return state if mesh is None else devices.spread(state, mesh)


@partial(jax.jit, static_argnames="mesh", donate_argnames="state", compiler_options=COMPILER)
@jax.default_matmul_precision("highest")
def advance_batch(
    state: Moving,
    batch: Batch,
    count: Int[Array, ""] | int,
    tie: Float[Array, ""] | float,
    goal: Goal,
    *,
    mesh: Mesh | None = None,
) -> Moving:
    """`count` steps of all windows of a batch, in each of which neighbours hold each other with weight `tie`."""
    if mesh is not None:
        state, batch = devices.spread((state, batch), mesh)
    shared = batch.before.shape[1]
    along = jax.vmap(lambda images, before, tie: modes(Problem(images, before, before, tie), goal))(
        batch.images, batch.before, tie * batch.links
    )

    def held_by_each_other(_: Any, state: Moving) -> Moving:
        before = jnp.roll(state.values[:, -shared:], 1, 0).at[0].set(batch.before[0])
        after = jnp.roll(state.values[:, :shared], -1, 0)
        problems = Problem(batch.images, before, after, tie * batch.links)
        return jax.vmap(partial(step, goal=goal))(state, problems, along)

    return jax.lax.fori_loop(0, count, held_by_each_other, state)


@partial(jax.jit, donate_argnames="state")
@jax.default_matmul_precision("highest")
def settle(state: Moving, batch: Batch) -> Moving:
    """Add to each pixel of each window the one level that makes it agree with its neighbours.

    They minimise MEMORY sum level^2 + sum (what is left between neighbours at shared knots, in the mean)^2.
    """
    values, shared = state.values, batch.before.shape[1]
    before = jnp.roll(values[:, -shared:], 1, 0).at[0].set(batch.before[0])
    short = (before - values[:, :shared]).mean(1)
    linked = batch.links[:, 0]
    from_last = jnp.eye(len(values)) - jnp.eye(len(values), k=-1)
    weighted = from_last.T * linked[None]
    inverse = jnp.linalg.inv(weighted @ from_last + MEMORY * jnp.eye(len(values)))
    levels = jnp.tensordot((inverse @ weighted).astype(values.dtype), short, 1)
    return Moving(values + levels[:, None], jnp.zeros_like(state.velocity))


@jax.jit
def look_at(
    values: Float[Some, "b k planes h w"],
    images: Float[Some, "b n planes h w"],
    count: Int[Array, ""] | int,
    goal: Goal,
) -> Terms:
    """The mean terms of the first `count` windows of a batch."""
    terms = jax.vmap(partial(look, goal=goal))(values, images)
    return jax.tree.map(lambda term: jnp.where(jnp.arange(len(term)) < count, term, 0).sum() / count, terms)


def _batches(cut: Iterable[Window], config: FitConfig, mesh: Mesh | None) -> Iterator[list[Window]]:
    """As many windows as are fitted at once; fewer at the end, and one that slid back alone."""
    batch: list[Window] = []
    for window in cut:
        if batch and window.shared > config.overlap + 1:
            yield batch
            batch = []
        batch.append(window)
        if len(batch) == at_once(window, config, mesh):
            yield batch
            batch = []
    if batch:
        yield batch


def at_once(window: Window, config: FitConfig, mesh: Mesh | None = None) -> int:
    """How many windows make a batch: see `together`."""
    return together(window.images[0].size, config, 1 if mesh is None else mesh.size)


def together(pixels: int, config: FitConfig, count: int = 1) -> int:
    """How many windows of so many pixels make a batch on `count` devices: `config.batch`, fewer of large sensors.

    One for each device at least, or two, ... where a device need not take a part of a window (`devices.LARGE`).
    """
    most = count * max(1, PIXELS // pixels)
    if pixels >= devices.LARGE:
        return min(config.batch, most)
    return min(max(config.batch // count, 1) * count, most)


def _gathered(windows: Sequence[Window], count: int, last: Answer | None, config: FitConfig) -> Batch:
    """A batch of `count` windows: the last one stands again, without links, where there are fewer."""
    kind, shared = kind_of(config), config.overlap + 1
    images = np.stack([window.images for window in windows] + [windows[-1].images] * (count - len(windows)))
    before = np.zeros((count, shared, *images.shape[2:]), kind)
    links = np.zeros((count, 2), kind)
    links[1 : len(windows), 0] = links[: len(windows) - 1, 1] = 1
    if last is not None:
        before[0], links[0, 0] = last.head.values[-shared:], 1
    return Batch(images.astype(kind), before, links)
