"""Chunks of HDF5 datasets, read so that none takes more memory than it declares."""

import struct
import zlib
from collections.abc import Iterator
from itertools import product
from math import prod
from typing import cast

import h5py
import numpy as np
from jaxtyping import Shaped, UInt8

from evinr.events import InputError

LARGEST_CHUNK = 2**25
"""Bytes of a compressed chunk, at most: three of it are in memory at once."""
LARGEST_PICTURE = 2**26
"""Bytes of a picture, at most."""
GZIP, SHUFFLE, CHECKSUM, BLOSC, ECF = 1, 2, 3, 32001, 36559
"""Filter ids: registered by The HDF Group; ECF is Prophesee's."""
ERRORS = OSError, RuntimeError, KeyError, ValueError, TypeError, NotImplementedError, OverflowError, MemoryError
"""What h5py raises over damaged bytes."""


def read_rows(where: str, dataset: h5py.Dataset, first: int, last: int) -> Shaped[np.ndarray, "{last-first} ..."]:
    """Rows `first` to `last` (exclusive) of a dataset from `numbers_at`; bool as uint8. Raises InputError."""
    try:
        rows = inflate_rows(dataset, first, last) if inflatable(dataset) else read_by_hdf5(dataset, first, last)
    except (*ERRORS, zlib.error) as error:
        raise InputError(
            f"{where}: rows {first} to {last} cannot be read ({reason(error)}): damaged; copy or download it again"
        ) from error
    return rows.view(np.uint8) if rows.dtype == np.bool_ else rows


def reason(error: Exception) -> str:
    """What HDF5 said, without its wrapping `Can't synchronously read data (...)`."""
    text = str(error.args[-1] if error.args else error)
    return text[text.find("(") + 1 : -1] if text.endswith(")") else text


def filters(layout: h5py.h5p.PropDCID) -> list[int]:
    """Ids of the filters, in the order in which they were applied."""
    return [layout.get_filter(place)[0] for place in range(layout.get_nfilters())]


def inflatable(dataset: h5py.Dataset) -> bool:
    """Whether its chunks are gzip as h5py and everybody writes it: shuffled before or not."""
    codes = filters(dataset.id.get_create_plist())
    return (
        dataset.chunks is not None
        and GZIP in codes
        and set(codes) <= {GZIP, SHUFFLE, CHECKSUM}
        and SHUFFLE not in codes[1:]
        and dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype, logical=True))
    )


def inflate_rows(dataset: h5py.Dataset, first: int, last: int) -> Shaped[np.ndarray, "{last-first} ..."]:
    """As `dataset[first:last]`, of gzip chunks, no chunk inflated beyond its size.

    HDF5 2.0 inflates a chunk of 64 kB to any size (1 MB of zeros in the file took 1 GB of memory) and says nothing.
    """
    codes, dtype = filters(dataset.id.get_create_plist()), dataset.dtype
    rows = np.empty((last - first, *dataset.shape[1:]), dtype)
    for start, box, part in chunks_over(dataset, first, last):
        # Only the part is copied, so that one chunk is in memory once.
        rows[box] = np.ascontiguousarray(inflate(dataset, codes, start)[part]).view(dtype)[..., 0]
    return rows


def inflate(dataset: h5py.Dataset, codes: list[int], start: tuple[int, ...]) -> UInt8[np.ndarray, "*shape itemsize"]:
    """The bytes of the values of one chunk, its filters undone from the last to the first."""
    shape, itemsize = chunk_shape(dataset), dataset.dtype.itemsize
    size = prod(shape) * itemsize
    require_compact(dataset, start, size)
    skipped, data = dataset.id.read_direct_chunk(start)
    applied = [code for place, code in enumerate(codes) if not skipped >> place & 1]
    for code in reversed(applied):
        if code == CHECKSUM:
            data = data[:-4]
        elif code == GZIP:
            inflater = zlib.decompressobj()
            # Room for the checksum, in case it came before the compression.
            data = inflater.decompress(data, size + 5)
            if not inflater.eof:
                raise ValueError("a compressed chunk is cut, or larger than declared")
    values = np.frombuffer(data, np.uint8)
    if SHUFFLE in applied:
        return values.reshape(itemsize, -1).T.reshape(*shape, itemsize)
    return values.reshape(*shape, itemsize)


def read_by_hdf5(dataset: h5py.Dataset, first: int, last: int) -> Shaped[np.ndarray, "{last-first} ..."]:
    """`dataset[first:last]`, where its filters will not blow up."""
    codes = filters(dataset.id.get_create_plist())
    if GZIP in codes:
        raise ValueError("gzip of an unusual type or among unusual filters: save it with h5repack -f GZIP=4")
    if codes and dataset.chunks is not None:
        size = prod(chunk_shape(dataset)) * dataset.dtype.itemsize
        for start, _, _ in chunks_over(dataset, first, last):
            require_compact(dataset, start, size)
            if codes[-1] == BLOSC:
                skipped, data = dataset.id.read_direct_chunk(start)
                if not skipped:
                    require_blosc(data, size)
    return dataset[first:last]


def require_blosc(data: bytes, size: int) -> None:
    """Refuse a chunk whose header does not fit it: c-blosc 1.21 believes it and reads beyond the end."""
    if len(data) < 16:
        raise ValueError("a compressed chunk is cut")
    inflated, block, stored = struct.unpack("<III", data[4:16])
    if inflated != size or stored != len(data) or not 0 < block <= size:
        raise ValueError("the header of a compressed chunk does not fit it")


def require_compact(dataset: h5py.Dataset, start: tuple[int, ...], size: int) -> None:
    """Refuse a chunk stored in much more than its `size`: no filter lets data grow by an eighth."""
    if dataset.id.get_chunk_info_by_coord(start).size > size + size // 8 + 4096:
        raise ValueError("a compressed chunk is larger than declared")


def chunk_shape(dataset: h5py.Dataset) -> tuple[int, ...]:
    """Of a dataset that has chunks."""
    return cast(tuple[int, ...], dataset.chunks)


def chunks_over(
    dataset: h5py.Dataset, first: int, last: int
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """The chunks that hold rows: where each starts, its box in these rows, and the part of it that is the box."""
    ends = (last, *dataset.shape[1:])
    begins = (first, *(0 for _ in dataset.shape[1:]))
    grid = [
        range(begin - begin % chunk, end, chunk)
        for begin, end, chunk in zip(begins, ends, chunk_shape(dataset), strict=True)
    ]
    for start in product(*grid):
        spans = [
            (max(corner, begin), min(corner + chunk, end))
            for corner, begin, end, chunk in zip(start, begins, ends, chunk_shape(dataset), strict=True)
        ]
        box = tuple(slice(low - begin, high - begin) for (low, high), begin in zip(spans, begins, strict=True))
        part = tuple(slice(low - corner, high - corner) for (low, high), corner in zip(spans, start, strict=True))
        yield start, box, part
