"""How many times faster than real time a recording is fitted, and how near a step comes to the memory's ceiling.

For accelerators; it runs on a CPU as well. Recordings are laps of moving edges (`long_recordings.laps`), and a fit is timed
from events in memory to the answer on the host. Bandwidth is what a step touches by its time: as XLA counts it in the
compiled program, and at the least, where every array is read and written once. The ceiling is that of plain loops over
large arrays.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Array, Float

from evinr.config import DEFAULT, FitConfig
from evinr.energy import Problem
from evinr.events import Events
from evinr.goal import goal
from evinr.multilevel import advance, still
from evinr.parallel import Batch, advance_batch, at_once, begin
from evinr.reconstruct import fit
from evinr.windows import Window, windows
from experiments.benchmarks import long_recordings, plots
from experiments.benchmarks.fresh import fresh, start_backend
from experiments.benchmarks.machine import RESULTS, save
from experiments.benchmarks.slider_depth import counted

Mode = Literal["sequential", "parallel"]


@dataclass(frozen=True)
class RealTime:
    """How many times faster than real time a recording is fitted, and how near a step comes to the memory's ceiling."""

    sensors: tuple[tuple[int, int], ...] = ((240, 180), (640, 480))
    """Width and height."""
    modes: tuple[Mode, ...] = ("sequential", "parallel")
    """How windows are fitted."""
    seconds: float = 10.0
    """Of the recordings."""
    rate: float = 10.0
    """Their events a second and pixel. From 2.5 to 25 an interval takes 20 ms."""
    config: FitConfig = DEFAULT
    """Other settings of the fits."""
    repeats: int = 5
    """Times are medians of these; the ceiling is the best of them."""
    steps: int = 50
    """Steps whose time is that of twice as many less that of these."""
    large: int = 2**28
    """Numbers in the arrays of which the ceiling is measured: 1 GB each."""
    out: Path = RESULTS / "real_time.json"
    """Where the results go; a plot goes beside it."""


def main(cfg: RealTime) -> None:
    ceiling = fresh(ceilings, cfg)
    print(f"ceiling: {ceiling}")
    cases = []
    for width, height in cfg.sensors:
        for mode in cfg.modes:
            case = fresh(measured, cfg, width, height, mode)
            best = max(ceiling.values())
            cases.append(case | {"part_of_ceiling": case["gb_per_second"] / best})
            cases[-1]["part_of_ceiling_at_least"] = case["least_gb_per_second"] / best
            print(", ".join(f"{name} {figure}" for name, figure in cases[-1].items()), flush=True)
    save(cfg.out, cfg, {"real_time": cases, "ceiling_gb_per_second": ceiling})
    plots.draw(cfg.out)


def measured(cfg: RealTime, width: int, height: int, mode: Mode) -> dict[str, Any]:
    """One sensor, one mode; runs in a new process."""
    start_backend()
    config = replace(cfg.config, windows=mode)
    events, took = recording(cfg, width, height), list[float]()
    for _ in range(1 + cfg.repeats):
        start = time.perf_counter()
        fit(events, config)
        took.append(time.perf_counter() - start)
    start = time.perf_counter()
    cut = list(windows([events], config))
    seconds_to_cut = time.perf_counter() - start
    span = float(events.t[-1] - events.t[0])
    return {
        "width": width,
        "height": height,
        "mode": mode,
        "windows": len(cut),
        "events": events.count,
        "seconds_of_recording": span,
        "seconds": median(took[1:]),
        "seconds_with_compilation": took[0],
        "seconds_to_cut": seconds_to_cut,
        "times_real_time": span / median(took[1:]),
        **stepped(cfg, config, cut[0], at_once(cut[0], config) if mode == "parallel" else None),
    }


def recording(cfg: RealTime, width: int, height: int) -> Events:
    """Laps of the seconds and the rate that are asked for."""
    rate = cfg.rate * width * height
    blocks = long_recordings.laps(long_recordings.lap(height, width), round(cfg.seconds * rate), rate)
    t, x, y, p = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return Events(t / 1e9, x.astype(np.uint16), y.astype(np.uint16), (2 * p - 1).astype(np.int8), height, width)


def stepped(cfg: RealTime, config: FitConfig, window: Window, count: int | None) -> dict[str, float]:
    """Time and traffic of one step: of a window, or of a batch of `count` of it."""
    one, aim = jnp.asarray(window.images), goal(config)
    images = one if count is None else jnp.stack([one] * count)
    neighbours = jnp.zeros_like(images[..., : config.overlap + 1, :, :, :])
    if count is not None:
        batch = Batch(images, neighbours, jnp.ones((count, 2), images.dtype))
        given, program, state = (batch, 1, config.tie, aim), advance_batch, begin(batch, aim)
    else:
        problem = Problem(images, neighbours, neighbours, jnp.full(2, config.tie, images.dtype))
        values = jnp.zeros((len(window.times), *images.shape[1:]), images.dtype)
        given, program, state = (problem, 1, aim), advance, still(values, aim)
    least = 2 * sum(leaf.nbytes for leaf in state) + images.nbytes + (2 * neighbours.nbytes if count is None else 0)
    # The loop's body is counted once: this is of one step.
    touched = counted("bytes accessed", program.lower(state, *given).compile().cost_analysis())

    def seconds(steps: int) -> float:
        nonlocal state
        start = time.perf_counter()
        state = jax.block_until_ready(program(state, given[0], steps, *given[2:]))
        return time.perf_counter() - start

    seconds(1)
    step = median(seconds(2 * cfg.steps) - seconds(cfg.steps) for _ in range(cfg.repeats)) / cfg.steps
    return {
        "windows_at_once": count or 1,
        "milliseconds_per_step": step * 1e3,
        "gb_per_step": touched / 1e9,
        "least_gb_per_step": least / 1e9,
        "gb_per_second": touched / step / 1e9,
        "least_gb_per_second": least / step / 1e9,
    }


def ceilings(cfg: RealTime) -> dict[str, float]:
    """GB/s of b *= s and of b += s c, in place, on large arrays; runs in a new process."""
    start_backend()
    scale = jax.jit(lambda b, c, s: s * b, donate_argnums=0)
    triad = jax.jit(lambda b, c, s: b + s * c, donate_argnums=0)
    return {"scale": rate(cfg, scale, 2), "triad": rate(cfg, triad, 3)}


def rate(cfg: RealTime, loop: Any, arrays: int, calls: int = 5) -> float:
    """Most GB/s at which it reads and writes so many arrays."""
    b: Float[Array, " n"] = jnp.ones(cfg.large, jnp.float32)
    c, took = jnp.ones(cfg.large, jnp.float32), list[float]()
    for _ in range(1 + cfg.repeats):
        start = time.perf_counter()
        for _ in range(calls):
            b = loop(b, c, 1.0)
        b.block_until_ready()
        took.append((time.perf_counter() - start) / calls)
    return arrays * b.nbytes / min(took[1:]) / 1e9


if __name__ == "__main__":
    main(tyro.cli(RealTime))
