"""Quality and time of the default and of the paper preset on a recording with camera frames.

A fit is timed in a process of its own, from events in memory to fitted parameters on the host: event images,
compilation, steps and transfers count; Python's imports, reading the file and starting JAX's backend do not.
"""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from converters import Frames, read
from evinr import siren
from evinr.config import DEFAULT, PAPER, FitConfig
from evinr.energy import Problem
from evinr.events import Events
from evinr.fitting import CHUNK, initial, schedule, steps, target, window
from evinr.goal import goal
from evinr.multilevel import advance, still
from evinr.reconstruct import fit
from evinr.windows import windows
from experiments.benchmarks.design_score import Scores, score
from experiments.benchmarks.fresh import fresh, start_backend
from experiments.benchmarks.machine import RESULTS, save


@dataclass(frozen=True)
class SliderDepth:
    """Quality and time of the default and of the paper preset on a recording with camera frames."""

    recording: Path = Path("../shared/data/ijrr_slider_depth")
    """Folder of event text with camera frames."""
    repeats: int = 5
    """Fits with the default preset."""
    paper_repeats: int = 1
    """Fits with the paper preset, between the others."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Numbers of both presets."""
    steps: int | None = None
    """Steps of both presets (of ours, of each part of a window), to try the script; unset, their own."""
    profile: Path | None = None
    """Folder for a trace of one chunk of steps of each preset; also counts its arithmetic and memory traffic."""
    out: Path = RESULTS / "slider_depth.json"
    """Where the results go."""


class Fitted(NamedTuple):
    """One fit in a new process."""

    seconds: float
    """With compilation."""
    seconds_compiled: float | None
    """The same fit once more in the same process, where asked."""
    frames: int
    """Camera frames that were scored."""
    scores: Scores


def main(cfg: SliderDepth) -> None:
    presets = {
        "default": replace(DEFAULT, precision=cfg.precision),
        "paper": replace(PAPER, precision=cfg.precision, steps=cfg.steps or PAPER.steps),
    }
    if cfg.steps:
        presets["default"] = replace(presets["default"], iterations=cfg.steps, warm_iterations=cfg.steps)
    wanted = {"default": cfg.repeats, "paper": cfg.paper_repeats}
    fits: dict[str, list[Fitted]] = {name: [] for name in presets}
    for turn in range(max(wanted.values())):
        for name, preset in presets.items():
            if turn < wanted[name]:
                fits[name].append(fresh(fitted, cfg.recording, preset, again=name == "default"))
                print(f"{name}: {fits[name][-1]}", flush=True)
    results: dict[str, Any] = {name: summary(runs) for name, runs in fits.items() if runs}
    if len(results) == 2:
        results["ratio"] = results["paper"]["seconds"] / results["default"]["seconds"]
        print(f"paper / default: {results['ratio']:.1f} in seconds")
    if cfg.profile is not None:
        results["profile"] = {
            name: fresh(profiled, cfg.recording, preset, cfg.profile / name) for name, preset in presets.items()
        }
        for name, figures in results["profile"].items():
            print(f"{name}: " + ", ".join(f"{figure} {value:.4g}" for figure, value in figures.items()))
    save(cfg.out, cfg, results)


def fitted(recording: Path, config: FitConfig, again: bool) -> Fitted:
    """Fit and score; runs in a new process."""
    events, frames, *_ = read(recording)
    if frames is None:
        raise SystemExit(f"{recording}: has no camera frames to score against")
    start_backend()
    start = time.perf_counter()
    answer = fit(events, config)
    seconds, seconds_compiled = time.perf_counter() - start, None
    if again:
        start = time.perf_counter()
        fit(events, config)
        seconds_compiled = time.perf_counter() - start
    # The first frame is taken before the first events, or with them: nothing could be known of it.
    truth = Frames(frames.times[1:], frames.images[1:])
    scores = score(answer.log_intensity(truth.times), truth.images / 255.0)
    return Fitted(seconds, seconds_compiled, len(truth.times), scores)


def summary(runs: list[Fitted]) -> dict[str, Any]:
    """Medians over runs, and every single time."""
    compiled = [run.seconds_compiled for run in runs if run.seconds_compiled is not None]
    return {
        "seconds": median(run.seconds for run in runs),
        "seconds_compiled": median(compiled) if compiled else None,
        "scores": {name: median(getattr(run.scores, name) for run in runs) for name in Scores._fields},
        "frames": runs[0].frames,
        "all_seconds": [run.seconds for run in runs],
    }


def profiled(recording: Path, config: FitConfig, folder: Path, chunks: int = 5) -> dict[str, float]:
    """Time, arithmetic and memory traffic of one step of a warm chunk, and a trace of one in `folder`.

    Of one network at the first number of intervals of a coarse-to-fine fit, else of the first window. Runs in a new process.
    """
    events = read(recording).events
    start_backend()
    lowered, state, given = one_network(events, config) if config.windows == "whole" else one_window(events, config)
    compiled = lowered.compile()

    def chunk(state: Any) -> Any:
        after = jax.block_until_ready(compiled(state, *given))
        return after[0] if config.windows == "whole" else after

    seconds = []
    for _ in range(1 + chunks):
        start = time.perf_counter()
        state = chunk(state)
        seconds.append((time.perf_counter() - start) / CHUNK)
    with jax.profiler.trace(str(folder)):
        chunk(state)
    # XLA counts the body of a loop once: these are of one step. Arithmetic before optimisation where it can (calls into
    # libraries may count as none after it); traffic after it, where fused operations no longer touch memory.
    gflop = counted("flops", lowered.cost_analysis(), compiled.cost_analysis()) / 1e9
    gigabytes = counted("bytes accessed", compiled.cost_analysis()) / 1e9
    step = median(seconds[1:])
    return {
        "milliseconds_per_step": step * 1e3,
        "gflop_per_step": gflop,
        "gb_per_step": gigabytes,
        "gflop_per_second": gflop / step,
        "gb_per_second": gigabytes / step,
    }


def one_network(events: Events, config: FitConfig) -> tuple[jax.stages.Lowered, Any, tuple[Any, ...]]:
    """A chunk of steps of all weights, the state that it starts from, and what else it is given."""
    aim = jax.device_put(target(*window(events, config), config))
    net = siren.network(config, *aim.images.shape[1:])
    state, factors = initial(net, config), schedule(np.full(CHUNK, 0.5), config)
    given = (aim, factors, goal(config))
    return steps.lower(state, *given, net=net), state, given


def one_window(events: Events, config: FitConfig) -> tuple[jax.stages.Lowered, Any, tuple[Any, ...]]:
    """The same of a window's head."""
    images = jnp.asarray(next(windows([events], config)).images)
    neighbours = jnp.zeros((config.overlap + 1, *images.shape[1:]), images.dtype)
    problem = Problem(images, neighbours, neighbours, jnp.zeros(2, images.dtype))
    state = still(jnp.zeros((len(images) + 1, *images.shape[1:]), images.dtype), goal(config))
    given = (problem, CHUNK, goal(config))
    return advance.lower(state, *given), state, given


def counted(what: str, *analyses: dict[str, float] | None) -> float:
    """A figure of the first of XLA's cost analyses that there is; not a number where there is none."""
    return next((analysis[what] for analysis in analyses if analysis and what in analysis), math.nan)


if __name__ == "__main__":
    main(tyro.cli(SliderDepth))
