"""What the metrics see of a prediction and of the truth, as the protocol wants it."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32

from evinr import light
from evinr.events import InputError
from evinr.matching import Chosen
from evinr.metrics.equalisation import equalise
from evinr.metrics.fidelity import DARK
from evinr.metrics.high_range import mu_law
from evinr.metrics.normalisation import align, normalise
from evinr.prediction import Prediction, Truth
from evinr.protocols import Normalisation, Protocol

Images = Float32[np.ndarray, "m h w"]
Kind = Literal["log", "picture", "light"]
"""What numbers are (`Prediction.kind`)."""


class Side(NamedTuple):
    """A prediction, or the truth."""

    log_intensity: Images
    pictures: Images
    """In [0, 1], their steps counting alike in dark and bright: under protocols of light that by the mu-law."""
    light: Images | None = None
    """Linear, in [0, 1], under protocols of light."""


class Shown(NamedTuple):
    """Both sides at the chosen frames."""

    prediction: Side
    truth: Side | None
    notes: tuple[str, ...]


def show(
    prediction: Prediction, truth: Truth, chosen: Chosen, protocol: Protocol, normalisation: Normalisation | None
) -> Shown:
    """Both sides at the chosen frames. All of them are in memory, in three to four arrays of float32 a side.

    Raises InputError where a predicted number is not finite, sizes differ, the truth has no light and is asked for it, or
    light is to be normalised as if it were log intensity.
    """
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
    if protocol.light and truth.light is None and truth.images is not None:
        raise InputError(
            f"the frames are pictures, and protocol {protocol.name} compares light; give Truth its `light`"
        )
    if protocol.light:
        return _as_light(predicted, prediction.kind, None if truth.light is None else truth.light[wanted])
    images = None if truth.images is None else truth.images[wanted].astype(np.float32) / 255
    return _as_pictures(predicted, prediction.kind, images, protocol, normalisation)


def _as_light(predicted: Images, kind: Kind, true: Images | None) -> Shown:
    said = {
        "log": "the exponential of log intensity, whose factor events do not tell and nothing here corrects",
        "picture": "pictures are taken for linear as they are",
        "light": "as predicted",
    }[kind]
    note = (
        f"light: {said}; stretched from its 1st to its 99th percentile over the pictures scored, as is the truth's, and shown "
        "by the mu-law"
    )
    stretched = light.stretched(light.of_logarithm(predicted) if kind == "log" else predicted)
    ours = Side(_log_intensity(predicted, kind, True), mu_law(stretched), stretched)
    if true is None:
        return Shown(ours, None, (note,))
    stretched = light.stretched(true)
    return Shown(ours, Side(light.logarithm(true), mu_law(stretched), stretched), (note,))


def _as_pictures(
    predicted: Images, kind: Kind, images: Images | None, protocol: Protocol, normalisation: Normalisation | None
) -> Shown:
    log_intensity, notes = _log_intensity(predicted, kind, False), []
    if protocol.normalisation == "log affine" and images is not None:
        aligned = align(log_intensity, images)
        pictures = aligned.pictures
        notes.append(f"log intensity times {aligned.factor:.3f} plus {aligned.constant:.3f}, fitted to the frames")
    else:
        if kind == "light" and normalisation == "exprobust":
            raise InputError(
                "normalisation exprobust takes the exponential, and the prediction is linear light; pass none, standard or "
                "robust, or leave it out"
            )
        if kind == "light" and normalisation is None:
            predicted = _looked_at(light.stretched(predicted))
            notes.append(
                "light: stretched from its 1st to its 99th percentile over the pictures scored, then tone-mapped"
            )
        how = normalisation or ("exprobust" if kind == "log" else "none")
        pictures = normalise(predicted, how)
        notes.append(f"normalisation of the prediction: {how}")
    ours = Side(log_intensity, equalise(np.clip(pictures, 0, 1), protocol.equalisation))
    if images is None:
        return Shown(ours, None, tuple(notes))
    return Shown(ours, Side(np.log(images + DARK), equalise(images, protocol.equalisation)), tuple(notes))


def _looked_at(stretched: Images) -> Images:
    return np.stack([light.tone_mapped(picture).astype(np.float32) for picture in stretched])


def _log_intensity(predicted: Images, kind: Kind, linear: bool) -> Images:
    """`linear`: pictures are taken for light, too."""
    if kind == "log":
        return predicted
    if kind == "light" or linear:
        return light.logarithm(predicted)
    return np.log(np.maximum(predicted, 0) + DARK)
