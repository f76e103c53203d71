"""The recordings inside a folder of a dataset."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from converters.array_folders import is_array_folder
from converters.arrays import read_header
from converters.converted import is_converted
from converters.dsec import is_dsec_folder
from converters.highrev import is_highrev_folder
from evinr.events import InputError

ENDINGS = (".bag", ".mcap", ".db3", ".h5", ".hdf5", ".raw", ".dat", ".aedat4", ".zip", ".npz", ".npy")
"""Endings of files that hold recordings; arrays and text only where they look like events."""
DOUBTFUL = (".txt", ".csv", ".npy")
"""Endings of files that may hold anything."""
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


def find_recordings(folder: Path, passed_over: list[Path]) -> Iterator[Path]:
    """The recordings in a folder and below it, in the order of their names; links to folders are not followed.

    Folders and files that cannot be looked into are among them, so that their conversion tells why. Text and arrays that
    do not look like events go to `passed_over`.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield folder
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if os.access(path, os.R_OK | os.X_OK) and not is_recording_folder(path):
                yield from find_recordings(path, passed_over)
            else:
                yield path
            continue
        try:
            lost = entry.is_symlink() and not path.exists() and path.suffix.lower() in ENDINGS
            is_recording = lost or (entry.is_file() and _is_recording_file(path))
        except OSError:  # such as of a link that loops
            is_recording = True
        if is_recording:
            yield path
        elif path.suffix.lower() in DOUBTFUL and path.name not in ACCOMPANYING:
            passed_over.append(path)


def _is_recording_file(path: Path) -> bool:
    ending = path.suffix.lower()
    try:
        if ending == ".npy":
            with path.open("rb") as file:
                header = read_header(path.name, file, path.stat().st_size)
            return bool(header.dtype.names) or header.shape[1:] == (4,)
        if ending in (".txt", ".csv"):
            return path.name not in ACCOMPANYING and _looks_like_events(path)
    except (InputError, OSError):
        return True
    return ending in ENDINGS


def _looks_like_events(path: Path) -> bool:
    """Whether the first line of data has four numbers, or two and then four."""
    with path.open("rb") as file:
        head = file.read(4096).decode("ascii", "replace")
    rows = [line.replace(",", " ").split() for line in head.splitlines()[:20] if line.strip() and line[0] != "#"]
    numbers = [len(row) for row in rows if all(re.fullmatch(r"[-+0-9.eE]+", word) for word in row)]
    return numbers[:1] == [4] or numbers[:2] == [2, 4]
