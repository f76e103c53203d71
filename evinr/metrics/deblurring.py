"""How near a deblurred picture is to the sharp one, as EFNet's benchmark scores it (Sun et al., ECCV 2022; its
basicsr/metrics/psnr_ssim.py, which came to many deblurring papers).

Its SSIM is not the usual one: the window has three dimensions, the third of them across the colours, and pictures go on
beyond their edges as they end there. Numbers are to be compared with those of that code alone.
"""

import numpy as np
from jaxtyping import Float64, UInt8
from scipy.ndimage import correlate1d

WINDOW, SIGMA = 11, 1.5
"""Pixels a side of the window of Wang et al. (TIP 2004), and its deviation."""


def psnr(picture: UInt8[np.ndarray, "h w 3"], truth: UInt8[np.ndarray, "h w 3"]) -> float:
    """Peak signal to noise ratio in dB over all pixels and colours; infinite where both are the same."""
    error = np.square(picture.astype(np.float64) - truth).mean()
    return float(20 * np.log10(_peak(picture) / np.sqrt(error))) if error else np.inf


def ssim(picture: UInt8[np.ndarray, "h w 3"], truth: UInt8[np.ndarray, "h w 3"]) -> float:
    """Structural similarity, the mean over all pixels and colours.

    In double precision, unlike that code: where large areas have one colour its rounding shows (1.003 for two grays one
    level apart); of pictures with texture it is below 1e-5.
    """
    ours, theirs = picture.astype(np.float64), truth.astype(np.float64)
    small, smaller = (0.01 * _peak(picture)) ** 2, (0.03 * _peak(picture)) ** 2
    mean, true_mean = _smooth(ours), _smooth(theirs)
    variance, true_variance = _smooth(ours**2) - mean**2, _smooth(theirs**2) - true_mean**2
    both = _smooth(ours * theirs) - mean * true_mean
    above = (2 * mean * true_mean + small) * (2 * both + smaller)
    return float((above / ((mean**2 + true_mean**2 + small) * (variance + true_variance + smaller))).mean())


def _peak(picture: UInt8[np.ndarray, "h w 3"]) -> float:
    """White: as that code has it, 1 where all of the picture is 0 or 1."""
    return 1.0 if picture.max() <= 1 else 255.0


def _smooth(volume: Float64[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "h w 3"]:
    """Means weighted by the window, its three axes one after the other."""
    line = np.exp(-np.square((np.arange(WINDOW) - WINDOW // 2) / SIGMA) / 2)
    for axis in range(3):
        volume = correlate1d(volume, line / line.sum(), axis, mode="nearest")
    return volume
