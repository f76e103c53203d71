"""How pictures are compared before a metric sees them: the protocols of the field as data, and ours.

Published numbers differ by protocol more than methods differ from each other (EVREAL#2, ssl_e2vid#2), so the protocol
stands beside every score.
"""

from dataclasses import dataclass
from typing import Literal

Normalisation = Literal["none", "standard", "robust", "exprobust"]
"""What is done to each predicted picture, EVREAL's `post_process_norm`: nothing, a stretch from its smallest to its largest
number, a stretch from its 1st to its 99th percentile, or the exponential and then that stretch."""
Equalisation = Literal["none", "global", "local", "clahe"]
"""Histogram equalisation of both pictures: EVREAL's `histeq`."""


@dataclass(frozen=True)
class Protocol:
    """One way to compare, complete: two people who name it get the same numbers."""

    name: str
    source: str
    """Where it is defined."""
    cuts: Literal["evreal", "none"]
    """Which part of a known sequence is scored: EVREAL's table, or all of it."""
    last_frame: bool
    """Whether the last frame of a known sequence counts; EVREAL's loader has no window of events for it."""
    tolerance: float
    """Seconds between a frame and the prediction scored against it, at most."""
    normalisation: Literal["own", "log affine", "joint percentiles"]
    """`own`: each method's (`Normalisation`; exprobust for log intensity, none for pictures). `log affine`: log intensity
    times one factor plus one constant a sequence, by least squares, and back. `joint percentiles`: linear light, on both
    sides from the 1st to the 99th percentile of all the pictures scored."""
    equalisation: Equalisation
    ssim: Literal["ssim", "ssim_legacy", "ssim_uniform", "ssim_pu"]
    """The SSIM of the published tables: Gaussian window and range 1; Gaussian window and range 2; 7 x 7 window and
    range 2 (what scikit-image assumed of floats when it was not told); that of PU21, beside that of the mu-law."""
    averaging: Literal["frames", "sequences"]
    """Mean over a dataset: sequences weighted by their frames, or all alike."""

    @property
    def light(self) -> bool:
        """Whether linear light is compared, not pictures."""
        return self.normalisation == "joint percentiles"


EVREAL_2024 = Protocol(
    name="evreal-2024",
    source="EVREAL (Ercan et al., CVPRW 2023), code of April 2024, config std: eval.py, utils/eval_metrics.py",
    cuts="evreal",
    last_frame=False,
    tolerance=1e-3,
    normalisation="own",
    equalisation="none",
    ssim="ssim",
    averaging="frames",
)
EVREAL_2023 = Protocol(
    name="evreal-2023",
    source="EVREAL before its commit 68b13a7 of 27 August 2023: SSIM without data_range (its frames whose last event was more "
    "than 1 ms earlier were left out, until March 2024; here they count)",
    cuts="evreal",
    last_frame=False,
    tolerance=1e-3,
    normalisation="own",
    equalisation="none",
    ssim="ssim_legacy",
    averaging="frames",
)
LEGACY_ETNET = Protocol(
    name="legacy-etnet",
    source="ET-Net (Weng et al., ICCV 2021), utils/compute_infer_loss.py and scripts/eval.py; its cuts are in a supplement "
    "that could not be had, so EVREAL's stand in, as do its tolerance and its clipping",
    cuts="evreal",
    last_frame=False,
    tolerance=1e-3,
    normalisation="own",
    equalisation="none",
    ssim="ssim_uniform",
    averaging="sequences",
)
ALIGNED = Protocol(
    name="aligned",
    source="evinr: what events cannot know, one factor and one constant of log intensity, is taken from the truth",
    cuts="none",
    last_frame=True,
    tolerance=1e-3,
    normalisation="log affine",
    equalisation="none",
    ssim="ssim",
    averaging="frames",
)
HDR = Protocol(
    name="hdr",
    source="evinr: linear light of high range, each side stretched as EventHDR does (Zou et al., CVPR 2021, inference.py); by "
    "the mu-law of 5000, and by PU21 (Mantiuk and Azimi, PCS 2021, banding_glare) with white at 1000 cd/m2, black at 0.005 "
    "and the peak 256",
    cuts="none",
    last_frame=True,
    tolerance=1e-3,
    normalisation="joint percentiles",
    equalisation="none",
    ssim="ssim_pu",
    averaging="frames",
)
PROTOCOLS = {protocol.name: protocol for protocol in (EVREAL_2024, EVREAL_2023, LEGACY_ETNET, ALIGNED, HDR)}
