"""What `evinr convert` wrote, read back: see `converters.convert` for the layout of the folder."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

import h5py
import numpy as np

from converters.arrays import open_npy
from converters.files import Members, as_text, data_lines, folder_members, open_regular
from converters.frames import listed_frames
from converters.h5_access import member, numbers_at, opened
from converters.h5_chunks import read_rows
from converters.h5_frames import group_frames
from converters.options import ReadOptions
from converters.stream import Frame, FrameSet, Layout, SensorSize, Stream, Window
from converters.timostoff import open_timostoff
from evinr.events import InputError


def is_converted(path: Path) -> bool:
    """Whether a folder is one of ours."""
    return (path / "events.npy").is_file() and (path / "metadata.json").is_file()


def open_converted(path: Path, name: str, options: ReadOptions) -> Stream:
    """A folder that `evinr convert` wrote. Raises InputError where it was damaged."""
    with open_regular(path / "metadata.json", f"{name}/metadata.json") as file:
        about = _parsed(file.read(LONGEST), f"{name}/metadata.json")
    # Seconds, and t x y p, whatever the source had: the options tell of that.
    ours = replace(options, columns="txyp", time_unit="s")
    events = open_npy(path / "events.npy", f"{name}/events.npy", ours)
    members = folder_members(path, name)
    kinds = [member for member in members.names if member.startswith("images") and member.endswith(".txt")]
    if options.skip_frames:
        return _described(events, "folder of evinr convert", about, [])
    frames = [_pngs(members, listing, ours) for listing in kinds]
    if "frames.h5" in members.names:
        frames += _h5_frames(path / "frames.h5", f"{name}/frames.h5")
    return _described(events, "folder of evinr convert", about, frames)


def open_converted_h5(path: Path, name: str, options: ReadOptions) -> Stream:
    """A file that `evinr convert --to h5` wrote. Raises InputError where it was damaged."""
    events = open_timostoff(path, name, replace(options, format="timostoff", time_unit="s", topic=None))
    frames = list(events.frames)
    with opened(path, name) as file:
        stored = numbers_at(file, name, "evinr")
        if stored.dtype != np.uint8 or stored.ndim != 1 or len(stored) > LONGEST:
            raise InputError(f"{name}: evinr holds {stored.dtype} of shape {stored.shape}, no bytes; convert it again")
        about = _parsed(read_rows(f"{name}: evinr", stored, 0, len(stored)).tobytes(), f"{name}: evinr")
        for kind in about.layouts:
            if kind != "frames" and not options.skip_frames:
                others = group_frames(file, path, name, f"{kind}_images", kind, "s", [])
                frames += [others] if others else []
    return _described(events, "HDF5 of evinr convert", about, frames)


THEN = "when converted: "
"""Before what was assumed then, which is not true of the conversion."""
LONGEST = 2**24
"""Bytes of metadata, at most."""


class About(NamedTuple):
    """What the metadata say that a reader needs."""

    height: int
    width: int
    origin: int
    source: str
    assumptions: tuple[str, ...]
    layouts: dict[str, str]
    """The layout of each kind of pictures."""


def _described(events: Stream, format: str, about: About, frames: list[FrameSet]) -> Stream:
    frames = [kind._replace(layout=cast(Any, about.layouts.get(kind.name, kind.layout))) for kind in frames]
    frames.sort(key=lambda kind: kind.name != "frames")
    return events._replace(
        format=format,
        size=SensorSize(about.height, about.width, "the metadata of the conversion"),
        settled=True,
        zero=about.origin,
        frames=tuple(frames),
        notes=[
            f"was converted from {about.source}, whose time {about.origin} ns is 0 here",
            *(said if said.startswith(THEN) else THEN + said for said in about.assumptions),
        ],
    )


def _parsed(text: Any, where: str) -> About:
    try:
        about = json.loads(text)
        sensor, assumptions = about["sensor"], about["assumptions"]
        height, width = int(sensor["height"]), int(sensor["width"])
        layouts = {str(kind): str(written["layout"]) for kind, written in about["frames"].items()}
        said = tuple(str(sentence) for sentence in assumptions)
        if not (1 <= height <= 65536 and 1 <= width <= 65536 and set(layouts.values()) <= set(get_args(Layout))):
            raise ValueError(f"a sensor of {width} x {height}, pictures {layouts}")
        return About(height, width, int(about["origin_ns"]), str(about["source"]), said, layouts)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{where}: no sound metadata ({error}); convert the recording again") from error


def _pngs(members: Members, listing: str, options: ReadOptions) -> FrameSet:
    """The pictures of one list, with their exposures."""
    suffix = listing.removeprefix("images").removesuffix(".txt")
    frames = listed_frames(f"{members.name}/{listing}", members, listing, options)._replace(name=suffix[1:] or "frames")
    exposures_name = f"exposures{suffix}.txt"
    if exposures_name not in members.names:
        return frames
    exposures = {}
    with as_text(members.open(exposures_name)) as lines:
        for number, line in data_lines(lines):
            try:
                time, begin, end = (round(Decimal(word) * 10**9) for word in line.split())
            except (ValueError, ArithmeticError) as error:
                where = f"{members.name}/{exposures_name}: line {number}"
                raise InputError(f"{where}: expected 't begin end', found {line[:60]!r}; repair the line") from error
            exposures[time] = begin, end

    def read(window: Window) -> Iterator[Frame]:
        for frame in frames.read(window):
            yield frame._replace(exposure=exposures.get(frame.time))

    return frames._replace(read=read)


def _h5_frames(path: Path, name: str) -> list[FrameSet]:
    """The groups of `frames.h5`, each with `images` and `times`."""
    with opened(path, name) as file:
        return [_h5_kind(path, name, kind, file) for kind in map(str, file)]


def _h5_kind(path: Path, name: str, kind: str, file: h5py.File) -> FrameSet:
    images, times = numbers_at(file, name, f"{kind}/images"), numbers_at(file, name, f"{kind}/times")
    count, shape = len(times), images.shape
    if len(images) != count or not count or len(shape) not in (3, 4) or times.dtype != np.int64:
        raise InputError(f"{name}: {kind} has {len(images)} images and {count} times; convert the recording again")
    nanoseconds = read_rows(f"{name}: {kind}/times", times, 0, count)
    order = np.argsort(nanoseconds, kind="stable")
    exposures = None
    if member(file, name, f"{kind}/exposures") is not None:
        stored = numbers_at(file, name, f"{kind}/exposures")
        if stored.shape != (count, 2) or stored.dtype != np.int64:
            raise InputError(f"{name}: {kind}/exposures has shape {stored.shape}; convert the recording again")
        exposures = read_rows(f"{name}: {kind}/exposures", stored, 0, count).tolist()

    def read(window: Window) -> Iterator[Frame]:
        with opened(path, name) as file:
            pictures = numbers_at(file, name, f"{kind}/images")
            for index in order.tolist():
                time, where = int(nanoseconds[index]), f"{name}: {kind}/images[{index}]"
                if window.first <= time <= window.last:
                    image = read_rows(where, pictures, index, index + 1)[0]
                    yield Frame(time, image, None if exposures is None else tuple(exposures[index]), where)

    layout = "rgb" if len(shape) == 4 else "gray"
    return FrameSet(kind, int(nanoseconds[order[0]]), read, layout, shape[1], shape[2])
