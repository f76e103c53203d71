"""Camera frames of a recording: `images.txt` with lines `t path`, and the pictures that it names."""

from collections.abc import Callable
from io import BufferedReader
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Shaped, UInt8

from converters.checks import ReadOptions, SensorSize
from converters.files import as_text, climbs, data_lines
from evinr.events import InputError

Open = Callable[[str], BufferedReader]
"""Opens one member of a recording by its path inside it; raises InputError where there is none."""


class Frames(NamedTuple):
    """Camera frames: times in seconds on the clock of the events, gray pictures."""

    times: Float64[np.ndarray, " m"]
    images: UInt8[np.ndarray, "m h w"]


class FrameFile(NamedTuple):
    """The frames inside the wanted span, if any; the size of the first picture, kept or not; what was assumed."""

    frames: Frames | None
    size: SensorSize
    assumptions: tuple[str, ...]


class Listed(NamedTuple):
    line: int
    seconds: float
    path: str


def read_frames(name: str, open_member: Open, options: ReadOptions) -> FrameFile:
    """The frames that `images.txt` lists; `name` is that file, for messages.

    Raises InputError at a line that is malformed, whose time falls (without `options.sort`), or whose picture is
    missing, outside the recording, unreadable or of another size than the first.
    """
    with as_text(open_member("images.txt")) as lines:
        listed = [parse_line(f"{name}: line {number}", number, line, options) for number, line in data_lines(lines)]
    if not listed:
        raise InputError(f"{name}: lists no images; delete it if there are none")
    assumptions = []
    for before, after in zip(listed, listed[1:], strict=False):
        if after.seconds < before.seconds:
            if not options.sort:
                raise InputError(
                    f"{name}: line {after.line}: time goes back by {before.seconds - after.seconds:g} s: pass --sort"
                )
            assumptions = ["frames were sorted by time"]
    listed.sort(key=lambda frame: frame.seconds)
    times = np.array([frame.seconds for frame in listed])
    kept = np.flatnonzero(options.keeps(times))
    if len(kept) < len(listed):
        assumptions.append(
            f"{len(kept)} of {len(listed)} frames lie between --t-start and --t-end, the others were left out"
        )
    first, in_colour = read_gray(name, open_member, listed[0])
    if in_colour:
        assumptions.append("colour frames were converted to gray with the Rec. 601 weights")
    size = SensorSize(first.shape[0], first.shape[1], "the camera frames")
    if not len(kept):
        return FrameFile(None, size, tuple(assumptions))
    images = np.empty((len(kept), *first.shape), np.uint8)
    for image, index in enumerate(kept):
        picture, _ = read_gray(name, open_member, listed[index])
        if picture.shape != first.shape:
            raise InputError(
                f"{name}: line {listed[index].line}: {listed[index].path} is {picture.shape[1]} x {picture.shape[0]}, "
                f"the first frame {size.width} x {size.height}; delete the frames of one size"
            )
        images[image] = picture
    return FrameFile(Frames(times[kept], images), size, tuple(assumptions))


def parse_line(where: str, number: int, line: str, options: ReadOptions) -> Listed:
    """One line `t path`; `where` names it in messages."""
    time, _, path = line.partition(" ")
    try:
        seconds = float(options.seconds(np.array([float(time)]))[0])
    except ValueError:
        seconds = np.nan
    if not np.isfinite(seconds) or not path:
        raise InputError(f"{where}: expected 't path', found {line[:60]!r}; repair or delete the line")
    if climbs(path.strip()):
        raise InputError(f"{where}: {path.strip()} leads outside the recording, which is never read; delete the line")
    return Listed(number, seconds, path.strip())


def read_gray(name: str, open_member: Open, frame: Listed) -> tuple[UInt8[np.ndarray, "h w"], bool]:
    """A picture as gray, and whether it was in colour."""
    import imageio.v3 as iio

    where = f"{name}: line {frame.line}: {frame.path}"
    try:
        with open_member(frame.path) as stream:
            picture = iio.imread(stream.read(), plugin="pillow")
    except InputError as error:
        raise InputError(f"{name}: line {frame.line}: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{where}: not a readable picture ({error}); restore it or delete the line") from error
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3):
        raise InputError(
            f"{where}: {picture.dtype} of shape {picture.shape}, expected 8 bits, gray or colour; convert it"
        )
    return to_gray(picture), picture.ndim == 3


def to_gray(picture: Shaped[np.ndarray, "h w *channels"]) -> UInt8[np.ndarray, "h w"]:
    """8-bit gray of a gray, gray-alpha, RGB or RGBA picture; luma of ITU-R Rec. 601, alpha ignored."""
    if picture.ndim == 2:
        return picture
    if picture.shape[2] < 3:
        return picture[..., 0]
    return np.rint(picture[..., :3] @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
