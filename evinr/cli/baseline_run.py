"""What `evinr baseline` leaves in a run folder, and what others read of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from evinr.events import InputError
from evinr.prediction import LUMA, Prediction
from evinr.reconstruction import Span

FRAMES, TIMES = "frames.npy", "frames.txt"
"""Pictures as a metric gets them, float32 (n, H, W), not clipped, or uint8 (n, H, W, 3); and the time of each, a line each."""
EXR, DEEP = "exr", "png16"
"""Folders of the pictures of networks that give linear light (`Method.finish`), as floats and as 16 bits."""
SCORES = "scores.json", "frames.csv"
"""Of a deblurring run, where the recording has sharp pictures."""
WHOLE = frozenset({FRAMES, TIMES, "frames", EXR, DEEP, *SCORES, "config.json", "preview.png", "video.mp4"})
"""All that runs of networks have."""
FITTED = "windows", "checkpoint"
"""Folders of the numbers of a fit, one of which only its runs have."""


def is_one(folder: Path) -> bool:
    """Whether a folder is such a run, whole or damaged."""
    return (folder / FRAMES).is_file() and (folder / "config.json").is_file() and not is_fit(folder)


def is_fit(folder: Path) -> bool:
    """Whether a folder is a run of `evinr fit`, whole or damaged, or a saved reconstruction."""
    return (folder / "config.json").is_file() and any((folder / name).is_dir() for name in FITTED)


def about(folder: Path) -> dict[str, Any]:
    """Its `config.json`. Raises InputError where it is damaged, or of something else."""
    try:
        found = dict(json.loads((folder / "config.json").read_text()))
    except (OSError, ValueError, TypeError):
        found = {}
    if "method" not in found:
        raise InputError(f"{folder / 'config.json'}: of no run of a network, or damaged; run the network again")
    return found


def require_replaceable(folder: Path) -> None:
    """Raises InputError unless a folder is such a run and holds nothing else: a recording, weights, somebody's notes."""
    if not is_one(folder):
        raise InputError(f"{folder}: is no run of a network; pass another --name or --out")
    about(folder)
    if others := sorted({file.name for file in folder.iterdir()} - WHOLE):
        raise InputError(f"{folder}: holds {others[0]}, which is not of the run; move it, or pass another --name")


def prediction(folder: Path) -> Prediction:
    """Its pictures. Raises InputError where they or their times are damaged."""
    try:
        frames = np.load(folder / FRAMES, mmap_mode="r", allow_pickle=False)
        times = np.array([float(line) for line in (folder / TIMES).read_text().splitlines()])
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{folder}: cannot be read ({error}); it is damaged: run the baseline again") from None
    if len(times) != len(frames):
        raise InputError(f"{folder}: {len(times)} times for {len(frames)} pictures; it is damaged: run it again")

    def at(asked: Float64[np.ndarray, " k"]) -> Float[np.ndarray, "k h w"]:
        chosen = np.asarray(frames[np.searchsorted(times, asked)])
        return chosen if chosen.ndim == 3 else (chosen / 255 @ LUMA).astype(np.float32)

    kind = "light" if about(folder).get("light") else "picture"
    return Prediction(kind, Span(times[0], times[-1]), times, at)
