"""What an evaluation yields: a number for each metric and frame, and their means."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from evinr.protocols import Protocol


class Metric(NamedTuple):
    """A metric, for people."""

    title: str
    better: Literal["lower", "higher", "neither"]
    """Neither: near to what the frames themselves score is good."""
    meaning: str


METRICS = {
    "mse": Metric("MSE", "lower", "mean squared error of pictures in [0, 1]"),
    "psnr": Metric("PSNR", "higher", "peak signal to noise ratio in dB, -10 log10 of the MSE"),
    "ssim": Metric("SSIM", "higher", "structural similarity, Gaussian window of sigma 1.5, data range 1"),
    "ssim_legacy": Metric("SSIM range 2", "higher", "the same with the data range 2 that older code assumed; inflated"),
    "ssim_uniform": Metric("SSIM 7x7 range 2", "higher", "structural similarity, 7 x 7 window, data range 2; inflated"),
    "psnr_mu": Metric("PSNR-mu", "higher", "PSNR in dB of light by the mu-law, log(1 + 5000 x) / log(5001)"),
    "ssim_mu": Metric("SSIM-mu", "higher", "structural similarity of light by the mu-law, as of pictures"),
    "psnr_pu": Metric(
        "PSNR-PU21", "higher", "PSNR in dB of light in perceptually uniform codes, white 1000 cd/m2, peak 256"
    ),
    "ssim_pu": Metric("SSIM-PU21", "higher", "structural similarity of light in perceptually uniform codes, range 256"),
    "lpips": Metric("LPIPS", "lower", "learned perceptual distance"),
    "corr": Metric(
        "corr",
        "higher",
        "Pearson correlation of log intensity with log(truth + 0.05); of light, with log(truth + 0.0002)",
    ),
    "temporal": Metric(
        "TC",
        "lower",
        "temporal consistency: what changes from frame to frame beyond the truth's motion; blur and blanks score well",
    ),
    "replay": Metric(
        "replay", "lower", "event-replay error: 0 explains every event, 1 is a still picture; needs no truth"
    ),
    "sharpness": Metric(
        "sharpness", "neither", "gradient where events fired, in part of the range a pixel; noise raises it"
    ),
}


class Mean(NamedTuple):
    """A mean over frames and its 95 % confidence interval; None where it cannot be had."""

    value: float | None
    low: float | None
    high: float | None


class Evaluation(NamedTuple):
    """One prediction against one recording. Every array has an entry for each frame of the cut; NaN where not scored."""

    protocol: Protocol
    times: Float64[np.ndarray, " n"]
    """Seconds of the recording's clock."""
    scored: Bool[np.ndarray, " n"]
    """Which of them have a prediction."""
    frames: Mapping[str, Float64[np.ndarray, " n"]]
    """For each metric, a score a frame."""
    means: Mapping[str, Mean]
    notes: tuple[str, ...]
    """What was assumed, and which frames have no score and why."""
