"""RAW files (EVT2, EVT2.1, EVT3) and DAT files of Prophesee cameras and tools.

Both begin with lines `% key value`; https://docs.prophesee.ai/stable/data/file_formats/raw.html and .../dat.html. A RAW
has no index, so it is read from its start until the window is past.
"""

import os
import re
from collections.abc import Callable, Generator, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from converters import evt2, evt3
from converters.files import open_regular
from converters.options import ReadOptions
from converters.stream import Columns, SensorSize, Stream, Window
from evinr.events import InputError

HEADER = 2**16
"""Bytes in which a header must end; real ones have some hundreds."""
LINE = re.compile(rb"% +[!-~][\t -\xff]*(\r?\n|\Z)")
"""One line of it. Events whose first bytes are `% ` by chance are none, as control characters follow soon."""
UNENDED = re.compile(rb"(%( *| +[!-~][\t -\xff]*)\r?)?\Z")
"""The beginning of such a line, where a stream has come so far."""
LITTLE = 55
"""The first system_ID whose EVT2.1 is little-endian though its header does not say so, as in OpenEB."""
SIDE = re.compile(r"[0-9]{1,5}")
DAT_TYPES = {0x00: "", 0x0C: "", 0x0E: "external triggers", 0x28: "optical flow"}
"""The first two hold x, y and polarity."""
State = evt2.State | evt3.State


class Encoding(NamedTuple):
    """How the words after a header are to be read."""

    name: str
    word: np.dtype
    decode: Callable[[Any, Any], tuple[Columns, Any]]
    """Words and the state before them to their events and the state after them."""
    state: State
    block: int
    """Words decoded at once: some 2**18 events, and 2**21 where all 12 or 32 columns of each word have one."""


_PAIR = np.dtype(("<u4", 2))
ENCODINGS = {
    "evt2": Encoding("Prophesee RAW, EVT2", np.dtype("<u4"), evt2.decode_evt2, evt2.State(), 2**18),
    "evt21": Encoding("Prophesee RAW, EVT2.1", _PAIR, evt2.decode_evt21, evt2.State(), 2**16),
    "evt21 legacy": Encoding("Prophesee RAW, EVT2.1", _PAIR, evt2.decode_evt21_legacy, evt2.State(), 2**16),
    "evt3": Encoding("Prophesee RAW, EVT3", np.dtype("<u2"), evt3.decode, evt3.State(), 2**17),
    "dat": Encoding("Prophesee DAT", _PAIR, evt2.decode_dat, evt2.State(), 2**18),
}
NAMES = {"EVT2": "evt2", "EVT21": "evt21", "EVT3": "evt3", "2.0": "evt2", "2.1": "evt21", "3.0": "evt3"}
"""What the header's lines `format` and `evt` call them."""


class Head(NamedTuple):
    """What the beginning of a file says."""

    key: str
    """Of ENCODINGS."""
    start: int
    """The byte where the words begin."""
    size: SensorSize | None
    notes: list[str]


def open_prophesee(path: Path, name: str, options: ReadOptions) -> Stream:
    """A RAW or DAT file. Time is in us since the camera started. Raises InputError."""
    with open_regular(path, name) as file:
        try:
            key, start, sensor, notes = read_head(file, path, name, options)
            size = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {error.strerror}; copy it again") from error
    encoding = ENCODINGS[key]
    count, spare = divmod(size - start, encoding.word.itemsize)
    if spare:
        notes.append(f"{spare} spare byte{'s were' if spare > 1 else ' was'} ignored at the end: the file may be cut")
    unit, known = options.time_unit or "us", len(notes)

    def blocks(window: Window) -> Iterator[Columns]:
        with open_regular(path, name) as file:
            try:
                state = yield from _blocks(file, encoding, start, count, *window.ticks(unit))
            except OSError as error:
                raise InputError(f"{name}: cannot be read: {error.strerror}; copy it again") from error
        notes[known:] = remarks(key, state)

    return Stream(
        format=encoding.name,
        files=(path,),
        unit=unit,
        blocks=blocks,
        size=sensor,
        count=count if key == "dat" else None,
        notes=notes,
    )


def read_head(file: BufferedReader, path: Path, name: str, options: ReadOptions) -> Head:
    """What the beginning of a file says, which may be all that is there yet. Raises InputError."""
    fields, start = read_header(file, name)
    file.seek(start)
    kind = file.read(2)
    key = _encoding(path, name, fields, kind, options)
    if key == "dat" and start:
        _check_dat(name, fields, kind)
        start += 2
    notes = [] if key == "dat" else ["time counts from the start of the camera"]
    if key == "evt21 legacy":
        notes.append("words were read with their halves exchanged (legacy EVT2.1, as the header says or implies)")
    return Head(key, start, _size(fields), notes)


def has_head(data: bytes) -> bool:
    """Whether a header, and the two bytes behind it that tell the kind of a DAT, are in the first bytes of a stream."""
    at = 0
    while (line := LINE.match(data, at)) and line[1]:
        at = line.end()
        if line[0][1:].strip().partition(b" ")[0] == b"end":
            break
    else:
        if UNENDED.match(data, at):
            return len(data) >= HEADER
    return len(data) >= at + 2


def read_header(file: BufferedReader, name: str) -> tuple[dict[str, str], int]:
    """The values of the lines `% key value` by key in lower case, and where the events begin."""
    head, at, fields = file.read(HEADER), 0, {}
    while line := LINE.match(head, at):
        at = line.end()
        if at == HEADER:
            raise InputError(f"{name}: the header does not end within {HEADER} bytes; copy or record the file again")
        key, _, value = line[0][1:].decode("latin-1").strip().partition(" ")
        if key == "end":
            break
        fields[key.lower()] = value.strip()
    return fields, at


def _encoding(path: Path, name: str, fields: dict[str, str], kind: bytes, options: ReadOptions) -> str:
    """Which of ENCODINGS it is: as the user says, else the header, else the bytes after it."""
    named, *said = fields.get("format", "").split(";")
    named = named.strip() or fields.get("evt", "")
    is_dat = path.suffix.lower() == ".dat" or ("version" in fields and kind in (b"\x00\x08", b"\x0c\x08"))
    key = options.format or NAMES.get(named)
    if key is None and named:
        raise InputError(f"{name}: its encoding {named[:40]!r} is not read; convert it to EVT3, EVT2 or DAT")
    if key is None and not is_dat:
        raise InputError(
            f"{name}: the header names no encoding (no line '% format' or '% evt'); "
            "pass --format evt3, evt2, evt21 or dat, as the camera was set"
        )
    if key != "evt21":
        return key or "dat"
    endianness = _pairs(said).get("endianness") or fields.get("endianness")
    system = fields.get("system_id", "")
    is_little = endianness != "legacy" if endianness else SIDE.fullmatch(system) and int(system) >= LITTLE
    return "evt21" if is_little else "evt21 legacy"


def _check_dat(name: str, fields: dict[str, str], kind: bytes) -> None:
    """Raises InputError for DAT of other versions or with other things than events of pixels."""
    if len(kind) < 2:
        raise InputError(f"{name}: truncated after its header; copy the file again")
    what = DAT_TYPES.get(kind[0], "unknown")
    if what or kind[1] != 8:
        raise InputError(
            f"{name}: holds events of type 0x{kind[0]:02X} ({what or 'CD'}) of {kind[1]} bytes, expected type 0x00 or "
            "0x0C of 8 bytes; give the file of the CD events (_cd.dat or _td.dat)"
        )
    if fields.get("version") in ("0", "1"):
        raise InputError(
            f"{name}: DAT of version {fields['version']!r} is not read, only 2; convert the recording again"
        )


def _size(fields: dict[str, str]) -> SensorSize | None:
    """The first size that the header tells: in `format`, in `geometry` (RAW), or as `Height` and `Width` (DAT)."""
    width, _, height = fields.get("geometry", "").partition("x")
    for said in (_pairs(fields.get("format", "").split(";")), {"width": width, "height": height}, fields):
        height, width = (said.get(side, "") for side in ("height", "width"))
        if all(SIDE.fullmatch(side) and 1 <= int(side) <= 65536 for side in (height, width)):
            return SensorSize(int(height), int(width), "the header of the file")
    return None


def _pairs(said: list[str]) -> dict[str, str]:
    """Of `key=value`."""
    return {key.strip(): value.strip() for key, _, value in (pair.partition("=") for pair in said)}


def _blocks(
    file: BufferedReader, encoding: Encoding, start: int, count: int, first: int, last: int
) -> Generator[Columns, None, State]:
    """The events from time `first` to time `last` of `count` words; returns the state after the words that were read."""
    size, state, done, event = encoding.word.itemsize, encoding.state, 0, 0
    if encoding.decode is evt2.decode_dat:
        done, state = _dat_start(file, start, count, first)
        event = done
    file.seek(start + done * size)
    while len(data := file.read(encoding.block * size)) >= size:
        words = np.frombuffer(data, encoding.word, len(data) // size)
        events, state = encoding.decode(words, state)
        done += len(words)
        if len(events.t):
            if events.t.min() > last:
                break
            if events.t.max() >= first:
                yield events._replace(first=event, done=done / max(count, done))
            event += len(events.t)
    return state


def _dat_start(file: BufferedReader, start: int, count: int, first: int) -> tuple[int, evt2.State]:
    """The last block of a DAT file that begins before a time, and the state there: no round of 71.6 min is that dense."""
    begin, at_begin = 0, evt2.State()
    state = at_begin
    for record in range(0, count, ENCODINGS["dat"].block):
        file.seek(start + 8 * record)
        event, state = evt2.decode_dat(np.frombuffer(file.read(8), _PAIR), state)
        if event.t[0] >= first:
            break
        begin, at_begin = record, state
    return begin, at_begin


def remarks(key: str, state: State) -> list[str]:
    """What was odd about the words."""
    remarks = []
    if key != "dat" and state.high < 0:
        remarks.append("no word says the time (TIME_HIGH), so nothing could be decoded")
    if key != "evt3" and state.rounds:
        remarks.append(f"the counter of time ran over and began again {_times(state.rounds)}; this was undone")
    if state.falls:
        remarks.append(f"TIME_HIGH went back {_times(state.falls)}, which is an error of the transmission")
    if isinstance(state, evt3.State) and state.homeless:
        remarks.append(f"events left out at the start, as no word tells their pixel yet: {state.homeless}")
    if isinstance(state, evt3.State) and state.second_camera:
        remarks.append("some rows are marked as those of a second camera; events of both are mixed")
    return remarks


def _times(count: int) -> str:
    return f"{count} time{'s' * (count > 1)}"
