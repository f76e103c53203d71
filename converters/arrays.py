"""NumPy files: N x 4 arrays (t, x, y, p), structured arrays with these fields, npz of either or of four columns.

Files are streamed in blocks after their header was compared with their size, so that no array is ever whole in memory
and nothing is allocated because a header says so.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from io import BufferedReader
from pathlib import Path
from tokenize import TokenError
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
from jaxtyping import Shaped

from converters.checks import Columns, ReadOptions, events_from_blocks
from converters.files import open_in_zip, open_regular
from converters.recording import Recording
from evinr.events import InputError

ROWS = 1_000_000
"""Events read at once."""
NAMES = (("t", "x", "y", "p"), ("ts", "xs", "ys", "ps"))
"""What the columns are called in npz and structured arrays."""
OpenArray = Callable[[], BufferedReader]


class Header(NamedTuple):
    """What the head of an npy says, and where the data start."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int


def read_npy(path: Path, name: str, options: ReadOptions) -> Recording:
    """Events from an npy. Raises InputError."""
    return table_recording(name, "npy", partial(open_regular, path, name), os.path.getsize(path), options)


def read_npz(archive: ZipFile, name: str, options: ReadOptions) -> Recording:
    """Events from an npz with one array, or with the columns t, x, y, p or ts, xs, ys, ps. Raises InputError."""
    arrays = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
    names = next((names for names in NAMES if set(names) <= set(arrays)), None)
    if names is None:
        if len(arrays) > 1:
            found = ", ".join(list(arrays)[:10])
            raise InputError(f"{name}: holds {found}; expected one N x 4 array, or t, x, y and p: save these")
        [member] = arrays.values()
        opener = partial(open_in_zip, archive, name, member.filename)
        return table_recording(f"{name}/{member.filename}", "npz", opener, member.file_size, options)
    openers = [partial(open_in_zip, archive, name, arrays[column].filename) for column in names]
    headers = []
    for column, opener in zip(names, openers, strict=True):
        with opener() as stream:
            headers.append(read_header(f"{name}/{column}", stream, arrays[column].file_size))
        require_numbers(f"{name}/{column}", headers[-1].dtype)
    if len({header.shape for header in headers}) > 1 or len(headers[0].shape) != 1:
        shapes = ", ".join(f"{column} {header.shape}" for column, header in zip(names, headers, strict=True))
        raise InputError(f"{name}: columns of shapes {shapes}; expected four of one shape (N,): save them so")
    offsets, dtypes = [header.offset for header in headers], [header.dtype for header in headers]
    blocks = column_blocks(openers, offsets, dtypes, headers[0].shape[0])
    return array_recording(name, f"npz of columns {' '.join(names)}", blocks, dtypes[0], options)


def table_recording(name: str, kind: str, open_array: OpenArray, size: int, options: ReadOptions) -> Recording:
    """Events from one array of `size` bytes with its header: N x 4 in either memory order, or structured."""
    with open_array() as stream:
        header = read_header(name, stream, size)
    shape, dtype = header.shape, header.dtype
    if dtype.names:
        names = next((names for names in NAMES if set(names) <= set(dtype.names)), None)
        if names is None or len(shape) != 1:
            raise InputError(
                f"{name}: fields {', '.join(dtype.names)} of shape {shape}, expected t, x, y, p and (N,): save so"
            )
        for field in names:
            require_numbers(f"{name}: field {field}", dtype[field])
        blocks = record_blocks(open_array, header.offset, dtype, names, shape[0])
        return array_recording(name, f"structured {kind}", blocks, dtype[names[0]], options)
    require_numbers(name, dtype)
    if len(shape) != 2 or shape[1] != 4:
        hint = "save its transpose" if len(shape) == 2 and shape[0] == 4 else "save the four columns t, x, y, p"
        raise InputError(f"{name}: shape {shape}, expected (N, 4); {hint}")
    if header.fortran:
        offsets = [header.offset + column * shape[0] * dtype.itemsize for column in range(4)]
        blocks = column_blocks([open_array] * 4, offsets, [dtype] * 4, shape[0])
    else:
        blocks = record_blocks(
            open_array, header.offset, np.dtype([(field, dtype) for field in "txyp"]), NAMES[0], shape[0]
        )
    return array_recording(name, f"N x 4 {kind}", blocks, dtype, options)


def array_recording(
    name: str, kind: str, blocks: Iterator[Columns], time_type: np.dtype, options: ReadOptions
) -> Recording:
    """The checked recording of such blocks."""
    events, assumptions = events_from_blocks(blocks, options, name=name)
    if time_type.kind == "f" and time_type.itemsize < 8:
        step = float(np.spacing(events.t[-1].astype(time_type)))
        assumptions += (f"times are {time_type} in the file, no finer than {step:.2g} s at their end",)
    return Recording(events, None, kind, assumptions)


def read_header(name: str, stream: BufferedReader, size: int) -> Header:
    """The header of an npy of `size` bytes. Raises InputError where it is damaged, too large or holds objects."""
    try:
        version = np.lib.format.read_magic(stream)
        parse = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = parse(stream)
    except (ValueError, KeyError, TypeError, SyntaxError, TokenError) as error:
        raise InputError(f"{name}: damaged npy header ({error}); copy or save it again") from error
    if dtype.hasobject:
        raise InputError(
            f"{name}: holds Python objects (pickled, dtype {dtype}), which are never loaded; save plain numbers"
        )
    declared, there = int(np.prod(shape, dtype=object)) * dtype.itemsize, size - stream.tell()
    if declared != there:
        raise InputError(
            f"{name}: truncated or damaged: {shape} of {dtype} takes {declared} bytes, {there} are there; copy it again"
        )
    return Header(shape, fortran, dtype, stream.tell())


def require_numbers(where: str, dtype: np.dtype) -> None:
    if dtype.kind not in "biuf":
        raise InputError(f"{where}: dtype {dtype}, expected real numbers; save it as float64")


def record_blocks(
    open_array: OpenArray, offset: int, dtype: np.dtype, names: Sequence[str], count: int
) -> Iterator[Columns]:
    """Events stored one after another."""
    with open_array() as stream:
        skip(stream, offset)
        for start in range(0, count, ROWS):
            records = read_values(stream, dtype, min(ROWS, count - start))
            yield Columns(*(records[field] for field in names))


def column_blocks(
    openers: Sequence[OpenArray], offsets: Sequence[int], dtypes: Sequence[np.dtype], count: int
) -> Iterator[Columns]:
    """Events stored column after column, each read through a stream of its own."""
    with ExitStack() as stack:
        streams = [stack.enter_context(open_array()) for open_array in openers]
        for stream, offset in zip(streams, offsets, strict=True):
            skip(stream, offset)
        for start in range(0, count, ROWS):
            rows = min(ROWS, count - start)
            yield Columns(*(read_values(stream, dtype, rows) for stream, dtype in zip(streams, dtypes, strict=True)))


def skip(stream: BufferedReader, count: int) -> None:
    """Read past bytes. To seek in one member of a zip moves the others, in Python 3.13 (zipfile._SharedFile.seek)."""
    while count:
        read = len(stream.read(min(count, 2**20)))
        if not read:
            raise EOFError("an array ends early")
        count -= read


def read_values(stream: BufferedReader, dtype: np.dtype, count: int) -> Shaped[np.ndarray, " {count}"]:
    """The next values. Raises EOFError where a zip lied about the size of a member."""
    data = stream.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise EOFError("an array ends early")
    return np.frombuffer(data, dtype, count)
