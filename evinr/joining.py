"""Windows fitted one after another, or many at once, and joined while they are.

Sequential: a window starts from the last one's answer at the knots they share, and from the sum of its events behind
these; and is held to that answer there. Parallel: the windows of a batch start from nothing, then the levels of all their
pixels are solved for together, and in the last steps neighbours hold each other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from evinr import devices
from evinr.config import FitConfig
from evinr.energy import Problem, Some, Values
from evinr.heads import Head
from evinr.losses import Terms, Weights, objective
from evinr.multilevel import Moving, advance, modes, step, still
from evinr.windows import Window

CHUNK = 10
"""Steps between two looks at a fit: the grain of progress and budgets."""
MEMORY = 0.1
"""How much a window's own level counts beside what it shares with each neighbour, when the levels of a batch are solved for:
levels are carried over some 1 / sqrt(MEMORY) windows. 0.01 scored the same on the suite, none at all worse."""

PIXELS = 2**21
"""Of all windows of a batch at most: 2 GB, with 33 knots and some 8 arrays of them."""

Allow = Callable[[int, int], int]
"""How many steps to take next, given how many were done and are wanted; 0 ends a window (or the first part of a batch)."""


def all_wanted(done: int, wanted: int) -> int:
    """As many steps as the configuration says."""
    return min(CHUNK, wanted - done)


class Look(NamedTuple):
    """A fit between two chunks of steps."""

    windows: Sequence[Window]
    """Those that are being fitted."""
    steps: int
    """That each of them has had."""
    wanted: int
    """Steps that each of them is to have."""
    terms: Terms
    """Their mean terms, plain numbers."""
    answers: "Sequence[Answer]"
    """What they have become, and before them the one before, revised; none until they are finished."""


class Answer(NamedTuple):
    """A window, and what was fitted to it."""

    window: Window
    head: Head


class Batch(NamedTuple):
    """Windows that are fitted at once; the first axis counts them."""

    images: Float[Some, "b n planes h w"]
    before: Float[Some, "b m planes h w"]
    """What the window before the first one says of shared knots; the other rows are unused."""
    links: Float[Some, "b 2"]
    """1 where there is a window before and behind, else 0."""


def fitted(
    cut: Iterable[Window],
    config: FitConfig,
    *,
    allow: Allow = all_wanted,
    last: Answer | None = None,
    mesh: Mesh | None = None,
) -> Iterator[Look]:
    """Fit windows in their order, a look after every chunk of steps.

    `last` is the window before the first one with its answer, unless that begins the recording. `mesh` (see `devices`) takes
    the batches of `--windows parallel`.
    """
    if config.windows == "sequential":
        yield from sequential(cut, config, allow, last)
    else:
        yield from parallel(cut, config, allow, last, mesh)


def sequential(cut: Iterable[Window], config: FitConfig, allow: Allow, last: Answer | None) -> Iterator[Look]:
    """Each window from the answer of the one before, which is revised after it."""
    kind, double = _kind(config), config.precision == "float64"
    for window in cut:
        images = window.images.astype(kind)
        answer = (
            np.zeros((len(window.times), *images.shape[1:]), kind) if last is None else last.head.values.astype(kind)
        )
        wanted, done = config.warm_iterations if last else config.iterations, 0
        with jax.enable_x64(double):
            state, problem = enter(images, answer, window.shared, config=config)
            terms = look(state.values, problem.images, config=config)
        while count := allow(done, wanted):
            with jax.enable_x64(double):
                state = advance(state, problem, count, config=config)
                terms = look(state.values, problem.images, config=config)
            done += count
            yield Look([window], done, wanted, _numbers(terms), [])
        head = _head(window, np.asarray(state.values), config)
        answers = [Answer(window, head)]
        if last is not None and config.revisions:
            with jax.enable_x64(double):
                answers = [_revised(last, head, config), *answers]
        last = answers[-1]
        yield Look([window], done, wanted, _numbers(terms), answers)


def _revised(last: Answer, head: Head, config: FitConfig) -> Answer:
    """A window after the one behind it has been fitted, held by that and by its own first knots."""
    kind, shared = _kind(config), config.overlap + 1
    values = last.head.values.astype(kind)
    after = head.values[head.shared - shared : head.shared].astype(kind)
    problem = Problem(last.window.images.astype(kind), values[:shared], after, np.full(2, config.tie, kind))
    state = advance(still(values, config), problem, config.revisions, config=config)
    return Answer(last.window, _head(last.window, np.asarray(state.values), config))


@partial(jax.jit, static_argnames="config")
def enter(
    images: Float[Some, "n planes h w"], answer: Values, shared: Int[Array, ""] | int, *, config: FitConfig
) -> tuple[Moving, Problem]:
    """Where a window starts, given the answer of the one before: there at shared knots, and its events added behind them."""
    knots = jnp.arange(len(answer))
    behind = ((knots >= shared) & (shared > 0))[1:, None, None, None]
    values = answer[jnp.minimum(knots + len(answer) - shared, len(answer) - 1)]
    values = values.at[1:].add(jnp.cumsum(jnp.where(behind, images, 0), 0))
    held = jnp.where(shared > 0, config.tie, 0).astype(images.dtype)
    neighbours = values[: config.overlap + 1]
    tie = jnp.stack([held, jnp.zeros_like(held)])
    return still(values, config), Problem(images, neighbours, jnp.zeros_like(neighbours), tie)


def parallel(
    cut: Iterable[Window], config: FitConfig, allow: Allow, last: Answer | None, mesh: Mesh | None
) -> Iterator[Look]:
    """Batches of windows, those of each together. A last window that slid back shares more than others do, and is fitted
    after them as if sequentially."""
    double, wanted = config.precision == "float64", config.iterations + config.warm_iterations
    for windows in _batches(cut, config):
        if windows[0].shared > config.overlap + 1:
            yield from sequential(windows, config, allow, last)
            continue
        batch = _gathered(windows, at_once(windows[0], config) if last else len(windows), last, config)
        with jax.enable_x64(double):
            batch = batch if mesh is None else devices.place(batch, mesh)
            state = begin(batch, config=config)
            terms = look(state.values[: len(windows)], batch.images[: len(windows)], config=config)
        done = 0
        for part, tie in ((config.iterations, 0.0), (wanted, config.tie)):
            while count := allow(done, part):
                with jax.enable_x64(double):
                    state = advance_batch(state, batch, count, tie, config=config)
                    terms = look(state.values[: len(windows)], batch.images[: len(windows)], config=config)
                done += count
                yield Look(windows, done, wanted, _numbers(terms), [])
            if tie == 0:
                with jax.enable_x64(double):
                    state = settle(state, batch)
        values = np.asarray(state.values) if mesh is None else devices.gather(state.values)
        answers = [Answer(window, _head(window, own, config)) for window, own in zip(windows, values, strict=False)]
        last = answers[-1]
        yield Look(windows, done, wanted, _numbers(terms), answers)


@partial(jax.jit, static_argnames="config")
def begin(batch: Batch, *, config: FitConfig) -> Moving:
    """A batch before its first step."""
    windows, intervals, *sides = batch.images.shape
    return still(jnp.zeros((windows, intervals + 1, *sides), batch.images.dtype), config)


@partial(jax.jit, static_argnames="config", donate_argnames="state")
def advance_batch(
    state: Moving, batch: Batch, count: Int[Array, ""] | int, tie: Float[Array, ""] | float, *, config: FitConfig
) -> Moving:
    """`count` steps of all windows of a batch, in each of which neighbours hold each other with weight `tie`."""
    shared = batch.before.shape[1]
    along = jax.vmap(lambda images, before, tie: modes(Problem(images, before, before, tie), config))(
        batch.images, batch.before, tie * batch.links
    )

    def together(_: Any, state: Moving) -> Moving:
        before = jnp.roll(state.values[:, -shared:], 1, 0).at[0].set(batch.before[0])
        after = jnp.roll(state.values[:, :shared], -1, 0)
        problems = Problem(batch.images, before, after, tie * batch.links)
        return jax.vmap(partial(step, config=config))(state, problems, along)

    return jax.lax.fori_loop(0, count, together, state)


@partial(jax.jit, donate_argnames="state")
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


@partial(jax.jit, static_argnames="config")
def look(values: Float[Some, "*b k planes h w"], images: Float[Some, "*b n planes h w"], *, config: FitConfig) -> Terms:
    """The terms of the objective, of one window or the means of many."""
    weights = Weights(config.smooth / images.shape[-4], config.still / images.shape[-4])
    if values.ndim == 4:
        return objective(jnp.asarray(values), jnp.asarray(images), weights, config)
    terms = jax.vmap(lambda values, images: objective(values, images, weights, config))(values, images)
    return jax.tree.map(jnp.mean, terms)


def _batches(cut: Iterable[Window], config: FitConfig) -> Iterator[list[Window]]:
    """As many windows as are fitted at once; fewer at the end, and one that slid back alone."""
    batch: list[Window] = []
    for window in cut:
        if batch and (len(batch) == at_once(window, config) or window.shared > config.overlap + 1):
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def at_once(window: Window, config: FitConfig) -> int:
    """How many windows make a batch: `config.batch`, fewer of large sensors."""
    return max(1, min(config.batch, PIXELS // window.images[0].size))


def _gathered(windows: Sequence[Window], count: int, last: Answer | None, config: FitConfig) -> Batch:
    """A batch of `count` windows: the last one stands again, without links, where there are fewer."""
    kind, shared = _kind(config), config.overlap + 1
    images = np.stack([window.images for window in windows] + [windows[-1].images] * (count - len(windows)))
    before = np.zeros((count, shared, *images.shape[2:]), kind)
    links = np.zeros((count, 2), kind)
    links[1 : len(windows), 0] = links[: len(windows) - 1, 1] = 1
    if last is not None:
        before[0], links[0, 0] = last.head.values[-shared:], 1
    return Batch(images.astype(kind), before, links)


def _kind(config: FitConfig) -> type[np.floating]:
    return np.float64 if config.precision == "float64" else np.float32


def _head(window: Window, values: np.ndarray, config: FitConfig) -> Head:
    """Rounded as it is stored, so that a fit that goes on from there comes to the same."""
    return Head(window.times, values if config.precision == "float64" else values.astype(np.float16), window.shared)


def _numbers(terms: Terms) -> Terms:
    return Terms(*(float(term) for term in terms))  # pyright: ignore[reportArgumentType]
