"""How sure a mean over frames is: 95 % percentile intervals by the bootstrap (Efron, 1979).

Frames beside each other are alike, and count as fewer than they are: they are drawn in blocks of neighbours (the moving
block bootstrap; Kuensch, Annals of Statistics 17, 1989), round the end to the start, so that each is drawn as often
(Politis and Romano, 1992). The interval is about the frames of this recording, not about other
recordings.
"""

import numpy as np
from jaxtyping import Float64

from evinr.scores import Mean

RESAMPLES = 2000
LIMITS = (2.5, 97.5)


def mean_with_interval(scores: Float64[np.ndarray, " n"], seed: int = 0) -> Mean:
    """The mean of one score a frame, in their order, and its interval; no mean at all if one of them is not finite.

    On AR(1) scores the interval holds the true mean in 95 % of 400 cases at correlation 0 and 25 frames; at correlation 0.8
    in 92 % with 500 frames, 84 % with 100 and 61 % with 25: few and much alike frames say less than they seem to.
    """
    if not scores.size or not np.isfinite(scores).all():
        return Mean(None, None, None)
    mean = float(scores.mean())
    if scores.size == 1:
        return Mean(mean, None, None)
    length = block_length(scores)
    blocks = -(-scores.size // length)
    first = np.random.default_rng(seed).integers(0, scores.size, (RESAMPLES, blocks))
    lengths = np.full(blocks, length)
    lengths[-1] = scores.size - length * (blocks - 1)  # as many scores as there are
    sums = np.concatenate([[0.0], np.cumsum(np.tile(scores - mean, 2))])  # round the end to the start
    return _between(mean, mean + (sums[first + lengths] - sums[first]).sum(1) / scores.size)


def pooled(means: Float64[np.ndarray, " n"], weights: Float64[np.ndarray, " n"], seed: int = 0) -> Mean:
    """The weighted mean of one finite mean a sequence, and its interval over draws of sequences."""
    mean = float(means @ weights / weights.sum())
    if means.size == 1:
        return Mean(mean, None, None)
    drawn = np.random.default_rng(seed).integers(0, means.size, (RESAMPLES, means.size))
    return _between(mean, (means * weights)[drawn].sum(1) / weights[drawn].sum(1))


def block_length(scores: Float64[np.ndarray, " n"]) -> int:
    """Frames in a block: 1.1447 (4 r^2 n / (1 - r^2)^2)^(1/3), r the correlation of neighbours (Andrews, Econometrica 59,
    1991, eq. 6.2 and 6.4, for the Bartlett window that the moving blocks amount to), at most a third of all.

    It grows as the n^(1/3) that is optimal, and is 1 where neighbours are not alike.
    """
    off = scores - scores.mean()
    power = off @ off
    r = min(max(float(off[1:] @ off[:-1] / power), 0.0), 0.97) if power > 0 else 0.0
    best = 1.1447 * (4 * r**2 * scores.size / (1 - r**2) ** 2) ** (1 / 3)
    return max(min(int(np.ceil(best)), scores.size // 3), 1)


def _between(mean: float, resampled: Float64[np.ndarray, " m"]) -> Mean:
    low, high = np.percentile(resampled, LIMITS)
    return Mean(mean, float(low), float(high))
