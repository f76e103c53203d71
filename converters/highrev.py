"""HighREV, blurred and sharp pictures with events: `event/SEQ_%05d_%02d.npz`, `blur/SEQ_%05d.png`, `sharp/`.

Each picture has several npz with columns x, y, timestamp and polarity, of which the last is behind its exposure, as the
loader of EFNet has it (https://github.com/AHupuJR/EFNet). The files have rows in x and columns in y.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
from jaxtyping import Shaped

from converters import clock
from converters.arrays import Header, read_header, read_values, require_numbers
from converters.files import open_in_zip, open_regular, open_zip
from converters.options import ReadOptions
from converters.pictures import read_picture
from converters.stream import BLOCK, WHOLE, Columns, Frame, FrameSet, SensorSize, Stream, Unit, Window
from evinr.events import InputError

PART = re.compile(r"(?P<sequence>.+)_(?P<picture>\d+)_(?P<part>\d+)\.npz")
COLUMNS = ("timestamp", "y", "x", "polarity")
"""What t, x, y and p are called: rows and columns are exchanged."""
UNSTATED = "times were taken for microseconds, which HighREV does not say (--time-unit says another)"
EXCHANGED = "x and y of the files were exchanged, as HighREV has rows in x"
NO_BLUR = "there are no blurred pictures; any sharp ones are the frames"
ASSUMED = "exposures of frames were assumed to be the span of their events but the last npz, their times the middle"


class Part(NamedTuple):
    """One npz: the events of a part of the time of one picture."""

    path: Path
    name: str
    """For messages."""


class Picture(NamedTuple):
    """A picture, and the events during its exposure."""

    path: Path
    name: str
    """For messages."""
    parts: list[Part]


Sequence = dict[str, list[Part]]
"""The parts of each picture, by its number as it is spelled; both in order."""


def is_highrev_folder(path: Path) -> bool:
    """Whether a folder has `event/` with npz that are called as HighREV calls them."""
    return bool(_sequences(path, ""))


def open_highrev(path: Path, name: str, options: ReadOptions) -> Stream:
    """Events and pictures of one sequence; `topic` chooses it. Raises InputError where a part is missing or damaged."""
    sequences = _sequences(path, name)
    chosen = options.topic or next(iter(sequences), None)
    if chosen not in sequences or (len(sequences) > 1 and options.topic is None):
        raise InputError(f"{name}: holds the sequences {', '.join(sequences) or 'none'}; pass one of them as --topic")
    sequence = sequences[chosen]
    unit = options.time_unit or "us"
    notes = [EXCHANGED] if options.time_unit else [EXCHANGED, UNSTATED]
    sets = () if options.skip_frames else tuple(_frame_sets(path, name, chosen, sequence, unit, notes))
    size = None
    if sets and sets[0].height and sets[0].width:
        size = SensorSize(sets[0].height, sets[0].width, "the pictures")
        notes.append(ASSUMED)
    parts = [part for of_picture in sequence.values() for part in of_picture]
    blocks = partial(_blocks, parts, unit)
    return Stream("HighREV folder", tuple(part.path for part in parts), unit, blocks, size, sets, notes=notes)


def _sequences(path: Path, name: str) -> dict[str, Sequence]:
    """The npz of each sequence and picture, in order."""
    folder = path / "event"
    if not folder.is_dir():
        return {}
    matches = [match for file in folder.iterdir() if (match := PART.fullmatch(file.name))]
    matches.sort(key=lambda match: (match["sequence"], int(match["picture"]), match["picture"], int(match["part"])))
    sequences: dict[str, Sequence] = {}
    for match in matches:
        part = Part(folder / match.string, f"{name}/event/{match.string}")
        sequences.setdefault(match["sequence"], {}).setdefault(match["picture"], []).append(part)
    return sequences


def _blocks(parts: list[Part], unit: Unit, window: Window) -> Iterator[Columns]:
    """The events of all parts. No part can be entered in its middle, but none is read behind the window."""
    first, (_, last) = 0, window.ticks(unit)
    for index, part in enumerate(parts):
        for t, x, y, p in _part(part, COLUMNS):
            if t[0] > last:
                return
            yield Columns(t, x, y, p, first, (index + 1) / len(parts))
            first += len(t)


def _part(part: Part, columns: tuple[str, ...]) -> Iterator[list[Shaped[np.ndarray, " n"]]]:
    """Columns of an npz, block by block. Raises InputError where it is damaged or they are not of one length."""
    with open_zip(part.path, part.name) as archive, ExitStack() as stack:
        headers = {column: _header(archive, part, column) for column in COLUMNS}
        counts = {column: header.shape[0] for column, header in headers.items()}
        if len(set(counts.values())) > 1:
            lengths = ", ".join(f"{column} {count}" for column, count in counts.items())
            raise InputError(f"{part.name}: columns of different lengths: {lengths}; copy it again")
        streams = []
        for column in columns:
            streams.append(stack.enter_context(open_in_zip(archive, part.name, f"{column}.npy")))
            streams[-1].read(headers[column].offset)
        count = counts["timestamp"]
        for start in range(0, count, BLOCK):
            rows = min(BLOCK, count - start)
            yield [
                read_values(stream, headers[column].dtype, rows, f"{part.name}/{column}")
                for column, stream in zip(columns, streams, strict=True)
            ]


def _header(archive: ZipFile, part: Part, column: str) -> Header:
    where, member = f"{part.name}/{column}", f"{column}.npy"
    if member not in archive.namelist():
        there = ", ".join(archive.namelist()[:10]) or "nothing"
        raise InputError(f"{part.name}: no {member} in it (found {there}); HighREV has x, y, timestamp and polarity")
    with open_in_zip(archive, part.name, member) as stream:
        header = read_header(where, stream, archive.getinfo(member).file_size)
    require_numbers(where, header.dtype)
    if len(header.shape) not in (1, 2) or header.shape[1:] not in ((), (1,)):
        raise InputError(f"{where}: shape {header.shape}, expected (N, 1); save it so")
    return header


def _frame_sets(path: Path, name: str, chosen: str, sequence: Sequence, unit: Unit, notes: list[str]) -> list[FrameSet]:
    """The blurred pictures, and the sharp ones of the same times."""
    sets: list[FrameSet] = []
    for kind in ("blur", "sharp"):
        files = {number: path / kind / f"{chosen}_{number}.png" for number in sequence}
        shown = [
            Picture(file, f"{name}/{kind}/{file.name}", sequence[number][:-1])
            for number, file in files.items()
            if len(sequence[number]) > 1 and file.exists()
        ]
        left_out = sum(file.exists() for file in files.values()) - len(shown)
        if left_out:
            notes.append(f"{left_out} pictures of {kind}/ were left out, as one npz alone tells no exposure")
        read = partial(_read, shown, unit)
        first = next(read(WHOLE), None)
        if first:
            layout = "gray" if first.image.ndim == 2 else "rgb"
            sets.append(FrameSet(kind if sets else "frames", first.time, read, layout, *first.image.shape[:2]))
        elif kind == "blur":
            notes.append(NO_BLUR)
    return sets


def _read(pictures: list[Picture], unit: Unit, window: Window) -> Iterator[Frame]:
    """The pictures that have events in their exposure."""
    for picture in pictures:
        exposure = _exposure(picture.parts, unit)
        if exposure and window.first <= sum(exposure) // 2 <= window.last:
            with open_regular(picture.path, picture.name) as file:
                image = read_picture(file, picture.name)
            yield Frame(sum(exposure) // 2, image, exposure, picture.path.name)


def _exposure(parts: list[Part], unit: Unit) -> tuple[int, int] | None:
    """Nanoseconds of the first and last event of parts, if there are any. Raises InputError where they are no times."""
    ends = None
    for part in parts:
        for (t,) in _part(part, ("timestamp",)):
            both = t[[0, -1]]
            if not clock.possible(both, unit).all():
                raise InputError(f"{part.name}/timestamp: {both[0]} to {both[1]} are no possible times; copy it again")
            begin, end = clock.nanoseconds(both, unit).tolist()
            ends = (ends[0] if ends else begin, end)
    return ends
