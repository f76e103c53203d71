"""The fit: a recording becomes knots and event images, and the network is stepped towards them in compiled scans.

Nothing here touches disk or console. `snapshots` is a generator of snapshots, so that whoever drives it decides what to show,
when to save and when to stop.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float32

from evinr import knots, siren
from evinr.config import FitConfig
from evinr.events import Events, InputError
from evinr.goal import Goal, goal
from evinr.losses import Terms, Weights, objective
from evinr.reconstruction import Reconstruction, Span
from evinr.siren import Params, Siren

CHUNK = 20
"""Steps in one compiled scan: the grain of progress, checkpoints and budgets."""

Plan = Callable[[int], int]
"""How many more steps to take, given how many are done."""


class Target(NamedTuple):
    """What the network is held against."""

    times: Float32[np.ndarray, " k"]
    """Where the network is evaluated, in [-1, 1]."""
    images: Float32[np.ndarray, "n planes h w"]
    """Event images, in contrast thresholds (scale-free) or in log intensity."""
    amplitude: float
    """Mean size of the accumulated events, the unit of the head's rate; 1 where rates are absolute."""
    weights: Weights


class FitState(NamedTuple):
    """All that a step changes."""

    params: Params
    adam: optax.OptState


class Snapshot(NamedTuple):
    """A fit between two chunks. Read its state before the fit goes on: the next chunk reuses the memory."""

    state: FitState
    step: int
    progress: float
    """Part of the schedule that is done; 1 at the end."""
    terms: Terms
    """The terms of every step since the last snapshot, each of shape (steps,)."""


def window(events: Events, config: FitConfig, span: Span | None = None) -> tuple[Events, Span]:
    """The events to fit, and the seconds they are fitted on.

    The original takes those strictly inside the span asked for and normalises by that span (so the first event is lost);
    otherwise the span is that of the events.
    """
    if events.count == 0:
        raise InputError("no events: a fit needs some")
    asked = span or Span(float(events.t[0]), float(events.t[-1]))
    inside = events.between(*asked)
    if config.supervision == "midpoints":
        inside = inside.between(np.nextafter(asked.start, np.inf), np.nextafter(asked.end, -np.inf))
    if inside.count == 0:
        raise InputError(
            f"no events between {asked.start} and {asked.end} s: the recording spans {events.t[0]} to {events.t[-1]} s"
        )
    return inside, asked if config.supervision == "midpoints" else Span(float(inside.t[0]), float(inside.t[-1]))


def target(events: Events, span: Span, config: FitConfig, refinement: int = 1) -> Target:
    """Knots and event images of a recording; `refinement` multiplies the number of intervals."""
    count = config.knots or knots.automatic(events)
    if config.coarse_to_fine:
        knots.require(events, 2 * count, count)
    count *= refinement
    cuts = (knots.edges if config.supervision == "edges" else knots.midpoints)(events, count)
    used = cuts.first if config.supervision == "edges" else cuts.first[:-1]  # the original never uses its last chunk
    images = knots.planes(knots.event_images(events, used), config)
    times = span.normalise(cuts.times).astype(np.float32)
    if not config.scale_free:
        return Target(times, images * np.float32(config.contrast_threshold), 1.0, Weights(config.smooth, config.still))
    level = np.cumsum(images, axis=0)
    level -= level.mean(0)
    size = np.abs(level, out=level).mean(0)
    # Clipped, so that a hot pixel does not set the rate of all others.
    amplitude = max(float(np.minimum(size, np.percentile(size, 99)).mean()), 1e-3)
    return Target(times, images, amplitude, Weights(config.smooth / len(images), config.still / len(images)))


def deadline(config: FitConfig, budget: float | None, clock: Callable[[], float] = time.monotonic) -> Plan:
    """The plan that ends after `config.steps` steps, or sooner if `budget` seconds from now run out.

    It is asked once a chunk, and goes by the pace of the latest one, but not of the first, which compiles.
    """
    if budget is None:
        return lambda step: config.steps - step
    end = clock() + budget
    previous: list[tuple[int, float]] = []

    def plan(step: int) -> int:
        now = clock()
        left = config.steps - step
        if len(previous) > 1:
            pace = (now - previous[-1][1]) / (step - previous[-1][0])
            left = min(left, CHUNK * int((end - now) / (pace * CHUNK)))
        elif previous and now >= end:
            left = 0
        previous.append((step, now))
        return max(left, 0)

    return plan


def snapshots(
    events: Events, span: Span, config: FitConfig, *, plan: Plan | None = None, start: Snapshot | None = None
) -> Iterator[Snapshot]:
    """Fit, a snapshot after every chunk of steps; `start` goes on from an earlier one, to the same result."""
    plan = plan or deadline(config, None)
    half = config.steps // 2 if config.coarse_to_fine else -1
    step, progress, state = (start.step, start.progress, start.state) if start else (0, 0.0, None)
    aim = None
    while (left := plan(step)) > 0 and progress < 1:
        if aim is None or step == half:
            aim = _on_device(target(events, span, config, 2 if 0 <= half <= step else 1), config)
        net = siren.network(config, *aim.images.shape[1:])
        state = state or initial(net, config)
        count = min(CHUNK, left, half - step if step < half else left)
        at = progress + (1 - progress) * (np.arange(count) + 0.5) / left
        with jax.enable_x64(config.precision == "float64"):
            state, terms = steps(state, aim, schedule(at, config), goal(config), net=net)
            terms = jax.tree.map(np.asarray, terms)
        step, progress = step + count, progress + (1 - progress) * count / left
        yield Snapshot(state, step, progress, terms)


def _on_device(aim: Target, config: FitConfig) -> Target:
    with jax.enable_x64(config.precision == "float64"):  # else its weights would be rounded
        return jax.device_put(aim)


def initial(net: Siren, config: FitConfig) -> FitState:
    """The state before the first step."""
    with jax.enable_x64(config.precision == "float64"):
        params = siren.init(net, config)
        moments = jax.eval_shape(optax.scale_by_adam().init, params)
    return FitState(params, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), moments))


def schedule(progress: Float[np.ndarray, " c"], config: FitConfig) -> Float[np.ndarray, " c"]:
    """The factor of the rates at parts of the way: a linear rise over the warm-up, then a cosine down to zero."""
    rise = np.minimum(progress / config.warmup, 1.0) if config.warmup else np.ones_like(progress)
    if config.decay == "constant":
        return rise
    past = np.clip((progress - config.warmup) / (1 - config.warmup), 0, 1)
    return rise * 0.5 * (1 + np.cos(np.pi * past))


# LLVM at level 1: 0.1 of 0.6 s less to compile, steps 5 % slower (2 cores): a gain below some 250 steps.
@partial(
    jax.jit,
    static_argnames="net",
    donate_argnames="state",
    compiler_options={"xla_backend_optimization_level": 1},
)
def steps(
    state: FitState, aim: Target, factors: Float[Array, " c"], goal: Goal, *, net: Siren
) -> tuple[FitState, Terms]:
    """One step of AdamW for each factor of the rates, in one compiled scan; every step's terms."""
    adam = optax.scale_by_adam()
    kind = jax.tree.leaves(state.params)[0].dtype
    times, images = jnp.asarray(aim.times, kind), jnp.asarray(aim.images, kind)

    def step(state: FitState, factor: Float[Array, ""]) -> tuple[FitState, Terms]:
        def loss(params: Params) -> tuple[Float[Array, ""], Terms]:
            terms = objective(siren.log_intensity(net, params, times), images, aim.weights, goal)
            return terms.total, terms

        gradient, terms = jax.grad(loss, has_aux=True)(state.params)
        change, moments = adam.update(gradient, state.adam)
        change = cast(dict[str, Array], change)
        params = {
            name: value
            - (factor * _rate(name, aim.amplitude, goal)).astype(kind) * (change[name] + goal.weight_decay * value)
            for name, value in state.params.items()
        }
        return FitState(params, moments), terms

    return jax.lax.scan(step, state, factors)


def _rate(name: str, amplitude: Float[Array, ""] | float, goal: Goal) -> Float[Array, ""] | float:
    """Peak rate of a layer, by its name in `siren.Params`."""
    part, index = name.split("_")
    return goal.sine_rate if part == "sine" else goal.head_rate * amplitude * goal.coarse_gain ** int(index)


def reconstruction(last: Snapshot, events: Events, span: Span, config: FitConfig) -> Reconstruction:
    """What a fit has learned, as something to ask."""
    params = jax.tree.map(np.asarray, last.state.params)
    return Reconstruction(params, config, events.height, events.width, span)
