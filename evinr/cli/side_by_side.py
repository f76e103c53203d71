"""What `compare` and `report` show: several predictions of one recording, scored alike and drawn at the same times."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int
from rich.console import Console

from evinr import report
from evinr.cli import scoring, source
from evinr.cli.source import Source
from evinr.evaluation import alone, choose, score, show
from evinr.events import Events, InputError
from evinr.pages import comparison
from evinr.scores import Evaluation

EVENTS_PER_PIXEL = 0.1
"""Events in a picture of events, about: enough to see shapes, few enough to see them sharp."""


class Seen(NamedTuple):
    """One method, scored."""

    path: Path
    assumptions: tuple[str, ...]
    evaluation: Evaluation
    pictures: Float32[np.ndarray, "m h w"]
    """What the metrics saw, at the scored times."""
    truth: Float32[np.ndarray, "m h w"] | None


class SideBySide(NamedTuple):
    """All methods on one recording."""

    recording: str
    rules: scoring.Rules
    methods: Mapping[str, Seen]

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """The scores of each method."""
        return {title: seen.evaluation for title, seen in self.methods.items()}

    def as_json(self) -> dict[str, Any]:
        """All but the single frames, by method."""
        return {
            title: scoring.as_json(
                seen.evaluation, self.rules, {"prediction": str(seen.path), "assumptions": list(seen.assumptions)}
            )
            for title, seen in self.methods.items()
        }


def scored(console: Console, paths: Mapping[str, Path], given: Source, rules: scoring.Rules) -> SideBySide:
    """Score predictions on a recording, and print the table. Raises InputError, which names the prediction."""
    read = {title: scoring.read(path, given) for title, path in paths.items()}
    truth = source.truth(given) or alone([prediction for prediction, _ in read.values()])
    methods = {}
    with scoring.progress(console, len(read)) as advance:
        for number, (title, (prediction, assumptions)) in enumerate(read.items()):
            try:
                chosen = choose(prediction, truth, rules.protocol, rules.cut)
                shown = show(prediction, truth, chosen, rules.protocol, None)
                told = partial(advance, number)
                evaluation = score(shown, chosen, truth, given.events, rules.protocol, rules.lpips, told)
            except InputError as error:
                raise InputError(f"{paths[title]}: {error}") from None
            methods[title] = Seen(paths[title], assumptions, evaluation, shown.pictures, shown.truth)
    result = SideBySide(source.name_of(given.about["source"]), rules, methods)
    scoring.tell(console, rules.protocol, rules.said)
    scoring.table(console, result.evaluations)
    return result


def drawn(compared: SideBySide, given: Source, pictures: int) -> comparison.Page:
    """The page, with at most so many pictures a method, evenly over the frames that all methods have.

    Raises InputError where there are no such frames.
    """
    where = _shared(compared.evaluations, pictures)
    first = next(iter(compared.methods.values()))
    times = first.evaluation.times[where]
    methods = []
    for title, seen in compared.methods.items():
        losses, facts = _course(seen.path)
        facts += [("assumed", assumption) for assumption in seen.assumptions]
        scores = {metric: values[where] for metric, values in seen.evaluation.frames.items()}
        clip = comparison.Clip(title, report.bytes_of(seen.pictures[_place(seen.evaluation, where)]))
        methods.append(comparison.Method(clip, seen.evaluation.means, scores, losses, facts))
    camera = None
    if first.truth is not None:
        camera = comparison.Clip("truth", report.bytes_of(first.truth[_place(first.evaluation, where)]))
    protocol, notes = compared.rules.protocol, [seen.evaluation.notes for seen in compared.methods.values()]
    facts = [
        ("recording", f"{given.about['source']} ({given.about['format']})"),
        ("events", f"{given.events.count:,} on {given.events.width} x {given.events.height} pixels"),
        ("protocol", f"{protocol.name}: {protocol.source}"),
        ("scored", compared.rules.said),
        *(("assumed", assumption) for assumption in given.about["assumptions"]),
        *(("note", note) for note in dict.fromkeys(note for some in notes for note in some)),
    ]
    return comparison.Page(compared.recording, facts, times, methods, camera, _events(given.events, times))


def _shared(evaluations: Mapping[str, Evaluation], count: int) -> Int[np.ndarray, " n"]:
    """The frames that the page shows: at most `count`, evenly, of those that every method has."""
    shared = np.flatnonzero(np.all([evaluation.scored for evaluation in evaluations.values()], axis=0))
    if not shared.size:
        raise InputError("the predictions have no frame in common: give some of the same part of the recording")
    return shared[np.unique(np.linspace(0, shared.size - 1, count).round().astype(int))]


def _place(evaluation: Evaluation, where: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Where these frames stand among the scored ones."""
    return np.cumsum(evaluation.scored)[where] - 1


def _events(events: Events, times: Float64[np.ndarray, " n"]) -> comparison.Clip:
    seconds = max(float(events.t[-1] - events.t[0]), 1e-6)
    window = EVENTS_PER_PIXEL * events.height * events.width / events.count * seconds
    drawn = np.stack([report.bytes_of(report.event_picture(events, time, window)) for time in times])
    return comparison.Clip(f"events of {window * 1e3:.3g} ms", drawn)


def about(path: Path) -> dict[str, Any]:
    """`config.json` of a run, empty where there is none."""
    config = path / "config.json"
    return json.loads(config.read_text()) if config.is_file() else {}


def _course(path: Path) -> tuple[dict[str, list[float]], list[tuple[str, str]]]:
    """The loss terms of a run over its steps, and the facts about it."""
    facts = [("path", str(path))]
    meaning, metrics = about(path), path / "metrics.jsonl"
    if not metrics.is_file():
        return {}, facts
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    terms = ("total", "events", "variation", "still", "constancy")
    last = [row for row in rows if "seconds" in row][-1]
    facts += [
        (
            "steps",
            f"{rows[-1]['step']} in {last['seconds']:.3g} s, compilation included, {last['memory_mb']} MB at most",
        ),
        ("settings", ", ".join(f"{name} {value}" for name, value in meaning["config"].items() if value is not None)),
        ("span", "{:.6f} to {:.6f} s".format(*meaning["span"])),
    ]
    return {term: [row[term] for row in rows] for term in terms}, facts
