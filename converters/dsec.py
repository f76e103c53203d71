"""DSEC (Gehrig et al. 2021): `events.h5`, alone or in the folder of a sequence with the frames of another camera.

https://dsec.ifi.uzh.ch/data-format: `events/{t, x, y, p}`, t in microseconds from `t_offset`, which puts them on the
clock of the frames; 640 x 480. `ms_to_idx` is not used: a bisection of t finds a window as fast, and cannot disagree.
"""

import os
import re
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import h5py

from converters import clock
from converters.files import as_text, data_lines, open_regular
from converters.h5_access import member, numbers_at, opened
from converters.h5_chunks import LARGEST_PICTURE, read_rows
from converters.h5_columns import Place, column_blocks, open_table
from converters.options import ReadOptions
from converters.pictures import read_picture
from converters.stream import TICKS, Columns, Frame, FrameSet, SensorSize, Stream, Unit, Window
from evinr.events import InputError

COLUMNS = Place(("events/t", "events/x", "events/y", "events/p"))
SIDES = "left", "right"


def open_dsec(path: Path, name: str, options: ReadOptions) -> Stream:
    """The events of one camera, without frames. Raises InputError."""
    notes: list[str] = []
    unit = options.time_unit or "us"
    with opened(path, name) as file:
        table = open_table(file, name, COLUMNS)
        if table.time_type.kind not in "iu":
            raise InputError(f"{name}: events/t holds {table.time_type}, expected integers (us); save them so")
        offset = time_offset(file, name)
    if offset is None:
        notes.append("t_offset is missing and was taken as 0")
    return Stream(
        format="DSEC h5",
        files=(path,),
        unit=unit,
        blocks=partial(offset_blocks, path, name, unit, offset or 0),
        size=SensorSize(480, 640, "DSEC's sensor"),
        count=table.events,
        notes=notes,
    )


def offset_blocks(path: Path, name: str, unit: Unit, offset: int, window: Window) -> Iterator[Columns]:
    """The events of a window on the clock of the frames."""
    return column_blocks(path, name, COLUMNS, unit, window, offset)


def time_offset(file: h5py.File, name: str) -> int | None:
    """What to add to t, in its unit; None where the file does not say."""
    if member(file, name, "t_offset") is None:
        return None
    dataset = numbers_at(file, name, "t_offset")
    if dataset.size != 1 or dataset.dtype.kind not in "iu":
        raise InputError(
            f"{name}: t_offset is {dataset.dtype} of shape {dataset.shape}, expected an integer; save it so"
        )
    return int(dataset[()] if dataset.ndim == 0 else read_rows(f"{name}: t_offset", dataset, 0, 1).item())


def is_dsec_folder(path: Path) -> bool:
    """Whether a folder holds `events/left/events.h5`, or the right camera's."""
    return bool(cameras(path))


def cameras(path: Path) -> list[str]:
    """The sides whose events a folder holds."""
    return [side for side in SIDES if (path / "events" / side / "events.h5").exists()]


def open_dsec_folder(path: Path, name: str, options: ReadOptions) -> Stream:
    """A sequence: the events of the camera `options.topic` (left, right), and the frames beside it.

    Raises InputError where that camera is missing, or frames and their times do not match.
    """
    there = cameras(path)
    if not there:
        raise InputError(f"{name}: has no events/left/events.h5 nor the right one; give the folder of a DSEC sequence")
    side = options.topic or there[0]
    if side not in there:
        raise InputError(f"{name}: has no events/{side}/events.h5; give --topic {' or '.join(there)}")
    stream = open_dsec(path / "events" / side / "events.h5", f"{name}/events/{side}/events.h5", options)
    if len(there) == 2 and not options.topic:
        stream.notes.append("the left camera was taken of two: --topic right takes the other")
    frames = folder_frames(path, name, side, stream.unit, stream.notes) if not options.skip_frames else None
    return stream._replace(format="DSEC folder", frames=(frames,) if frames else ())


class Listed(NamedTuple):
    """A picture of a sequence."""

    file: Path
    name: str
    time: int
    """Nanoseconds: the middle of the exposures of both cameras."""
    exposure: tuple[int, int] | None


def folder_frames(path: Path, name: str, side: str, unit: Unit, notes: list[str]) -> FrameSet | None:
    """The frames of the camera beside the events, if they are there. Raises InputError where times are not."""
    listed = list_frames(path, name, side, unit, notes)
    if not listed:
        return None
    notes.append("frames are of another camera than the events: their pixels are not aligned")
    with open_regular(listed[0].file, listed[0].name) as stream:
        height, width, in_colour = png_shape(stream, listed[0].name)
    return FrameSet(
        "frames", listed[0].time, partial(read_frames, listed), "rgb" if in_colour else "gray", height, width
    )


def list_frames(path: Path, name: str, side: str, unit: Unit, notes: list[str]) -> list[Listed]:
    """`images/left/rectified/*.png` in the order of their numbers, with `images/timestamps.txt`, one line for each."""
    folders = [f"images/{side}/rectified", f"images/{side}"]
    pictures = next(filter(None, ([f"{folder}/{png}" for png in pngs(path / folder)] for folder in folders)), [])
    if not pictures:
        return []
    lists = [f"images/{file}timestamps.txt" for file in ("", f"{side}/", f"{side}/rectified/")]
    stamps = next((file for file in lists if (path / file).exists()), None)
    if stamps is None:
        notes.append(f"the {len(pictures)} frames were left out: images/timestamps.txt is missing")
        return []
    times = [time for (time,) in numbers_in(path / stamps, f"{name}/{stamps}", 1, unit)]
    if len(times) != len(pictures):
        raise InputError(
            f"{name}: {pictures[0].rpartition('/')[0]} holds {len(pictures)} pictures, {stamps} {len(times)} times; "
            "complete the download, or move images/ away"
        )
    exposures: list[tuple[int, int] | None] = [None] * len(times)
    patterns = f"images/{side}/*exposure_timestamps*.txt", f"images/*exposure_timestamps*{side}*.txt"
    for file in [file for pattern in patterns for file in sorted(path.glob(pattern))][:1]:
        spans = [(begin, end) for begin, end in numbers_in(file, f"{name}/{file.name}", 2, unit)]
        if len(spans) == len(times):
            exposures = [*spans]
        else:
            notes.append(f"{file.name} holds {len(spans)} exposures for {len(times)} frames and was not used")
    return [
        Listed(path / file, f"{name}/{file}", time, exposure)
        for file, time, exposure in zip(pictures, times, exposures, strict=True)
    ]


def pngs(folder: Path) -> list[str]:
    """The pictures in a folder, in the order of their numbers; none if there is no such folder."""
    names = [entry for entry in os.listdir(folder) if re.fullmatch("[0-9]{1,18}.png", entry)] if folder.is_dir() else []
    return sorted(names, key=lambda entry: int(entry[:-4]))


def numbers_in(path: Path, name: str, columns: int, unit: Unit) -> Iterator[tuple[int, ...]]:
    """Times of a text file in nanoseconds, `columns` in a line. Raises InputError naming the line that is wrong."""
    with as_text(open_regular(path, name)) as lines:
        for number, line in data_lines(lines):
            words = line.replace(",", " ").split()
            if len(words) != columns or not all(re.fullmatch("-?[0-9]{1,18}", word) for word in words):
                raise InputError(
                    f"{name}: line {number} is {line[:60]!r}, expected {columns} whole number{'s' * (columns > 1)} "
                    f"({unit}); mend the line"
                )
            times = tuple(int(word) * (10**9 // TICKS[unit]) for word in words)
            if max(map(abs, times)) >= clock.LATEST:
                raise InputError(f"{name}: line {number} is {line[:60]!r}, no time in {unit}; mend the line")
            yield times


def png_shape(stream: BufferedReader, where: str) -> tuple[int, int, bool]:
    """Rows and columns of a PNG, and whether it is in colour, from its header. Raises InputError for too large ones."""
    head = stream.read(26)
    stream.seek(0)
    height, width = int.from_bytes(head[20:24]), int.from_bytes(head[16:20])
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 26 or not 0 < height * width <= LARGEST_PICTURE // 3:
        raise InputError(f"{where}: no PNG, or one of more than {LARGEST_PICTURE // 3} pixels; download it again")
    # Colour type (PNG specification, 11.2.1): 0 and 4 are gray, without and with alpha.
    return height, width, head[25] not in (0, 4)


def read_frames(listed: list[Listed], window: Window) -> Iterator[Frame]:
    """The frames inside a window."""
    for frame in listed:
        if window.first <= frame.time <= window.last:
            with open_regular(frame.file, frame.name) as stream:
                yield Frame(frame.time, read_picture(stream, frame.name), frame.exposure, frame.name)
