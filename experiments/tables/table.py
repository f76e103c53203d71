"""From a dataset's folder to its table: every sequence fitted and scored, pooled, and printed beside what others published.

Our fit is of a short window, so a sequence is fitted in consecutive spans, each asked at the exact times of its frames.
"""

import json
import sys
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from converters import ReadOptions
from evinr.config import DEFAULT, FitConfig
from evinr.cuts import TABLES, Cut
from evinr.evaluation import pool
from evinr.events import InputError
from evinr.files import write_json
from evinr.matching import ALONE
from evinr.metrics.lpips import load
from evinr.protocols import PROTOCOLS
from evinr.scores import Evaluation
from experiments.benchmarks.machine import machine, provenance
from experiments.tables.printed import counted, grouped, table
from experiments.tables.published import ROWS
from experiments.tables.recordings import find
from experiments.tables.sequences import Plan, sequence

RESULTS = Path("experiments/tables/results")
"""Relative to the root of the repository, from which the scripts are run."""


class Dataset(NamedTuple):
    """What a table is of."""

    name: str
    """In `evinr.cuts.TABLES` and `published.ROWS`."""
    compared: str
    """What is compared, and what cannot be; printed above the table."""
    every: bool = False
    """Whether all recordings in the folder count, rather than the sequences that the cuts know."""
    camera: bool = True
    """Whether there are frames to compare with."""
    read: ReadOptions = ReadOptions()
    config: FitConfig = DEFAULT


@dataclass(frozen=True)
class Options:
    """Fit and score the sequences of a dataset, and print ours beside what others published."""

    root: tyro.conf.Positional[Path]
    """Folder of the recordings: bags, folders, HDF5, text or arrays."""
    protocol: Literal["evreal-2024", "evreal-2023", "legacy-etnet", "aligned"] = "evreal-2024"
    """How pictures are compared."""
    lpips: Path | None = None
    """LPIPS weights (.safetensors, see `evinr weights convert`); without them there is no LPIPS."""
    window: float = 0.5
    """Seconds fitted at once."""
    limit_seconds: float | None = None
    """Score only that much from the start of what counts of each sequence, to try the script."""
    whole: bool = False
    """Score all of each recording, without the protocol's cuts."""
    iterations: int | None = None
    """Steps of a fit's windows, to try the script; unset, the default's."""
    out: Path | None = None
    """Where the results go; unset, experiments/tables/results/NAME-PROTOCOL.json. Beside it, a folder of that name keeps
    those of each sequence."""

    def __post_init__(self) -> None:
        for name, value in (("window", self.window), ("limit-seconds", self.limit_seconds)):
            if value is not None and not 0 < value < inf:
                raise ValueError(f"{name} is {value}, and must be above 0")


def main(dataset: Dataset, options: Options) -> int:
    """Run a table's script; 0 when at least one sequence has scores, else 1."""
    try:
        return _run(dataset, options)
    except InputError as error:
        print(f"{dataset.name.lower()}: {error}", file=sys.stderr)
        return 1


def _run(dataset: Dataset, options: Options) -> int:
    config = dataset.config
    if options.iterations is not None:
        config = replace(config, iterations=options.iterations)
    lpips = None if options.lpips is None else load(options.lpips)
    protocol = PROTOCOLS[options.protocol]
    if protocol.normalisation == "log affine":
        # Each span is fitted and aligned by itself, which is kinder than once a sequence.
        protocol = replace(protocol, name=f"{protocol.name}, a span at a time")
    plan = Plan(protocol, lpips, dataset.camera, dataset.read, config, options.window, options.limit_seconds)
    cuts = {} if dataset.every or options.whole or protocol.cuts == "none" else TABLES[dataset.name]
    found = find(options.root, dataset.name, None if dataset.every else tuple(TABLES[dataset.name]))
    out = options.out or RESULTS / f"{dataset.name.lower()}-{protocol.name}.json"
    for line in _preface(dataset, plan, bool(cuts)):
        print(line)
    absent: dict[str, str] = {}
    evaluations: dict[str, Evaluation] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(found.recordings))
        for index, (name, path) in enumerate(found.recordings.items()):
            progress.update(task, description=name, completed=index)
            cut = Cut(dataset.name, *cuts[name]) if cuts else None

            def advance(done: float, index: int = index) -> None:
                progress.update(task, completed=index + done)

            try:
                evaluations[name] = sequence(name, path, cut, plan, out.with_suffix("") / f"{name}.json", advance)
            except InputError as error:
                absent[name] = str(error).removeprefix(f"{name}: ")
    absent |= dict.fromkeys(found.missing, f"missing in {options.root}")
    if not evaluations:
        raise InputError(f"no sequence could be scored; {'; '.join(grouped(absent))}")
    pooled = pool(list(evaluations.values()), protocol)
    for line in table(evaluations, pooled, absent, protocol, ROWS[dataset.name]):
        print(line)
    if found.others:
        print(f"in the folder, but not in this table: {', '.join(found.others)}")
    results = {
        "dataset": dataset.name,
        "compared": dataset.compared,
        "protocol": asdict(protocol),
        "means": {name: mean._asdict() for name, mean in pooled.items()},
        "sequences": {name: _summary(evaluation) for name, evaluation in evaluations.items()},
        "absent": absent,
        "published": [row._asdict() | {"sequences": dict(row.sequences)} for row in ROWS[dataset.name]],
    }
    record = {"results": results, "config": asdict(options), "machine": machine(), **provenance()}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, json.loads(json.dumps(record, default=str)))
    print(f"written to {out}")
    return 0


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    means = {name: mean._asdict() for name, mean in evaluation.means.items()}
    return {"frames": counted(evaluation), "means": means, "notes": list(evaluation.notes)}


def _preface(dataset: Dataset, plan: Plan, cut: bool) -> list[str]:
    cuts = "EVREAL's cuts" if cut else "no cuts, all of each recording counts"
    if not cut and not dataset.every:
        cuts += ", unlike in published rows"
    if plan.limit is not None:
        cuts += f"; of that only the first {plan.limit:g} s"
    when = "the exact times of the frames" if plan.camera else f"{ALONE + 1} times evenly over each"
    return [
        f"{dataset.name}: {dataset.compared}",
        f"protocol {plan.protocol.name}: {plan.protocol.source}",
        f"{cuts}; fitted in spans of {plan.window:g} s, each by itself, and asked at {when}",
    ]
