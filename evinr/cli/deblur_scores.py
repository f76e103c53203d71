"""What sharpened frames score against the sharp ones of a recording, beside what the blurred ones score."""

import csv
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8
from rich.console import Console
from rich.table import Table

from evinr import report
from evinr.cli import baseline_run
from evinr.cli.blurred import Blurred, pictures
from evinr.files import whole, write_json
from evinr.metrics.deblurring import psnr, ssim

SCORES, FRAMES = baseline_run.SCORES
METRICS = {"psnr": psnr, "ssim": ssim}
"""As EFNet's benchmark has them, higher is better; PSNR in dB."""
DIGITS = {"psnr": 2, "ssim": 4}


class Scores(NamedTuple):
    """Of the frames that have a sharp one."""

    times: Float64[np.ndarray, " k"]
    sharpened: int
    """Frames that were made sharp."""
    values: dict[str, dict[str, Float64[np.ndarray, " k"]]]
    """By `blurred` or the method, and by metric."""


def scored(console: Console, given: Blurred, frames: UInt8[np.ndarray, "n h w 3"], method: str) -> Scores | None:
    """The scores of the sharpened `frames`; None where the recording has no sharp ones."""
    if given.sharp is None:
        return None
    values = {name: {metric: np.zeros(given.scored.size) for metric in METRICS} for name in ("blurred", method)}
    compared = zip(given.scored, pictures(given.sharp), pictures(given.frames.only(given.scored)), strict=True)
    with report.progress(console, "scores", given.scored.size) as advance:
        for number, (place, sharp, blurred) in enumerate(compared):
            for name, picture in (("blurred", blurred), (method, frames[place])):
                for metric, measure in METRICS.items():
                    values[name][metric][number] = measure(np.asarray(picture), sharp)
            advance(1)
    return Scores(given.windows.times[given.scored], len(frames), values)


def write(folder: Path, scores: Scores) -> None:
    """Means into `scores.json`, a line for each frame and method into `frames.csv`."""
    methods: dict[str, Any] = {
        name: {metric: {"value": _finite(v.mean()), "better": "higher"} for metric, v in metrics.items()}
        for name, metrics in scores.values.items()
    }
    of = {"sharpened": scores.sharpened, "scored": scores.times.size}
    write_json(folder / SCORES, {"evinr": version("evinr"), "frames": of, "methods": methods})
    with whole(folder / FRAMES) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "time", *METRICS])
        for name, metrics in scores.values.items():
            for time, *row in zip(scores.times, *metrics.values(), strict=True):
                writer.writerow([name, f"{time:.9f}", *(f"{value:.9g}" for value in row)])


def _finite(value: float) -> float | None:
    """JSON has no infinity, the PSNR of equal pictures."""
    return float(value) if math.isfinite(value) else None


def tell(console: Console, scores: Scores) -> None:
    """Print a row a metric, a column for the blurred frames and one for the sharpened."""
    shown = Table("", box=None, pad_edge=False)
    for name in scores.values:
        shown.add_column(name)
    for metric, digits in DIGITS.items():
        means = [f"{metrics[metric].mean():.{digits}f}" for metrics in scores.values.values()]
        shown.add_row(f"{metric.upper()} \N{UPWARDS ARROW}", *means)
    console.print(f"against the sharp pictures of {scores.times.size} of {scores.sharpened} frames")
    console.print(shown)
