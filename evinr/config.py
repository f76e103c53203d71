"""What a fit can be told: one frozen record, its defaults, and the original's settings beside them.

Imports nothing, so that `evinr --help` need not wait for JAX.
"""

from dataclasses import dataclass, replace
from typing import Literal

Bayer = Literal["rggb", "bggr", "grbg", "gbrg"]


@dataclass(frozen=True)
class FitConfig:
    """How a recording is fitted. The defaults are one set for every recording; `PAPER` is the original EvINR."""

    # How a recording is cut.
    windows: Literal["parallel", "sequential", "whole"] = "parallel"
    """Cut into windows that overlap, many of them fitted at once and joined meanwhile; or one after another, each from the
    answer of the one before: faster, with less memory, for live use, and less good; or (original) one network for the whole
    span, every weight by AdamW."""
    intervals: int = 32
    """Intervals of a window; of a recording that is shorter than one: 8, 16, 24 or 32, one per 0.05 events a pixel."""
    overlap: int = 6
    """Intervals that a window shares with the one before."""
    batch: int = 8
    """Windows that are fitted at once by `parallel`."""
    tie: float = 0.1
    """Weight of the squared difference from the neighbouring window at shared knots."""
    iterations: int = 45
    """Steps of a window that starts from nothing."""
    warm_iterations: int = 12
    """Steps of a window that starts from the answer of the one before; of a batch in which neighbours hold each other."""

    # The data term.
    knots: int | None = None
    """Intervals between knots, each supervised by one event image. Unset: one per 0.05 events a pixel, 8 to 50."""
    supervision: Literal["edges", "midpoints"] = "edges"
    """Where the network is evaluated: at the edges of the intervals, or (original) at their midpoints, half a bin late."""
    contrast_threshold: float = 0.2
    """Change of log intensity behind one event. Scales the answer; with --scale-free the fit itself does not depend on it."""
    scale_free: bool = True
    """Fit in units of the contrast threshold, head rate relative to the size of the accumulated events, smoothness and
    stillness counted once per recording. Off (original): event images are multiplied by the threshold, weights are absolute."""
    bayer: Bayer | None = None
    """Order of the colour filter at rows 0, 1 and columns 0, 1; unset for a gray sensor."""
    colour: Literal["mosaic", "planes"] = "mosaic"
    """With --bayer: fit the mosaic at full resolution, or (original) three half-resolution planes, greens averaged."""

    # The objective (in units of the contrast threshold when scale-free).
    smooth: float = 1.25
    """Weight of the spatial total variation; scale-free, it is divided by the number of intervals."""
    variation: Literal["isotropic", "anisotropic"] = "isotropic"
    """Total variation as mean |(dx, dy)|, or (original) as mean |dx| + mean |dy|."""
    still: float = 5.0
    """Weight of mean |change between knots|: few events say little, and are noise more often than not. Scale-free, it is
    divided by the number of intervals."""
    constancy: float = 0.1
    """Weight of the variance of the frame means over time."""
    revisions: int = 12
    """Steps in which a window is revised when the one behind it is known."""
    ridge: float = 3e-5
    """Weight of the squared level of every pixel at every knot, without which what no event tells is left to chance."""
    outlier: float | None = None
    """Event residual beyond which the squared error turns linear (pseudo-Huber), so that hot pixels weigh little; 0: never.
    Unset: 1 in windows, 2 with `whole`."""

    # The network.
    hidden: int = 128
    """Units of a sine layer."""
    depth: int = 1
    """Sine layers between the first one and the basis."""
    basis: int = 128
    """Functions of time whose combinations the pixels are."""
    levels: int = 6
    """Resolutions of the output head at most, each a quarter of the one before; 1 (original) is one linear layer."""
    omega: float = 10.0
    """Frequency factor of every layer (SIREN, eq. 5 and section 3.2)."""
    zero_head: bool = True
    """Start from a flat image; off (original) from white noise."""

    # The optimiser.
    steps: int = 60
    """Optimiser steps."""
    head_rate: float = 6e-3
    """Peak learning rate of the output head; scale-free, relative to the size of the accumulated events."""
    coarse_gain: float = 2.0
    """Ratio of the head's rate from one level to the next coarser one."""
    sine_rate: float = 3e-4
    """Peak learning rate of the sine layers."""
    warmup: float = 0.2
    """Part of the steps over which the rates rise from zero."""
    decay: Literal["cosine", "constant"] = "cosine"
    """Course of the rates after the warm-up: down to zero, or level."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    coarse_to_fine: bool = False
    """Double the number of intervals at half of the steps (original)."""
    precision: Literal["bfloat16", "float32", "float64"] = "float32"
    """Numbers of the fit. bfloat16 rounds in windows only the velocity of a step, with `whole` the factors of the head's
    products."""
    seed: int = 0
    """Seed of the network's initial weights, and of the demo's scene and noise."""

    def __post_init__(self) -> None:
        positive = ("contrast_threshold", "hidden", "basis", "levels", "omega", "steps", "iterations", "batch")
        weights = (
            "smooth",
            "still",
            "constancy",
            "outlier",
            "weight_decay",
            "ridge",
            "tie",
            "warm_iterations",
            "revisions",
        )
        never_negative = (*weights, "depth", "head_rate", "coarse_gain", "sine_rate", "seed")
        for name in positive:
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}, and must be above 0 and finite")
        for name in never_negative:
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}, and must be 0 or more and finite")
        if self.knots is not None and self.knots < 2:
            raise ValueError(f"knots is {self.knots}: a fit needs two intervals or more")
        if self.intervals not in LENGTHS:
            raise ValueError(f"intervals is {self.intervals}, and must be one of {', '.join(map(str, LENGTHS))}")
        if not 1 <= self.overlap <= self.intervals // 2:
            raise ValueError(f"overlap is {self.overlap}, and must be 1 to half of the {self.intervals} intervals")
        if self.windows != "whole" and self.basis < self.intervals:
            raise ValueError(f"basis is {self.basis}: windows of {self.intervals} intervals need as many or more")
        others = OF_WINDOWS if self.windows == "whole" else OF_THE_WHOLE
        for name in others:
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                where = "sequential or parallel" if self.windows == "whole" else "whole"
                raise ValueError(f"{name} has no effect with windows {self.windows}: pass it with windows {where}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}, and must be a part of the steps, from 0 to below 1")


LENGTHS = (8, 16, 24, 32)
"""Intervals that a window may have: few lengths, so that few programs are compiled."""
OF_WINDOWS = ("intervals", "overlap", "batch", "tie", "iterations", "warm_iterations", "revisions", "ridge")
"""Settings that have an effect with windows only."""
OF_THE_WHOLE = (
    "knots", "supervision", "scale_free", "colour", "variation", "levels", "zero_head", "steps", "head_rate", "coarse_gain",
    "sine_rate", "warmup", "decay", "weight_decay", "coarse_to_fine",
)  # fmt: skip
"""Settings that have an effect with windows `whole` only."""

DEFAULT = FitConfig()

PAPER = replace(
    DEFAULT,
    windows="whole",
    knots=50,
    supervision="midpoints",
    contrast_threshold=1.0,
    scale_free=False,
    colour="planes",
    smooth=0.05,
    variation="anisotropic",
    still=0.05,
    outlier=0.0,
    hidden=512,
    depth=3,
    basis=256,
    levels=1,
    zero_head=False,
    steps=1000,
    head_rate=3e-4,
    coarse_gain=1.0,
    warmup=0.0,
    decay="constant",
    weight_decay=0.01,
    coarse_to_fine=True,
)
"""EvINR as its authors' code runs it (Wang et al., ECCV 2024): AdamW at one constant rate."""
