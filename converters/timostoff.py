"""HDF5 of TimoStoff's event_utils ("Monash" format; e2vid+, HQF) and its relatives RLED, EventHDR, EFNet GoPro/REBlur.

`events/xs, ys, ts, ps` (older: x, y, t, p), `images/image%09d` with the attribute `timestamp` on the same clock,
attributes `sensor_resolution`, `t0`, `tk`. Relatives: RLED (NER-Net) in microseconds, resolution (W, H), frame times at
the end of exposure, and perhaps which events belong to each frame (`event_indices`); EventHDR with 16-bit frames; EFNet
with `sharp_images/` as the truth of blurred `images/`.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from converters.h5_access import member, opened
from converters.h5_columns import PROBE, Place, Table, column_blocks, open_table
from converters.h5_frames import attribute, first_picture, group_frames
from converters.h5_windows import with_windows
from converters.options import ReadOptions
from converters.stream import BLOCK, TICKS, SensorSize, Stream, Unit

LABELS = {"timostoff": "TimoStoff h5", "rled": "RLED h5", "eventhdr": "EventHDR h5", "efnet": "EFNet h5"}
ALIASES = ("ts", "t"), ("xs", "x"), ("ys", "y"), ("ps", "p")
"""What the columns are called, and were in older files."""


class Taken(NamedTuple):
    """Which of the relatives a file is taken for, the unit of its times, and a word where that is not certain."""

    relative: str
    unit: Unit
    note: str | None = None


class Picture(NamedTuple):
    """Shape, (h, w) or (h, w, 3), and type of the first picture."""

    shape: tuple[int, ...]
    dtype: np.dtype


def open_timostoff(path: Path, name: str, options: ReadOptions) -> Stream:
    """Such a file; `options.format` says which relative, else its content. Raises InputError."""
    notes: list[str] = []
    with opened(path, name) as file:
        place = event_place(file, name, options.topic or "events")
        table = open_table(file, name, place)
        first = None if options.skip_frames else first_picture(file, name, "images")
        picture = Picture(*first) if first else None
        taken = recognise(file, name, table, picture, options)
        unit = options.time_unit or taken.unit
        if taken.note and not options.time_unit:
            notes.append(taken.note)
        groups = {"images": "frames"} | ({"sharp_images": "sharp"} if taken.relative == "efnet" else {})
        groups = {} if options.skip_frames else groups
        frames = [group_frames(file, path, name, group, label, unit, notes) for group, label in groups.items()]
        if frames and frames[0]:
            frames[0] = with_windows(frames[0], file, name, table, notes)
        size = sensor_size(file, table, picture, notes)
        if taken.relative == "eventhdr":
            notes += odd_span(table, unit)
    if taken.relative == "rled" and any(frames):
        notes.append("frame times are the ends of the exposures, whose lengths RLED does not tell")
        frames = [kind and kind._replace(ends=True) for kind in frames]
    return Stream(
        format=LABELS[taken.relative],
        files=(path,),
        unit=unit,
        blocks=partial(column_blocks, path, name, place, unit),
        size=size,
        frames=tuple(frame_set for frame_set in frames if frame_set),
        count=table.events,
        notes=notes,
    )


def event_place(file: h5py.File, name: str, group: str) -> Place:
    """The columns in a group by their present or older names; the present one stands for what is missing."""
    found = []
    for names in ALIASES:
        there = (column for column in names if member(file, name, f"{group}/{column}") is not None)
        found.append(f"{group}/{next(there, names[0])}")
    return Place((found[0], found[1], found[2], found[3]))


def recognise(file: h5py.File, name: str, table: Table, picture: Picture | None, options: ReadOptions) -> Taken:
    """The relative and its unit.

    RLED is known by whole times, the attribute tk, and a resolution (W, H): never by how long its times run, which
    tells nothing of short windows and long recordings.
    """
    if options.format in LABELS:
        return Taken(options.format, "us" if options.format == "rled" else "s")
    mend = "--time-unit or --format changes that"
    unit: Unit = "us" if whole_times(table) else "s"
    uncertain = f"times are whole numbers and were taken as microseconds: {mend}" if unit == "us" else None
    if isinstance(member(file, name, "sharp_images"), h5py.Group):
        return Taken("efnet", unit, uncertain)
    if picture and picture.dtype == np.uint16:
        return Taken("eventhdr", unit, uncertain)
    resolution = stored_resolution(file)
    if resolution and picture:
        width_first = resolution[0] != resolution[1] and resolution == picture.shape[1::-1]
    else:
        width_first = resolution is not None and resolution[0] > resolution[1]
    if unit == "us" and width_first and attribute(file, "tk") is not None:
        return Taken("rled", "us")
    if unit == "s" and width_first and picture:
        uncertain = f"sensor_resolution is width first, as in RLED, but times were taken as seconds: {mend}"
    return Taken("timostoff", unit, uncertain)


@np.errstate(invalid="ignore")
def whole_times(table: Table) -> bool:
    """Whether times are integers, by type or by value. Fractions of a second are lost in those: they are no seconds."""
    if table.time_type.kind != "f":
        return True
    t = table.times(0, min(table.events, PROBE))
    return len(t) > 1 and bool(t[0] != t[-1] and (t == np.floor(t)).all())


def stored_resolution(file: h5py.File) -> tuple[int, int] | None:
    """The attribute sensor_resolution, without the channels that may follow; None where it is no two sizes."""
    value = attribute(file, "sensor_resolution")
    if value is None or len(value) not in (2, 3) or not ((value >= 1) & (value <= 65536)).all():
        return None
    return int(value[0]), int(value[1])


def sensor_size(file: h5py.File, table: Table, picture: Picture | None, notes: list[str]) -> SensorSize | None:
    """The sensor's size, as far as one of the places that tell it can be believed.

    The pictures decide where the first block of events fits into them. Else `sensor_resolution` does: (H, W), or (W, H)
    (RLED) where only that holds the block. Two odd numbers are no sensor, nor are the block's largest coordinates: some
    tools of TimoStoff store those, one too small and in either order. What holds no block then stays (H, W), so that
    the events outside it are refused by name.
    """
    _, x, y, _ = table.rows(0, min(table.events, BLOCK, table.step))
    x_max, y_max = (x.max(), y.max()) if len(x) else (0, 0)
    stored = stored_resolution(file)
    label = f"sensor_resolution {list(stored)}" if stored else "the file"
    if picture:
        height, width = picture.shape[:2]
        fits = x_max < width and y_max < height
        if not stored or stored not in ((height, width), (width, height)):
            doubt = f"frames are {width} x {height}, {label} says " + ("something else" if stored else "nothing")
            notes += [doubt] if stored or not fits else []
        if fits:
            return SensorSize(height, width, "the camera frames")
    if stored is None:
        return None
    first, second = stored
    largest = (x_max, y_max) in (stored, stored[::-1])
    if (first % 2 and second % 2) or largest:
        notes.append(f"{label} looks like the largest coordinates, as some tools store them, and was not used")
        return None
    if not (x_max < second and y_max < first) and x_max < first and y_max < second:
        notes.append(f"{label} was taken as width and height, as the events do not fit the other way")
        return SensorSize(second, first, "sensor_resolution")
    return SensorSize(first, second, "sensor_resolution")


def odd_span(table: Table, unit: Unit) -> list[str]:
    """A word where times run implausibly short or long, as EventHDR does not say their unit."""
    if not table.events:
        return []
    span = float(table.times(table.events - 1, table.events)[0]) - float(table.times(0, 1)[0])
    if 0.1 <= span / TICKS[unit] <= 3600:
        return []
    return [f"the events last {span / TICKS[unit]:.3g} s if times are in {unit}: --time-unit changes that"]
