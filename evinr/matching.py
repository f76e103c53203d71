"""Which frames of a recording are scored, and at which times a prediction is asked for them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from evinr.cuts import Cut
from evinr.events import InputError
from evinr.prediction import Prediction, Truth
from evinr.protocols import Protocol

ALONE = 50
"""Intervals between the times at which a continuous prediction is looked at where there are no frames."""


class Chosen(NamedTuple):
    """The frames of a recording that count, and what is scored against them."""

    frames: Int[np.ndarray, " n"]
    """Indices of the frames inside the cut."""
    scored: Int[np.ndarray, " m"]
    """Which of those have a prediction."""
    times: Float64[np.ndarray, " m"]
    """The times to ask the prediction for."""
    notes: tuple[str, ...]


def alone(predictions: Sequence[Prediction]) -> Truth:
    """The times to look at where nobody took pictures: those of the first prediction that has such, or 51 evenly over
    the span that all share."""
    start = max(prediction.span.start for prediction in predictions)
    end = min(prediction.span.end for prediction in predictions)
    fixed = [prediction.times for prediction in predictions if prediction.times is not None]
    times = fixed[0][(fixed[0] >= start) & (fixed[0] <= end)] if fixed else np.linspace(start, end, ALONE + 1)
    if start > end or not times.size:
        raise InputError("the predictions have no time in common: give some of the same part of the recording")
    return Truth(times, None, float(times[0]))


def in_cut(truth: Truth, protocol: Protocol, cut: Cut | None) -> tuple[Int[np.ndarray, " n"], list[str]]:
    """Which frames the cut keeps, and what is to be said of it. Raises InputError where it keeps none."""
    frames = np.arange(len(truth.times))
    if truth.images is None:
        return frames, ["no frames to compare with: only what needs none is scored"]
    if cut is None:
        return frames, []
    since = np.round(truth.times - truth.start, 9)  # nanoseconds: the cuts count both ends
    counted = frames if protocol.last_frame or not truth.whole else frames[:-1]
    frames = counted[(since[counted] >= cut.start) & (since[counted] <= cut.end)]
    if not frames.size:
        raise InputError(
            f"none of the {len(since)} frames ({since[0]:g} to {since[-1]:g} s after the start) lies in the cut of "
            f"{cut.dataset}, {cut.said}; pass --whole to score without the cut"
        )
    return frames, [f"cut of {cut.dataset}: {cut.said}, {frames.size} of {len(since)} frames"]


def choose(prediction: Prediction, truth: Truth, protocol: Protocol, cut: Cut | None) -> Chosen:
    """The frames that count, and the times to ask for: a continuous prediction is asked at the frames' own."""
    frames, notes = in_cut(truth, protocol, cut)
    wanted = truth.times[frames]
    if prediction.times is None:
        near = (wanted >= prediction.span.start) & (wanted <= prediction.span.end)
        times = wanted
        lack = f"lie outside the fitted span, {prediction.span.start:.6f} to {prediction.span.end:.6f} s"
    else:
        after = np.clip(np.searchsorted(prediction.times, wanted), 1, max(len(prediction.times) - 1, 1))
        after = np.minimum(after, len(prediction.times) - 1)
        before = np.maximum(after - 1, 0)
        nearer = np.abs(prediction.times[before] - wanted) <= np.abs(prediction.times[after] - wanted)
        times = prediction.times[np.where(nearer, before, after)]
        near = np.round(np.abs(times - wanted), 9) <= protocol.tolerance
        lack = f"have no prediction within {protocol.tolerance * 1e3:g} ms"
    if not near.any():
        raise InputError(
            f"no frame can be scored: the frames go from {wanted[0]:.6f} to {wanted[-1]:.6f} s, the predictions from "
            f"{prediction.span.start:.6f} to {prediction.span.end:.6f} s, and all {near.size} {lack}; if the clocks differ, "
            "`evinr evaluate` takes --offset, and pictures of networks are at the frames' times with --windows between-frames"
        )
    if not near.all():
        missing = np.flatnonzero(~near)
        notes.append(
            f"not scored: {missing.size} of {near.size} frames {lack}, the first at {wanted[missing[0]]:.6f} s"
        )
    scored = np.flatnonzero(near)
    return Chosen(frames, scored, times[scored], tuple(notes))


def shared(chosen: Mapping[str, Chosen]) -> dict[str, Chosen]:
    """The same frames for every prediction, those that all of them have: means over different frames do not compare.

    Raises InputError where there are no such frames.
    """
    frames = set.intersection(*({int(frame) for frame in one.scored} for one in chosen.values()))
    if not frames:
        raise InputError("the predictions have no frame in common: give some of the same part of the recording")
    alike = {}
    for title, one in chosen.items():
        kept = np.isin(one.scored, list(frames))
        left = int((~kept).sum())
        said = (f"{left} frames that not every prediction has are left out",) if left else ()
        alike[title] = Chosen(one.frames, one.scored[kept], one.times[kept], (*one.notes, *said))
    return alike
