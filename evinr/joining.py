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
from evinr.multilevel import COMPILER, Moving, advance, modes, step, still
from evinr.windows import Window

CHUNK = 10
"""Steps between two looks at a fit: the grain of progress and budgets."""
MEMORY = 0.1
"""How much a window's own level counts beside what it shares with each neighbour, when the levels of a batch are solved for:
levels are carried over some 1 / sqrt(MEMORY) windows. 0.01 scored the same on the suite, none at all worse."""

FIRM, JOINT = 10.0, 2.0
"""Times the tie: of a revised window to the one behind it, and of neighbours in the last steps of a batch. With 1, seams
flickered 1.17 and 1.1 times as much as windows do inside, with these 0.94 and 1; correlations fell by 0.0005 and 0.001."""

PIXELS = 2**20
"""Of all windows of a batch at most: 140 MB for each array of 33 knots."""

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
    the batches of `--windows parallel`, and the pixels of each window else.
    """
    if config.windows == "sequential":
        yield from sequential(cut, config, allow, last, mesh)
    else:
        yield from parallel(cut, config, allow, last, mesh)


def sequential(
    cut: Iterable[Window], config: FitConfig, allow: Allow, last: Answer | None, mesh: Mesh | None
) -> Iterator[Look]:
    """Each window from the answer of the one before, which is revised after it."""
    kind, double = _kind(config), config.precision == "float64"
    for window in cut:
        images = window.images.astype(kind)
        answer = (
            np.zeros((len(window.times), *images.shape[1:]), kind) if last is None else last.head.values.astype(kind)
        )
        wanted, done = config.warm_iterations if last else config.iterations, 0
        with jax.enable_x64(double):
            images, answer = (images, answer) if mesh is None else devices.place((images, answer), mesh)
            state, problem = enter(images, answer, window.shared, config=config)
            terms = look(state.values, problem.images, config=config)
        while count := allow(done, wanted):
            with jax.enable_x64(double):
                state = advance(state, problem, count, config=config)
                terms = look(state.values, problem.images, config=config)
            done += count
            yield Look([window], done, wanted, _numbers(terms), [])
        head = _head(window, _whole(state.values, mesh), config)
        answers = [Answer(window, head)]
        if last is not None and config.revisions:
            answers = [_revised(last, head, config, allow, done, mesh), *answers]
        last = answers[-1]
        yield Look([window], done, wanted, _numbers(terms), answers)


def _revised(last: Answer, head: Head, config: FitConfig, allow: Allow, done: int, mesh: Mesh | None) -> Answer:
    """A window after the one behind it has had its `done` steps: held by that and by its own first knots."""
    kind, shared, wanted = _kind(config), config.overlap + 1, done + config.revisions
    values = last.head.values.astype(kind)
    after = head.values[head.shared - shared : head.shared].astype(kind)
    problem = Problem(
        last.window.images.astype(kind), values[:shared], after, np.array([config.tie, FIRM * config.tie], kind)
    )
    with jax.enable_x64(config.precision == "float64"):
        values, problem = (values, problem) if mesh is None else devices.place((values, problem), mesh)
        state = still(values, config)
        while count := allow(done, wanted):
            state = jax.block_until_ready(advance(state, problem, count, config=config))
            done += count
    return Answer(last.window, _head(last.window, _whole(state.values, mesh), config))


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
    """Batches of windows, those of each together. One that is alone, and a last one that slid back, which shares more than
    others do, are fitted as if sequentially."""
    double, wanted = config.precision == "float64", config.iterations + config.warm_iterations
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
            state = begin(batch, config=config, mesh=mesh)
            terms = look(state.values[: len(windows)], batch.images[: len(windows)], config=config)
        done = 0
        for part, tie in ((config.iterations, 0.0), (wanted, JOINT * config.tie)):
            while count := allow(done, part):
                with jax.enable_x64(double):
                    state = advance_batch(state, batch, count, tie, config=config, mesh=mesh)
                    terms = look(state.values[: len(windows)], batch.images[: len(windows)], config=config)
                done += count
                yield Look(windows, done, wanted, _numbers(terms), [])
            if tie == 0:
                with jax.enable_x64(double):
                    state = settle(state, batch)
        values = _whole(state.values, mesh)
        answers = [Answer(window, _head(window, own, config)) for window, own in zip(windows, values, strict=False)]
        last = answers[-1]
        yield Look(windows, done, wanted, _numbers(terms), answers)


@partial(jax.jit, static_argnames=("config", "mesh"))
def begin(batch: Batch, *, config: FitConfig, mesh: Mesh | None = None) -> Moving:
    """A batch before its first step."""
    windows, intervals, *sides = batch.images.shape
    state = still(jnp.zeros((windows, intervals + 1, *sides), batch.images.dtype), config)
    return state if mesh is None else devices.spread(state, mesh)


@partial(jax.jit, static_argnames=("config", "mesh"), donate_argnames="state", compiler_options=COMPILER)
def advance_batch(
    state: Moving,
    batch: Batch,
    count: Int[Array, ""] | int,
    tie: Float[Array, ""] | float,
    *,
    config: FitConfig,
    mesh: Mesh | None = None,
) -> Moving:
    """`count` steps of all windows of a batch, in each of which neighbours hold each other with weight `tie`."""
    if mesh is not None:
        state, batch = devices.spread((state, batch), mesh)
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


def _batches(cut: Iterable[Window], config: FitConfig, mesh: Mesh | None) -> Iterator[list[Window]]:
    """As many windows as are fitted at once; fewer at the end, and one that slid back alone."""
    batch: list[Window] = []
    for window in cut:
        if batch and (len(batch) == at_once(window, config, mesh) or window.shared > config.overlap + 1):
            yield batch
            batch = []
        batch.append(window)
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
    kind, shared = _kind(config), config.overlap + 1
    images = np.stack([window.images for window in windows] + [windows[-1].images] * (count - len(windows)))
    before = np.zeros((count, shared, *images.shape[2:]), kind)
    links = np.zeros((count, 2), kind)
    links[1 : len(windows), 0] = links[: len(windows) - 1, 1] = 1
    if last is not None:
        before[0], links[0, 0] = last.head.values[-shared:], 1
    return Batch(images.astype(kind), before, links)


def _whole(values: Float[Some, "*b k planes h w"], mesh: Mesh | None) -> Float[np.ndarray, "*b k planes h w"]:
    return np.asarray(values) if mesh is None else devices.gather(values)


def _kind(config: FitConfig) -> type[np.floating]:
    return np.float64 if config.precision == "float64" else np.float32


def _head(window: Window, values: np.ndarray, config: FitConfig) -> Head:
    """Rounded as it is stored, so that a fit that goes on from there comes to the same."""
    return Head(window.times, values if config.precision == "float64" else values.astype(np.float16), window.shared)


def _numbers(terms: Terms) -> Terms:
    return Terms(*(float(term) for term in terms))  # pyright: ignore[reportArgumentType]
