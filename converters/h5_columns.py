"""Events in columns of HDF5: four datasets, or columns of one N x 4 table, read in blocks."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from jaxtyping import Shaped

from converters.h5_access import amount, numbers_at, opened
from converters.h5_chunks import read_rows
from converters.stream import BLOCK, TICKS, WHOLE, Columns, Unit, Window
from evinr.events import InputError

BLOCK_BYTES = 2**25
"""Bytes read for a block, at most, should chunks be longer than BLOCK."""
PROBE = 4096
"""Rows between two looks at the time of a dataset without chunks."""
INFLATION = 2000
"""Bytes of events that one stored byte can stand for: gzip makes at most 1032 of it, and times do not repeat."""
LATEST = 2**62


class Place(NamedTuple):
    """Where t, x, y and p stand: paths of datasets, and the column of each in tables (N, 4)."""

    paths: tuple[str, str, str, str]
    columns: tuple[int, int, int, int] | None = None


class Table(NamedTuple):
    """The datasets of an opened file that hold the events; all of them checked."""

    name: str
    place: Place
    datasets: dict[str, h5py.Dataset]
    events: int
    step: int
    """Events in a block: whole chunks, so that few are read twice."""

    def rows(self, first: int, last: int) -> list[Shaped[np.ndarray, " n"]]:
        """t, x, y and p of events `first` to `last` (exclusive)."""
        read = {path: read_rows(f"{self.name}: {path}", data, first, last) for path, data in self.datasets.items()}
        if self.place.columns is None:
            return [read[path] for path in self.place.paths]
        return [read[path][:, column] for path, column in zip(self.place.paths, self.place.columns, strict=True)]

    def times(self, first: int, last: int) -> Shaped[np.ndarray, " n"]:
        """t of events `first` to `last` (exclusive)."""
        path = self.place.paths[0]
        rows = read_rows(f"{self.name}: {path}", self.datasets[path], first, last)
        return rows if self.place.columns is None else rows[:, self.place.columns[0]]

    @property
    def time_type(self) -> np.dtype:
        """What times are stored as."""
        return self.datasets[self.place.paths[0]].dtype


def open_table(file: h5py.File, name: str, place: Place) -> Table:
    """The events of an opened file. Raises InputError where a dataset is missing, cut, or of another shape."""
    datasets = {path: numbers_at(file, name, path) for path in place.paths}
    for path, data in datasets.items():
        if place.columns is None and data.ndim != 1:
            raise InputError(f"{name}: {path} has the shape {data.shape}, expected (N,); save it so")
        if place.columns is not None and (data.ndim != 2 or data.shape[1] != 4):
            raise InputError(f"{name}: {path} has the shape {data.shape}, expected (N, 4); save it so")
    lengths = {path: data.shape[0] for path, data in datasets.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{path} holds {length}" for path, length in lengths.items())
        raise InputError(f"{name}: columns of unlike length: {listed} values; copy or record it again")
    count = lengths[place.paths[0]]
    need = sum(prod(data.shape) * data.dtype.itemsize for data in datasets.values())
    stored = min(sum(data.id.get_storage_size() for data in datasets.values()), file.id.get_filesize())
    if need > 2**26 + INFLATION * stored:
        raise InputError(
            f"{name}: {count:,} events declared, which need {amount(32 * count)} of memory, but {amount(stored)} are "
            "stored: damaged or made to fill the memory; record or copy it again"
        )
    chunk = max(data.chunks[0] if data.chunks else 1 for data in datasets.values())
    width = sum(prod(data.shape[1:]) * data.dtype.itemsize for data in datasets.values())
    step = min(max(BLOCK // chunk, 1) * chunk, BLOCK_BYTES // width)
    return Table(name, place, datasets, count, step)


def column_blocks(
    path: Path, name: str, place: Place, unit: Unit, window: Window, offset: int | None = None
) -> Iterator[Columns]:
    """The events of a window, and some around it. With an `offset` (for integer times), it is added to t as int64."""
    with opened(path, name) as file:
        table = open_table(file, name, place)
        first, last = rows_inside(table, window, unit, offset or 0)
        start = first
        while start < last:
            end = min(start - start % table.step + table.step, last)
            t, x, y, p = table.rows(start, end)
            if offset is not None:
                t = shifted(f"{name}: {place.paths[0]}", t, offset)
            yield Columns(t, x, y, p, start, (end - first) / (last - first))
            start = end


def shifted(where: str, t: Shaped[np.ndarray, " n"], offset: int) -> Shaped[np.ndarray, " n"]:
    """`t + offset` as int64. Raises InputError where that would overflow."""
    if abs(offset) >= LATEST or (
        t.dtype.itemsize == 8 and len(t) and not (-LATEST < int(t.min()) <= int(t.max()) < LATEST)
    ):
        raise InputError(f"{where}: times out of range (with the offset {offset}); copy it again")
    return t.astype(np.int64) + offset


def rows_inside(table: Table, window: Window, unit: Unit, offset: int) -> tuple[int, int]:
    """First and last (exclusive) event of whole chunks that cover a window, by bisection: one chunk read per look."""
    if window == WHOLE or not table.events:
        return 0, table.events
    chunks = table.datasets[table.place.paths[0]].chunks
    step = min(chunks[0] if chunks else PROBE, table.step)
    looks = range(-(-table.events // step))

    def time(look: int) -> float | int:
        return table.times(look * step, look * step + 1)[0].item() + offset

    if table.time_type.kind == "f":
        # A microsecond around it: Unix seconds have no finer double.
        early, late = ((bound * TICKS[unit] / 10**9) for bound in (window.first - 1000, window.last + 1000))
    else:
        early, late = window.ticks(unit)
    first = 0 if window.first == WHOLE.first else max(bisect_left(looks, early, key=time) - 1, 0)
    last = len(looks) if window.last == WHOLE.last else bisect_right(looks, late, key=time)
    return first * step, min(last * step, table.events)
