"""Camera frames of a recording: checked as they pass, listed by `images.txt`, gathered to be looked at."""

from collections.abc import Generator, Iterator
from contextlib import closing
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from converters.clock import LATEST
from converters.files import Members, as_text, climbs, data_lines
from converters.options import ReadOptions
from converters.pictures import read_picture, to_gray
from converters.stream import TICKS, Frame, FrameSet, Window
from evinr.events import InputError


class Frames(NamedTuple):
    """Camera frames to look at: times in seconds on the clock of the events, gray pictures."""

    times: Float64[np.ndarray, " m"]
    images: UInt8[np.ndarray, "m h w"]
    windows: Int64[np.ndarray, "m 2"] | None = None
    """The first event that the file itself gives to each and the one after the last, where it does: places in `Events`."""


class Gathered(NamedTuple):
    frames: Frames | None
    assumptions: tuple[str, ...]


def gather(frames: FrameSet, options: ReadOptions, origin: int, name: str) -> Gathered:
    """The frames inside the wanted span, in memory, as 8-bit gray; windows by numbers in the file.

    Raises InputError as `checked_frames` does.
    """
    times, images, windows, kinds = [], [], [], set()
    for frame in checked_frames(frames, options, origin, name):
        times.append((frame.time - origin) / 1e9)
        images.append(to_gray(frame.image))
        windows += [] if frame.window is None else [frame.window]
        kinds.add("colour" if frame.image.ndim == 3 else str(frame.image.dtype))
    assumptions = []
    if "colour" in kinds:
        assumptions.append("colour frames were converted to gray with the Rec. 601 weights")
    if kinds & {"uint16", "float32"}:
        assumptions.append("HDR frames are tone-mapped to be shown")
    if not times:
        return Gathered(None, (*assumptions, "no frames lie in the span"))
    order = np.argsort(times, kind="stable")
    if (order[1:] < order[:-1]).any():
        assumptions.append("frames were sorted by time")
    stored = np.array(windows)[order] if len(windows) == len(times) else None
    return Gathered(Frames(np.array(times)[order], np.stack(images)[order], stored), tuple(assumptions))


def checked_frames(frames: FrameSet, options: ReadOptions, origin: int, name: str) -> Iterator[Frame]:
    """The frames of the wanted span, one by one, in the file's order; `name` is the recording, for messages.

    Raises InputError at a frame whose time falls (without `options.sort`) or whose size is not the first one's.
    """
    window = options.window(origin)
    before, first = None, None
    for number, frame in enumerate(frames.read(window)):
        where = frame.place or f"{name}: {frames.name.removesuffix('s')} {number}"
        if not abs(frame.time) < LATEST:
            raise InputError(f"{where}: its time, {frame.time} ns, is out of range; mend it, or leave out the frames")
        if not window.first <= frame.time <= window.last:
            continue
        if before is not None and frame.time < before and not options.sort:
            raise InputError(f"{where}: time goes back by {(before - frame.time) / 1e9:g} s: pass --sort")
        first = first or _kind(frame)
        if _kind(frame) != first:
            raise InputError(f"{where}: {_kind(frame)}, the first one is {first}; delete the frames of one kind")
        before = frame.time
        yield frame


def _kind(frame: Frame) -> str:
    height, width = frame.image.shape[:2]
    return f"{width} x {height} {'gray' if frame.image.ndim == 2 else 'colour'} {frame.image.dtype}"


def listed_frames(name: str, members: Members, listing: str, options: ReadOptions) -> FrameSet:
    """The frames that a text with lines `t path` names, such as `images.txt`; `name` is that text, for messages.

    Raises InputError at a line that is malformed, whose picture is missing, outside the recording, or unreadable.
    """
    with as_text(members.open(listing)) as lines:
        listed = [_parse_line(f"{name}: line {number}", line, options) for number, line in data_lines(lines)]
    if not listed:
        raise InputError(f"{name}: lists no images; delete it if there are none")

    def read(window: Window) -> Generator[Frame]:
        with members.opened() as open_member:
            for time, path, where in listed:
                if window.first <= time <= window.last:
                    try:
                        with open_member(path) as stream:
                            picture = read_picture(stream, f"{where}: {path}")
                    except InputError as error:
                        message = str(error)
                        raise InputError(message if message.startswith(where) else f"{where}: {message}") from error
                    yield Frame(time, picture, place=where)

    with closing(read(Window(listed[0].time, listed[0].time))) as pictures:
        first = next(pictures)
    layout = "rgb" if first.image.ndim == 3 else "gray"
    return FrameSet("frames", listed[0].time, read, layout, first.image.shape[0], first.image.shape[1])


class _Listed(NamedTuple):
    time: int
    path: str
    where: str


def _parse_line(where: str, line: str, options: ReadOptions) -> _Listed:
    time, _, path = line.partition(" ")
    path = path.strip()
    try:
        # Decimal, as a double of Unix seconds knows no nanoseconds; the double bounds its exponent.
        ticks = TICKS[options.time_unit or "s"]
        if not abs(float(time)) * 1e9 / ticks < LATEST:
            raise ValueError
        nanoseconds = round(Decimal(time) * 10**9 / ticks)
    except (ValueError, InvalidOperation):
        nanoseconds = None
    if nanoseconds is None or not path:
        raise InputError(f"{where}: expected 't path', found {line[:60]!r}; repair or delete the line")
    if climbs(path):
        raise InputError(f"{where}: {path} leads outside the recording, which is never read; delete the line")
    return _Listed(nanoseconds, path, where)
