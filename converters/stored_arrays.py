"""Arrays in files of their own, with the header of npy or without, of which rows are read."""

import os
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from converters.arrays import Header, read_header, read_values, require_numbers
from converters.files import open_regular
from converters.stream import Unit
from evinr.events import InputError


class Stored(NamedTuple):
    """An array in a file of its own."""

    path: Path
    name: str
    """For messages."""
    header: Header


def headed(path: Path, name: str) -> Stored:
    """An npy of numbers. Raises InputError."""
    with open_regular(path, name) as file:
        header = read_header(name, file, os.fstat(file.fileno()).st_size)
    require_numbers(name, header.dtype)
    return Stored(path, name, header)


def dumped(folder: Path, name: str, member: str, shape: tuple[int, ...], dtype: str) -> Stored:
    """A dump of just that size. Raises InputError."""
    where = f"{name}/{member}"
    with open_regular(folder / member, where) as file:
        there = os.fstat(file.fileno()).st_size
    expected = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    if there != expected:
        raise InputError(
            f"{where}: {there} bytes, metadata.json says {' x '.join(map(str, shape))} of {dtype}: {expected} bytes;"
            " copy the whole folder again"
        )
    return Stored(folder / member, where, Header(shape, False, np.dtype(dtype), 0))


def read_times(file: BufferedReader, t: Stored, unit: Unit, start: int, stop: int) -> Shaped[np.ndarray, " n"]:
    """Times of rows, in the unit of the file; seconds without the noise of a subtraction."""
    times = read_rows(file, t, start, stop)
    return _snapped(times) if unit == "s" and times.dtype == np.float64 else times


def _snapped(t: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    # EVREAL subtracts the first time, which leaves noise of 1e-17 s on times of whole nanoseconds: within 1e-6 ns and
    # 4 steps of a double, they are these. Times of over a day are left, where steps of doubles come near nanoseconds.
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(t * 1e9)
        near = (np.abs(t * 1e9 - whole) <= 1e-6 + 4e9 * np.spacing(np.abs(t))) & (np.abs(t) < 1e5)
    return np.where(near, whole / 1e9, t)


def read_rows(file: BufferedReader, column: Stored, start: int, stop: int) -> Shaped[np.ndarray, " n"]:
    """Rows of an array of one column."""
    dtype = column.header.dtype
    file.seek(column.header.offset + start * dtype.itemsize)
    return read_values(file, dtype, stop - start, column.name)


def read_pairs(file: BufferedReader, xy: Stored, start: int, stop: int) -> list[Shaped[np.ndarray, " n"]]:
    """Both columns of rows of an N x 2 array, in either memory order."""
    (count, _), fortran, dtype, offset = xy.header
    if not fortran:
        file.seek(offset + start * 2 * dtype.itemsize)
        rows = read_values(file, dtype, 2 * (stop - start), xy.name).reshape(-1, 2)
        return [rows[:, 0], rows[:, 1]]
    columns = []
    for column in range(2):
        file.seek(offset + (column * count + start) * dtype.itemsize)
        columns.append(read_values(file, dtype, stop - start, xy.name))
    return columns
