"""Peak memory of `evinr fit FILE`, for growing numbers of events and growing sensors.

Every case is a second of events at random pixels in EVT2, fitted by the command in a new process, down to its pictures.
Peaks are of the whole process, less what it took after imports and the start of JAX's backend; a GPU's memory is listed too.
"""

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import jax
import numpy as np
import tyro

import evinr.checkpoint
import evinr.cli.fit  # noqa: F401, imported with all that it needs, which is part of the baseline
from evinr.__main__ import main as evinr_main
from experiments.benchmarks.fresh import fresh, start_backend
from experiments.benchmarks.long_recordings import Block, evt2_of
from experiments.benchmarks.machine import RESULTS, save

SIZES = (
    (240, 180, 50_000),
    (240, 180, 1_000_000),
    (240, 180, 10_000_000),
    (240, 180, 50_000_000),
    (346, 260, 10_000_000),
    (640, 480, 300_000),
    (640, 480, 3_000_000),
    (640, 480, 30_000_000),
    (1280, 720, 1_000_000),
    (1280, 720, 30_000_000),
)


@dataclass(frozen=True)
class Memory:
    """Peak memory of `evinr fit FILE`, for growing numbers of events and growing sensors."""

    cases: tuple[tuple[int, int, int], ...] = SIZES
    """Width and height of sensors, and numbers of events."""
    iterations: int = 5
    """Steps of a window of each kind; memory does not depend on them."""
    scratch: Path | None = None
    """Folder for the temporary file of some 4 bytes per event and its run; unset, the system's."""
    out: Path = RESULTS / "memory.json"
    """Where the results go."""


class Case(NamedTuple):
    """A recording by its size."""

    width: int
    height: int
    events: int


class Peaks(NamedTuple):
    """Peak memory in MB (1e6 bytes)."""

    baseline_mb: float
    """After imports and the start of the backend."""
    fit_mb: float
    """At the end, on top of it."""
    device_mb: float | None
    """Of the accelerator, if any: most in use at once."""


def main(cfg: Memory) -> None:
    results = []
    for case in (Case(*sizes) for sizes in cfg.cases):
        with TemporaryDirectory(dir=cfg.scratch) as folder:
            path = Path(folder) / "events.raw"
            # In a process of its own too: a new process inherits the peak of the one that starts it.
            fresh(write, path, case)
            start = time.perf_counter()
            peaks = fresh(measure, path, cfg.iterations)
        print(case, peaks, f"{time.perf_counter() - start:.0f} s", flush=True)
        results.append(case._asdict() | peaks._asdict())
    save(cfg.out, cfg, results)


def write(path: Path, case: Case, rows: int = 1_000_000) -> None:
    """One second of events at random pixels, `rows` at a time."""
    evt2_of(path, blocks(case, rows), case.height, case.width)


def blocks(case: Case, rows: int) -> Iterator[Block]:
    """Time in nanoseconds, x, y and whether it rose."""
    rng = np.random.default_rng(0)
    for start in range(0, case.events, rows):
        count = min(rows, case.events - start)
        t = (np.arange(start, start + count) * (1e9 / case.events)).astype(np.int64)
        yield (
            t,
            rng.integers(case.width, size=count),
            rng.integers(case.height, size=count),
            rng.integers(2, size=count),
        )


def measure(path: Path, iterations: int) -> Peaks:
    """Fit; runs in a new process."""
    os.environ["EVINR_CACHE"] = ""  # programs are compiled, not read
    start_backend()
    baseline = peak_mb()
    steps = [word for name in ("iterations", "warm-iterations", "revisions") for word in (f"--{name}", str(iterations))]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        code = evinr_main(["fit", str(path), "--out", str(path.parent / "runs"), *steps])
    if code:
        raise SystemExit(code)
    device = jax.devices()[0].memory_stats()
    device_mb = device["peak_bytes_in_use"] / 1e6 if device else None
    return Peaks(baseline, peak_mb() - baseline, device_mb)


def peak_mb() -> float:
    """Peak memory of this process in MB (1e6 bytes), since it began its program: getrusage counts its parent's, too."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main(tyro.cli(Memory))
