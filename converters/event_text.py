"""Event text: one event `t x y p` per line, as the IJRR dataset has it (Mueggler et al. 2017), and its dialects.

Those are a first line `W H` (rpg_e2vid), `#` comments (v2e), commas or tabs, a row of names, other orders of the
columns, and times as whole numbers (jAER). The bytes may come from a file or from a member of an archive.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from io import BufferedReader, BytesIO
from itertools import chain, islice
from lzma import LZMAError
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from jaxtyping import UInt8

from converters.digits import PAD
from converters.options import Order, ReadOptions
from converters.stream import Columns, SensorSize, Stream, Window
from converters.text_columns import LINE, WIDTH, Layout, MixedTimes, any_columns, regular_columns
from evinr.events import InputError

CHUNK = 2**21
"""Bytes read at once, some 100,000 lines: what is made of them fits into the caches, and slow ones into 100 MB."""
LONGEST_LINE = 2**16
"""Bytes of the longest line, which may be a comment."""
SAMPLE = 1000
"""Lines that are looked at to see whether times are whole numbers."""
NUMBER = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)
CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r") | {127})
BOM = b"\xef\xbb\xbf"
"""What Windows writes before UTF-8."""


class Lines(NamedTuple):
    """Consecutive whole lines of a text."""

    padded: UInt8[np.ndarray, " b"]
    """Their bytes between PAD others, in a buffer that is used again. The last one has a newline in any case."""
    number: int
    """Lines before them."""
    ended: bool
    """Whether the last one has a newline in the file too."""
    read: int
    """Bytes of the file that are read by now."""

    @property
    def text(self) -> bytes:
        """A copy of the bytes, as the file has them."""
        return bytes(self.padded[PAD : -PAD if self.ended else -PAD - 1])


class Dialect(NamedTuple):
    """How a text is written."""

    layout: Layout
    lines: int
    """Lines before the first event, and bytes."""
    head: int
    size: SensorSize | None


def open_text(
    open_file: Callable[[], BufferedReader],
    files: tuple[Path, ...],
    name: str,
    kind: str,
    size_in_bytes: int,
    options: ReadOptions,
) -> Stream:
    """The recording in a text of `size_in_bytes` that `open_file` opens; `kind` is its format, `name` its file's.

    Times are in the unit of the text where they are whole numbers, else nanoseconds. A text has no index: a window is
    read from the beginning. Raises InputError where it is empty or no event text; reading, where a line is no event.
    """
    with closing(read_lines(open_file, name)) as chunks:
        dialect = find_dialect(name, next(chunks, None), options)

    def pieces() -> Iterator[tuple[Lines, list[Columns]]]:
        with closing(read_lines(open_file, name)) as chunks:
            for index, lines in enumerate(chunks):
                events = lines if index else lines._replace(padded=lines.padded[dialect.head :], number=dialect.lines)
                yield events, columns_of(name, events, dialect.layout)

    def blocks(window: Window) -> Iterator[Columns]:
        first = 0
        for lines, parts in pieces():
            done = min(lines.read / max(size_in_bytes, 1), 1.0)
            for part in parts:
                yield part._replace(first=first + part.first, done=done)
            first += sum(len(part.t) for part in parts)

    def place(event: int) -> str:
        first = 0
        for lines, parts in pieces():
            count = sum(len(part.t) for part in parts)
            if event < first + count:
                return f"line {line_of(lines, event - first)} (event {event})"
            first += count
        return f"event {event}"

    unit = dialect.layout.unit
    return Stream(
        format=kind,
        files=files,
        unit=unit if dialect.layout.whole else "ns",
        blocks=blocks,
        size=dialect.size,
        place=place,
        written=unit,
        notes=[],
    )


def read_lines(open_file: Callable[[], BufferedReader], name: str) -> Generator[Lines, None, None]:
    """The lines of a text, some CHUNK bytes at once. Raises InputError where it is damaged or a line too long."""
    memory = bytearray(PAD + LONGEST_LINE + CHUNK + 1 + PAD)
    buffer = np.frombuffer(memory, np.uint8)
    kept = number = read = 0
    with open_file() as file:
        while True:
            try:
                count = file.readinto(memoryview(memory)[PAD + kept : PAD + kept + CHUNK])
            except (OSError, EOFError, zipfile.BadZipFile, zlib.error, LZMAError) as error:
                raise InputError(f"{name}: damaged after byte {read} ({error}); download or pack it again") from error
            end = PAD + kept + count
            if not count and not kept:
                return
            if not count:
                buffer[end] = ord("\n")
                yield Lines(buffer[: end + 1 + PAD], number, False, read)
                return
            read += count
            fresh = buffer[end - count : end]
            if not (fresh == ord("\n")).any():
                fresh[fresh == ord("\r")] = ord("\n")  # as old Macs did
            tail = bytes(buffer[max(PAD, end - LONGEST_LINE - 1) : end])
            kept = len(tail) - 1 - tail.rfind(b"\n")
            if kept > LONGEST_LINE:
                long = f"longer than {LONGEST_LINE} bytes ({tail[:20].decode('utf-8', 'replace')!r}...)"
                number += int(np.count_nonzero(buffer[PAD:end] == ord("\n"))) + 1
                raise InputError(f"{name}: line {number} is {long}: not event text")
            if end - kept > PAD:
                lines = Lines(buffer[: end - kept + PAD], number, True, read)
                number += int(np.count_nonzero(lines.padded[PAD:-PAD] == ord("\n")))
                yield lines
                buffer[PAD : PAD + kept] = buffer[end - kept : end]


def data_lines(lines: Lines) -> Iterator[tuple[int, int, str]]:
    """Number from 1, offset in bytes and content of each line that has any, without its comment."""
    offset = 0
    for number, line in enumerate(BytesIO(lines.text), lines.number + 1):
        content = line if number > 1 else line.removeprefix(BOM)
        if data := content.split(b"#", 1)[0].decode("utf-8", "replace").strip():
            yield number, offset + len(line) - len(content), data
        offset += len(line)


def line_of(lines: Lines, event: int) -> int:
    """The number of the line that holds this event, counted from the first one of these lines."""
    return next(islice(data_lines(lines), event, None))[0]


def find_dialect(name: str, lines: Lines | None, options: ReadOptions) -> Dialect:
    """How a text is written, from its first chunk. Raises InputError where that is no event text."""
    if lines is None:
        raise InputError(f"{name}: empty file; expected lines of t x y p")
    if any(byte in CONTROL for byte in lines.text[:1000].split(b"\n")[0]):
        raise InputError(f"{name}: not event text, as it has control characters; if it is text, save it as UTF-8")
    order = options.columns or "txyp"
    numbered = data_lines(lines)
    number, head, first = next(numbered, (1, 0, ""))
    words = first.replace(",", " ").split()
    size = None
    if len(words) == 2 and all(re.fullmatch("[0-9]{1,9}", word) for word in words):
        size = SensorSize(int(words[1]), int(words[0]), "the first line of the file")
    elif words and not NUMBER.fullmatch(words[0]):
        names = "".join(word[0].lower() for word in words)
        if names[:3] != order[:3] or len(names) != 4:
            mend = f"pass --columns {names}" if names in get_args(Order) else "reorder its columns"
            what = f"line {number} is {first[:60]!r}, expected {' '.join(order)}"
            raise InputError(f"{name}: {what}: not event text, or {mend}")
    if size or not NUMBER.fullmatch(words[0] if words else ""):
        number, head, first = next(numbered, (1, 0, ""))
    if not first:
        raise InputError(f"{name}: no events; expected lines of {' '.join(order)}")
    delimiter = "," if "," in first else None
    sample = [line.split(delimiter) for _, _, line in islice(chain([(number, head, first)], numbered), SAMPLE)]
    column = order.index("t")
    whole = not any(re.search("[.eE]", words[column]) for words in sample if len(words) > column)
    return Dialect(Layout(order, delimiter, options.time_unit or "s", whole), number - 1, head, size)


def columns_of(name: str, lines: Lines, layout: Layout) -> list[Columns]:
    """The events in some lines, in pieces counted from them. Raises InputError naming the first line that is none."""
    regular = regular_columns(lines.padded, layout)
    if regular is not None:
        return [regular]
    try:
        return any_columns(lines.padded, layout)
    except MixedTimes as error:
        mixed = "time has a fraction that float64 cannot show, and the lines before it have none"
        what = f"line {line_of(lines, error.args[0])}: {mixed}; write all times with one"
    except ValueError as error:
        what = first_bad_line(lines, layout) or f"from line {lines.number + 1} on: {error}; repair the lines"
    raise InputError(f"{name}: {what}")


def first_bad_line(lines: Lines, layout: Layout) -> str | None:
    """What is wrong with the first line that is not four numbers."""
    columns, mend = " ".join(layout.order), "repair or delete the line"
    for number, _, line in data_lines(lines):
        words = line.split(layout.delimiter)
        if len(words) != 4 and not lines.ended:
            return f"the last line, {number}, is cut ({line[:60]!r}); copy the file again or delete the line"
        if len(words) != 4:
            return f"line {number} has {len(words)} column{'s' * (len(words) > 1)}, expected 4 ({columns}); {mend}"
        for word in words:
            if not NUMBER.fullmatch(word.strip()):
                return f"line {number}: {word[:40]!r} is not a number; {mend}"
            if len(word) >= WIDTH:
                return f"line {number}: {word[:20]!r}... has {len(word)} characters; {mend}"
        if len(line) > LINE:
            return f"line {number} is {len(line)} characters long; {mend}"
    return None
