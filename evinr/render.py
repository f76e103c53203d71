"""Frames of a reconstruction at many times, a batch at a time, so that 100,000 need no more memory than 16."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from evinr.reconstruction import BATCH, Reconstruction
from evinr.report import diverging
from evinr.tonemap import Exposure, ToneMap, expose, picture


def exposure(reconstruction: Reconstruction, tone: ToneMap) -> Exposure:
    """The exposure of the whole span, from a batch of frames evenly over it."""
    times = np.linspace(*reconstruction.span, BATCH)
    return expose(reconstruction.intensity(times), reconstruction.config.bayer is not None, tone)


def pictures(
    reconstruction: Reconstruction, times: Float[np.ndarray, " n"], tone: ToneMap, *, extrapolate: bool = False
) -> Iterator[np.ndarray]:
    """Pictures in [0, 1], (b, H, W) or (b, H, W, 3), all of one exposure."""
    shared = exposure(reconstruction, tone)
    for batch in batches(times):
        yield picture(reconstruction.intensity(batch, extrapolate=extrapolate), shared, tone)


def rate_pictures(
    reconstruction: Reconstruction, times: Float[np.ndarray, " n"], *, extrapolate: bool = False
) -> Iterator[np.ndarray]:
    """Pictures (b, H, W, 3) of the rate of change: red rises, blue falls, full at the 99th percentile of the span."""
    sample = reconstruction.rate(np.linspace(*reconstruction.span, BATCH))
    full = float(np.percentile(np.abs(sample), 99)) or 1.0
    for batch in batches(times):
        rate = reconstruction.rate(batch, extrapolate=extrapolate) / full
        yield diverging(rate.mean(-1) if rate.ndim == 4 else rate)


def batches(times: Float[np.ndarray, " n"]) -> Iterator[np.ndarray]:
    """The times, as many together as are evaluated together."""
    for start in range(0, len(times), BATCH):
        yield times[start : start + BATCH]
