"""One self-contained HTML page that shows methods side by side: scores, loss curves, pictures that play together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from evinr.scores import Mean


class Clip(NamedTuple):
    """Pictures at the page's times."""

    title: str
    pictures: UInt8[np.ndarray, "n h w *c"]
    """Gray, or RGB with a last axis of 3."""


class Method(NamedTuple):
    """What one method made of the recording."""

    clip: Clip
    means: Mapping[str, Mean]
    """By name of the metric (a key of `scores.METRICS`)."""
    frames: Mapping[str, Float64[np.ndarray, " n"]]
    """For each metric a score at each of the page's times; NaN where there is none."""
    losses: Mapping[str, Sequence[float]]
    """For each term of the objective its course over the steps; empty for methods that fit nothing."""
    facts: Sequence[tuple[str, str]]
    """Label and value: seconds, steps, parameters, the prediction's path, what was assumed."""


class Page(NamedTuple):
    """All that a page shows."""

    title: str
    facts: Sequence[tuple[str, str]]
    """Label and value: recording, protocol, what was assumed."""
    times: Float64[np.ndarray, " n"]
    """Seconds of the recording's clock."""
    methods: Sequence[Method]
    truth: Clip | None
    events: Clip | None


def write(path: Path, page: Page) -> None:
    """Write the page as one HTML file that works from disk without a network."""
    raise NotImplementedError
