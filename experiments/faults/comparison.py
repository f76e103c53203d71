"""What a folder holds, as far as two runs of the same command must agree."""

import csv
import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from evinr import checkpoint, heads
from evinr.events import InputError

Contents = dict[str, Any]
"""What the files of a folder mean, by their paths in it."""
VOLATILE = frozenset({"seconds", "memory_mb", "peak_mb", "files", "id"})
"""Keys and columns that differ between two runs: times, memory, sizes of Orbax' files (which hold times), ids of W&B."""
UNTOLD = frozenset({".lock", "logs", "fit.log", "orbax", "wandb", "sweep.html"})
"""Files and folders that hold no results, or, as Orbax' and pages, times among them."""
LEFT = (".partial-", ".replaced-", ".removed-", "checkpoint.new", "checkpoint.old")
"""Beginnings of names that nothing that ended well leaves."""


def contents(folder: Path) -> Contents:
    """Every file by its path: arrays as hashes of their bits, tables and JSON without what is volatile, else a hash."""
    found: Contents = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not UNTOLD & set(inside.parts):
            found[str(inside)] = _meaning(path)
        if path.name == "checkpoint" and path.is_dir():
            found[str(inside)] = _state(path.parent)
        if path.name == "wandb" and path.is_dir():
            found[str(inside)] = len(list(path.glob("offline-run-*")))
    return found


def differences(expected: Contents, found: Contents) -> list[str]:
    """Which files are missing, were not there before, or differ."""
    missing = [f"{name} is missing" for name in expected.keys() - found.keys()]
    more = [f"{name} should not be there" for name in found.keys() - expected.keys()]
    other = [f"{name} differs" for name in expected.keys() & found.keys() if expected[name] != found[name]]
    return sorted(missing + more + other)


def leftovers(folder: Path) -> list[str]:
    """What has one of the names that only what was killed leaves."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.startswith(LEFT))


def _meaning(path: Path) -> Any:
    """A hash of what cannot be read, as what is not whole yet."""
    try:
        return _read(path)
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error):
        return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> Any:
    if path.name == heads.INDEX and path.parent.name == heads.FOLDER:
        return _layout(path.parent)
    match path.suffix:
        case ".npz":
            with np.load(path) as file:
                return {name: _bits(file[name]) for name in file}
        case ".json":
            return _steady(json.loads(path.read_text()))
        case ".jsonl":
            *lines, cut = path.read_text().split("\n")
            return [_steady(json.loads(line)) for line in lines] + [cut] * bool(cut)
        case ".csv":
            rows = csv.DictReader(io.StringIO(path.read_text()))
            return [{name: value for name, value in row.items() if name not in VOLATILE} for row in rows]
        case _:
            return hashlib.sha256(path.read_bytes()).hexdigest()


def _steady(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _steady(value) for name, value in content.items() if name not in VOLATILE}
    return [_steady(value) for value in content] if isinstance(content, list) else content


def _layout(folder: Path) -> Any:
    """Where windows lie: the index itself also tells in how many goes they were written."""
    try:
        return _bits(heads.Stored(folder).layout)
    except InputError as error:
        return str(error)


def _state(run: Path) -> Any:
    """The checkpoint of a run."""
    import jax

    snapshot = checkpoint.load_state(run)
    leaves = [_bits(np.asarray(leaf)) for leaf in jax.tree.leaves(snapshot.state)]
    return [snapshot.step, snapshot.progress, leaves]


def _bits(array: np.ndarray) -> tuple[str, tuple[int, ...], str]:
    return str(array.dtype), array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
