"""How long scoring takes: 1,000 frames under MSE and SSIM, on all cores and on one, and every metric by the frame.

Frames are by rule, of a moving scene; times are of pictures in memory to scores, without Python's imports.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tyro

from evinr.metrics import fidelity
from evinr.metrics.confidence import mean_with_interval
from evinr.metrics.equalisation import equalise
from evinr.metrics.normalisation import align, normalise
from evinr.metrics.replay import event_replay_error
from evinr.metrics.sharpness import edge_sharpness
from evinr.metrics.temporal import temporal_consistency
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor
from experiments.benchmarks.fresh import fresh
from experiments.benchmarks.machine import RESULTS, save


@dataclass(frozen=True)
class Scoring:
    """How long scoring takes."""

    frames: int = 1000
    """Frames under MSE and SSIM."""
    few: int = 50
    """Frames under every metric."""
    width: int = 240
    height: int = 180
    repeats: int = 5
    """Times are medians of these."""
    out: Path = RESULTS / "scoring.json"
    """Where the results go."""


def main(cfg: Scoring) -> None:
    results: dict[str, Any] = {
        "mse_and_ssim_seconds": fresh(many, cfg, one_core=False),
        "mse_and_ssim_seconds_on_one_core": fresh(many, cfg, one_core=True),
        "milliseconds_a_frame": fresh(each, cfg, one_core=False),
        "milliseconds_a_frame_on_one_core": fresh(each, cfg, one_core=True),
    }
    for name, value in results.items():
        print(name, value)
    save(cfg.out, cfg, results)


def many(cfg: Scoring, one_core: bool) -> float:
    """Seconds for MSE and SSIM of all frames; runs in a new process."""
    keep_to(one_core)
    truth = pictures(cfg, cfg.frames)
    prediction = np.roll(truth, 1, axis=2)
    return timed(lambda: (fidelity.mse(prediction, truth), fidelity.ssim(prediction, truth)), cfg.repeats)


def each(cfg: Scoring, one_core: bool) -> dict[str, float]:
    """Milliseconds a frame of every metric, and of what comes before them; runs in a new process."""
    keep_to(one_core)
    events, view = demo.recording(cfg.height, cfg.width, 1.0, Sensor(), seed=0)
    times = np.linspace(0.0, 1.0, cfg.few)
    log_intensity = np.stack([view(t) for t in times]).astype(np.float32)
    truth = np.clip(np.exp(log_intensity), 0, 1)
    prediction = np.roll(truth, 1, axis=2)
    calls: dict[str, Callable[[], object]] = {
        "mse": lambda: fidelity.mse(prediction, truth),
        "psnr": lambda: fidelity.psnr(prediction, truth),
        "ssim": lambda: fidelity.ssim(prediction, truth),
        "ssim_legacy": lambda: fidelity.ssim_legacy(prediction, truth),
        "ssim_uniform": lambda: fidelity.ssim_uniform(prediction, truth),
        "corr": lambda: fidelity.corr(log_intensity, truth),
        "temporal": lambda: temporal_consistency(prediction, truth),
        "replay": lambda: event_replay_error(log_intensity, times, events),
        "sharpness": lambda: edge_sharpness(prediction, times, events),
        "interval": lambda: mean_with_interval(times),
        "normalise robust": lambda: normalise(log_intensity, "robust"),
        "normalise exprobust": lambda: normalise(log_intensity, "exprobust"),
        "align": lambda: align(log_intensity, truth),
        "equalise global": lambda: equalise(prediction, "global"),
        "equalise local": lambda: equalise(prediction, "local"),
        "equalise clahe": lambda: equalise(prediction, "clahe"),
    }
    return {name: 1e3 * timed(call, cfg.repeats) / cfg.few for name, call in calls.items()}


def pictures(cfg: Scoring, count: int) -> np.ndarray:
    """Frames of a scene that moves back and forth: 50 views of it over and over."""
    view = demo.scene(cfg.height, cfg.width, 0)
    views = np.clip(np.exp([view(0.02 * k) for k in range(50)]), 0, 1).astype(np.float32)
    return np.resize(views, (count, cfg.height, cfg.width))


def timed(call: Callable[[], object], repeats: int) -> float:
    """Median seconds of a call after a first one."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def keep_to(one_core: bool) -> None:
    if one_core:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])


if __name__ == "__main__":
    main(tyro.cli(Scoring))
