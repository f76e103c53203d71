"""What `evaluate`, `compare` and `report` share: the protocol and its cut, predictions on the recording's clock, scores as
table, JSON and CSV."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from evinr.cli.commands import LPIPS_WEIGHTS, Scoring, complete
from evinr.cli.prediction_files import Given
from evinr.cli.source import Source
from evinr.cuts import TABLES, Cut, cut, sequence
from evinr.events import InputError
from evinr.files import whole
from evinr.metrics.lpips import Lpips, load
from evinr.prediction import Prediction, shifted
from evinr.protocols import PROTOCOLS, Normalisation, Protocol
from evinr.report import PERCENT, bar
from evinr.scores import METRICS, Evaluation, Mean


class Rules(NamedTuple):
    """How a recording's predictions are scored."""

    protocol: Protocol
    cut: Cut | None
    lpips: Lpips | None
    said: str
    """What was made of the cut, for people."""
    normalisation: Normalisation | None = None
    """What replaces the method's own, if anything."""


def rules(scoring: Scoring, recording: str) -> Rules:
    """The rules for a recording of that name. Raises InputError where the LPIPS weights cannot be used."""
    protocol = PROTOCOLS[scoring.protocol]
    for option, value in (("equalisation", scoring.equalisation), ("lpips", scoring.lpips)):
        if protocol.light and value not in (None, "none"):
            raise InputError(f"--{option}: is for pictures, and protocol {protocol.name} compares light; leave it out")
    if scoring.equalisation is not None and scoring.equalisation != protocol.equalisation:
        name = f"{protocol.name}, but for equalisation"
        protocol = replace(protocol, name=name, equalisation=scoring.equalisation)
    weights = complete(scoring).lpips
    try:
        lpips = load(weights) if weights else None
    except InputError as error:
        raise InputError(str(error) if scoring.lpips else f"{LPIPS_WEIGHTS}: {error}") from None
    name = scoring.sequence or recording
    if scoring.sequence is not None and sequence(scoring.sequence) is None:
        known = ", ".join(dict.fromkeys(name for table in TABLES.values() for name in table))
        raise InputError(f"--sequence {scoring.sequence}: has no known cut; there are {known}")
    found = cut(name) if protocol.cuts == "evreal" and not scoring.whole else None
    if scoring.whole or protocol.cuts == "none":
        said = "no cut, all of the recording counts"
    elif found is None:
        said = f"{name} is no sequence with a known cut (--sequence names one), so all of it counts"
    else:
        said = f"{name} is cut as {found.dataset} is, {found.said} after its start"
    return Rules(protocol, found, lpips, said)


class Placed(NamedTuple):
    """A prediction at the times of the recording that it is held against."""

    path: Path
    prediction: Prediction
    assumptions: tuple[str, ...]


def placed(path: Path, given: Given, source: Source, offset: float = 0.0) -> Placed:
    """A prediction that was read, at the recording's times."""
    prediction, said = on_the_clock(given, source, offset)
    theirs = source.about.get("sha256")
    if given.sha256 and theirs and given.sha256 != theirs:
        said = (*said, "it was fitted to other files than these: the same recording in another form, or another one")
    return Placed(path, prediction, (*given.assumptions, *said))


def on_the_clock(given: Given, source: Source, offset: float) -> tuple[Prediction, tuple[str, ...]]:
    """The prediction at the recording's times, `offset` seconds later, and what was assumed to bring it there."""
    prediction, zero = given.prediction, source.about.get("origin_ns") or 0
    if zero and given.origin:
        return shifted(prediction, (given.origin - zero) / 1e9 + offset), ()
    start, end = float(source.events.t[0]), float(source.events.t[-1])
    absolute = shifted(prediction, -zero / 1e9).span
    if zero and prediction.span.start > end and absolute.start <= end and absolute.end >= start:
        said = f"its times are on the recording's own clock, of which {zero} ns are time 0 here"
        return shifted(prediction, -zero / 1e9 + offset), (said,)
    return shifted(prediction, offset), ()


def named(paths: Iterable[Path]) -> dict[str, Path]:
    """A name for each prediction: its last part, or as many more as tell it from the others."""
    paths = [Path(os.path.abspath(path)) for path in paths]
    if len(set(paths)) < len(paths):
        raise InputError(f"{next(path for path in paths if paths.count(path) > 1)}: given twice; give it once")
    for parts in range(1, 64):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return dict(zip(names, paths, strict=True))
    raise InputError("the predictions have too much of their paths in common to be told apart; move one")


@contextmanager
def progress(console: Console, methods: int = 1) -> Iterator[Callable[[int, str, float], None]]:
    """Shows how far the scoring is, while the function it gives is told the method's number, the metric, and what part of
    that method is done."""
    with bar(console, PERCENT) as shown:
        task = shown.add_task("scoring", total=methods)
        yield lambda number, metric, done: shown.update(task, description=metric, completed=number + done)
        shown.update(task, description="scored", completed=methods)


def tell(console: Console, protocol: Protocol, said: str) -> None:
    """Print the protocol whole: scores without it mean nothing."""
    console.print(f"protocol {protocol.name}: {protocol.source}")
    console.print(
        f"  {said}; a prediction within {protocol.tolerance * 1e3:g} ms; normalisation {protocol.normalisation}, "
        f"equalisation {protocol.equalisation}, {METRICS[protocol.ssim].title}, datasets averaged over {protocol.averaging}"
    )


def table(console: Console, evaluations: Mapping[str, Evaluation]) -> None:
    """Print a row a metric, a column a method: means with their 95 % intervals; and what was assumed."""
    names = [name for name in METRICS if any(name in evaluation.means for evaluation in evaluations.values())]
    shown = Table("", box=None, pad_edge=False)
    for title in evaluations:
        shown.add_column(title, overflow="fold")  # an interval cut short would be none
    counts = (int(evaluation.scored.sum()) for evaluation in evaluations.values())
    of = (len(evaluation.times) for evaluation in evaluations.values())
    shown.add_row("scored", *(f"{count} of {all}" for count, all in zip(counts, of, strict=True)))
    for name in names:
        arrow = {"lower": "\N{DOWNWARDS ARROW}", "higher": "\N{UPWARDS ARROW}", "neither": ""}[METRICS[name].better]
        means = [evaluation.means.get(name, Mean(None, None, None)) for evaluation in evaluations.values()]
        shown.add_row(f"{METRICS[name].title} {arrow}", *map(_cell, means))
    console.print(shown)
    for note in notes(evaluations):
        console.print(f"  {note}")


def notes(evaluations: Mapping[str, Evaluation]) -> list[str]:
    """What was assumed and left out, with the names of the methods that it concerns where these are not all."""
    said = [(title, note) for title, evaluation in evaluations.items() for note in evaluation.notes]
    told = []
    for note in dict.fromkeys(note for _, note in said):
        methods = [title for title, other in said if other == note]
        told.append(note if len(methods) == len(evaluations) else f"{', '.join(methods)}: {note}")
    return told


def _cell(mean: Mean) -> str:
    if mean.value is None:
        return "-"
    digits = 4 if abs(mean.value) < 10 else 2
    interval = "" if mean.low is None else f" ({mean.low:.{digits}f} - {mean.high:.{digits}f})"
    return f"{mean.value:.{digits}f}{interval}"


def as_json(evaluation: Evaluation, rules: Rules) -> dict[str, Any]:
    """All but the single frames."""
    count = {name: int(np.isfinite(values).sum()) for name, values in evaluation.frames.items()}
    scores = {
        name: mean._asdict() | {"frames": count.get(name, 0), "better": METRICS[name].better}
        for name, mean in evaluation.means.items()
    }
    return {
        "evinr": version("evinr"),
        "protocol": asdict(evaluation.protocol),
        "cut": None if rules.cut is None else {"dataset": rules.cut.dataset, "seconds": rules.cut.said},
        "lpips": None if rules.lpips is None else {"trunk": rules.lpips.trunk, "sha256": rules.lpips.sha256},
        "frames": {"in_cut": len(evaluation.times), "scored": int(evaluation.scored.sum())},
        "scores": scores,
        "notes": list(evaluation.notes),
    }


def write_csv(path: Path, evaluations: Mapping[str, Evaluation]) -> None:
    """A line for each method and frame of the cut; a score that there is none of is empty."""
    names = [name for name in METRICS if any(name in evaluation.frames for evaluation in evaluations.values())]
    with whole(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "time", *names])
        for title, evaluation in evaluations.items():
            nothing = np.full(len(evaluation.times), np.nan)
            columns = [evaluation.frames.get(name, nothing) for name in names]
            for time, *scores in zip(evaluation.times, *columns, strict=True):
                writer.writerow(
                    [title, f"{time:.9f}", *("" if np.isnan(score) else f"{score:.9g}" for score in scores)]
                )
