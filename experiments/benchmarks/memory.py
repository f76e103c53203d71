"""Peak memory of reading, fitting and evaluating, for growing numbers of events and growing sensors.

Every case is a new process that goes through the door: an N x 4 npy is read, fitted and evaluated. Peaks are of the
whole process up to then, less what it took after imports and the start of JAX's backend; a GPU's memory is listed too.
"""

import resource
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import jax
import numpy as np
import tyro

from converters import ReadOptions, read
from evinr.config import DEFAULT, FitConfig
from evinr.reconstruct import fit
from experiments.benchmarks.fresh import fresh, start_backend
from experiments.benchmarks.machine import RESULTS, save


@dataclass(frozen=True)
class Memory:
    """Peak memory of reading, fitting and evaluating, for growing numbers of events and growing sensors."""

    events: tuple[int, ...] = (1_000_000, 10_000_000, 50_000_000)
    """Numbers of events on a sensor of 240 x 180."""
    sensors: tuple[tuple[int, int], ...] = ((240, 180), (346, 260), (640, 480))
    """Width and height of sensors."""
    sensor_events: int = 10_000_000
    """Events on each of these sensors."""
    steps: int = 20
    """Optimiser steps; memory does not depend on them."""
    frames: int = 16
    """Frames evaluated at the end."""
    scratch: Path | None = None
    """Folder for the temporary file of 32 bytes per event; unset, the system's."""
    out: Path = RESULTS / "memory.json"
    """Where the results go."""


class Case(NamedTuple):
    """A recording by its size."""

    events: int
    width: int
    height: int


class Peaks(NamedTuple):
    """Peak memory in MB (1e6 bytes); all but `baseline_mb` are what came on top of it."""

    baseline_mb: float
    """After imports and the start of the backend."""
    read_mb: float
    fit_mb: float
    """Up to the end of the fit, reading included."""
    evaluate_mb: float
    """Up to the last frame."""
    device_mb: float | None
    """Of the accelerator, if any: most in use at once."""


def main(cfg: Memory) -> None:
    cases = [Case(count, 240, 180) for count in cfg.events]
    cases += [Case(cfg.sensor_events, *sensor) for sensor in cfg.sensors]
    config, results = replace(DEFAULT, steps=cfg.steps), []
    for case in dict.fromkeys(cases):
        with TemporaryDirectory(dir=cfg.scratch) as folder:
            path = Path(folder) / "events.npy"
            # In a process of its own too: a new process inherits the peak of the one that starts it.
            fresh(write, path, case)
            start = time.perf_counter()
            peaks = fresh(measure, path, case, config, cfg.frames)
        print(case, peaks, f"{time.perf_counter() - start:.0f} s", flush=True)
        read_bytes_per_event = peaks.read_mb * 1e6 / case.events
        results.append({**case._asdict(), **peaks._asdict(), "read_bytes_per_event": read_bytes_per_event})
    save(cfg.out, cfg, results)


def write(path: Path, case: Case, rows: int = 1_000_000) -> None:
    """One second of events at random pixels as float64 (t, x, y, p), `rows` at a time."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (case.events, 4)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, case.events, rows):
            count = min(rows, case.events - start)
            t = np.arange(start, start + count) / case.events
            x, y = rng.integers(case.width, size=count), rng.integers(case.height, size=count)
            file.write(np.stack([t, x, y, rng.choice([-1, 1], count)], axis=1, dtype=np.float64).tobytes())


def measure(path: Path, case: Case, config: FitConfig, frames: int) -> Peaks:
    """Read, fit and evaluate; runs in a new process."""
    start_backend()
    baseline = peak_mb()
    events = read(path, ReadOptions(height=case.height, width=case.width)).events
    after_read = peak_mb()
    answer = fit(events, config)
    after_fit = peak_mb()
    answer.log_intensity(np.linspace(*answer.span, frames))
    after_all = peak_mb()
    device = jax.devices()[0].memory_stats()
    device_mb = device["peak_bytes_in_use"] / 1e6 if device else None
    return Peaks(baseline, after_read - baseline, after_fit - baseline, after_all - baseline, device_mb)


def peak_mb() -> float:
    """Most memory that this process ever had in use, in MB. The system counts KiB; macOS, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    main(tyro.cli(Memory))
