"""Frames of a network that gives linear light of high range: stretched over the whole sequence, with nothing cut off."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from rich.console import Console

from evinr import report
from evinr.cli import baseline_run, frame_files
from evinr.events import InputError
from evinr.light import ENDS, open_ended, percentiles

BATCH = 16
"""Pictures in memory."""


def write(
    console: Console,
    folder: Path,
    shape: tuple[int, int, int],
    batches: Iterable[Float32[np.ndarray, "k h w"]],
    title: str,
) -> dict[str, float]:
    """Write `frames.npy` of what the network gives, and return what became 0 and 1: the `low` and `high` of all pictures.

    The pictures wait on the disk until the percentiles of all are known. Raises InputError where a number is not finite.
    """
    waiting, count = folder / "light.npy", shape[0]
    with report.progress(console, "network", count) as advance:
        for done in frame_files.array(waiting, shape, "<f4", _finite(batches, title)):
            advance(done)
    light = np.load(waiting, mmap_mode="r")
    with report.progress(console, "range", 3 * count, report.PERCENT) as advance:

        def read() -> Iterator[Float32[np.ndarray, "k h w"]]:
            for start in range(0, count, BATCH):
                yield light[start : start + BATCH]
                advance(min(BATCH, count - start))

        low, high = percentiles(read, ENDS)
        for _ in frame_files.array(
            folder / baseline_run.FRAMES, shape, "<f4", (open_ended(batch, low, high) for batch in read())
        ):
            pass
    waiting.unlink()
    return {"low": low, "high": high}


def _finite(batches: Iterable[Float32[np.ndarray, "k h w"]], title: str) -> Iterator[Float32[np.ndarray, "k h w"]]:
    for batch in batches:
        if not np.isfinite(batch).all():
            raise InputError(f"{title}: gives numbers that are not finite; give its published weights")
        yield batch
