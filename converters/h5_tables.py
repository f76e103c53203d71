"""HDF5 of single tools and data sets: e2calib, v2e, MVSEC, M3ED."""

from functools import partial
from pathlib import Path

import h5py

from converters.h5_access import contents, member, opened
from converters.h5_columns import Place, Table, column_blocks, open_table
from converters.h5_frames import stack_frames
from converters.options import ReadOptions
from converters.stream import FrameSet, SensorSize, Stream, Unit
from evinr.events import InputError


def open_e2calib(path: Path, name: str, options: ReadOptions) -> Stream:
    """e2calib: `x, y, p, t` at the root, or in the group `options.topic`; t in integer microseconds, no size."""
    prefix = f"{options.topic}/" if options.topic else ""
    place = Place((f"{prefix}t", f"{prefix}x", f"{prefix}y", f"{prefix}p"))
    with opened(path, name) as file:
        table = open_table(file, name, place)
    return table_stream(path, table, "e2calib h5", options)


def open_v2e(path: Path, name: str, options: ReadOptions) -> Stream:
    """v2e: `events` uint32 (N, 4) of t (us), x, y, p; perhaps `frame` (n, h, w) with `frame_ts` (us)."""
    events = options.topic or "events"
    with opened(path, name) as file:
        table = open_table(file, name, Place((events, events, events, events), (0, 1, 2, 3)))
        unit = options.time_unit or time_unit(table)
        frames = None if options.skip_frames else stack_frames(file, path, name, "frame", "frame_ts", unit)
    return table_stream(path, table, "v2e h5", options, frames, frame_size(frames))


def open_mvsec(path: Path, name: str, options: ReadOptions) -> Stream:
    """MVSEC (Zhu et al. 2018): `davis/left/events` float64 (N, 4) of x, y, t (Unix seconds), p; `image_raw` with its
    `image_raw_ts`; the same in `davis/right`. Doubles of Unix time step by 0.24 us: its bags have the nanoseconds."""
    notes: list[str] = []
    with opened(path, name) as file:
        group = camera(file, name, "davis", "events", options, notes)
        events = f"{group}/events"
        table = open_table(file, name, Place((events, events, events, events), (2, 0, 1, 3)))
        images, times, unit = f"{group}/image_raw", f"{group}/image_raw_ts", options.time_unit or time_unit(table)
        frames = None if options.skip_frames else stack_frames(file, path, name, images, times, unit)
    return table_stream(path, table, "MVSEC hdf5", options, frames, frame_size(frames), notes)


def open_m3ed(path: Path, name: str, options: ReadOptions) -> Stream:
    """M3ED (Chaney et al. 2023): `prophesee/left/{x, y, t, p}`, t in integer microseconds; 1280 x 720."""
    notes: list[str] = []
    with opened(path, name) as file:
        group = camera(file, name, "prophesee", "t", options, notes)
        table = open_table(file, name, Place((f"{group}/t", f"{group}/x", f"{group}/y", f"{group}/p")))
    return table_stream(path, table, "M3ED h5", options, None, SensorSize(720, 1280, "M3ED's sensor"), notes)


def camera(file: h5py.File, name: str, base: str, mark: str, options: ReadOptions, notes: list[str]) -> str:
    """The group of the camera that `options.topic` names (`right`, `davis/right`), else of the left one, if it is there.

    Raises InputError where that camera has no events.
    """
    there = [side for side in ("left", "right") if member(file, name, f"{base}/{side}/{mark}") is not None]
    asked = (options.topic or "").strip("/").removeprefix(f"{base}/")
    if asked and asked not in there:
        raise InputError(f"{name}: no events of camera {asked!r}; give --topic {' or '.join(there) or 'left'}")
    if not there:
        group = member(file, name, base)
        found = f"{base}/ holds {contents(group)}" if isinstance(group, h5py.Group) else f"there is no group {base}/"
        raise InputError(f"{name}: {base}/left/{mark} is missing ({found}); name the layout with --format")
    if len(there) == 2 and not asked:
        notes.append("the left camera was taken of two: --topic right takes the other")
    return f"{base}/{asked or there[0]}"


def frame_size(frames: FrameSet | None) -> SensorSize | None:
    """The sensor's, which is that of its frames, if there are any."""
    if frames is None or frames.height is None or frames.width is None:
        return None
    return SensorSize(frames.height, frames.width, "the camera frames")


def time_unit(table: Table) -> Unit:
    """Seconds for floats, and microseconds for integers, which no format has seconds in."""
    return "s" if table.time_type.kind == "f" else "us"


def table_stream(
    path: Path,
    table: Table,
    label: str,
    options: ReadOptions,
    frames: FrameSet | None = None,
    size: SensorSize | None = None,
    notes: list[str] | None = None,
) -> Stream:
    """The stream of a table whose events need no offset."""
    unit = options.time_unit or time_unit(table)
    notes = [] if notes is None else notes
    expected = "s" if label.startswith("MVSEC") else "us"
    if unit != expected and not options.time_unit:
        notes.append(f"times are {table.time_type} and were taken as {unit}: --time-unit changes that")
    return Stream(
        format=label,
        files=(path,),
        unit=unit,
        blocks=partial(column_blocks, path, table.name, table.place, unit),
        size=size,
        frames=(frames,) if frames else (),
        count=table.events,
        notes=notes,
    )
