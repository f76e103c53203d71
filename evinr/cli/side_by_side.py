"""What `evaluate`, `compare` and `report` do: predictions of one recording, scored alike, told, drawn at the same times."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64
from rich.console import Console

from evinr import checkpoint, report
from evinr.cli import baseline_run, scoring, source
from evinr.cli.source import Source
from evinr.config import OF_THE_WHOLE, OF_WINDOWS
from evinr.evaluation import WithoutTruth, of_the_frames, score
from evinr.events import Events, InputError
from evinr.matching import alone, choose, shared
from evinr.pages import comparison
from evinr.scores import Evaluation
from evinr.shown import show

TERMS = ("total", "events", "variation", "still", "constancy")
"""Of the objective, as `metrics.jsonl` names them."""


class Seen(NamedTuple):
    """One method, scored."""

    path: Path
    assumptions: tuple[str, ...]
    evaluation: Evaluation
    pictures: Float32[np.ndarray, "m h w"]
    """What the metrics saw, at the scored times; light tone-mapped."""
    truth: Float32[np.ndarray, "m h w"] | None


class SideBySide(NamedTuple):
    """All methods on one recording."""

    recording: str
    rules: scoring.Rules
    methods: Mapping[str, Seen]
    frames: WithoutTruth | None
    """What the frames themselves score."""

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """The scores of each method."""
        return {title: seen.evaluation for title, seen in self.methods.items()}

    def as_json(self) -> dict[str, Any]:
        """All but the single frames, by method."""
        frames = self.frames and self.frames._asdict()
        return {
            title: {"prediction": str(seen.path), "assumptions": list(seen.assumptions)}
            | scoring.as_json(seen.evaluation, self.rules)
            | {"frames_themselves": frames}
            for title, seen in self.methods.items()
        }


def scored(
    console: Console, given: Source, predictions: Mapping[str, scoring.Placed], rules: scoring.Rules
) -> SideBySide:
    """Score predictions on the frames that all of them have. Raises InputError, which names the prediction."""
    truth = source.truth(given, rules.protocol.light) or alone([placed.prediction for placed in predictions.values()])
    methods, chosen, frames = {}, {}, None
    for title, placed in predictions.items():
        with of(placed.path):
            chosen[title] = choose(placed.prediction, truth, rules.protocol, rules.cut)
    with scoring.progress(console, len(predictions)) as advance:
        for number, (title, one) in enumerate(shared(chosen).items()):
            path, prediction, assumptions = predictions[title]
            with of(path):
                shown = show(prediction, truth, one, rules.protocol, rules.normalisation)
                told = partial(advance, number)
                evaluation = score(shown, one, truth, given.events, rules.protocol, rules.lpips, told)
            true = None if shown.truth is None else shown.truth.pictures
            methods[title] = Seen(path, assumptions, evaluation, shown.prediction.pictures, true)
            frames = frames or of_the_frames(shown, one.times, given.events)
    return SideBySide(source.name_of(given.about["source"]), rules, methods, frames)


def tell(console: Console, compared: SideBySide) -> None:
    """Print the protocol, the table, and what was assumed."""
    scoring.tell(console, compared.rules.protocol, compared.rules.said)
    scoring.table(console, compared.evaluations)
    if compared.frames:
        console.print(f"  {_said(compared.frames)}")


def _said(frames: WithoutTruth) -> str:
    return f"the frames themselves: replay {frames.replay:.4f}, sharpness {frames.sharpness:.4f}"


@contextmanager
def of(path: Path) -> Iterator[None]:
    """Errors name the prediction."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None


def drawn(compared: SideBySide, given: Source, pictures: int) -> comparison.Page:
    """The page, with at most so many pictures a method, evenly over the scored frames."""
    first = next(iter(compared.methods.values()))
    scored = np.flatnonzero(first.evaluation.scored)  # the same for all methods
    place = np.unique(np.linspace(0, scored.size - 1, pictures).round().astype(int))
    where = scored[place]
    times = first.evaluation.times[where]
    methods = []
    for title, seen in compared.methods.items():
        losses, facts = _course(seen.path)
        facts += [("assumed", assumption) for assumption in seen.assumptions]
        scores = {metric: values[where] for metric, values in seen.evaluation.frames.items()}
        clip = comparison.Clip(title, report.bytes_of(seen.pictures[place]))
        methods.append(comparison.Method(clip, seen.evaluation.means, scores, losses, facts))
    camera = None
    if first.truth is not None:
        camera = comparison.Clip("truth", report.bytes_of(first.truth[place]))
    protocol = compared.rules.protocol
    facts = [
        ("recording", f"{given.about['source']} ({given.about['format']})"),
        ("events", f"{given.events.count:,} on {given.events.width} x {given.events.height} pixels"),
        ("protocol", f"{protocol.name}: {protocol.source}"),
        ("scored", f"{compared.rules.said}; {scored.size} frames, the same of every method"),
        *(("assumed", assumption) for assumption in given.about["assumptions"]),
        *(("note", note) for note in scoring.notes(compared.evaluations)),
        *([("note", _said(compared.frames))] if compared.frames else []),
    ]
    return comparison.Page(compared.recording, facts, times, methods, camera, _events(given.events, times))


def _events(events: Events, times: Float64[np.ndarray, " n"]) -> comparison.Clip:
    window = report.short(events)
    drawn = np.stack([report.bytes_of(report.event_picture(events, time, window)) for time in times])
    return comparison.Clip(f"events of {window * 1e3:.3g} ms", drawn)


def about(path: Path) -> dict[str, Any]:
    """`config.json` of a run, with what it was made with as `settings` and its `seed`; empty where there is none.

    Raises InputError where it is damaged.
    """
    if baseline_run.is_one(path):
        found = baseline_run.about(path)
        named = {"network": found["method"], "weights": f"sha256 {found['weights'][:16]}", "bayer": found["bayer"]}
        return found | {"settings": named | found["windows"]}
    if not (path / "config.json").is_file():
        return {}
    found = checkpoint.read_meaning(path)
    idle = OF_WINDOWS if found["config"].windows == "whole" else OF_THE_WHOLE
    settings = {name: value for name, value in asdict(found["config"]).items() if name not in idle}
    return found | {"settings": settings, "seed": found["config"].seed}


def _course(path: Path) -> tuple[dict[str, list[float]], list[tuple[str, str]]]:
    """The loss terms of a run over its steps, and the facts about it."""
    facts = [("path", str(path))]
    meaning, metrics = about(path), path / "metrics.jsonl"
    if not meaning:
        return {}, facts
    facts += [
        (
            "settings",
            ", ".join(f"{name} {value}" for name, value in meaning["settings"].items() if value is not None),
        ),
        ("span", "{:.6f} to {:.6f} s".format(*meaning["span"])),
    ]
    if not metrics.is_file():
        return {}, facts
    try:
        # The last line may be cut where a machine died while writing it.
        rows = [json.loads(line) for line in metrics.read_text().splitlines(keepends=True) if line.endswith("\n")]
        last = [row for row in rows if "seconds" in row][-1]
        took = f"in {last['seconds']:.3g} s, compilation included, {last['memory_mb']} MB at most"
        count = ("windows", last["window"] + last["windows"]) if "window" in last else ("steps", last["step"])
        return {term: [row[term] for row in rows] for term in TERMS}, [*facts, (count[0], f"{count[1]} {took}")]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"{metrics}: cannot be understood ({error!r}); it is damaged: fit again, or remove it"
        ) from None
