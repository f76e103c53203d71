"""Folders of arrays, one per column: EVREAL's, NER-Net's, and the raw memory maps of RPG's event_utils.

EVREAL (https://github.com/ercanburak/EVREAL) saves npy files with times in seconds; NER-Net has other names and
microseconds. event_utils (https://github.com/TimoStoff/event_utils) dumps bytes without a header in files that are
nevertheless called .npy; what they hold is written in metadata.json alone. Their column image_event_indices is never
read: it wraps in some of these files. NER-Net's has the events of each picture.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from converters import clock
from converters.arrays import read_values, rows_of
from converters.event_windows import event_windows
from converters.files import open_regular
from converters.options import ReadOptions
from converters.stored_arrays import Stored, dumped, headed, read_pairs, read_rows, read_times
from converters.stream import BLOCK, Columns, Frame, FrameSet, SensorSize, Stream, Unit, Window
from evinr.events import InputError

LARGEST_TEXT = 2**20
"""Bytes of a metadata.json that is read."""
LARGEST_PICTURE = 2**28
TIMES = 1024
"""Times of frames read at once."""


class Names(NamedTuple):
    """What the arrays of a folder are called."""

    t: str
    xy: str
    p: str
    images: str
    times: str


EVREAL = Names("events_ts.npy", "events_xy.npy", "events_p.npy", "images.npy", "images_ts.npy")
MEMMAP = Names("t.npy", "xy.npy", "p.npy", "images.npy", "timestamps.npy")


NERNET = "NER-Net folder"
INDICES = "image_event_indices.npy"


class Pictures(NamedTuple):
    """The camera frames of a folder, and their times."""

    images: Stored
    times: Stored
    windows: Int64[np.ndarray, "n 2"] | None = None
    """The events of each, by number (`Frame.window`), where the folder says."""


def is_array_folder(path: Path) -> bool:
    """Whether a folder, or `memmap/` in it, holds such arrays, even if some are missing."""
    return _find(path) is not None


def open_array_folder(path: Path, name: str, options: ReadOptions) -> Stream:
    """Events and frames of a folder of arrays. Raises InputError where parts are missing, damaged or of other sizes."""
    found = _find(path)
    if found is None:
        raise InputError(f"{name}: no {', '.join(EVREAL[:3])} and no {', '.join(MEMMAP[:3])} in it; give such a folder")
    folder, names = found
    name = name if folder == path else f"{name}/{folder.name}"
    missing = [column for column in names[:3] if not (folder / column).is_file()]
    if missing:
        raise InputError(f"{name}: {' and '.join(missing)} missing beside the others; copy the whole folder again")
    about = _metadata(folder, name)
    if options.skip_frames:
        names = names._replace(images="", times="")
    if names.t == EVREAL.t:
        stream = _npy_stream(folder, name, names, about, "EVREAL folder", options.time_unit or "s")
        zero = about.get("origin_ns", 0)
        return stream._replace(zero=zero if type(zero) is int and abs(zero) < clock.LATEST else 0)
    with open_regular(folder / names.t, f"{name}/{names.t}") as file:
        headed = file.read(6) == b"\x93NUMPY"
    if not headed and options.skip_frames:
        about = about | {"num_imgs": 0}
    if not headed:
        return _raw_stream(folder, name, about, options.time_unit or "s")
    stream = _npy_stream(folder, name, names, about, NERNET, options.time_unit or "us")
    if options.time_unit is None:
        _require_whole(folder / names.t, f"{name}/{names.t}")
    if stream.frames:
        stream.notes.append("times of frames are the end of their exposure, as NER-Net has them")
        return stream._replace(frames=tuple(kind._replace(ends=True) for kind in stream.frames))
    return stream


def _find(path: Path) -> tuple[Path, Names] | None:
    for folder in (path, path / "memmap"):
        if any((folder / column).is_file() for column in EVREAL[:3]):
            return folder, EVREAL
        if sum((folder / column).is_file() for column in MEMMAP[:3]) > 1:
            return folder, MEMMAP
    return None


def _metadata(folder: Path, name: str) -> dict[str, object]:
    """What metadata.json says; nothing where there is none."""
    if not (folder / "metadata.json").exists():
        return {}
    where = f"{name}/metadata.json"
    with open_regular(folder / "metadata.json", where) as file:
        text = file.read(LARGEST_TEXT)
    try:
        about = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: damaged JSON ({error}); copy it again") from error
    if not isinstance(about, dict):
        raise InputError(f'{where}: no JSON object; write {{"sensor_resolution": [height, width]}}')
    return about


def _sensor(about: dict[str, object], name: str) -> SensorSize | None:
    size = about.get("sensor_resolution")
    if size is None:
        return None
    rows_and_columns = size[:2] if isinstance(size, list) else []
    if len(rows_and_columns) != 2 or not all(type(n) is int and 1 <= n <= 65536 for n in rows_and_columns):
        raise InputError(
            f"{name}/metadata.json: sensor_resolution is {str(size)[:80]}, expected [height, width]; mend it"
        )
    height, width = rows_and_columns
    return SensorSize(height, width, "metadata.json")


def _npy_stream(folder: Path, name: str, names: Names, about: dict[str, object], kind: str, unit: Unit) -> Stream:
    """Events and frames in files that have the header of npy."""
    t, xy, p = (headed(folder / column, f"{name}/{column}") for column in names[:3])
    counts = [column.header.shape[0] if column.header.shape else 0 for column in (t, xy, p)]
    for column, width in ((t, 1), (xy, 2), (p, 1)):
        shapes = [(counts[0],), (counts[0], 1)] if width == 1 else [(counts[0], 2)]
        if column.header.shape not in shapes:
            raise InputError(
                f"{column.name}: shape {column.header.shape}, expected {shapes[0]} as {names.t} has {counts[0]} times;"
                " copy the whole folder again"
            )
    notes: list[str] = []
    pictures = None
    if (folder / names.images).is_file() and (folder / names.times).is_file():
        images, times = (headed(folder / column, f"{name}/{column}") for column in (names.images, names.times))
        pictures = Pictures(_sound_images(images), times)
        count = images.header.shape[0]
        if times.header.shape not in ((count,), (count, 1)):
            raise InputError(
                f"{times.name}: shape {times.header.shape}, {names.images} has {count} pictures; copy both again"
            )
        if kind == NERNET and (folder / INDICES).is_file():
            pictures = pictures._replace(windows=_windows(folder, name, count, counts[0], notes))
    elif (folder / names.images).is_file():
        notes.append(f"frames were left out: {names.images} has no {names.times} beside it")
    return _stream(kind, t, xy, p, pictures, _sensor(about, name), unit, notes)


def _windows(folder: Path, name: str, pictures: int, events: int, notes: list[str]) -> Int64[np.ndarray, "n 2"] | None:
    """The events of each picture, by number. None where the column has another shape."""
    indices = headed(folder / INDICES, f"{name}/{INDICES}")
    shape, _, dtype, _ = indices.header
    if dtype.kind not in "iu" or shape[1:] != (2,):
        return None
    with open_regular(indices.path, indices.name) as file:
        rows = np.stack(read_pairs(file, indices, 0, shape[0]), 1)
    return event_windows(rows, pictures, events, indices.name, notes)


def _raw_stream(folder: Path, name: str, about: dict[str, object], unit: Unit) -> Stream:
    """Events and frames in files without headers, whose sizes must be what metadata.json makes them."""
    size = _sensor(about, name)
    events, frames = (_count(about, key, name) for key in ("num_events", "num_imgs"))
    if events is None or size is None:
        what = "num_events" if events is None else "sensor_resolution"
        raise InputError(f"{name}: raw arrays, and no {what} in metadata.json, which alone tells their size; add it")
    raw = partial(dumped, folder, name)
    t, xy, p = raw(MEMMAP.t, (events,), "<f8"), raw(MEMMAP.xy, (events, 2), "<i2"), raw(MEMMAP.p, (events,), "u1")
    pictures = None
    if frames:
        shape = (frames, size.height, size.width)
        with open_regular(folder / MEMMAP.images, f"{name}/{MEMMAP.images}") as file:
            colour = os.fstat(file.fileno()).st_size == 3 * frames * size.height * size.width
        images = raw(MEMMAP.images, (*shape, 3) if colour else shape, "u1")
        pictures = Pictures(_sound_images(images), raw(MEMMAP.times, (frames,), "<f8"))
    return _stream("RPG memmap folder", t, xy, p, pictures, size, unit, [])


def _count(about: dict[str, object], key: str, name: str) -> int | None:
    count = about.get(key)
    if count is not None and (type(count) is not int or count < 0):
        raise InputError(f"{name}/metadata.json: {key} is {str(count)[:80]}, expected a number of them; mend it")
    return count


def _stream(
    kind: str,
    t: Stored,
    xy: Stored,
    p: Stored,
    pictures: Pictures | None,
    size: SensorSize | None,
    unit: Unit,
    notes: list[str],
) -> Stream:
    sets = ()
    if pictures and pictures.images.header.shape[0]:
        sets = (_frame_set(pictures, unit),)
        height, width = pictures.images.header.shape[1:3]
        size = size or SensorSize(height, width, pictures.images.name)
        if sets[0].layout == "rgb":
            notes.append(f"the 3 channels of {pictures.images.path.name} were taken for red, green, blue")
    blocks = partial(_blocks, t, xy, p, unit)
    return Stream(kind, (t.path, xy.path, p.path), unit, blocks, size, sets, t.header.shape[0], notes=notes)


def _sound_images(images: Stored) -> Stored:
    shape, fortran, dtype, _ = images.header
    sound = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    if not sound or fortran or dtype != np.uint8:
        order = " in Fortran order" if fortran else ""
        raise InputError(
            f"{images.name}: {dtype} of shape {shape}{order}, expected uint8 of (N, height, width, 1 or 3); save it so"
        )
    if min(shape[1:]) < 1 or int(np.prod(shape[1:], dtype=object)) > LARGEST_PICTURE:
        raise InputError(f"{images.name}: pictures of {shape[1]} x {shape[2]} are none that can be read; save it again")
    return images


def _require_whole(path: Path, name: str) -> None:
    """Raises InputError where microseconds have fractions: then they are seconds."""
    t = headed(path, name)
    with open_regular(path, name) as file:
        ends = [read_rows(file, t, row, row + 1)[0] for row in {0, t.header.shape[0] - 1} if t.header.shape[0]]
    if any(np.isfinite(time) and time != np.rint(time) for time in ends):
        raise InputError(f"{name}: {ends[0]} is no whole microsecond, so the unit is another; pass --time-unit s")


def _blocks(t: Stored, xy: Stored, p: Stored, unit: Unit, window: Window) -> Iterator[Columns]:
    """The events, from the first to the last in the window."""
    with ExitStack() as stack:
        times, places, signs = (stack.enter_context(open_regular(column.path, column.name)) for column in (t, xy, p))
        count = t.header.shape[0]
        start, stop = rows_of(window, lambda row: read_times(times, t, unit, row, row + 1), unit, count)
        for first in range(start, stop, BLOCK):
            last = min(first + BLOCK, stop)
            x, y = read_pairs(places, xy, first, last)
            polarity = read_rows(signs, p, first, last)
            if polarity.dtype == bool:
                polarity = polarity.view(np.uint8)
            done = (last - start) / (stop - start)
            yield Columns(read_times(times, t, unit, first, last), x, y, polarity, first, done)


def _frame_set(pictures: Pictures, unit: Unit) -> FrameSet:
    images, times, windows = pictures
    count, height, width, *channels = images.header.shape
    shape = (height, width, 3) if channels == [3] else (height, width)

    def read(window: Window) -> Iterator[Frame]:
        with open_regular(images.path, images.name) as file:
            for index, time in enumerate(_frame_times(times, unit, count)):
                if window.first <= time <= window.last:
                    file.seek(images.header.offset + index * int(np.prod(shape)))
                    picture = read_values(file, np.dtype(np.uint8), int(np.prod(shape)), images.name)
                    own = None if windows is None else (int(windows[index, 0]), int(windows[index, 1]))
                    yield Frame(time, picture.reshape(shape), place=f"{images.name}: picture {index}", window=own)

    start = next(_frame_times(times, unit, count))
    layout = "rgb" if len(shape) == 3 else "gray"
    return FrameSet("frames", start, read, layout, height, width, numbered=windows is not None)


def _frame_times(times: Stored, unit: Unit, count: int) -> Iterator[int]:
    """Nanoseconds. Raises InputError where a time is none."""
    with open_regular(times.path, times.name) as file:
        for start in range(0, count, TIMES):
            some = read_times(file, times, unit, start, min(start + TIMES, count))
            sound = clock.possible(some, unit)
            if not sound.all():
                row = int(np.argmin(sound))
                raise InputError(f"{times.name}: time {start + row} is {some[row]}, no possible time; save it again")
            yield from clock.nanoseconds(some, unit).tolist()
