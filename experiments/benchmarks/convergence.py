"""Scores on the way of a fit, and the seconds to them. Everything here is called in a new process.

The score is the mean correlation of log intensity with the known pictures; a picture without contrast scores 0.
"""

import os
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from evinr import devices
from evinr.config import FitConfig
from evinr.events import Events
from evinr.fitting import CHUNK, reconstruction, snapshots, window
from evinr.metrics import fidelity
from evinr.reconstruct import fit
from evinr.reconstruction import Reconstruction
from experiments.benchmarks import known_recordings
from experiments.benchmarks.fresh import start_backend
from experiments.benchmarks.known_recordings import Known

AGAIN = 5.0
"""Seconds: a point of a curve is measured again while it took less than this in all."""


class Point(NamedTuple):
    """A score on the way."""

    iterations: int
    """Of a window that starts from nothing; steps of the paper preset and of the original."""
    seconds: float
    """From events in memory to fitted parameters."""
    score: float


class Seconds(NamedTuple):
    """Of one fit."""

    first: float
    """In a new process: what is not compiled is compiled."""
    again: float
    """Once more in the same process."""


def score(log_intensity: Float[np.ndarray, "k h w"], known: Known) -> float:
    """Mean correlation with log(truth + 0.05)."""
    return float(np.nan_to_num(fidelity.corr(log_intensity, known.truth)).mean())


def part(config: FitConfig, of: float) -> FitConfig:
    """A fit with `of` times as many steps of every kind, one at least of those that it takes."""
    kinds = ("steps",) if config.windows == "whole" else ("iterations", "warm_iterations", "revisions")
    counts = {kind: getattr(config, kind) for kind in kinds}
    return replace(config, **{kind: max(min(count, 1), round(of * count)) for kind, count in counts.items()})


def iterations(config: FitConfig) -> int:
    """What a point of a curve counts."""
    return config.steps if config.windows == "whole" else config.iterations


def curve(path: Path, configs: list[FitConfig], repeats: int) -> list[Point]:
    """The score of each of these fits, and its median seconds when it is compiled."""
    start_backend()
    known = known_recordings.load(path)
    points = []
    for config in configs:
        _, answer = timed(known.events, config)  # compiles what is new
        seconds = list[float]()
        while len(seconds) < repeats and sum(seconds) < AGAIN:
            seconds.append(timed(known.events, config)[0])
        points.append(Point(iterations(config), median(seconds), score(answer.log_intensity(known.times), known)))
    return points


def seconds(path: Path, config: FitConfig, cache: Path | None) -> Seconds:
    """Of a fit in a new process, with the compiled programs that `cache` has, and of the same once more."""
    if cache is None:
        start_backend()
    else:
        os.environ["EVINR_CACHE"] = str(cache)
        jax.config.update("jax_compilation_cache_dir", None)  # a user's own would be taken
        devices.compilation_cache()
        jax.block_until_ready(jax.numpy.zeros(1) + 1)
    events = known_recordings.load(path).events
    return Seconds(timed(events, config)[0], timed(events, config)[0])


def timed(events: Events, config: FitConfig) -> tuple[float, Reconstruction]:
    """A fit, and its seconds."""
    start = time.perf_counter()
    answer = fit(events, config)
    return time.perf_counter() - start, answer


def stepwise(path: Path, config: FitConfig) -> list[Point]:
    """A fit of every weight, scored between its chunks of steps; compilation included."""
    start_backend()
    known = known_recordings.load(path)
    points, spent, start = [], 0.0, time.perf_counter()
    events, span = window(known.events, config)
    for last in snapshots(events, span, config):
        spent += time.perf_counter() - start
        answer = reconstruction(last, events, span, config)
        points.append(Point(last.step, spent, score(answer.log_intensity(known.times, extrapolate=True), known)))
        start = time.perf_counter()
    return points


def pace(path: Path, config: FitConfig) -> tuple[float, float]:
    """Seconds per step of such a fit with its first and with its second event images, when they are compiled."""
    start_backend()
    short, ticks = replace(config, steps=4 * CHUNK), [time.perf_counter()]
    events, span = window(known_recordings.load(path).events, short)
    for _ in snapshots(events, span, short):
        ticks.append(time.perf_counter())
    chunks = np.diff(ticks) / CHUNK
    return float(chunks[1]), float(chunks[3])


def device() -> str:
    """What fits run on."""
    return jax.devices()[0].device_kind
