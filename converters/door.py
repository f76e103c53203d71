"""Which reader a recording belongs to: by its content first, by its name second."""

import hashlib
import os
import re
from pathlib import Path

from converters.arrays import read_npy, read_npz
from converters.checks import AS_STORED, ReadOptions
from converters.files import open_regular, open_zip
from converters.ijrr import read_folder, read_text, read_zip
from converters.recording import Recording
from evinr.events import InputError

FOREIGN = {
    b"#ROSBAG": "a rosbag",
    b"#!AER-DAT": "AEDAT",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"% ": "Prophesee RAW or DAT",
}
"""First bytes of formats that are known but not read."""


def read(path: Path | str, options: ReadOptions = AS_STORED) -> Recording:
    """A recording from a file or folder: event text, a folder or zip of it, npy or npz. Opened for reading only.

    Times stay on the file's clock, in seconds. Raises InputError, in one line, for whatever is not a sound recording.
    """
    path = Path(path)
    name = os.path.basename(os.path.abspath(path))
    if os.path.isdir(path):
        return read_folder(path, name, options)
    with open_regular(path, name) as file:
        head = file.read(4096)
    if not head:
        raise InputError(f"{name}: empty file; copy or record it again")
    if head.startswith(b"\x93NUMPY"):
        return read_npy(path, name, options)
    if head.startswith(b"PK"):
        with open_zip(path, name) as archive:
            holds_arrays = any(member.endswith(".npy") for member in archive.namelist())
            return (read_npz if holds_arrays else read_zip)(archive, name, options)
    for magic, kind in FOREIGN.items():
        if head.startswith(magic):
            raise InputError(f"{name}: is {kind}, which is not read here; convert it to text t x y p or to N x 4 npy")
    if path.suffix in (".npy", ".npz", ".zip"):
        raise InputError(f"{name}: named {path.suffix}, but its content is not; save or download it again")
    if head.lstrip().startswith(b"<"):
        raise InputError(f"{name}: looks like a web page, not a recording; download it again")
    if re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        raise InputError(
            f"{name}: not event text, and no other format that is read here; give text t x y p or N x 4 npy"
        )
    return read_text(path, name, options)


def fingerprint(path: Path | str) -> str:
    """The sha256 of a recording's file, or of the events.txt of a folder."""
    path = Path(path)
    with (path / "events.txt" if path.is_dir() else path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
