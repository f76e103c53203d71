"""Seconds and peak memory of `evinr fit FILE` as the recording grows, and as the sensor does.

Long recordings are laps of one simulated second of moving edges (`long_recordings.laps`) in EVT2, which is made when its
turn comes, and deleted. Every fit is the command in a new process, from the start of Python to the video on disk, without
compiled programs of before. Its peak is that of the process, less what one takes that has imported the same and started
JAX's backend. A point that is done is not measured again: a run that was stopped goes on.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tyro
from jaxtyping import Float64

from evinr import heads
from evinr.config import DEFAULT, FitConfig
from experiments.benchmarks import known_recordings, long_recordings, plots
from experiments.benchmarks.fresh import fresh
from experiments.benchmarks.machine import RESULTS, save
from experiments.benchmarks.points import kept

RUNNER = """
import json, sys
from pathlib import Path

out, *words = sys.argv[1:]
if words:
    from evinr.__main__ import main

    code = main(words)
else:
    import evinr.checkpoint, evinr.cli.fit
    from experiments.benchmarks.fresh import start_backend

    start_backend()
    code = 0
from experiments.benchmarks.memory import peak_mb

Path(out).write_text(json.dumps(peak_mb()))
sys.exit(code)
"""
"""Runs the command line, or nothing after the same imports, and writes the peak of its memory."""


@dataclass(frozen=True)
class Growth:
    """Seconds and peak memory of `evinr fit FILE` as the recording grows, and as the sensor does."""

    events: tuple[int, ...] = (10_000_000, 25_000_000, 50_000_000, 100_000_000, 500_000_000)
    """Numbers of events of the long recordings."""
    rate: float = 278_000.0
    """Their events a second: 500 million are 30 minutes."""
    size: tuple[int, int] = (640, 480)
    """Width and height of their sensor."""
    sensors: tuple[tuple[int, int], ...] = ((240, 180), (346, 260), (640, 480), (1280, 720))
    """Width and height of sensors, each of which sees one window of events of the demo's scene."""
    fit: str = ""
    """Further words to `evinr fit`, as "--windows parallel"."""
    scratch: Path = Path("runs/growth")
    """Folder for the recordings (4 bytes an event) and their runs, one at a time, and for the points that are done."""
    out: Path = RESULTS / "growth.json"
    """Where the results go; a plot goes beside it."""


def main(cfg: Growth) -> None:
    base = kept(cfg.scratch, "baseline", cfg, lambda: baseline(cfg), *LISTS)["peak_mb"]
    recordings = [
        above(base, kept(cfg.scratch, f"events-{count}", cfg, lambda count=count: recording(cfg, count), *LISTS))
        for count in cfg.events
    ]
    sensors = [
        above(base, kept(cfg.scratch, f"sensor-{size[0]}x{size[1]}", cfg, lambda size=size: sensor(cfg, *size), *LISTS))
        for size in cfg.sensors
    ]
    results: dict[str, Any] = {"baseline_mb": base, "recordings": recordings, "sensors": sensors}
    if len(recordings) > 1:
        events, seconds = (np.array([float(point[name]) for point in recordings]) for name in ("events", "seconds"))
        results["seconds_of_events"] = line(events, seconds)
        print(f"seconds of events: {results['seconds_of_events']}")
    save(cfg.out, cfg, results)
    plots.draw(cfg.out)


LISTS = ("events", "sensors")
"""Options that list what is measured."""


def baseline(cfg: Growth) -> dict[str, Any]:
    """Peak of a process that has imported all that a fit imports."""
    return run(cfg.scratch, [])


def recording(cfg: Growth, count: int) -> dict[str, Any]:
    """A fit of a long recording."""
    with TemporaryDirectory(dir=cfg.scratch) as folder:
        path = Path(folder) / "laps.raw"
        fresh(write_laps, path, cfg, count)
        about = {"events": count, "seconds_of_recording": count / cfg.rate, "file_gb": path.stat().st_size / 1e9}
        return about | fitted(cfg, path)


def sensor(cfg: Growth, width: int, height: int) -> dict[str, Any]:
    """A fit of one window on a sensor."""
    with TemporaryDirectory(dir=cfg.scratch) as folder:
        path = Path(folder) / "window.raw"
        events, seconds = fresh(write_window, path, width, height)
        return {"width": width, "height": height, "events": events, "seconds_of_recording": seconds} | fitted(cfg, path)


def write_laps(path: Path, cfg: Growth, count: int) -> None:
    """Runs in a new process."""
    width, height = cfg.size
    once = long_recordings.lap(height, width)
    long_recordings.evt2_of(path, long_recordings.laps(once, count, cfg.rate), height, width)


def write_window(path: Path, width: int, height: int, config: FitConfig = DEFAULT) -> tuple[int, float]:
    """One window of the demo's scene, and how many events and seconds it has; runs in a new process."""
    events = known_recordings.simulated(width, height, 1, 1, config).events
    t = np.rint(events.t * 1e6).astype(np.int64) * 1000
    block = t, events.x.astype(np.int64), events.y.astype(np.int64), (events.p > 0).astype(np.int64)
    long_recordings.evt2_of(path, [block], height, width)
    return events.count, float(events.t[-1] - events.t[0])


def fitted(cfg: Growth, path: Path) -> dict[str, Any]:
    """What a fit of that file takes: seconds, memory, and disk for its run; and how many windows it was."""
    runs = path.parent / "runs"
    point = run(path.parent, ["fit", str(path), "--out", str(runs), *shlex.split(cfg.fit)])
    files = [file for file in runs.rglob("*") if file.is_file()]
    point["windows"] = sum(file.parent.name == heads.FOLDER and file.suffix == ".npz" for file in files)
    point["run_gb"] = sum(file.stat().st_size for file in files) / 1e9
    shutil.rmtree(runs)
    print(path.stem, point, flush=True)
    return point


def run(scratch: Path, words: list[str]) -> dict[str, Any]:
    """Wall seconds and peak memory of a command in a new process."""
    out, start = scratch / "peak.json", time.perf_counter()
    # An empty cache folder means none.
    subprocess.run([sys.executable, "-c", RUNNER, str(out), *words], check=True, env={**os.environ, "EVINR_CACHE": ""})
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_mb": json.loads(out.read_text())}


def above(base: float, point: dict[str, Any]) -> dict[str, Any]:
    """A point with its peak above the baseline."""
    return point | {"above_baseline_mb": point["peak_mb"] - base}


def line(x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"]) -> dict[str, float]:
    """The line y = at_zero + slope x with the least squared relative residuals, and the largest of these."""
    at_zero, slope = np.linalg.lstsq(np.stack([1 / y, x / y], 1), np.ones_like(y))[0]
    return {
        "at_zero": float(at_zero),
        "slope": float(slope),
        "largest_relative_residual": float(np.abs((at_zero + slope * x) / y - 1).max()),
    }


if __name__ == "__main__":
    main(tyro.cli(Growth))
