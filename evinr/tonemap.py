"""From intensity, which is known up to a factor and may span decades, to pictures in [0, 1]."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class ToneMap:
    """How intensity becomes a picture. Recorded beside every picture."""

    tone: Literal["log", "linear", "reinhard"] = "log"
    """What is shown: log intensity or intensity, both stretched between two percentiles of the whole video, or (original)
    Reinhard's I / (1 + I) (Reinhard et al., 2002), which is not stretched."""
    gamma: float = 1.0
    """The picture is raised to 1 / gamma."""
    percentiles: tuple[float, float] = (1.0, 99.0)
    """What becomes black and white, for log and linear."""

    def __post_init__(self) -> None:
        if not 0 < self.gamma < np.inf:
            raise ValueError(f"gamma is {self.gamma}, and must be above 0")
        if not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ValueError(f"percentiles are {self.percentiles}, and must rise, from 0 to 100")


PAPER = ToneMap("reinhard", 0.6)
"""The original's (EvINR's code, model.py)."""


class Exposure(NamedTuple):
    """What a whole video shares, so that it does not flicker."""

    gain: Float[np.ndarray, " c"]
    """Factor of each colour that makes their medians equal: events do not tell the colours' balance."""
    black: float
    white: float


def expose(intensity: Float[np.ndarray, "..."], colour: bool, tone: ToneMap) -> Exposure:
    """The exposure for frames (n, H, W), or (n, H, W, 3) if `colour`, from a sample of them."""
    gain = 1 / np.median(intensity.reshape(-1, 3), axis=0) if colour else np.ones(1)
    if tone.tone == "reinhard":
        return Exposure(np.ones_like(gain), 0.0, 1.0)
    black, white = np.percentile(_shown(intensity * gain, tone), tone.percentiles)
    return Exposure(gain, float(black), float(white) if white > black else float(black) + 1.0)


def picture(intensity: Float[np.ndarray, "*s"], exposure: Exposure, tone: ToneMap) -> Float[np.ndarray, "*s"]:
    """Frames in [0, 1]; same shape as `intensity`, whose last axis is colour if the exposure has three gains."""
    shown = _shown(intensity * exposure.gain, tone)
    unit = np.clip((shown - exposure.black) / (exposure.white - exposure.black), 0, 1)
    return unit ** (1 / tone.gamma)


def _shown(intensity: Float[np.ndarray, "*s"], tone: ToneMap) -> Float[np.ndarray, "*s"]:
    if tone.tone == "log":
        return np.log(intensity)
    return intensity if tone.tone == "linear" else intensity / (1 + intensity)
