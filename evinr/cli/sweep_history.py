"""The score of a fit that goes on, window by window, for sweeps that end bad runs early."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from evinr import checkpoint
from evinr.cli import run_folder, scoring, source
from evinr.cli.source import Source
from evinr.evaluation import evaluate
from evinr.matching import alone, in_cut
from evinr.prediction import Prediction, Truth, of_reconstruction
from evinr.reconstruction import Span

WITHOUT_TRUTH = ("replay", "sharpness")
"""Metrics that need no pictures of the camera."""


def follower(
    folder: Path, given: Source, rules: scoring.Rules, metric: str, heard: Callable[[float, int], None]
) -> Callable[[], None]:
    """What to call whenever a fit has saved something: `heard` is told of every window that it had not been told of."""
    seen = 0

    def follow() -> None:
        nonlocal seen
        if not run_folder.has_numbers(folder):
            return
        for score in _scores(folder, given, rules, metric, seen):
            seen += 1
            if score is not None:
                heard(*score)

    return follow


def _scores(
    folder: Path, given: Source, rules: scoring.Rules, metric: str, first: int
) -> Iterator[tuple[float, int] | None]:
    """The score of each window from `first` on that will not change any more, and how many frames have it; None for one
    where nothing can be scored.

    The last window is still to be revised. Of each the part is scored that it shares with no other, so that the same
    comes out at whatever moment the fit was killed and gone on with.
    """
    fitted = checkpoint.load(folder)
    prediction = of_reconstruction(fitted)
    truth = None if metric in WITHOUT_TRUTH else _counted(given, rules)
    places = fitted.heads.layout[first:]  # pyright: ignore[reportAttributeAccessIssue]
    for (_, _, start, _), (_, end, _, _) in zip(places[:-1], places[1:], strict=True):
        yield _score(prediction._replace(span=Span(start, end)), truth, given, rules, metric)


def _score(
    prediction: Prediction, truth: Truth | None, given: Source, rules: scoring.Rules, metric: str
) -> tuple[float, int] | None:
    start, end = prediction.span
    if start >= end or not given.events.between(start, end).count:
        return None
    seen = alone([prediction]) if truth is None else _part(truth, (truth.times >= start) & (truth.times <= end))
    if not seen.times.size:
        return None
    events = given.events if metric in WITHOUT_TRUTH else None
    found = evaluate(prediction, seen, events, rules.protocol, lpips=rules.lpips).means.get(metric)
    return None if found is None or found.value is None else (found.value, len(seen.times))


def _counted(given: Source, rules: scoring.Rules) -> Truth:
    """The frames that the protocol's cut keeps."""
    truth = source.truth(given, rules.protocol.light)
    assert truth is not None  # else the metric had been refused
    return _part(truth, in_cut(truth, rules.protocol, rules.cut)[0])


def _part(truth: Truth, kept: np.ndarray) -> Truth:
    images = None if truth.images is None else truth.images[kept]
    light = None if truth.light is None else truth.light[kept]
    return truth._replace(times=truth.times[kept], images=images, light=light)
