"""The recordings inside a folder of a dataset."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from converters.array_folders import is_array_folder
from converters.converted import is_converted
from converters.dsec import is_dsec_folder
from converters.highrev import is_highrev_folder

ENDINGS = (".bag", ".mcap", ".db3", ".h5", ".hdf5", ".raw", ".dat", ".aedat4", ".zip", ".npz", ".npy")
"""Endings of files that hold recordings; arrays and text only where they look like events."""
ACCOMPANYING = ("calib.txt", "imu.txt", "groundtruth.txt", "images.txt", "timestamps.txt", "README.txt", "readme.txt")
"""Text beside the events of the IJRR and other datasets."""


def is_recording_folder(path: Path) -> bool:
    """Whether a folder is one recording, and not a folder of recordings."""
    return (
        (path / "events.txt").is_file()
        or (path / "metadata.yaml").is_file()
        or is_converted(path)
        or is_dsec_folder(path)
        or is_array_folder(path)
        or is_highrev_folder(path)
    )


def find_recordings(folder: Path) -> Iterator[Path]:
    """The recordings in a folder and below it, in the order of their names; links to folders are not followed."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if is_recording_folder(path):
                yield path
            else:
                yield from find_recordings(path)
        elif entry.is_file() and _is_recording_file(path):
            yield path


def _is_recording_file(path: Path) -> bool:
    if path.suffix == ".npy":
        try:
            array = np.load(path, mmap_mode="r")
        except ValueError:
            return False
        return bool(array.dtype.names) or (array.ndim == 2 and array.shape[1] == 4)
    if path.suffix in (".txt", ".csv"):
        return path.name not in ACCOMPANYING and _looks_like_events(path)
    return path.suffix in ENDINGS


def _looks_like_events(path: Path) -> bool:
    """Whether the first line of data has four numbers, or two and then four."""
    with path.open("rb") as file:
        head = file.read(4096).decode("ascii", "replace")
    rows = [line.replace(",", " ").split() for line in head.splitlines()[:20] if line.strip() and line[0] != "#"]
    numbers = [len(row) for row in rows if all(re.fullmatch(r"[-+0-9.eE]+", word) for word in row)]
    return numbers[:1] == [4] or numbers[:2] == [2, 4]
