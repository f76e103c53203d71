"""Text of the IJRR event-camera dataset (Mueggler et al. 2017) and its dialects: one event `t x y p` per line.

A single file, or a folder or zip with `events.txt` and perhaps `images.txt` and `images/`. Dialects: a first line `W H`
(rpg_e2vid), `#` comments (v2e), commas with or without a row of names.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np

from converters.checks import Columns, ReadOptions, SensorSize, events_from_blocks
from converters.files import as_text, data_lines, open_in_zip, open_regular
from converters.frames import Open, read_frames
from converters.recording import Recording
from evinr.events import InputError

ROWS = 250_000
"""Lines parsed at once."""
EVENT = np.dtype([(field, np.float64) for field in "txyp"])
OpenText = Callable[[], BufferedReader]


class Dialect(NamedTuple):
    """How a text file is written: lines before the events, column separator (None: blanks), sensor size if given."""

    header: int
    delimiter: str | None
    size: SensorSize | None


def read_text(path: Path, name: str, options: ReadOptions) -> Recording:
    """A single file of event text. Raises InputError naming the line that is wrong."""
    return text_recording(name, "event text", lambda: open_regular(path, name), options)


def read_folder(path: Path, name: str, options: ReadOptions) -> Recording:
    """A folder with `events.txt`, and `images.txt` where there are frames. Raises InputError."""
    try:
        members = sorted(os.listdir(path))
    except OSError as error:
        raise InputError(f"{name}: cannot be listed: {error.strerror}; check its permissions") from error
    if "events.txt" not in members:
        found = ", ".join(members[:10]) or "nothing"
        raise InputError(
            f"{name}: is a folder without events.txt (found {found}); give a file, or a folder that has it"
        )

    def open_member(member: str) -> BufferedReader:
        return open_regular(path / member, f"{name}/{member}")

    return member_recording(name, "IJRR text folder", "events.txt", open_member, "images.txt" in members, options)


def read_zip(archive: ZipFile, name: str, options: ReadOptions) -> Recording:
    """A zip of such a folder, its members at the root or under one top folder, or of a single text file."""
    members = [
        member for member in archive.namelist() if not member.startswith("__MACOSX/") and not member.endswith("/")
    ]
    events = [member for member in members if member.split("/")[-1] == "events.txt" and member.count("/") <= 1]
    events = events or [member for member in members if member.endswith(".txt") and len(members) == 1]
    if len(events) != 1:
        wrong = f"holds {len(events)} recordings" if events else "holds no events.txt, at its root or in one top folder"
        found = ", ".join(members[:10]) or "nothing"
        raise InputError(f"{name}: {wrong} (found {found}); pack one recording with its events.txt")
    top, events_name = events[0].rpartition("/")[::2]
    prefix = f"{top}/" if top else ""

    def open_member(member: str) -> BufferedReader:
        return open_in_zip(archive, name, prefix + member)

    has_frames = f"{prefix}images.txt" in members
    return member_recording(
        f"{name}/{top}".rstrip("/"), "zip of event text", events_name, open_member, has_frames, options
    )


def member_recording(
    name: str, kind: str, events_name: str, open_member: Open, has_frames: bool, options: ReadOptions
) -> Recording:
    """Events and frames that stand side by side in a folder or archive."""
    frames = read_frames(f"{name}/images.txt", open_member, options) if has_frames else None
    recording = text_recording(
        f"{name}/{events_name}", kind, lambda: open_member(events_name), options, frames.size if frames else None
    )
    if frames is None:
        return recording
    assumptions = recording.assumptions + frames.assumptions
    if frames.size[:2] != (recording.events.height, recording.events.width):
        assumptions += (f"camera frames are {frames.size.width} x {frames.size.height}, unlike the sensor",)
    return recording._replace(frames=frames.frames, assumptions=assumptions)


def text_recording(
    name: str, kind: str, open_text: OpenText, options: ReadOptions, size: SensorSize | None = None
) -> Recording:
    """The events of one text file; `size` is what its surroundings say of the sensor."""
    with as_text(open_text()) as lines:
        dialect = find_dialect(name, lines)

    def place(event: int) -> str:
        with as_text(open_text()) as lines:
            after_header = (number for number, _ in data_lines(lines) if number > dialect.header)
            return f"line {next(islice(after_header, event, None))} (event {event})"

    blocks = text_blocks(name, open_text, dialect)
    checked = events_from_blocks(blocks, options, name=name, place=place, size=dialect.size or size)
    return Recording(checked.events, None, kind, checked.assumptions)


def find_dialect(name: str, lines: TextIOWrapper) -> Dialect:
    """How the file is written, from its first two lines of data."""
    numbered = data_lines(lines)
    number, first = next(numbered, (0, ""))
    words = first.replace(",", " ").split()
    is_size = len(words) == 2 and all(word.isdecimal() for word in words)
    if words and is_number(words[0]) and not is_size:
        return Dialect(number - 1, "," if "," in first else None, None)
    _, second = next(numbered, (0, ""))
    if not second:
        raise InputError(f"{name}: no events; expected lines of t x y p")
    delimiter = "," if "," in second else None
    if is_size:
        return Dialect(number, delimiter, SensorSize(int(words[1]), int(words[0]), "the first line of the file"))
    if [word[0].lower() for word in words[:3]] != ["t", "x", "y"] or len(words) != 4:
        raise InputError(
            f"{name}: line {number} is {first[:60]!r}, expected t x y p: not event text, or reorder its columns"
        )
    return Dialect(number, delimiter, None)


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def text_blocks(name: str, open_text: OpenText, dialect: Dialect) -> Iterator[Columns]:
    """The events in blocks of ROWS lines."""
    with as_text(open_text()) as lines:
        next(islice(lines, dialect.header, dialect.header), None)
        while True:
            try:
                with warnings.catch_warnings():
                    # Blank and comment lines, and none left at the end, are warnings to loadtxt.
                    warnings.simplefilter("ignore", UserWarning)
                    rows = np.loadtxt(lines, EVENT, delimiter=dialect.delimiter, max_rows=ROWS, ndmin=1)
            except ValueError as error:
                raise InputError(f"{name}: {first_bad_line(open_text, dialect) or error}") from error
            if not len(rows):
                return
            yield Columns(*(rows[field] for field in "txyp"))


def first_bad_line(open_text: OpenText, dialect: Dialect) -> str | None:
    """What is wrong with the first line that does not parse."""
    with as_text(open_text()) as lines:
        for number, line in enumerate(lines, 1):
            words = line.split("#", 1)[0].strip().split(dialect.delimiter)
            if number <= dialect.header or words in ([], [""]):
                continue
            if len(words) != 4 and not line.endswith("\n"):
                return f"the last line, {number}, is cut ({line[:60]!r}); copy the file again or delete the line"
            if len(words) != 4:
                plural = "s" * (len(words) > 1)
                return f"line {number} has {len(words)} column{plural}, expected 4 (t x y p); repair or delete the line"
            for word in words:
                if not is_number(word):
                    return f"line {number}: {word[:40]!r} is not a number; repair or delete the line"
    return None
