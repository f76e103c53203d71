"""Scores of a prediction under a protocol."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from evinr.cuts import Cut
from evinr.events import Events, InputError
from evinr.matching import Chosen, choose
from evinr.metrics import fidelity
from evinr.metrics.confidence import mean_with_interval, pooled
from evinr.metrics.high_range import perceived
from evinr.metrics.lpips import Lpips, distance
from evinr.metrics.replay import event_replay_error
from evinr.metrics.sharpness import edge_sharpness
from evinr.metrics.temporal import temporal_consistency
from evinr.prediction import Prediction, Truth
from evinr.protocols import Normalisation, Protocol
from evinr.scores import METRICS, Evaluation, Mean
from evinr.shown import Shown, show

Told = Callable[[str, float], None]
"""Is told which metric comes next, and what part of the work is behind."""
FIRST_HAS_NONE = ("temporal", "replay")
"""Metrics of a frame and the one before it."""


def silent(metric: str, done: float) -> None:
    """For who need not know."""


def evaluate(
    prediction: Prediction,
    truth: Truth,
    events: Events | None,
    protocol: Protocol,
    *,
    cut: Cut | None = None,
    lpips: Lpips | None = None,
    normalisation: Normalisation | None = None,
    told: Told = silent,
) -> Evaluation:
    """Score a prediction at the times of `truth`.

    Without pictures there, by what needs none; without `events`, by the rest. `cut` is the part of the sequence that
    counts, None for all of it. `normalisation` replaces the method's own under protocols that have such.

    Raises:
        InputError: no frame has a prediction; sizes differ; a predicted number is not finite; there are neither pictures
            nor events.
    """
    chosen = choose(prediction, truth, protocol, cut)
    shown = show(prediction, truth, chosen, protocol, normalisation)
    return score(shown, chosen, truth, events, protocol, lpips, told)


def score(
    shown: Shown,
    chosen: Chosen,
    truth: Truth,
    events: Events | None,
    protocol: Protocol,
    lpips: Lpips | None,
    told: Told = silent,
) -> Evaluation:
    """The numbers of what is shown. Raises InputError where there are neither pictures nor events to score against."""
    notes = [*chosen.notes, *shown.notes]
    why = _useless(events, chosen.times, shown) if events is not None else "there are neither frames nor events"
    if events is not None and why:
        notes.append(f"no replay, no sharpness: {why}")
        events = None
    measures = _measures(shown, chosen.times, events, protocol, lpips)
    if not measures:
        raise InputError(f"nothing to score against: {why}; give the recording that was reconstructed")
    scores = {}
    for number, (name, measure) in enumerate(measures.items()):
        told(METRICS[name].title, number / len(measures))
        try:
            scores[name] = measure()
        except InputError as error:
            if name != "replay":
                raise
            notes.append(f"no replay: {error}")
    means = {name: _mean(name, values, notes) for name, values in scores.items()}
    if lpips is None and shown.truth is not None and not protocol.light:
        means["lpips"] = Mean(None, None, None)
        notes.append(
            "no LPIPS: its weights are the user's to supply, --lpips FILE (see `evinr weights convert --help`)"
        )
    scored = np.zeros(len(chosen.frames), bool)
    scored[chosen.scored] = True
    frames = {name: np.full(len(scored), np.nan) for name in scores}
    for name, values in scores.items():
        frames[name][scored] = values
    return Evaluation(protocol, truth.times[chosen.frames], scored, frames, means, tuple(notes))


class WithoutTruth(NamedTuple):
    """Means of the scores that need no truth."""

    replay: float
    sharpness: float


def of_the_frames(shown: Shown, times: Float64[np.ndarray, " m"], events: Events) -> WithoutTruth | None:
    """What the frames themselves score where no truth is needed, to hold predictions against; None where it cannot be had."""
    if shown.truth is None or len(times) < 2 or _useless(events, times, shown):
        return None
    try:
        replay = event_replay_error(shown.truth.log_intensity, times, events).error
    except InputError:
        return None
    return WithoutTruth(replay, float(edge_sharpness(shown.truth.pictures, times, events).mean()))


def _useless(events: Events, times: Float64[np.ndarray, " m"], shown: Shown) -> str | None:
    """Why events cannot be compared with, if they cannot."""
    height, width = shown.prediction.pictures.shape[1:]
    if (events.height, events.width) != (height, width):
        return f"the sensor is {events.width} x {events.height}, the predictions {width} x {height}"
    if len(times) > 1 and not events.between(float(times[0]), float(times[-1])).count:
        return f"there are no events from {times[0]:.6f} to {times[-1]:.6f} s"
    return None


def _measures(
    shown: Shown, times: Float64[np.ndarray, " m"], events: Events | None, protocol: Protocol, lpips: Lpips | None
) -> dict[str, Callable[[], Float[np.ndarray, " m"]]]:
    """What can be measured, by name: one score for each time."""
    ours, theirs = shown.prediction, shown.truth
    pictures, measures = ours.pictures, {}
    if theirs is not None:
        truth = related = theirs.pictures
        if ours.light is not None and theirs.light is not None:
            seen, true = perceived(ours.light), perceived(theirs.light)
            measures["psnr_mu"] = lambda: fidelity.psnr(pictures, truth)
            measures["ssim_mu"] = lambda: fidelity.ssim(pictures, truth)
            measures["psnr_pu"] = lambda: fidelity.psnr(seen, true)
            measures["ssim_pu"] = lambda: fidelity.ssim(seen, true)
            # The correlation takes the logarithm of what is 0.05 brighter.
            related = np.exp(theirs.log_intensity) - np.float32(fidelity.DARK)
        else:
            similarity = {
                "ssim": fidelity.ssim,
                "ssim_legacy": fidelity.ssim_legacy,
                "ssim_uniform": fidelity.ssim_uniform,
            }[protocol.ssim]
            measures["mse"] = lambda: fidelity.mse(pictures, truth)
            measures["psnr"] = lambda: fidelity.psnr(pictures, truth)
            measures[protocol.ssim] = lambda: similarity(pictures, truth)
            if lpips is not None:
                measures["lpips"] = lambda: distance(lpips, pictures, truth)
        measures["corr"] = lambda: fidelity.corr(ours.log_intensity, related)
        if len(times) > 1:
            measures["temporal"] = lambda: temporal_consistency(pictures, truth)
    if events is not None:
        if len(times) > 1:
            measures["replay"] = lambda: np.append(
                np.nan, event_replay_error(ours.log_intensity, times, events).intervals
            )
        measures["sharpness"] = lambda: edge_sharpness(pictures, times, events)
    return measures


def _mean(name: str, values: Float64[np.ndarray, " m"], notes: list[str]) -> Mean:
    """The mean of all scores; of none where one of them is no number, which is then noted."""
    counted = values[1:] if name in FIRST_HAS_NONE else values
    undefined = int((~np.isfinite(counted)).sum())
    if undefined:
        notes.append(
            f"no mean of {METRICS[name].title}: it is undefined or infinite at {undefined} of {counted.size} frames"
        )
        return Mean(None, None, None)
    return mean_with_interval(counted)


def pool(evaluations: Sequence[Evaluation], protocol: Protocol) -> Mapping[str, Mean]:
    """Means over the sequences of a dataset as the protocol averages. None where a sequence has no score."""
    names = [name for name in METRICS if any(name in evaluation.means for evaluation in evaluations)]
    lacking = Mean(None, None, None)
    result = {}
    for name in names:
        means = [evaluation.means.get(name, lacking).value for evaluation in evaluations]
        counts = [np.isfinite(evaluation.frames.get(name, np.empty(0))).sum() for evaluation in evaluations]
        known = [mean for mean in means if mean is not None]
        if len(known) < len(means):
            result[name] = lacking
        else:
            weights = np.array(counts, np.float64) if protocol.averaging == "frames" else np.ones(len(known))
            result[name] = pooled(np.array(known), weights)
    return result
