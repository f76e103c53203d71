"""From what a method predicts to pictures in [0, 1]: what events cannot know is chosen here, by rule or from the truth."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from evinr.metrics.fidelity import DARK
from evinr.protocols import Normalisation


class Aligned(NamedTuple):
    """Pictures from log intensity L, exp(factor L + constant) - 0.05, not clipped."""

    pictures: Float32[np.ndarray, "n h w"]
    factor: float
    constant: float


def normalise(images: Float[np.ndarray, "n h w"], how: Normalisation) -> Float32[np.ndarray, "n h w"]:
    """Each picture as EVREAL's `post_process_norm` leaves it (eval.py, post_process_normalization), not yet clipped.

    "standard" takes the smallest number to 0 and the largest to 1, "robust" the 1st and 99th percentile, "exprobust" the
    same after the exponential. A picture whose two ends are one becomes black; EVREAL divides by zero there, and leaves
    the frame out of its means without a word.
    """
    if how == "none":
        return images.astype(np.float32)
    return np.stack([_stretched(image, how) for image in images])


def align(log_intensity: Float[np.ndarray, "n h w"], truth: Float32[np.ndarray, "n h w"]) -> Aligned:
    """Log intensity times a factor plus a constant, both by least squares of log(truth + 0.05) over the whole sequence.

    The factor is 0 where log intensity is the same everywhere, and where it would be negative: polarity is no unknown.
    """
    ours, theirs = log_intensity.astype(np.float64), np.log(truth.astype(np.float64) + DARK)
    centre, middle = ours.mean(), theirs.mean()
    ours -= centre
    theirs -= middle
    power = np.square(ours).sum()
    factor = max(float((ours * theirs).sum() / power), 0.0) if power > 0 else 0.0
    pictures = np.exp(factor * ours + middle) - DARK
    return Aligned(pictures.astype(np.float32), factor, float(middle - factor * centre))


def _stretched(image: Float[np.ndarray, "h w"], how: Normalisation) -> Float32[np.ndarray, "h w"]:
    # A factor is stretched away: what would overflow float32 is made smaller, all else is EVREAL's to the bit.
    intensity = np.exp(image - max(float(image.max()) - 80, 0)) if how == "exprobust" else image
    black, white = np.percentile(intensity, (0, 100) if how == "standard" else (1, 99))
    if black == white:
        return np.zeros(image.shape, np.float32)
    return ((intensity - black) / (white - black)).astype(np.float32)
