"""A recording that is still coming, from a pipe or a growing file: bytes as they arrive, to events as files have them.

What cannot be read forwards only (bags, HDF5, npy by columns) is refused. POSIX, for its `select` on pipes.
"""

import os
import select
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from io import BufferedReader, BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Shaped

from converters import arrays, event_text, prophesee
from converters.digits import PAD
from converters.options import ReadOptions
from converters.stream import Columns, Stream, Window
from converters.text_columns import Layout
from evinr.events import InputError

PIECE = 2**18
"""Bytes decoded at once at most: 12,000 lines, or up to 1.5 million events of EVT3."""
HAND_ON = 0.05
"""Seconds after which what is there is handed on, however little."""
LOOK = 0.02
"""Seconds between two looks at a file that does not grow."""
READ_FORWARDS = {"text": "text", "ijrr": "text", "npy": "npy", "aed": "npy"}
READ_FORWARDS |= dict.fromkeys(("evt2", "evt21", "evt3", "dat"), "prophesee")


class Stopped(Exception):
    """Nobody wants the rest."""


@dataclass
class Source:
    """Where bytes come from."""

    descriptor: int
    name: str
    """For messages."""
    follow: float | None = None
    """Seconds without news after which the end of a growing file is its end; None where an end is one at once, as of pipes."""
    read: float = field(init=False, default=0.0)
    """When the first byte of the latest piece was there, on the clock of time.monotonic."""
    stop: threading.Event = field(init=False, default_factory=threading.Event)
    """Once set, reading is over."""

    def pieces(self) -> Iterator[bytes]:
        """The bytes, up to PIECE at once and none held back for longer than HAND_ON. Raises InputError, and Stopped."""
        held, heard = bytearray(), time.monotonic()
        while True:
            if self.stop.is_set():
                raise Stopped
            left = max(self.read + HAND_ON - time.monotonic(), 0) if held else HAND_ON
            try:
                there = select.select([self.descriptor], [], [], left)[0]
                data = os.read(self.descriptor, PIECE - len(held)) if there else None
            except OSError as error:
                raise InputError(f"{self.name}: cannot be read: {error.strerror}; start it again") from error
            now = time.monotonic()
            if data:
                self.read, heard = self.read if held else now, now
                held += data
            ended = data == b"" and (self.follow is None or now >= heard + self.follow)
            if held and (ended or len(held) == PIECE or now >= self.read + HAND_ON):
                yield bytes(held)
                held.clear()
                heard = time.monotonic()
            if ended:
                return
            if data == b"":
                time.sleep(LOOK)


def open_incoming(pieces: Iterator[bytes], name: str, options: ReadOptions) -> Stream:
    """The recording in these bytes, whose head is waited for; its blocks can be read once.

    Its format is the one named in the options, else told by its first bytes. Raises InputError.
    """
    head = _until(pieces, lambda data: len(data) >= 6)
    kind = "npy" if head.startswith(b"\x93NUMPY") else "prophesee" if head.startswith(b"% ") else "text"
    if options.format:
        if options.format not in READ_FORWARDS:
            formats = "text, npy, evt2, evt21, evt3 or dat"
            raise InputError(f"{name}: {options.format} needs all of the file; a stream is read as {formats}")
        kind = READ_FORWARDS[options.format]
    reader = {"npy": _open_npy, "prophesee": _open_prophesee, "text": _open_text}[kind]
    return reader(chain([head], pieces), name, options)


def _until(pieces: Iterator[bytes], enough: Callable[[bytes], bool]) -> bytes:
    """The first bytes, until they are enough or no more come."""
    head = b""
    while not enough(head) and (piece := next(pieces, None)):
        head += piece
    return head


def _once(events: Iterator[Columns]) -> Callable[[Window], Iterator[Columns]]:
    """Blocks for the door, which looks at the first one to set its clock and then asks anew, for a window or for all."""
    first: list[Columns] = []

    def blocks(_: Window) -> Iterator[Columns]:
        first.extend(islice(events, 0 if first else 1))
        yield from first
        yield from events

    return blocks


def _opened(head: bytes) -> BufferedReader:
    return BufferedReader(cast(Any, BytesIO(head)))


def _whole(pieces: Iterator[bytes], dtype: np.dtype, notes: list[str]) -> Iterator[Shaped[np.ndarray, "n ..."]]:
    """The bytes as records; it is noted where the last one is cut."""
    rest = b""
    for piece in pieces:
        rest += piece
        count = len(rest) // dtype.itemsize
        yield np.frombuffer(rest, dtype, count)
        rest = rest[count * dtype.itemsize :]
    if rest:
        notes.append(f"the stream ended within an event or word, whose {len(rest)} bytes were left out")


def _open_prophesee(pieces: Iterator[bytes], name: str, options: ReadOptions) -> Stream:
    head = _until(pieces, prophesee.has_head)
    key, start, size, notes = prophesee.read_head(_opened(head), Path(name), name, options)
    encoding = prophesee.ENCODINGS[key]

    def events() -> Iterator[Columns]:
        state, first = encoding.state, 0
        for words in _whole(chain([head[start:]], pieces), encoding.word, notes):
            block, state = encoding.decode(words, state)
            if len(block.t):
                yield block._replace(first=first)
            first += len(block.t)
        notes.extend(prophesee.remarks(key, state))

    unit = options.time_unit or "us"
    return Stream(encoding.name, (), unit, _once(events()), size=size, notes=notes)


def _open_npy(pieces: Iterator[bytes], name: str, options: ReadOptions) -> Stream:
    head = _until(pieces, lambda data: len(data) >= arrays.length_of_head(data))
    header = arrays.parse_header(name, _opened(head))
    if header.fortran and not header.dtype.names:
        raise InputError(
            f"{name}: its columns lie one after another, so no event is whole before the end; save it by rows"
        )
    record, names, unit, notes = arrays.rows_like(name, header, options)
    told = header.dtype.names or options.columns
    sensor = replace(options, height=arrays.AED.height, width=arrays.AED.width) if options.format == "aed" else options

    def events() -> Iterator[Columns]:
        first, fields = 0, names
        for rows in _whole(chain([head[header.offset :]], pieces), record, notes):
            block = Columns(*(rows[field] for field in fields), first=first)
            if len(rows) and first == 0 and not told and arrays.likely_order(block, sensor) == "tyxp":
                fields = arrays.in_order("tyxp")
                block = Columns(*(rows[field] for field in fields), first=first)
                notes.append(arrays.TURNED)
            if len(rows):
                yield block
            first += len(rows)
        if first != header.shape[0]:
            notes.append(f"its header tells of {header.shape[0]} events; {first} came")

    kind = "structured npy" if header.dtype.names else "N x 4 npy"
    size = arrays.AED if options.format == "aed" else None
    return Stream(kind, (), unit, _once(arrays.noting_coarse_times(events(), notes)), size=size, notes=notes)


def _open_text(pieces: Iterator[bytes], name: str, options: ReadOptions) -> Stream:
    """One line of events is waited for, and one after it, as the first may say how large the sensor is."""
    head = _until(pieces, lambda data: len(data) > event_text.LONGEST_LINE or _data_lines(data) > 1)
    ended = head.rfind(b"\n") + 1 or len(head)
    dialect = event_text.find_dialect(name, _lines(head[:ended], 0) if head else None, options)
    layout, notes = dialect.layout, list[str]()
    latest: list[tuple[int, event_text.Lines]] = []

    def events() -> Iterator[Columns]:
        rest, number, first = b"", dialect.lines, 0
        for piece in chain([head[dialect.head :]], pieces):
            rest += piece
            end = rest.rfind(b"\n") + 1
            if len(rest) - end > event_text.LONGEST_LINE:
                long = f"line {number + rest.count(10) + 1} is longer than {event_text.LONGEST_LINE} bytes"
                raise InputError(f"{name}: {long}: not event text")
            lines = _lines(rest[:end], number)
            latest[:] = [(first, lines)]
            for part in _parts(name, lines, layout):
                yield part._replace(first=first)
                first += len(part.t)
            rest, number = rest[end:], number + rest.count(10, 0, end)
        if rest.strip():
            latest[:] = [(first, _lines(rest, number))]
            try:
                last = event_text.columns_of(name, latest[0][1], layout)
            except InputError:
                said = rest[:60].decode("utf-8", "replace")
                notes.append(f"the stream ended within line {number + 1} ({said!r}), which was left out")
            else:
                yield from (part._replace(first=first + part.first) for part in last)

    def place(event: int) -> str:
        first, lines = latest[0]
        return (
            f"line {event_text.line_of(lines, event - first)} (event {event})" if event >= first else f"event {event}"
        )

    return Stream(
        format="event text",
        files=(),
        unit=layout.unit if layout.whole else "ns",
        blocks=_once(events()),
        size=dialect.size,
        place=place,
        written=layout.unit,
        notes=notes,
    )


def _data_lines(data: bytes) -> int:
    return sum(bool(line.split(b"#")[0].strip()) for line in data.split(b"\n")[:-1])


def _lines(text: bytes, number: int) -> event_text.Lines:
    """Lines with `number` others before them. The last one gets a newline if it has none."""
    ended = not text or text.endswith(b"\n")
    padded = bytes(PAD) + text + (b"" if ended else b"\n") + bytes(PAD)
    return event_text.Lines(np.frombuffer(padded, np.uint8), number, ended, 0)


def _parts(name: str, lines: event_text.Lines, layout: Layout) -> Iterator[Columns]:
    """The events in lines; where one is wrong those before it, and then its InputError."""
    if not (text := lines.text):
        return
    try:
        yield from event_text.columns_of(name, lines, layout)
    except InputError:
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")) + 1

        def wrong(count: int) -> bool:
            try:
                event_text.columns_of(name, _lines(text[: ends[count]], lines.number), layout)
            except InputError:
                return True
            return False

        sound = bisect_left(range(len(ends)), True, key=wrong)
        if sound:
            yield from event_text.columns_of(name, _lines(text[: ends[sound - 1]], lines.number), layout)
        raise
