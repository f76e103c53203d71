"""Which reader a recording belongs to: by its content first, by its name second; and all of it in memory."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from converters.checks import Passage, collect
from converters.files import open_regular, zip_members
from converters.frames import gather
from converters.options import AS_STORED, Format, ReadOptions
from converters.recording import Recording
from converters.stream import Stream
from evinr.events import InputError

Reader = Callable[[Path, str, ReadOptions], Stream]
Family = Literal[
    "folder", "converted", "text", "zip", "npy", "npz", "bag1", "bag2", "hdf5", "dsec", "arrays", "highrev",
    "prophesee", "aedat4",
]  # fmt: skip
"""What one reader reads."""


def read(path: Path | str, options: ReadOptions = AS_STORED) -> Recording:
    """A recording in memory, from a file or folder of any known format. Opened for reading only.

    Times stay on the file's clock, in seconds, unless that is absolute (Unix time): then they count from the first event
    or frame. Raises InputError, in one line, for whatever is not a sound recording.
    """
    return in_memory(open_stream(path, options), recording_name(path), options)


def in_memory(stream: Stream, name: str, options: ReadOptions) -> Recording:
    """All of a stream; `name` is for messages. Raises InputError as `read` does."""
    passage = Passage(stream, options, name)
    events, assumptions, origin = collect(passage)
    frames = None
    if stream.frames:
        frames, said = gather(stream.frames[0], options, origin, name)
        assumptions += said
        if frames is not None and frames.windows is not None:
            placed = None if passage.first is None else np.clip(frames.windows - passage.first, 0, events.count)
            frames = frames._replace(windows=placed)
            assumptions += (
                () if placed is not None else ("which events belong to each frame is lost, as some were moved",)
            )
        if frames is not None and frames.images.shape[1:] != (events.height, events.width):
            height, width = frames.images.shape[1:]
            assumptions += (f"camera frames are {width} x {height}, unlike the sensor",)
    return Recording(events, frames, stream.format, assumptions, origin + stream.zero)


def beginning(stream: Stream, name: str, options: ReadOptions) -> float:
    """Time of the first event or frame of all the recording, whichever comes first, in seconds of its clock."""
    passage = Passage(stream, replace(options, t_start=None, t_end=None), name)
    first = float(next(passage.blocks()).t[0])
    return min([first] + [(kind.start - passage.origin) / 1e9 for kind in stream.frames[:1]])


def open_stream(path: Path | str, options: ReadOptions = AS_STORED) -> Stream:
    """A recording that can be read block by block. Raises InputError where it is none that is known, or damaged."""
    path, name = Path(path), recording_name(path)
    is_folder = os.path.isdir(path)
    if not is_folder:
        with open_regular(path, name) as file:
            head = file.read(4096)
        if not head:
            raise InputError(f"{name}: empty file; copy or record it again")
        family = _named(options.format, is_folder) or _family_of_file(path, name, head)
        if family == "text" and head.startswith(b"PK"):
            family = "zip"
    else:
        family = _named(options.format, is_folder) or _family_of_folder(path)
    stream = (
        _without_frames(family, path, name, options) if options.skip_frames else _reader(family)(path, name, options)
    )
    for option in ("time_unit", "columns", "topic", "frame_topic"):
        if getattr(options, option) is not None and option not in USED[family]:
            stream.notes.append(
                f"--{option.replace('_', '-')} was not used: there is nothing to choose in {stream.format}"
            )
    return stream


def _without_frames(family: Family, path: Path, name: str, options: ReadOptions) -> Stream:
    """As with its frames, which may tell the sensor and the format; but where they are broken, it does without."""
    try:
        stream = _reader(family)(path, name, replace(options, skip_frames=False))
    except InputError:
        stream = _reader(family)(path, name, options)
    return stream._replace(frames=())


USED: dict[Family, set[str]] = {
    "folder": {"time_unit", "columns"},
    "converted": set(),
    "text": {"time_unit", "columns"},
    "zip": {"time_unit", "columns"},
    "npy": {"time_unit", "columns"},
    "npz": {"time_unit", "columns"},
    "bag1": {"topic", "frame_topic"},
    "bag2": {"topic", "frame_topic"},
    "hdf5": {"time_unit", "topic"},
    "dsec": {"time_unit", "topic"},
    "arrays": {"time_unit"},
    "highrev": {"time_unit", "topic"},
    "prophesee": {"time_unit"},
    "aedat4": {"time_unit", "topic", "frame_topic"},
}
"""The options that some readers have no use for."""


def recording_name(path: Path | str) -> str:
    """What messages call a recording."""
    return os.path.basename(os.path.abspath(path))


def fingerprint(stream: Stream) -> str:
    """The sha256 of the files that hold the events, one after another."""
    digest = hashlib.sha256()
    for path in stream.files:
        with path.open("rb") as file:
            while data := file.read(2**20):
                digest.update(data)
    return digest.hexdigest()


def _family_of_folder(path: Path) -> Family:
    from converters.array_folders import is_array_folder
    from converters.converted import is_converted
    from converters.dsec import is_dsec_folder
    from converters.highrev import is_highrev_folder

    if is_converted(path):
        return "converted"
    if (path / "metadata.yaml").is_file():
        return "bag2"
    if is_dsec_folder(path):
        return "dsec"
    if is_array_folder(path):
        return "arrays"
    return "highrev" if is_highrev_folder(path) else "folder"


def _family_of_file(path: Path, name: str, head: bytes) -> Family:
    for magic, family in MAGIC.items():
        if head.startswith(magic):
            return family
    if head.startswith(b"PK"):
        holds_arrays = any(member.endswith(".npy") for member in zip_members(path, name).names)
        return "npz" if holds_arrays else "zip"
    page = "it looks like a web page; " if head.lstrip().startswith(b"<") else ""
    if path.suffix.lower() in NAMED:
        raise InputError(f"{name}: named {path.suffix}, but its content is not; {page}save or download it again")
    if page:
        raise InputError(f"{name}: looks like a web page, not a recording; download it again")
    if re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        raise InputError(
            f"{name}: not event text, and no other format that is read here; give text t x y p or N x 4 npy"
        )
    return "text"


MAGIC: dict[bytes, Family] = {
    b"\x93NUMPY": "npy",
    b"#ROSBAG": "bag1",
    b"\x89MCAP0\r\n": "bag2",
    b"SQLite format 3\0": "bag2",
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"#!AER-DAT": "aedat4",
    b"% ": "prophesee",
}
"""How files begin."""
NAMED = (".npy", ".npz", ".zip", ".h5", ".hdf5", ".bag", ".mcap", ".db3", ".aedat4", ".raw")
"""Endings of formats that are told by how they begin."""


def _named(format: Format | None, is_folder: bool) -> Family | None:
    """The family of a format that the user named, as a file or as a folder."""
    match format:
        case None:
            return None
        case "evinr":
            return "converted" if is_folder else "hdf5"
        case "ijrr" | "text":
            return "folder" if is_folder else "text"
        case "npy" | "aed":
            return "npy"
        case "npz":
            return "npz"
        case "rosbag":
            return "bag1"
        case "rosbag2" | "mcap":
            return "bag2"
        case "dsec" if is_folder:
            return "dsec"
        case "timostoff" | "rled" | "eventhdr" | "efnet" | "dsec" | "mvsec" | "m3ed" | "e2calib" | "v2e":
            return "hdf5"
        case "evreal" | "nernet" | "rpg":
            return "arrays"
        case "highrev":
            return "highrev"
        case "evt2" | "evt21" | "evt3" | "dat":
            return "prophesee"
        case "aedat4":
            return "aedat4"


def _reader(family: Family) -> Reader:
    """The reader of a family, imported when it is needed: HDF5 and bags have large libraries."""
    match family:
        case "folder":
            from converters.ijrr import open_folder as reader
        case "converted":
            from converters.converted import open_converted as reader
        case "text":
            from converters.ijrr import open_text_file as reader
        case "zip":
            from converters.ijrr import open_zip_folder as reader
        case "npy":
            from converters.arrays import open_npy as reader
        case "npz":
            from converters.arrays import open_npz as reader
        case "bag1":
            from converters.bag import open_bag as reader
        case "bag2":
            from converters.bag import open_bag2 as reader
        case "hdf5":
            from converters.hdf5 import open_hdf5 as reader
        case "dsec":
            from converters.dsec import open_dsec_folder as reader
        case "arrays":
            from converters.array_folders import open_array_folder as reader
        case "highrev":
            from converters.highrev import open_highrev as reader
        case "prophesee":
            from converters.prophesee import open_prophesee as reader
        case "aedat4":
            from converters.aedat4 import open_aedat4 as reader
    return reader
