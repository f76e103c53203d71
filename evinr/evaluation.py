"""Scores of a prediction under a protocol: which pictures, which numbers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64

from evinr import light
from evinr.cuts import Cut
from evinr.events import Events, InputError
from evinr.matching import Chosen, choose
from evinr.metrics import fidelity
from evinr.metrics.confidence import mean_with_interval, pooled
from evinr.metrics.equalisation import equalise
from evinr.metrics.high_range import mu_law, perceived
from evinr.metrics.lpips import Lpips, distance
from evinr.metrics.normalisation import align, normalise
from evinr.metrics.replay import event_replay_error
from evinr.metrics.sharpness import edge_sharpness
from evinr.metrics.temporal import temporal_consistency
from evinr.prediction import Prediction, Truth
from evinr.protocols import Normalisation, Protocol
from evinr.scores import METRICS, Evaluation, Mean

Told = Callable[[str, float], None]
"""Is told which metric comes next, and what part of the work is behind."""
FIRST_HAS_NONE = ("temporal", "replay")
"""Metrics of a frame and the one before it."""


def silent(metric: str, done: float) -> None:
    """For who need not know."""


class Lights(NamedTuple):
    """Linear light in [0, 1] of both sides, under protocols of light."""

    prediction: Float32[np.ndarray, "m h w"]
    truth: Float32[np.ndarray, "m h w"] | None


class Shown(NamedTuple):
    """What the metrics see."""

    log_intensity: Float32[np.ndarray, "m h w"]
    pictures: Float32[np.ndarray, "m h w"]
    """In [0, 1], to look at: of light, tone-mapped."""
    truth: Float32[np.ndarray, "m h w"] | None
    true_log: Float32[np.ndarray, "m h w"] | None
    """Log intensity of the truth, before it was equalised."""
    light: Lights | None
    notes: tuple[str, ...]


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


def show(
    prediction: Prediction, truth: Truth, chosen: Chosen, protocol: Protocol, normalisation: Normalisation | None
) -> Shown:
    """The pictures of both sides at the chosen frames, as the protocol wants them."""
    predicted = np.asarray(prediction.at(chosen.times), np.float32)
    finite = np.isfinite(predicted).all((1, 2))
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise InputError(
            f"the prediction at {chosen.times[bad[0]]:.6f} s has numbers that are not finite "
            f"({bad.size} of {finite.size} frames have); predict those frames again"
        )
    if truth.images is not None and predicted.shape[1:] != truth.images.shape[1:]:
        (height, width), (rows, columns) = predicted.shape[1:], truth.images.shape[1:]
        raise InputError(f"predictions are {width} x {height}, the frames {columns} x {rows}: they must be alike")
    wanted = chosen.frames[chosen.scored]
    if protocol.light:
        return _show_light(predicted, prediction.kind, None if truth.light is None else truth.light[wanted])
    images = None if truth.images is None else truth.images[wanted].astype(np.float32) / 255
    log_intensity = _log_intensity(predicted, prediction.kind)
    notes = []
    if prediction.kind == "light":
        predicted = light.tone_mapped(light.stretched(predicted))
        notes.append("light, from its 1st to its 99th percentile over the pictures scored, then tone-mapped")
    if protocol.normalisation == "log affine" and images is not None:
        aligned = align(log_intensity, images)
        pictures = aligned.pictures
        notes.append(f"log intensity times {aligned.factor:.3f} plus {aligned.constant:.3f}, fitted to the frames")
    else:
        how = normalisation or ("exprobust" if prediction.kind == "log" else "none")
        pictures = normalise(predicted, how)
        notes.append(f"normalisation of the prediction: {how}")
    pictures = equalise(np.clip(pictures, 0, 1), protocol.equalisation)
    if images is None:
        return Shown(log_intensity, pictures, None, None, None, tuple(notes))
    equal, true_log = equalise(images, protocol.equalisation), np.log(images + fidelity.DARK)
    return Shown(log_intensity, pictures, equal, true_log, None, tuple(notes))


def _log_intensity(
    predicted: Float32[np.ndarray, "m h w"], kind: Literal["log", "picture", "light"]
) -> Float32[np.ndarray, "m h w"]:
    match kind:
        case "log":
            return predicted
        case "picture":
            return np.log(np.maximum(predicted, 0) + fidelity.DARK)
        case "light":
            return light.logarithm(predicted)


def _show_light(
    predicted: Float32[np.ndarray, "m h w"],
    kind: Literal["log", "picture", "light"],
    true: Float32[np.ndarray, "m h w"] | None,
) -> Shown:
    """Both sides as linear light. All pictures scored are in memory, some five times on each side."""
    said = {
        "log": "light: the exponential of log intensity",
        "picture": "light: pictures are taken as linear as they are",
        "light": "light: as predicted",
    }
    note = f"{said[kind]}, from its 1st to its 99th percentile over the pictures scored; the truth likewise"
    log_intensity = predicted if kind == "log" else light.logarithm(predicted)
    ours = light.stretched(light.of_logarithm(predicted) if kind == "log" else predicted)
    if true is None:
        return Shown(log_intensity, light.tone_mapped(ours), None, None, Lights(ours, None), (note,))
    theirs = light.stretched(true)
    pictures, truth = light.tone_mapped(ours), light.tone_mapped(theirs)
    return Shown(log_intensity, pictures, truth, light.logarithm(true), Lights(ours, theirs), (note,))


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
    _, truth = _encoded(shown)
    if truth is None or shown.true_log is None or len(times) < 2 or _useless(events, times, shown):
        return None
    try:
        replay = event_replay_error(shown.true_log, times, events).error
    except InputError:
        return None
    return WithoutTruth(replay, float(edge_sharpness(truth, times, events).mean()))


def _encoded(shown: Shown) -> tuple[Float32[np.ndarray, "m h w"], Float32[np.ndarray, "m h w"] | None]:
    """Both sides as those metrics see them that need steps to be alike in dark and bright: light by the mu-law."""
    if shown.light is None:
        return shown.pictures, shown.truth
    return mu_law(shown.light.prediction), None if shown.light.truth is None else mu_law(shown.light.truth)


def _useless(events: Events, times: Float64[np.ndarray, " m"], shown: Shown) -> str | None:
    """Why events cannot be compared with, if they cannot."""
    height, width = shown.pictures.shape[1:]
    if (events.height, events.width) != (height, width):
        return f"the sensor is {events.width} x {events.height}, the predictions {width} x {height}"
    if len(times) > 1 and not events.between(float(times[0]), float(times[-1])).count:
        return f"there are no events from {times[0]:.6f} to {times[-1]:.6f} s"
    return None


def _measures(
    shown: Shown, times: Float64[np.ndarray, " m"], events: Events | None, protocol: Protocol, lpips: Lpips | None
) -> dict[str, Callable[[], Float[np.ndarray, " m"]]]:
    """What can be measured, by name: one score for each time."""
    measures = {}
    pictures, truth = _encoded(shown)
    if shown.light is not None and truth is not None and shown.light.truth is not None and shown.true_log is not None:
        ours, theirs = map(perceived, (shown.light.prediction, shown.light.truth))
        measures["psnr_mu"] = lambda: fidelity.psnr(pictures, truth)
        measures["ssim_mu"] = lambda: fidelity.ssim(pictures, truth)
        measures["psnr_pu"] = lambda: fidelity.psnr(ours, theirs)
        measures["ssim_pu"] = lambda: fidelity.ssim(ours, theirs)
        # It takes the logarithm of what is 0.05 brighter.
        true = np.exp(shown.true_log) - np.float32(fidelity.DARK)
        measures["corr"] = lambda: fidelity.corr(shown.log_intensity, true)
        if len(times) > 1:
            measures["temporal"] = lambda: temporal_consistency(pictures, truth)
    elif truth is not None:
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
        measures["corr"] = lambda: fidelity.corr(shown.log_intensity, truth)
        if len(times) > 1:
            measures["temporal"] = lambda: temporal_consistency(pictures, truth)
    if events is not None:
        if len(times) > 1:
            measures["replay"] = lambda: np.append(
                np.nan, event_replay_error(shown.log_intensity, times, events).intervals
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
