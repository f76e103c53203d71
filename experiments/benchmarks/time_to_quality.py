"""Seconds to 99 % of the final score: the default, the paper preset and the authors' PyTorch code, in one run, in turns.

The score is the correlation of log intensity with the camera's or the true pictures. Each method is held against itself:
ours against its score at the default number of iterations (final), at four times as many (converged), and against the
highest on the way; the paper preset and the original against their score after their 1000 steps. Seconds are from events in
memory to fitted parameters, without the scoring: `cold` in a new process, compilation included; `cached` in a new process
that finds the compiled programs on disk; `compiled` once more in the same process. The paper preset's are cold; PyTorch
compiles nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import tyro

from evinr.config import DEFAULT, PAPER, FitConfig
from experiments.benchmarks import convergence, known_recordings, plots
from experiments.benchmarks.convergence import Point, iterations
from experiments.benchmarks.fresh import fresh
from experiments.benchmarks.known_recordings import Known
from experiments.benchmarks.machine import RESULTS, cores, save
from experiments.benchmarks.original import at_work
from experiments.benchmarks.points import kept


@dataclass(frozen=True)
class TimeToQuality:
    """Seconds to 99 % of the final score: the default, the paper preset and the authors' PyTorch code."""

    cases: tuple[str, ...] = ("slider_depth", "240x180", "346x260", "640x480", "1280x720", "240x180:4", "240x180:16")
    """slider_depth, or WIDTHxHEIGHT of a simulated recording, as long as one window or as :COUNT of them."""
    original: Path | None = None
    """Checkout of github.com/wzpscott/EvINR; unset, the original is left out."""
    torch_python: Path = Path("python")
    """A Python that has PyTorch."""
    seed: int = 0
    """Of the original's initial weights: on slider_depth its score after 1000 steps is 0.14 with seed 0 and 0.29 with 5."""
    recording: Path = Path("../shared/data/ijrr_slider_depth")
    """Folder of event text with camera frames."""
    ours: FitConfig = DEFAULT
    """What is called ours."""
    paper: FitConfig = PAPER
    """What is called the paper preset; its number of steps is the original's, too."""
    parts: tuple[float, ...] = (0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0)
    """Numbers of iterations at which ours is scored, as parts of its own, rising: each is a fit. 1 is one of them."""
    repeats: int = 5
    """Turns, in each of which ours is timed in new processes and the original takes its share of its steps."""
    every: int = 50
    """Steps of the original from one score to the next."""
    pictures: int = 16
    """Pictures of a simulated scene that are scored."""
    in_full: int = 346 * 260
    """Pixels up to which the paper preset and the original take all their steps. Above, their seconds are extrapolated
    from some steps with the first and some with the second event frames, and there is no score."""
    sampled: int = 10
    """Steps of the original that are timed there with either."""
    scratch: Path = Path("runs/time_to_quality")
    """Folder for recordings, compiled programs, and the cases that are done: they are not measured again."""
    out: Path = RESULTS / "time_to_quality.json"
    """Where the results go; a table and a plot go beside it."""


class Timing(NamedTuple):
    """Seconds of one fit."""

    cold: float
    cached: float
    compiled: float


def main(cfg: TimeToQuality) -> None:
    results = []
    for case in cfg.cases:
        name = case.replace(":", "-windows-")
        results.append(kept(cfg.scratch, name, cfg, lambda case=case: measured(cfg, case), "cases"))
        print("\n".join([HEAD, *rows(results[-1])]), flush=True)
    save(cfg.out, cfg, {"cases": results})
    cfg.out.with_suffix(".md").write_text("\n".join([HEAD, *(row for case in results for row in rows(case))]) + "\n")
    plots.draw(cfg.out)


def measured(cfg: TimeToQuality, case: str) -> dict[str, Any]:
    """All methods on one recording."""
    with TemporaryDirectory(dir=cfg.scratch) as temporary:
        scratch = Path(temporary)
        path, windows = scratch / "recording.npz", int(case.partition(":")[2] or 1)
        fresh(make, path, case, windows, cfg)
        known = known_recordings.load(path)
        about = described(case, windows, known)
        print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
        presets = {"ours": cfg.ours} | (
            {"ours, sequential": replace(cfg.ours, windows="sequential")} if windows > 1 else {}
        )
        fits = {
            name: list(dict.fromkeys(convergence.part(preset, of) for of in cfg.parts))
            for name, preset in presets.items()
        }
        curves = {name: fresh(convergence.curve, path, fits[name], cfg.repeats) for name in presets}
        in_full = known.events.height * known.events.width <= cfg.in_full
        if in_full:
            paper = of_steps(fresh(convergence.stepwise, path, cfg.paper))
        else:
            paper = extrapolated(cfg.paper.steps, *fresh(convergence.pace, path, cfg.paper))
        for name, points in curves.items():
            print(f"  {name}: " + ", ".join(f"{point.iterations} {point.score:.4f}" for point in points), flush=True)
        timings: dict[str, dict[int, list[Timing]]] = {name: defaultdict(list) for name in presets}
        others = {"paper": paper}
        for original in originals(cfg, known, scratch, in_full):
            others |= {"original": original} if original else {}
            for name, preset in presets.items():
                wanted = set(stops(curves[name], iterations(preset)).values())
                for config in (config for config in fits[name] if iterations(config) in wanted):
                    cache = scratch / "programs" / f"{name} {iterations(config)}"
                    timings[name][iterations(config)].append(timing(path, config, cache))
                    print(f"  {name}, {iterations(config)}: {timings[name][iterations(config)][-1]}", flush=True)
    ours = {name: of_fits(curves[name], iterations(preset), timings[name]) for name, preset in presets.items()}
    return about | {"ours": ours, "others": others}


def make(path: Path, case: str, windows: int, cfg: TimeToQuality) -> None:
    """Keep the recording of a case as a file; runs in a new process."""
    if case == "slider_depth":
        known = known_recordings.filmed(cfg.recording)
    else:
        width, height = map(int, case.partition(":")[0].split("x"))
        known = known_recordings.simulated(width, height, windows, cfg.pictures, cfg.ours)
    known_recordings.save(path, known)


def described(case: str, windows: int, known: Known) -> dict[str, Any]:
    """What is fitted, and on what."""
    events = known.events
    return {
        "case": case,
        "width": events.width,
        "height": events.height,
        "windows": windows,
        "events": events.count,
        "seconds_of_recording": float(events.t[-1] - events.t[0]),
        "device": fresh(convergence.device),
        "threads": cores(),
    }


def timing(path: Path, config: FitConfig, cache: Path) -> Timing:
    """One fit in new processes, without and with the compiled programs of one before."""
    if not cache.exists():
        fresh(convergence.seconds, path, config, cache)
    cold, compiled = fresh(convergence.seconds, path, config, None)
    return Timing(cold, fresh(convergence.seconds, path, config, cache).first, compiled)


def originals(cfg: TimeToQuality, known: Known, scratch: Path, in_full: bool) -> Iterator[dict[str, Any] | None]:
    """The original's share of each turn, and what is known of it after that; None where it is left out."""
    if cfg.original is None:
        yield from [None] * cfg.repeats
        return
    steps, few = cfg.paper.steps, cfg.sampled
    count = steps if in_full else 4 * few
    with at_work(cfg.original, cfg.torch_python, known.events, count, cfg.seed, scratch) as original:
        if not in_full:
            # Timed are the second halves: before them PyTorch gets its memory, and in between the second frames are made.
            chunks = [original.steps(share) for share in (few, few - 1, 2, few - 1, few)]
            paced = extrapolated(steps, chunks[1] / (few - 1), chunks[4] / few, 2 * original.stacking)
            yield from [paced | original.about] * cfg.repeats
            return
        points, spent = list[Point](), original.stacking
        for turn in range(cfg.repeats):
            for done in range(steps * turn // cfg.repeats, until := steps * (turn + 1) // cfg.repeats, cfg.every):
                after = min(done + cfg.every, until)
                spent += original.steps(after - done)
                score = convergence.score(original.log_intensity(known.times), known)
                points.append(Point(after, spent, score))
            print(f"  original: {points[-1]}", flush=True)
            yield of_steps(points) | original.about


def stops(points: Sequence[Point], default: int) -> dict[str, int]:
    """Numbers of iterations that matter: the default, and the first within 1 % of each of the goals."""
    return {"default": default} | {
        f"to_99_of_{name}": near(points, goal).iterations for name, goal in goals(points, default).items()
    }


def goals(points: Sequence[Point], default: int) -> dict[str, float]:
    """Scores that ours is held against: at the default number of iterations, at the most, and the highest of all."""
    final = next(point.score for point in points if point.iterations == default)
    return {"final": final, "converged": points[-1].score, "highest": max(point.score for point in points)}


def near(points: Sequence[Point], goal: float) -> Point:
    """The first of the points, of which one reaches the goal, that is within 1 % of it."""
    return next(point for point in points if point.score >= goal - 0.01 * abs(goal))


def of_fits(points: Sequence[Point], default: int, timings: Mapping[int, Sequence[Timing]]) -> dict[str, Any]:
    """Ours: its scores, where it stands at which of its stops, and the seconds to these."""
    wanted = stops(points, default)
    medians = {
        stop: {kind: median(getattr(run, kind) for run in timings[count]) for kind in Timing._fields}
        for stop, count in wanted.items()
    }
    return goals(points, default) | {
        "iterations": wanted,
        "seconds": medians,
        "all_seconds": {str(count): runs for count, runs in timings.items()},
        "curve": [point._asdict() for point in points],
    }


def of_steps(points: Sequence[Point]) -> dict[str, Any]:
    """A method that was scored on its way."""
    at = near(points, points[-1].score)
    return {
        "final": points[-1].score,
        "seconds": points[-1].seconds,
        "seconds_to_99_of_final": at.seconds,
        "steps_to_99_of_final": at.iterations,
        "curve": [point._asdict() for point in points],
    }


def extrapolated(steps: int, first: float, second: float, beside: float = 0.0) -> dict[str, Any]:
    """A method of which some steps were timed: half of its steps take `first` seconds each, half take `second`."""
    return {"seconds": beside + steps / 2 * (first + second), "seconds_per_step": [first, second], "extrapolated": True}


COLUMNS = (
    "case",
    "windows",
    "method",
    "score",
    "iterations to 99 %",
    "s to 99 %, cold",
    "cached",
    "compiled",
    "s in all, cold",
    "original in all / ours to 99 %, cold",
    "compiled",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|---|--:|---|{'--:|' * (len(COLUMNS) - 3)}"


def rows(case: dict[str, Any]) -> list[str]:
    """A line of the table for each method; the last columns are the original's seconds in all over ours to 99 %."""
    others, lines = case["others"], []
    original = others["original"]["seconds"] if "original" in others else None
    for name, ours in case["ours"].items():
        to = ours["seconds"]["to_99_of_final"]
        ratios = [f"{original / to[kind]:.0f}" if original else "" for kind in ("cold", "compiled")]
        seconds = [
            *(f"{to[kind]:.3f}" for kind in Timing._fields),
            f"{ours['seconds']['default']['cold']:.3f}",
            *ratios,
        ]
        lines.append([name, f"{ours['final']:.4f}", str(ours["iterations"]["to_99_of_final"]), *seconds])
    for name, other in others.items():
        if "extrapolated" in other:
            lines.append([name, "", "", "", "", "", f"{other['seconds']:.0f} (extrapolated)", "", ""])
        else:
            to = [str(other["steps_to_99_of_final"]), f"{other['seconds_to_99_of_final']:.1f}"]
            lines.append([name, f"{other['final']:.4f}", *to, "", "", f"{other['seconds']:.1f}", "", ""])
    return [f"| {' | '.join([case['case'], str(case['windows']), *line])} |" for line in lines]


if __name__ == "__main__":
    main(tyro.cli(TimeToQuality))
