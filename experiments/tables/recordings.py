"""The recordings in a dataset's folder, by the names of the sequences that they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evinr.cuts import sequence
from evinr.events import InputError

ENDINGS = (".bag", ".h5", ".hdf5", ".zip", ".txt", ".npy", ".npz", ".aedat4", ".raw", ".mcap", ".db3")
"""Of files that may be recordings."""


class Found(NamedTuple):
    """What a folder holds of a dataset."""

    recordings: dict[str, Path]
    """By name of the sequence, in the table's order."""
    missing: tuple[str, ...]
    """Sequences of the table that are not there."""
    others: tuple[str, ...]
    """Names in the folder that are no sequence of the table, or a second copy of one."""


def find(root: Path, dataset: str, wanted: Sequence[str] | None) -> Found:
    """The recordings of `wanted` sequences, or of all where that is None.

    A sequence may lie there as a file or as a folder; of both the file is taken, as it is the original.

    Raises InputError where the folder cannot be read or holds none.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the one that holds the recordings of {dataset}")
    entries = [path for path in sorted(root.iterdir()) if not path.name.startswith(".")]
    # Of any name, a text is more often a note than events.
    endings = ENDINGS if wanted else tuple(ending for ending in ENDINGS if ending != ".txt")
    entries = [path for path in entries if path.is_dir() or path.suffix.lower() in endings]
    entries.sort(key=lambda path: path.is_dir())
    recordings, others = dict[str, Path](), list[str]()
    for path in entries:
        name = (path.stem if path.is_file() else path.name) if wanted is None else sequence(path.name, dataset)
        if name is None or name in recordings:
            others.append(path.name)
        else:
            recordings[name] = path
    if not recordings:
        known = "recordings" if wanted is None else f"sequences of {dataset} ({', '.join(wanted)})"
        found = ", ".join(others[:10]) or "nothing"
        raise InputError(
            f"{root}: holds no {known}; found {found}; give the folder that holds them as files or folders"
        )
    order = sorted(recordings) if wanted is None else [name for name in wanted if name in recordings]
    missing = tuple(name for name in wanted or () if name not in recordings)
    return Found({name: recordings[name] for name in order}, missing, tuple(others))
