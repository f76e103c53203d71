"""Methods over the benchmark suite: every sequence made, fitted and scored; one JSON, one table.

    python -m experiments.suite

Protocols differ only in how pictures are compared, so each fit is scored under all of them. Real recordings join where
`--recordings` finds them: with the camera's frames as truth, or by what needs none.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import evinr
from converters import ReadOptions, read
from evinr.config import DEFAULT, PAPER, FitConfig
from evinr.evaluation import evaluate, pool
from evinr.events import Events, InputError
from evinr.files import whole
from evinr.matching import alone
from evinr.metrics.lpips import Lpips, load
from evinr.prediction import Truth, of_reconstruction
from evinr.protocols import ALIGNED, EVREAL_2024
from evinr.scores import METRICS, Evaluation, Mean
from experiments.benchmarks.machine import save
from experiments.suite.sequences import SEQUENCES, make

PROTOCOLS = (ALIGNED, EVREAL_2024)
METHODS: dict[str, FitConfig] = {
    "evinr": DEFAULT,
    "sequential": replace(DEFAULT, windows="sequential"),
    "paper": PAPER,
}
WIDTH = 128
"""Columns of the table where it is not on a terminal."""
SHOWN = ("corr", "ssim", "mse", "psnr", "lpips", "temporal", "replay", "sharpness")


@dataclass(frozen=True)
class Suite:
    """Run methods over the benchmark suite."""

    methods: tuple[Literal["evinr", "sequential", "paper"], ...] = ("evinr", "sequential", "paper")
    """Presets of `evinr fit`, and ours with --windows sequential."""
    sequences: tuple[str, ...] = ()
    """Names of the sequences (see experiments/suite/sequences.py); unset, all."""
    recordings: Path | None = Path("../shared/data")
    """Folder of real recordings, each a folder or file of a known format, its first `seconds` are used."""
    seconds: float = 0.5
    """Of each real recording, from its start."""
    steps: int | None = None
    """Steps of `paper`, to try the suite; unset, its own."""
    lpips: Path | None = None
    """LPIPS weights (.safetensors, see `evinr weights convert`)."""
    out: Path = Path("experiments/suite/results/suite.json")
    """Where the results go; the table goes beside it, as .md."""


class Case(NamedTuple):
    """What is fitted: made or read when its turn comes."""

    name: str
    get: Callable[[], tuple[Events, Truth | None]]


class Outcome(NamedTuple):
    """One method on one case."""

    case: str
    method: str
    seconds: float
    """Of the fit, compilation included where its shapes are new."""
    frames: bool
    """Whether there are pictures to compare with."""
    evaluations: Mapping[str, Evaluation]
    """By protocol."""


def main(suite: Suite) -> int:
    """Run the suite; 0 when everything has been scored."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if not console.is_terminal:
        console.width = WIDTH
    lpips = load(suite.lpips) if suite.lpips else None
    every = [*simulated(), *(recorded(suite.recordings, suite.seconds) if suite.recordings else [])]
    cases = [case for case in every if not suite.sequences or case.name in suite.sequences]
    if not cases or set(suite.sequences) - {case.name for case in every}:
        print(f"--sequences: there are {', '.join(case.name for case in every)}", file=sys.stderr)
        return 2
    suite.out.parent.mkdir(parents=True, exist_ok=True)
    outcomes, failures = [], {}
    columns = (TextColumn("{task.description:>40}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("", total=len(cases))
        for case in cases:
            bar.update(task, description=f"{case.name}, making it")
            try:
                events, truth = case.get()
                for method in suite.methods:
                    bar.update(task, description=f"{case.name}, {method}")
                    outcomes.append(run(case.name, method, suite.steps, events, truth, lpips))
            except InputError as error:
                failures[case.name] = str(error)
            save(suite.out, suite, results(outcomes, failures), quiet=True)
            bar.advance(task)
    table(console, outcomes)
    with whole(suite.out.with_suffix(".md")) as partial, partial.open("w") as file:
        file.write("```\n")
        table(Console(file=file, width=WIDTH, highlight=False, markup=False), outcomes)
        file.write("```\n")
    console.print(f"numbers in {suite.out}, table in {suite.out.with_suffix('.md')}")
    for name, why in failures.items():
        console.print(f"failed: {name}: {why}")
    return 1 if failures else 0


def simulated() -> list[Case]:
    """The sequences of the suite."""
    return [Case(sequence.name, lambda sequence=sequence: make(sequence)) for sequence in SEQUENCES]


def recorded(folder: Path, seconds: float) -> list[Case]:
    """The real recordings in a folder and below, from the first event on; none where there is no such folder."""
    found = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.name == "events.txt" or path.suffix in (".bag", ".aedat4", ".raw", ".h5", ".hdf5"):
            source = path.parent if path.name == "events.txt" else path
            found.append((source.stem, source))

    def get(source: Path) -> tuple[Events, Truth | None]:
        first = float(read(source, ReadOptions(skip_frames=True)).events.t[0])
        recording = read(source, ReadOptions(t_start=first, t_end=first + seconds))
        truth = None if recording.frames is None else Truth(recording.frames.times, recording.frames.images, first)
        return recording.events, truth

    return [Case(name, lambda source=source: get(source)) for name, source in found]


def run(case: str, method: str, steps: int | None, events: Events, truth: Truth | None, lpips: Lpips | None) -> Outcome:
    """Fit and score."""
    config = METHODS[method]
    if steps is not None and method == "paper":
        config = replace(config, steps=steps)
    begin = time.perf_counter()
    prediction = of_reconstruction(evinr.fit(events, config))
    seconds = time.perf_counter() - begin
    look = truth or alone([prediction])
    scores = {protocol.name: evaluate(prediction, look, events, protocol, lpips=lpips) for protocol in PROTOCOLS}
    return Outcome(case, method, seconds, truth is not None, scores)


def results(outcomes: list[Outcome], failures: Mapping[str, str]) -> dict[str, Any]:
    """Everything but the single frames."""
    return {
        "protocols": [asdict(protocol) for protocol in PROTOCOLS],
        "scores": [
            {
                "sequence": outcome.case,
                "method": outcome.method,
                "seconds": round(outcome.seconds, 3),
                "frames": outcome.frames,
                "protocols": {
                    name: {metric: mean._asdict() for metric, mean in evaluation.means.items()}
                    | {"notes": evaluation.notes}
                    for name, evaluation in outcome.evaluations.items()
                },
            }
            for outcome in outcomes
        ],
        "means": means(outcomes),
        "failures": failures,
    }


def means(outcomes: list[Outcome]) -> dict[str, Any]:
    """Of the sequences that have frames, all alike; by method, protocol and metric."""
    pooled = {}
    for method in dict.fromkeys(outcome.method for outcome in outcomes):
        pooled[method] = {}
        for protocol in PROTOCOLS:
            alike = replace(protocol, averaging="sequences")
            scored = [outcome.evaluations[protocol.name] for outcome in outcomes if outcome.method == method]
            full = [evaluation for evaluation in scored if "mse" in evaluation.means]
            if not full:
                continue
            pooled[method][protocol.name] = {name: mean._asdict() for name, mean in pool(full, alike).items()}
    return pooled


def table(console: Console, outcomes: list[Outcome]) -> None:
    """A row for each sequence and method, under `aligned`; and the means."""
    methods = list(dict.fromkeys(outcome.method for outcome in outcomes))
    names = [name for name in SHOWN if any(name in o.evaluations[ALIGNED.name].means for o in outcomes)]
    shown = Table("sequence", "method", "fit s", *(METRICS[name].title for name in names), box=None, pad_edge=False)
    for outcome in outcomes:
        scores = [outcome.evaluations[ALIGNED.name].means.get(name, Mean(None, None, None)) for name in names]
        shown.add_row(outcome.case, outcome.method, f"{outcome.seconds:.2f}", *map(_cell, scores))
    for method in methods:
        values = means([o for o in outcomes if o.method == method])[method].get(ALIGNED.name, {})
        scores = [Mean(**values[name]) if name in values else Mean(None, None, None) for name in names]
        shown.add_row("mean where there are frames", method, "", *map(_cell, scores))
    console.print(f"protocol {ALIGNED.name}: {ALIGNED.source}")
    console.print(shown)


def _cell(mean: Mean) -> str:
    return "-" if mean.value is None else f"{mean.value:.3f}"


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Suite)))
    except (InputError, OSError) as error:
        sys.exit(f"suite: {error}")
