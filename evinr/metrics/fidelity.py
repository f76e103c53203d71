"""How near pictures are to the truth, pixel by pixel and window by window.

MSE and SSIM are scikit-image's with the arguments of EVREAL (Ercan et al., CVPRW 2023; utils/eval_metrics.py), whose numbers
they reproduce.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Float64

from evinr.events import InputError

Pictures = Float32[np.ndarray, "n h w"]
Picture = Float32[np.ndarray, "h w"]
Scores = Float64[np.ndarray, " n"]

DARK = 0.05
"""Added to pictures before the logarithm: black has none."""
GAUSSIAN: Mapping[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
"""The window of Wang et al. (TIP 2004) in scikit-image, 11 pixels a side."""


def mse(prediction: Pictures, truth: Pictures) -> Scores:
    """Mean squared error of each picture."""
    return _each(lambda picture, true: np.square(picture - true).mean(dtype=np.float64), prediction, truth)


def psnr(prediction: Pictures, truth: Pictures) -> Scores:
    """Peak signal to noise ratio in dB of pictures in [0, 1], -10 log10 of the MSE; infinite where they are the same."""
    with np.errstate(divide="ignore"):
        return -10 * np.log10(mse(prediction, truth))


def ssim(prediction: Pictures, truth: Pictures) -> Scores:
    """Structural similarity of pictures in [0, 1] as EVREAL has it since August 2023.

    Raises:
        InputError: pictures smaller than the window.
    """
    return _ssim(prediction, truth, 11, {**GAUSSIAN, "data_range": 1.0})


def ssim_legacy(prediction: Pictures, truth: Pictures) -> Scores:
    """The same with the data range 2 that scikit-image once assumed of floats (EVREAL before its commit 68b13a7)."""
    return _ssim(prediction, truth, 11, {**GAUSSIAN, "data_range": 2.0})


def ssim_uniform(prediction: Pictures, truth: Pictures) -> Scores:
    """With scikit-image's defaults, a window of 7 x 7, and the data range 2: ET-Net's `compare_ssim` (Weng et al., ICCV 2021).

    Raises:
        InputError: pictures smaller than the window.
    """
    return _ssim(prediction, truth, 7, {"data_range": 2.0})


def corr(log_intensity: Float[np.ndarray, "n h w"], truth: Pictures) -> Scores:
    """Pearson correlation of each log intensity with log(truth + 0.05); NaN where either is constant over the picture."""
    return _each(_correlation, log_intensity, truth)


def _correlation(log_intensity: Float[np.ndarray, "h w"], truth: Picture) -> float:
    ours, theirs = log_intensity.astype(np.float64), np.log(truth.astype(np.float64) + DARK)
    if np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return np.nan
    ours -= ours.mean()
    theirs -= theirs.mean()
    return (ours * theirs).sum() / np.sqrt(np.square(ours).sum() * np.square(theirs).sum())


def _ssim(prediction: Pictures, truth: Pictures, window: int, arguments: Mapping[str, Any]) -> Scores:
    from skimage.metrics import structural_similarity

    height, width = truth.shape[1:]
    if min(height, width) < window:
        raise InputError(
            f"pictures of {width} x {height} have no SSIM, whose window is {window} x {window}: score larger pictures"
        )

    return _each(
        lambda picture, true: float(np.asarray(structural_similarity(true, picture, **arguments))), prediction, truth
    )


def _each(
    score: Callable[[Float[np.ndarray, "h w"], Picture], float], prediction: Float[np.ndarray, "n h w"], truth: Pictures
) -> Scores:
    # Threads, because the filters release Python's lock.
    with ThreadPoolExecutor() as threads:
        return np.array(list(threads.map(score, prediction, truth)), np.float64)
