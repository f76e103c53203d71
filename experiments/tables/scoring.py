"""Our fit of one recording, span by span, scored under a protocol; and its scores as JSON, from which they are read again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evinr.config import FitConfig
from evinr.evaluation import FIRST_HAS_NONE, evaluate
from evinr.events import InputError
from evinr.matching import alone
from evinr.metrics.confidence import mean_with_interval
from evinr.metrics.lpips import Lpips
from evinr.prediction import Prediction, Truth, of_reconstruction
from evinr.protocols import Protocol
from evinr.reconstruct import fit
from evinr.reconstruction import Reconstruction, Span
from evinr.scores import Evaluation, Mean
from experiments.tables.spans import Piece, Walk


def scored(
    walk: Walk,
    config: FitConfig,
    protocol: Protocol,
    lpips: Lpips | None,
    camera: bool,
    advance: Callable[[float], None],
) -> Evaluation:
    """Fit every span that has something to score, and score it: at the times of its frames, or without a `camera` by what
    needs none. `advance` is told what part is done.

    Raises InputError where the recording cannot be read or fitted, and where there is nothing to score.
    """
    parts = []
    for piece in walk.pieces:
        if piece.frames is not None or not camera:
            parts.append(_one(piece, walk.start, config, protocol, lpips))
        advance(piece.done)
    if not parts:
        raise InputError("no camera frames lie in what is scored: give the recording with its frames")
    return joined(parts)


def _one(piece: Piece, start: float, config: FitConfig, protocol: Protocol, lpips: Lpips | None) -> Evaluation:
    prediction = held(fit(piece.events, config), piece)
    if piece.frames is None:
        return evaluate(prediction, alone([prediction]), piece.events, protocol)
    # Without what needs no truth: event replay is defined over a sequence, whose thresholds it finds.
    return evaluate(prediction, Truth(piece.frames.times, piece.frames.images, start), None, protocol, lpips=lpips)


def held(reconstruction: Reconstruction, piece: Piece) -> Prediction:
    """A fit that may be asked for the span of its events and frames: where no event came, nothing changed."""
    inside = of_reconstruction(reconstruction)
    span = reconstruction.span
    times = span if piece.frames is None else (*span, *piece.frames.times)
    return inside._replace(span=Span(min(times), max(times)), at=lambda t: inside.at(np.clip(t, *span)))


def joined(parts: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of a sequence from those of its spans: means over all their frames, None where one of them has none.

    Metrics of a frame and the one before it have none at a span's first frame: each span's fit has a constant of its own.
    """
    names = list(dict.fromkeys(name for part in parts for name in part.means))
    frames, means = {}, {}
    for name in names:
        columns = [part.frames.get(name, np.full(len(part.times), np.nan)) for part in parts]
        if any(name in part.frames for part in parts):
            frames[name] = np.concatenate(columns)
        lacking = [
            part.means.get(name, Mean(None, None, None)).value is None
            for part in parts
            if name not in FIRST_HAS_NONE or len(part.times) > 1
        ]
        values = np.concatenate(columns)
        values = values[np.isfinite(values)]
        means[name] = Mean(None, None, None) if any(lacking) or not len(values) else mean_with_interval(values)
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    times, scored = (np.concatenate(column) for column in zip(*(part[1:3] for part in parts), strict=True))
    return Evaluation(parts[0].protocol, times, scored, frames, means, tuple(notes))


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """All of it but the protocol; no number becomes null."""
    return {
        "times": evaluation.times.tolist(),
        "scored": evaluation.scored.tolist(),
        "frames": {name: _nulls(values) for name, values in evaluation.frames.items()},
        "means": {name: mean._asdict() for name, mean in evaluation.means.items()},
        "notes": list(evaluation.notes),
    }


def from_json(content: Mapping[str, Any], protocol: Protocol) -> Evaluation:
    """What `as_json` wrote."""
    frames = {name: np.array(values, np.float64) for name, values in content["frames"].items()}
    means = {name: Mean(**mean) for name, mean in content["means"].items()}
    times, scored = np.array(content["times"], np.float64), np.array(content["scored"], bool)
    return Evaluation(protocol, times, scored, frames, means, tuple(content["notes"]))


def _nulls(values: Iterable[float]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
