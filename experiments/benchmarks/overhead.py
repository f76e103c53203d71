"""What `evinr batch` and `evinr sweep` add to the fits that they have done, and whether a batch grows: run from the root of
the repository.

    python -m experiments.benchmarks.overhead

1. Copies of one recording, fitted by one worker of a batch and, in turns, by `evinr fit` in one warm process: seconds a fit,
   and what a batch takes besides (a second process, the table).
2. Runs of a sweep of one weight, on the local road, and the same fits by `evinr fit` in one warm process: seconds from the
   end of one to that of the next, without the score that a sweep makes of each and `evinr fit` does not.
3. Many tiny fits on all cores: resident memory of every worker as they go on, and zombies.
4. One worker on two cores against two on one core each, for recordings of two sizes: fits a minute and memory.
"""

import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from converters import ReadOptions
from evinr.cli import batch, fit, sweep
from evinr.cli.commands import Fit, Scoring
from evinr.cli.many_commands import Batch, Sweep
from evinr.config import DEFAULT
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor
from evinr.sweeping.results import Row
from experiments.benchmarks.fresh import fresh
from experiments.benchmarks.machine import RESULTS, cores, save

SIZES = {"64x48": (48, 64, 0.3), "240x180": (180, 240, 0.3)}
"""Rows, columns and seconds of simulated recordings."""
TINY = (12, 16, 0.1)


@dataclass(frozen=True)
class Options:
    """What is measured."""

    fits: int = 12
    """Of each size, in a batch and without."""
    rounds: int = 3
    """How often, in turns."""
    tiny: int = 1000
    """Tiny fits, for growth."""
    shared: int = 8
    """Fits of each size by workers that share the cores; 0: none."""
    out: Path = RESULTS / "overhead.json"


def main(options: Options) -> None:
    """Measure, print and save."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        os.environ["EVINR_CACHE"] = str(top / "cache")  # one for all, so that both sides find their programs there
        results: dict[str, Any] = {"overhead": {}, "sweep": {}, "shared": {}}
        for size in SIZES:
            results["overhead"][size] = overhead(top / size, SIZES[size], options)
            print(size, results["overhead"][size])
        for size in SIZES:
            results["sweep"][size] = swept(top / f"sweep-{size}", SIZES[size], options)
            print(size, results["sweep"][size])
        for size in SIZES if options.shared else ():
            results["shared"][size] = shared(top / f"shared-{size}", SIZES[size], options.shared)
            print(size, results["shared"][size])
        if options.tiny:
            results["growth"] = growth(top / "tiny", options.tiny)
            print(results["growth"])
    save(options.out, options, results)


def overhead(top: Path, about: tuple[int, int, float], options: Options) -> dict[str, float]:
    """Seconds of a fit by either, medians; and what a batch takes more than the other, those aside: a process, the table."""
    data = recordings(top / "data", about, options.fits)
    fresh(alone, data, top / "warm")  # fills the cache
    bare, batched, besides = [], [], []
    for number in range(options.rounds):
        begin = time.monotonic()
        seconds = fresh(alone, data, top / f"alone{number}")
        middle = time.monotonic()
        fresh(whole, data, top / f"batch{number}", 1)
        end = time.monotonic()
        between = ends(top / f"batch{number}")
        bare += seconds[1:]
        batched += between
        besides.append((end - middle - sum(between)) - (middle - begin - sum(seconds[1:])))
    one, other = statistics.median(bare), statistics.median(batched)
    return {
        "bare_s": round(one, 4),
        "batch_s": round(other, 4),
        "ratio": round(other / one, 4),
        "besides_s": round(statistics.median(besides), 2),
    }


def swept(top: Path, about: tuple[int, int, float], options: Options) -> dict[str, float]:
    """Seconds of a fit, of its score, and of all that a run of a sweep takes; medians over fits that found their programs."""
    source = str(recordings(top / "data", about, 1) / "0000.npy")
    weights = [float(weight) for weight in np.linspace(0.5, 3.0, options.fits)]
    (top / "one.json").write_text(json.dumps({"method": "grid", "parameters": {"smooth": {"values": weights}}}))
    bare, scores, runs = [], [], []
    for number in range(options.rounds):
        seconds, scored = fresh(scored_alone, source, weights, top / f"alone{number}")
        bare += seconds[1:]
        scores += scored[1:]
        runs += fresh(searched, source, top / "one.json", top / f"sweep{number}", options.fits)
    fit, score, run = (statistics.median(seconds) for seconds in (bare, scores, runs))
    return {
        "bare_s": round(fit, 4),
        "score_s": round(score, 4),
        "run_s": round(run, 4),
        "besides_s": round(run - fit - score, 4),
    }


def shared(top: Path, about: tuple[int, int, float], count: int) -> dict[str, Any]:
    """Fits a minute of warm workers that have all cores together, and their memory, by how many they are."""
    data = recordings(top / "data", about, count)
    found = {}
    for workers in (1, cores()):
        watched = Watched()
        fresh(whole, data, top / f"first{workers}", workers)
        with watched:
            fresh(whole, data, top / f"by{workers}", workers)
        between = ends(top / f"by{workers}")
        found[workers] = {
            "fits_a_minute": round(60 * len(between[workers - 1 :]) / sum(between[workers - 1 :]), 1),
            "resident_mb": round(sum(max(of) for of in watched.resident.values() if max(of) > 150)),
        }
    return found


def growth(top: Path, count: int) -> dict[str, Any]:
    """Memory of the driver and the workers of a batch of many tiny fits on all cores: a quarter and half through it, and at its
    end; and its slope over the second half, by the fits of the batch."""
    data, out = recordings(top / "data", TINY, count), top / "out"
    begin = time.monotonic()
    with Watched(out) as watched:
        fresh(whole, data, out, cores())
    seconds = time.monotonic() - begin
    workers = {pid: of for pid, of in watched.resident.items() if len(of) > 10 and max(of) > 150}
    slopes = []
    for pid, of in workers.items():
        half = len(of) // 2
        done = np.array(watched.done[pid][half:], float)
        slopes.append(float(np.polyfit(done, np.array(of[half:]), 1)[0]) if np.ptp(done) else 0.0)
    return {
        "fits": len(list(out.glob("*/result.json"))),
        "seconds": round(seconds, 1),
        "resident_mb": {
            pid: [round(of[len(of) // 4]), round(of[len(of) // 2]), round(of[-3])] for pid, of in workers.items()
        },
        "growth_kb_a_fit": [round(1000 * slope, 2) for slope in slopes],
        "zombies": len(watched.zombies),
    }


def recordings(folder: Path, about: tuple[int, int, float], count: int) -> Path:
    """So many copies of a simulated recording, which share its place on the disk."""
    height, width, seconds = about
    folder.mkdir(parents=True)
    events, _ = demo.recording(height, width, seconds, Sensor(), seed=0)
    rows = np.stack([events.t, events.x, events.y, events.p > 0], axis=1).astype(np.float64)
    np.save(folder / "0000.npy", rows)
    for number in range(1, count):
        os.link(folder / "0000.npy", folder / f"{number:04d}.npy")
    return folder


def alone(data: Path, out: Path) -> list[float]:
    """Seconds of each fit in this process, one after another, as `evinr fit` does them."""
    from evinr import devices

    devices.compilation_cache()
    seconds = []
    with open(os.devnull, "w") as nowhere:
        for source in sorted(data.glob("*.npy")):
            begin = time.monotonic()
            command = Fit(str(source), out=out, name=source.stem)
            assert fit.alone(command, ["fit", str(source)], Console(file=nowhere)) == 0
            seconds.append(time.monotonic() - begin)
    shutil.rmtree(out)
    return seconds


def scored_alone(source: str, weights: list[float], out: Path) -> tuple[list[float], list[float]]:
    """Seconds of each fit in this process, and of its score, as `evinr fit` and `evinr evaluate` do them."""
    from evinr import devices
    from evinr.cli import scored, scoring
    from evinr.cli import source as sources

    devices.compilation_cache()
    fits, scores = [], []
    given = sources.read(source, ReadOptions(), 0, Console(quiet=True))
    rules = scoring.rules(Scoring(protocol="aligned"), "0000")
    for number, weight in enumerate(weights):
        begin = time.monotonic()
        command = Fit(source, out=out, name=str(number), fit=replace(DEFAULT, smooth=weight))
        assert fit.alone(command, ["fit", source], Console(quiet=True)) == 0
        middle = time.monotonic()
        scored.means(out / str(number), given, rules)
        fits.append(middle - begin)
        scores.append(time.monotonic() - middle)
    return fits, scores


def searched(source: str, file: Path, out: Path, count: int) -> list[float]:
    """Seconds between the ends of a sweep's runs, as its results' file is written."""
    from evinr.cli import sweep_session

    ends, written = [], sweep_session.results.append

    def append(path: Path, row: Row) -> None:
        ends.append(time.monotonic())
        written(path, row)

    sweep_session.results.append = append
    assert sweep.run(Sweep(file, (source,), out, count, local=True), ["sweep"]) == 0
    return [float(seconds) for seconds in np.diff(ends)]


def whole(data: Path, out: Path, workers: int) -> None:
    """The command, as a person calls it."""
    command = Batch((str(data),), out, jobs=workers)
    assert batch.run(command, ["batch"]) == 0


def ends(out: Path) -> list[float]:
    """Seconds between the ends of the fits of a batch."""
    times = sorted(path.stat().st_mtime for path in out.glob("*/result.json"))
    return [float(seconds) for seconds in np.diff(times)]


class Watched:
    """Looks every 0.2 s at the processes that came of this one: memory in MB, and which of them are dead and not buried."""

    def __init__(self, out: Path | None = None) -> None:
        self.resident: dict[int, list[float]] = {}
        self.done: dict[int, list[int]] = {}
        self.zombies: set[int] = set()
        self._out, self._over = out, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        page, before = os.sysconf("SC_PAGE_SIZE") / 1e6, set[int]()
        while not self._over.wait(0.2):
            done = len(list(self._out.glob("*/result.json"))) if self._out else 0
            there = descendants(os.getpid())
            dead = {pid for pid, state in there.items() if state == "Z"}
            self.zombies |= dead & before  # one look may meet a process that is buried just now
            before = dead
            for pid in there:
                try:
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                except (OSError, IndexError):
                    continue
                self.resident.setdefault(pid, []).append(pages * page)
                self.done.setdefault(pid, []).append(done)


def descendants(top: int) -> dict[int, str]:
    """The processes that came of one, with their states as Linux has them."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        parents[int(stat.parent.name)] = (int(parent), state)
    found: dict[int, str] = {}
    new = {top}
    while new:
        new = {pid for pid, (parent, _) in parents.items() if parent in new}
        found |= {pid: parents[pid][1] for pid in new}
    return found


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
