"""How near a reconstruction is to a camera's frames, as the README's table of slider_depth has it.

Events fix log intensity up to a constant and a factor, so every score looks past those two.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from skimage.exposure import equalize_hist
from skimage.metrics import structural_similarity


class Scores(NamedTuple):
    """Means over frames."""

    corr: float
    """Pearson correlation of log intensity with log(truth + 0.05)."""
    ssim: float
    """SSIM (skimage's defaults, data_range 1) after a stretch between the 1st and 99th percentile."""
    ssim_equalised: float
    """The same after histogram equalisation of both."""
    mse_equalised: float
    """Mean squared error after stretch and equalisation."""


def score(log_intensity: Float[np.ndarray, "n h w"], truth: Float[np.ndarray, "n h w"]) -> Scores:
    """Score log intensities against intensities in [0, 1] at the same times."""
    return Scores(*np.mean([_one(*pair) for pair in zip(log_intensity, truth, strict=True)], axis=0).tolist())


def _one(log_intensity: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"]) -> Scores:
    corr = np.corrcoef(log_intensity.ravel(), np.log(truth + 0.05).ravel())[0, 1]
    ours, theirs = _stretch(log_intensity), _stretch(truth)
    ours_equal, theirs_equal = equalize_hist(ours), equalize_hist(theirs)
    return Scores(
        float(corr),
        _ssim(ours, theirs),
        _ssim(ours_equal, theirs_equal),
        float(np.square(ours_equal - theirs_equal).mean()),
    )


def _ssim(image: np.ndarray, truth: np.ndarray) -> float:
    return float(np.asarray(structural_similarity(image, truth, data_range=1)))


def _stretch(image: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    black, white = np.percentile(image.astype(np.float64), [1, 99])
    return np.clip((image - black) / (white - black or 1), 0, 1)
