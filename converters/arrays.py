"""NumPy files: N x 4 arrays (t, x, y, p), structured arrays with these fields, npz of either or of four columns.

Files are streamed in blocks after their header was compared with their size, so that no array is ever whole in memory
and nothing is allocated because a header says so.
"""

import os
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from io import BufferedReader
from pathlib import Path
from tokenize import TokenError
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from converters import clock
from converters.files import Members, open_regular, zip_members
from converters.options import Order, ReadOptions
from converters.sensors import known_sensor
from converters.stream import BLOCK, WHOLE, Columns, SensorSize, Stream, Unit, Window
from evinr.events import InputError

NAMES = (("t", "x", "y", "p"), ("ts", "xs", "ys", "ps"))
"""What the columns are called in npz and structured arrays."""
AED = SensorSize(306, 408, "AED's sensor (ALPIX)")
"""Of the dataset of EvINR (Wang et al. 2024)."""
TURNED = "columns were taken for t y x p, since so x and y fit a sensor (--columns txyp if not)"
LONGEST_HEADER = 10_000
"""Bytes that numpy accepts as a header, but looks at only when it has read whatever is claimed."""
OpenArray = Callable[[], BufferedReader]


class Header(NamedTuple):
    """What the head of an npy says, and where the data start."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int


class Rows(NamedTuple):
    """How the events of an array are stored."""

    record: np.dtype
    names: tuple[str, ...]
    """The fields of t, x, y and p."""
    unit: Unit
    notes: list[str]


def open_npy(path: Path, name: str, options: ReadOptions) -> Stream:
    """Events from an npy; `--format aed` says that its sensor is that of AED. Raises InputError."""
    if options.format == "aed" and not options.size:
        options = replace(options, height=AED.height, width=AED.width)
    opener = partial(open_regular, path, name)
    stream = table_stream(name, "npy", (path,), opener, path.stat().st_size, options)
    return stream._replace(format="AED npy", size=AED) if options.format == "aed" else stream


def open_npz(path: Path, name: str, options: ReadOptions) -> Stream:
    """Events from an npz with one array, or with the columns t, x, y, p or ts, xs, ys, ps. Raises InputError."""
    archive = zip_members(path, name)
    arrays = {member.removesuffix(".npy"): member for member in archive.names}
    names = next((names for names in NAMES if set(names) <= set(arrays)), None)
    if names is None:
        if len(arrays) > 1:
            found = ", ".join(list(arrays)[:10])
            raise InputError(f"{name}: holds {found}; expected one N x 4 array, or t, x, y and p: save these")
        [member] = arrays.values()
        opener = partial(archive.open, member)
        return table_stream(f"{name}/{member}", "npz", (path,), opener, archive.sizes(member), options)
    headers = [column_header(archive, arrays[column]) for column in names]
    if len({header.shape for header in headers}) > 1 or len(headers[0].shape) != 1:
        shapes = ", ".join(f"{column} {header.shape}" for column, header in zip(names, headers, strict=True))
        raise InputError(f"{name}: columns of shapes {shapes}; expected four of one shape (N,): save them so")
    openers = [partial(archive.open, arrays[column]) for column in names]
    count, notes = headers[0].shape[0], list[str]()
    # The torch port of ESIM (rpg_vid2e) saves x, y, t, p in this order, with int64 nanoseconds.
    esim = options.time_unit is None and list(arrays) == ["x", "y", "t", "p"] and headers[0].dtype == np.int64
    if esim:
        notes.append("times were taken for nanoseconds, as ESIM saves them (--time-unit says another)")

    def blocks(_: Window) -> Iterator[Columns]:
        return noting_coarse_times(column_blocks(openers, headers, 0, count, name), notes)

    unit = "ns" if esim else options.time_unit or "s"
    return Stream(f"npz of columns {' '.join(names)}", (path,), unit, blocks, count=count, notes=notes)


def column_header(members: Members, member: str) -> Header:
    """The header of an array of real numbers in a folder or zip. Raises InputError."""
    where = f"{members.name}/{member.removesuffix('.npy')}"
    with members.open(member) as stream:
        header = read_header(where, stream, members.sizes(member))
    require_numbers(where, header.dtype)
    return header


def table_stream(
    name: str, kind: str, files: tuple[Path, ...], open_array: OpenArray, size: int, options: ReadOptions
) -> Stream:
    """Events from one array of `size` bytes with its header: N x 4 in either memory order, or structured."""
    with open_array() as stream:
        header = read_header(name, stream, size)
    record, names, unit, notes = rows_like(name, header, options)
    table = Table(name, open_array, header, record, names)
    if not header.dtype.names:
        order = options.columns or likely_order(next(table.blocks(0, header.shape[0]), None), options)
        table = table._replace(names=in_order(order))
        if order == "tyxp" and not options.columns:
            notes.append(TURNED)

    def blocks(window: Window) -> Iterator[Columns]:
        return noting_coarse_times(table.blocks(*table.rows(window, unit)), notes)

    kind = f"structured {kind}" if header.dtype.names else f"N x 4 {kind}"
    return Stream(kind, files, unit, blocks, count=header.shape[0], notes=notes)


def rows_like(name: str, header: Header, options: ReadOptions) -> Rows:
    """How the events of one array are stored, N x 4 or structured. Raises InputError."""
    shape, dtype = header.shape, header.dtype
    unit: Unit = options.time_unit or "s"
    if dtype.names:
        names = next((names for names in NAMES if set(names) <= set(dtype.names)), None)
        if names is None or len(shape) != 1:
            raise InputError(
                f"{name}: fields {', '.join(dtype.names)} of shape {shape}, expected t, x, y, p and (N,): save so"
            )
        for field in names:
            require_numbers(f"{name}: field {field}", dtype[field])
        if options.time_unit is None and dtype[names[0]].kind in "iu":
            said = "times were taken for microseconds, as tonic saves them (--time-unit says another)"
            return Rows(dtype, names, "us", [said])
        return Rows(dtype, names, unit, [])
    require_numbers(name, dtype)
    if len(shape) != 2 or shape[1] != 4:
        hint = "save its transpose" if len(shape) == 2 and shape[0] == 4 else "save the four columns t, x, y, p"
        raise InputError(f"{name}: shape {shape}, expected (N, 4); {hint}")
    return Rows(np.dtype([(column, dtype) for column in "0123"]), in_order(options.columns or "txyp"), unit, [])


def in_order(order: Order) -> tuple[str, ...]:
    """The fields of t, x, y and p in rows of four numbers."""
    return tuple(str(order.index(column)) for column in "txyp")


def noting_coarse_times(blocks: Iterator[Columns], notes: list[str]) -> Iterator[Columns]:
    """The blocks; at their end it is noted how coarse the last time was, if it is no double."""
    time = None
    for block in blocks:
        time = block.t[-1:]
        yield block
    if time is not None and time.dtype.kind == "f" and time.dtype.itemsize < 8:
        step = float(np.spacing(time[0]))
        notes.append(f"times are {time.dtype} in the file, no finer than {step:.2g} s at their end")


def likely_order(head: Columns | None, options: ReadOptions) -> Order:
    """Whether columns 1 and 2 are x, y or, as in the AED files of EvINR, y, x: by which of both a sensor can hold."""
    if head is None:
        return "txyp"
    with np.errstate(invalid="ignore"):
        one, other = float(head.x.max()), float(head.y.max())
    if options.size:
        height, width, _ = options.size
        turned = not (one < width and other < height) and other < width and one < height
    else:
        sound = np.isfinite([one, other]).all() and min(one, other) >= 0
        turned = sound and not known_sensor(int(one), int(other)) and bool(known_sensor(int(other), int(one)))
    return "tyxp" if turned else "txyp"


class Table(NamedTuple):
    """Events as the rows of one array, which may lie column after column."""

    name: str
    open: OpenArray
    header: Header
    record: np.dtype
    names: tuple[str, ...]
    """The fields of t, x, y and p."""

    @property
    def by_columns(self) -> bool:
        return self.header.fortran and len(self.header.shape) == 2

    def blocks(self, start: int, stop: int) -> Iterator[Columns]:
        """The events from the row `start` to before `stop`."""
        if self.by_columns:
            headers = [self.header._replace(offset=self.column(name)) for name in self.names]
            return column_blocks([self.open] * 4, headers, start, stop, self.name)
        return record_blocks(self.open, self.header.offset, self.record, self.names, start, stop, self.name)

    def rows(self, window: Window, unit: Unit) -> tuple[int, int]:
        """The rows of a window; all of them in a zip."""
        with self.open() as stream:
            if not stream.seekable():
                return 0, self.header.shape[0]

            def time(row: int) -> Shaped[np.ndarray, "1"]:
                if self.by_columns:
                    stream.seek(self.column(self.names[0]) + row * self.header.dtype.itemsize)
                    return read_values(stream, self.header.dtype, 1, self.name)
                stream.seek(self.header.offset + row * self.record.itemsize)
                return read_values(stream, self.record, 1, self.name)[self.names[0]]

            return rows_of(window, time, unit, self.header.shape[0])

    def column(self, name: str) -> int:
        """Where a column begins, in a file that has one after another."""
        return self.header.offset + int(name) * self.header.shape[0] * self.header.dtype.itemsize


def read_header(name: str, stream: BufferedReader, size: int) -> Header:
    """The header of an npy of `size` bytes. Raises InputError where it is damaged, too large or holds objects."""
    header = parse_header(name, stream)
    shape, dtype = header.shape, header.dtype
    declared, there = int(np.prod(shape, dtype=object)) * dtype.itemsize, size - header.offset
    if declared != there:
        raise InputError(
            f"{name}: truncated or damaged: {shape} of {dtype} takes {declared} bytes, {there} are there; copy it again"
        )
    return header


def length_of_head(data: bytes) -> int:
    """How many of the first bytes of an npy are its header, or tell how many are; some where it is none."""
    width = 4 if data[6:7] == b"\2" else 2
    if not data.startswith(b"\x93NUMPY") or len(data) < 8 + width:
        return 8 + width
    return 8 + width + min(int.from_bytes(data[8 : 8 + width], "little"), 2**16)


def parse_header(name: str, stream: BufferedReader) -> Header:
    """The same of an npy that may be longer or shorter than its header says."""
    try:
        version = np.lib.format.read_magic(stream)
        parse = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        if version == (2, 0) and int.from_bytes(stream.peek(4)[:4], "little") > LONGEST_HEADER:
            raise ValueError(f"it claims more than {LONGEST_HEADER} bytes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numpy, over files of Python 2 and names of types that it will drop
            shape, fortran, dtype = parse(stream)
    except (ValueError, KeyError, TypeError, SyntaxError, TokenError) as error:
        raise InputError(f"{name}: damaged npy header ({error}); copy or save it again") from error
    if dtype.hasobject:
        raise InputError(
            f"{name}: holds Python objects (pickled, dtype {dtype}), which are never loaded; save plain numbers"
        )
    return Header(shape, fortran, dtype, stream.tell())


def require_numbers(where: str, dtype: np.dtype) -> None:
    if dtype.kind not in "biuf":
        raise InputError(f"{where}: dtype {dtype}, expected real numbers; save it as float64")


def record_blocks(
    open_array: OpenArray, offset: int, dtype: np.dtype, names: Sequence[str], start: int, stop: int, name: str
) -> Iterator[Columns]:
    """Events stored one after another, from the row `start` to before `stop`."""
    with open_array() as stream:
        skip(stream, offset + start * dtype.itemsize)
        for first in range(start, stop, BLOCK):
            records = read_values(stream, dtype, min(BLOCK, stop - first), name)
            done = (first + len(records) - start) / (stop - start)
            yield Columns(*(records[field] for field in names), first=first, done=done)


def column_blocks(
    openers: Sequence[OpenArray], headers: Sequence[Header], start: int, stop: int, name: str
) -> Iterator[Columns]:
    """Events stored column after column, each read through a stream of its own."""
    with ExitStack() as stack:
        streams = [stack.enter_context(open_array()) for open_array in openers]
        for stream, header in zip(streams, headers, strict=True):
            skip(stream, header.offset + start * header.dtype.itemsize)
        for first in range(start, stop, BLOCK):
            rows = min(BLOCK, stop - first)
            columns = (
                read_values(stream, header.dtype, rows, name) for stream, header in zip(streams, headers, strict=True)
            )
            yield Columns(*columns, first=first, done=(first + rows - start) / (stop - start))


def rows_of(window: Window, time: Callable[[int], Shaped[np.ndarray, "1"]], unit: Unit, count: int) -> tuple[int, int]:
    """First row of a window and the one behind its last, by bisection on the times in a file; `time` reads one."""
    if window == WHOLE:
        return 0, count

    def nanoseconds(row: int) -> int:
        value = time(row)
        return int(clock.nanoseconds(value, unit)[0]) if clock.possible(value, unit).all() else window.last

    rows = range(count)
    return bisect_left(rows, window.first, key=nanoseconds), bisect_right(rows, window.last, key=nanoseconds)


def skip(stream: BufferedReader, count: int) -> None:
    """Move past bytes; members of a zip cannot seek and are read instead."""
    if stream.seekable():
        stream.seek(count, os.SEEK_CUR)
        return
    while count:
        read = len(stream.read(min(count, 2**20)))
        if not read:
            return
        count -= read


def read_values(
    stream: BufferedReader, dtype: np.dtype, count: int, name: str = "array"
) -> Shaped[np.ndarray, " {count}"]:
    """The next values. Raises InputError where they end early, as where a zip lied about the size of a member."""
    data = stream.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise InputError(f"{name}: ends early, {len(data)} bytes where {count * dtype.itemsize} belong; copy it again")
    return np.frombuffer(data, dtype, count)
