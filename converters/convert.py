"""A recording of any format to a folder of plain files, read block by block, in bounded memory.

events.npy              N x 4 float64: t (seconds), x, y, p (-1/+1), in time order; can be memory-mapped
images.txt, frames/     lines `t path` and PNGs; a second kind of pictures, `sharp` say, in images_sharp.txt, sharp/
exposures.txt           lines `t begin end` in seconds, one for each picture, where the source knows them
frames.h5               instead of PNGs for 16-bit and HDR pictures: a group for each kind, `images` and `times`
metadata.json           origin in integer nanoseconds, sensor, source and its sha256, everything that was assumed
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np

from converters.checks import Passage
from converters.door import fingerprint, open_stream, recording_name
from converters.frames import checked_frames
from converters.npy import growing_array
from converters.options import ReadOptions
from converters.sorting import sorted_rows
from converters.stream import Frame, FrameSet, Stream
from evinr.files import write_json

LAYOUT = 1
"""Version of the folder's layout."""
Advance = Callable[[float], None]
"""Is told what part of the events has been read, 0 to 1."""


class EventsWritten(NamedTuple):
    """What `events.npy` holds."""

    count: int  # pyright: ignore[reportIncompatibleMethodOverride]
    rising: int
    start_s: float
    end_s: float


class FramesWritten(NamedTuple):
    """What became of the pictures of one kind."""

    count: int  # pyright: ignore[reportIncompatibleMethodOverride]
    start_s: float
    end_s: float


def write_folder(
    source: Path, folder: Path, options: ReadOptions, version: str, made: dict[str, Any], advance: Advance
) -> dict[str, Any]:
    """Convert a recording into an empty folder, and say what was written: the content of `metadata.json`.

    `made` is what else is to be kept there of how it was made.

    Raises InputError for what is not a sound recording; the folder is then to be thrown away.
    """
    return write_stream(open_stream(source, options), recording_name(source), folder, options, version, made, advance)


def write_stream(
    stream: Stream,
    name: str,
    folder: Path,
    options: ReadOptions,
    version: str,
    made: dict[str, Any],
    advance: Advance,
) -> dict[str, Any]:
    """The same of a stream, wherever it comes from; `name` is its recording's."""
    passage = Passage(stream, options, name)
    events = _write_events(folder, passage, advance)
    frames, notes = {}, []
    for index, kind in enumerate(stream.frames):
        written = _write_frames(folder, kind, options, passage.origin, name, primary=index == 0)
        if written is None:
            notes.append(f"no {kind.name} lie in the span")
        else:
            frames[kind.name] = written._asdict() | {"layout": kind.layout}
            if kind.numbered:
                notes.append(f"which events the file gives to each of its {kind.name} is not kept")
    size, assumptions = passage.conclusion()
    about = {
        "evinr": version,
        "layout": LAYOUT,
        "source": name,
        "source_sha256": fingerprint(stream) if stream.files else None,
        "format": stream.format,
        "origin_ns": passage.origin + stream.zero,
        "sensor": {"width": size.width, "height": size.height, "source": size.source},
        "events": events._asdict(),
        "frames": frames,
        "assumptions": [*assumptions, *notes],
        "made": made,
    }
    write_json(folder / "metadata.json", about)
    return about


def _write_events(folder: Path, passage: Passage, advance: Advance) -> EventsWritten:
    """Write `events.npy`, sorted if that was asked."""
    path, rising, start, end = folder / "events.npy", 0, np.inf, -np.inf
    with growing_array(path, (4,), np.dtype("<f8")) as append:
        for block in passage.blocks():
            table = np.empty((len(block.t), 4))
            for column, values in enumerate(block[:4]):
                table[:, column] = values
            append(table)
            rising += int(np.count_nonzero(block.p > 0))
            start, end = min(start, float(block.t.min())), max(end, float(block.t.max()))
            advance(block.done)
    if passage.falls.events:
        unsorted = path.rename(folder / "unsorted.npy")
        with growing_array(path, (4,), np.dtype("<f8")) as append:
            for table in sorted_rows(unsorted, passage.kept):
                append(table)
        unsorted.unlink()
    return EventsWritten(passage.kept, rising, start, end)


def _write_frames(
    folder: Path, kind: FrameSet, options: ReadOptions, origin: int, name: str, primary: bool
) -> FramesWritten | None:
    """Write the pictures of one kind, if there are any in the span."""
    frames = checked_frames(kind, options, origin, name)
    first = next(frames, None)
    if first is None:
        return None
    if first.image.dtype == np.uint8:
        times = _write_pngs(folder, kind.name, chain([first], frames), origin, "" if primary else f"_{kind.name}")
    else:
        times = _write_h5(folder, kind.name, chain([first], frames), origin)
    return FramesWritten(len(times), min(times) / 1e9, max(times) / 1e9)


def _write_pngs(folder: Path, kind: str, frames: Iterator[Frame], origin: int, suffix: str) -> list[int]:
    """PNGs and the lists of their times and exposures, in time order; gives the times from the origin, in ns."""
    import imageio.v3 as iio

    lines, exposures = [], []
    (folder / kind).mkdir()
    for number, frame in enumerate(frames):
        path = f"{kind}/frame_{number:08d}.png"
        picture = iio.imwrite("<bytes>", frame.image, plugin="pillow", extension=".png", compress_level=1)
        (folder / path).write_bytes(picture)  # given a path it prints a traceback where the disk is full
        lines.append((frame.time - origin, path))
        if frame.exposure is not None:
            exposures.append((frame.time - origin, *(time - origin for time in frame.exposure)))
    if lines != sorted(lines):
        # Their numbers follow their times too, for those who list the folder.
        for _, path in lines:
            (folder / path).rename(folder / f"{path}.unsorted")
        lines = [(time, f"{kind}/frame_{number:08d}.png", path) for number, (time, path) in enumerate(sorted(lines))]
        for _, path, before in lines:
            (folder / f"{before}.unsorted").rename(folder / path)
        lines = [(time, path) for time, path, _ in lines]
    (folder / f"images{suffix}.txt").write_text("".join(f"{_decimal(time)} {path}\n" for time, path in lines))
    if len(exposures) == len(lines):
        exposures.sort()
        text = "".join(" ".join(map(_decimal, line)) + "\n" for line in exposures)
        (folder / f"exposures{suffix}.txt").write_text(text)
    return [time for time, _ in lines]


def _write_h5(folder: Path, kind: str, frames: Iterator[Frame], origin: int) -> list[int]:
    """A group of `frames.h5`: `images`, `times` and, where known, `exposures` (int64, ns from the origin); the times."""
    times, exposures = [], []
    with h5_file(folder / "frames.h5", "a") as file:
        group = file.create_group(kind)
        images = None
        for number, frame in enumerate(frames):
            if images is None:
                shape = frame.image.shape
                images = group.create_dataset(
                    "images", (0, *shape), frame.image.dtype, maxshape=(None, *shape), chunks=(1, *shape), **PACKED
                )
            images.resize(number + 1, axis=0)
            images[number] = frame.image
            times.append(frame.time - origin)
            if frame.exposure is not None:
                exposures.append([time - origin for time in frame.exposure])
        group["times"] = np.array(times, np.int64)
        group["times"].attrs["unit"] = "ns"
        if len(exposures) == len(times):
            group["exposures"] = np.array(exposures, np.int64)
    return times


@contextmanager
def h5_file(path: Path, mode: Literal["w", "a"]) -> Iterator[h5py.File]:
    """An HDF5 file to write. A full disk is an OSError; a cache of chunks would notice it at the end, and crash."""
    try:
        with h5py.File(path, mode, rdcc_nbytes=0) as file:
            yield file
    except RuntimeError as error:
        raise OSError(errno.EIO, f"HDF5 cannot write it ({error})", str(path)) from error


PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""What every HDF5 reader can undo."""


def _decimal(nanoseconds: int) -> str:
    """Nanoseconds as seconds with nine decimals, exactly."""
    sign, nanoseconds = "-" * (nanoseconds < 0), abs(nanoseconds)
    return f"{sign}{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"
