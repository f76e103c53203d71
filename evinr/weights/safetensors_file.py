"""Weights as we keep them: a safetensors file of float32 entries by their published names that says what it is."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from evinr.events import InputError
from evinr.files import whole
from evinr.weights.torch_tensors import Plain

VERSION = 1
"""Of the layout; a file of another is refused."""
KEY = "evinr"
"""The one key of the file's metadata. safetensors writes several in an order that changes from run to run, and with it the
file's sha256."""


class Stored(NamedTuple):
    """What such a file holds."""

    architecture: str
    entries: Mapping[str, Float32[np.ndarray, "..."]]
    options: Mapping[str, Plain]
    """Of the architecture, as far as its source stated any."""
    sources: Mapping[str, str]
    """The sha256 of the files it was made from, by what each was for."""
    sha256: str
    """Of the file."""


def write(
    path: Path,
    architecture: str,
    entries: Mapping[str, Float32[np.ndarray, "..."]],
    sources: Mapping[str, str],
    options: Mapping[str, Plain] | None = None,
) -> None:
    """Write weights, and the sha256 of the files they came from by what each was for. The same in gives the same file."""
    about = {"architecture": architecture, "sha256": dict(sources), "version": VERSION}
    about |= {"options": dict(options)} if options else {}
    contiguous = {name: np.ascontiguousarray(entries[name]) for name in sorted(entries)}
    with whole(path) as partial:
        # As bytes: its own writing of files has errors that do not tell what went wrong with which.
        partial.write_bytes(save(contiguous, {KEY: json.dumps(about, sort_keys=True)}))


def read(path: Path) -> Stored:
    """Weights of any architecture. Raises InputError where there is no such file, or it is no file of ours."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the file in it")
    if not path.is_file():
        raise InputError(f"{path}: no such file; give one that `evinr weights convert` wrote")
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})[KEY])
            architecture, version = about["architecture"], about["version"]
            options, sources = dict(about.get("options", {})), dict(about["sha256"])
            entries = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: no file of weights of ours, or damaged ({error}); make it with `evinr weights convert`"
        ) from None
    if version != VERSION:
        raise InputError(
            f"{path}: holds {architecture!r} of version {version!r}, not of version {VERSION}; make it anew with "
            "`evinr weights convert`"
        )
    return Stored(architecture, entries, options, sources, hashlib.sha256(path.read_bytes()).hexdigest())


def require(path: Path, stored: Stored, expected: Mapping[str, Mapping[str, tuple[int, ...]]]) -> None:
    """Raises InputError unless these are weights of one of the `expected` architectures, given by their entries' shapes."""
    if stored.architecture not in expected:
        raise InputError(
            f"{path}: holds {stored.architecture!r}, not {' or '.join(expected)}; give the file of that network"
        )
    entries, shapes = stored.entries, expected[stored.architecture]
    for name in sorted(entries.keys() | shapes.keys()):
        found = f"{entries[name].dtype} {entries[name].shape}" if name in entries else "absent"
        wanted = f"float32 {shapes[name]}" if name in shapes else "absent"
        if found != wanted:
            raise InputError(
                f"{path}: entry {name} is {found}, not {wanted}; make it anew with `evinr weights convert`"
            )
