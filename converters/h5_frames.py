"""Camera frames in HDF5: a group of pictures with their times as attributes, or a stack with a column of times."""

import re
from collections.abc import Iterator
from functools import partial
from math import prod
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from converters import clock
from converters.h5_access import amount, member, numbers_at, opened
from converters.h5_chunks import LARGEST_PICTURE, read_rows
from converters.stream import Frame, FrameSet, Unit, Window
from evinr.events import InputError

TIMES = 4096
"""Times of a stack read at once."""


def attribute(item: h5py.Group | h5py.Dataset, key: str) -> Shaped[np.ndarray, " n"] | None:
    """An attribute of a few numbers, if it is there and that."""
    if not h5py.h5a.exists(item.id, key.encode()):
        return None
    stored = h5py.h5a.open(item.id, key.encode())
    if stored.dtype.kind not in "iuf" or prod(stored.shape) > 16:
        return None
    value = item.attrs[key]
    return None if isinstance(value, h5py.Empty) else np.atleast_1d(value).ravel()


def picture_keys(file: h5py.File, name: str, group: str) -> list[str]:
    """The pictures of a group in the order of their numbers; num_imgs may be wrong or absent. Empty without group."""
    found = member(file, name, group)
    if not isinstance(found, h5py.Group):
        return []
    keys = [str(key) for key in found]
    numbered = [(int(digits[0]), key) for key in keys if (digits := re.search(r"[0-9]+$", key[-18:]))]
    return [key for _, key in sorted(numbered)]


def first_picture(file: h5py.File, name: str, group: str) -> tuple[tuple[int, ...], np.dtype] | None:
    """Shape, (h, w) or (h, w, 3), and type of the first picture of a group, if there is one. Raises InputError."""
    for key in picture_keys(file, name, group)[:1]:
        picture = numbers_at(file, name, f"{group}/{key}")
        return picture_shape(f"{name}: {group}/{key}", picture.shape, picture.dtype), picture.dtype
    return None


def group_frames(
    file: h5py.File, path: Path, name: str, group: str, label: str, unit: Unit, notes: list[str]
) -> FrameSet | None:
    """The pictures of a group such as `images/`, if there are any whose times are known. Raises InputError."""
    keys = picture_keys(file, name, group)
    for key in keys:
        picture = numbers_at(file, name, f"{group}/{key}")
        where = f"{name}: {group}/{key}"
        if (start := time_of(where, picture, "timestamp", unit)) is not None:
            shape = picture_shape(where, picture.shape, picture.dtype)
            read = partial(read_group, path, name, group, unit, notes)
            return FrameSet(label, start, read, "rgb" if len(shape) == 3 else "gray", shape[0], shape[1])
    if keys:
        notes.append(f"the {len(keys)} pictures in {group}/ were left out: they have no attribute timestamp")
    return None


def read_group(path: Path, name: str, group: str, unit: Unit, notes: list[str], window: Window) -> Iterator[Frame]:
    """The pictures of a group inside a window, colours from BGR to RGB."""
    left_out = f"pictures in {group}/ without the attribute timestamp were left out"
    with opened(path, name) as file:
        for key in picture_keys(file, name, group):
            where, picture = f"{name}: {group}/{key}", numbers_at(file, name, f"{group}/{key}")
            time = time_of(where, picture, "timestamp", unit)
            if time is None and left_out not in notes:
                notes.append(left_out)
            if time is None or not window.first <= time <= window.last:
                continue
            shape = picture_shape(where, picture.shape, picture.dtype)
            image = read_rows(where, picture, 0, picture.shape[0]).reshape(shape)
            begin, end = (time_of(where, picture, f"exposure_{side}", unit) for side in ("start", "end"))
            exposure = None if begin is None or end is None else (begin, end)
            yield Frame(time, image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1]), exposure, where)


def time_of(where: str, picture: h5py.Dataset, key: str, unit: Unit) -> int | None:
    """A time in an attribute, in nanoseconds; None where there is none. Raises InputError where it is no time."""
    if not h5py.h5a.exists(picture.id, key.encode()):
        return None
    value = attribute(picture, key)
    if value is None or value.size != 1 or not clock.possible(value, unit).all():
        raise InputError(f"{where}: its attribute {key} is no time in {unit}; delete or mend it, or pass --time-unit")
    return int(clock.nanoseconds(value, unit)[0])


def picture_shape(where: str, shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    """(h, w) of gray and (h, w, 3) of colour pictures. Raises InputError for any other, and too large ones."""
    if dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(f"{where}: pictures of dtype {dtype}, expected uint8, uint16 or float32; convert them")
    if len(shape) == 3 and shape[2] == 1:
        shape = shape[:2]
    if not (0 not in shape and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3))):
        raise InputError(f"{where}: pictures of the shape {shape}, expected (h, w) or (h, w, 3); save them so")
    if (size := prod(shape) * dtype.itemsize) > LARGEST_PICTURE:
        raise InputError(
            f"{where}: pictures of {amount(size)}, expected {amount(LARGEST_PICTURE)} at most; make them smaller"
        )
    return shape


def stack_frames(file: h5py.File, path: Path, name: str, images: str, times: str, unit: Unit) -> FrameSet | None:
    """The gray pictures of a dataset (n, h, w), timed by another one (n,). Raises InputError where they do not match."""
    if not isinstance(member(file, name, images), h5py.Dataset):
        return None
    stack, stamps = open_stack(file, name, images, times)
    if not len(stack):
        return None
    shape = picture_shape(f"{name}: {images}", stack.shape[1:], stack.dtype)
    start = nanoseconds(f"{name}: {times}", read_rows(f"{name}: {times}", stamps, 0, 1), unit)[0]
    read = partial(read_stack, path, name, images, times, unit)
    return FrameSet("frames", int(start), read, "gray", shape[0], shape[1])


def open_stack(file: h5py.File, name: str, images: str, times: str) -> tuple[h5py.Dataset, h5py.Dataset]:
    stack, stamps = numbers_at(file, name, images), numbers_at(file, name, times)
    if stack.ndim < 3 or len(picture_shape(f"{name}: {images}", stack.shape[1:], stack.dtype)) != 2:
        raise InputError(f"{name}: {images} has the shape {stack.shape}, expected (n, h, w), gray; save it so")
    if stamps.shape != stack.shape[:1]:
        raise InputError(
            f"{name}: {images} holds {len(stack)} pictures, {times} the shape {stamps.shape}; save one time for each"
        )
    return stack, stamps


def nanoseconds(where: str, stamps: Shaped[np.ndarray, " n"], unit: Unit) -> Shaped[np.ndarray, " n"]:
    """Times in nanoseconds. Raises InputError where one is none."""
    if not clock.possible(stamps, unit).all():
        raise InputError(f"{where}: holds a value that is no time in {unit}; mend it, or pass --time-unit")
    return clock.nanoseconds(stamps, unit)


def read_stack(path: Path, name: str, images: str, times: str, unit: Unit, window: Window) -> Iterator[Frame]:
    """The pictures of a stack inside a window; read in whole chunks, so that none is inflated for each picture."""
    with opened(path, name) as file:
        stack, stamps = open_stack(file, name, images, times)
        shape = picture_shape(f"{name}: {images}", stack.shape[1:], stack.dtype)
        step = min(stack.chunks[0] if stack.chunks else 1, LARGEST_PICTURE // (prod(shape) * stack.dtype.itemsize))
        for block in range(0, len(stack), TIMES):
            rows = read_rows(f"{name}: {times}", stamps, block, min(block + TIMES, len(stack)))
            stamped = nanoseconds(f"{name}: {times}", rows, unit)
            wanted = (window.first <= stamped) & (stamped <= window.last)
            for first in range(block, block + len(rows), step):
                last = min(first + step, block + len(rows))
                if not wanted[first - block : last - block].any():
                    continue
                pictures = read_rows(f"{name}: {images}", stack, first, last)
                for index in np.flatnonzero(wanted[first - block : last - block]):
                    place = f"{name}: {images}[{first + index}]"
                    yield Frame(int(stamped[first - block + index]), pictures[index].reshape(shape), place=place)
