"""Footage as a scene: a video file or a folder of pictures, whose light is interpolated between the pictures."""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Shaped

from converters.files import folder_members
from converters.frames import checked_frames, listed_frames
from converters.options import AS_STORED, ReadOptions
from converters.pictures import read_picture
from converters.stream import Frame, FrameSet, Window
from evinr.events import InputError
from evinr.simulator.scenes.world import World

DARK = 1e-3
"""Light that is always there, white being 1: black has no logarithm (ESIM's code adds as much)."""
LONGEST_STEP = 4e-3
"""Seconds between two samples, at most: photoreceptors and leaks do not move in lines."""
REC709 = np.array([0.2126, 0.7152, 0.0722])
"""Gray of linear colour."""
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")


class Footage(NamedTuple):
    """A scene that somebody filmed, from 0 s on."""

    world: World
    height: int
    width: int
    seconds: float
    count: int  # pyright: ignore[reportIncompatibleMethodOverride]
    """Of pictures."""
    files: tuple[Path, ...]
    format: str
    assumptions: tuple[str, ...]


def open_footage(
    path: Path, fps: float | None = None, gamma: float | None = None, size: tuple[int, int] | None = None
) -> Footage:
    """Footage at `fps` pictures a second (None: as the file says), scaled to `size` (height, width) if that is given.

    Pictures are sRGB, or of that `gamma`; 1 for linear ones. All are looked at once here. Raises InputError for fewer
    than two, for those of several sizes, and for what cannot be read.
    """
    said = []
    if path.is_dir():
        frames, files = _folder(path, fps), _files(path)
        kind = "folder of pictures"
        if fps is not None and (path / "images.txt").is_file():
            said.append(f"the times of images.txt were not used, but {fps:g} pictures a second, as was asked")
    else:
        frames, files, kind = _video(path, fps), (path,), "video"
    name = path.name
    times, shape, dtype = [], (0, 0), np.dtype(np.uint8)
    for frame in frames():
        times.append(frame.time)
        shape, dtype = frame.image.shape[:2], frame.image.dtype
    if len(times) < 2:
        raise InputError(f"{name}: {len(times) or 'no'} picture, and nothing moves in fewer than two; give more")
    if min(np.diff(times)) <= 0:
        first = int(np.argmin(np.diff(times))) + 1
        raise InputError(
            f"{name}: picture {first} is not later than the one before; mend its time, or pass --source-fps"
        )
    seconds = (np.array(times) - times[0]) / 1e9
    said += [
        f"{len(times)} pictures, {1 / np.median(np.diff(seconds)):.6g} a second"
        + (" as was asked" if fps is not None else f" as the {kind} says"),
        f"{dtype} taken for " + ("sRGB" if gamma is None else "linear" if gamma == 1 else f"of gamma {gamma:g}"),
        f"between two pictures the log intensity, log(I + {DARK:g}), goes in a line: what moves by more than a pixel "
        "from one to the next fades instead of moving",
    ]
    if size is not None and size != shape:
        said.append(f"scaled from {shape[1]} x {shape[0]}")
    height, width = size or shape
    picture = _reel(frames, lambda image: np.log(_linear(image, gamma, size) + DARK))
    return Footage(_world(seconds, picture), height, width, float(seconds[-1]), len(times), files, kind, tuple(said))


def _world(stamps: Float64[np.ndarray, " n"], picture: Callable[[int], Float[np.ndarray, "h w"]]) -> World:
    def light(t: float) -> Float[np.ndarray, "h w"]:
        before = int(np.clip(np.searchsorted(stamps, t, "right") - 1, 0, len(stamps) - 2))
        way = (t - stamps[before]) / (stamps[before + 1] - stamps[before])
        # In this order: pictures are read forwards.
        return (1 - way) * picture(before) + way * picture(before + 1)

    def times(start: float, end: float) -> Float64[np.ndarray, " n"]:
        knots = np.concatenate([[start], stamps[(stamps > start) & (stamps < end)], [end]])
        parts = [
            np.linspace(a, b, int(np.ceil((b - a) / LONGEST_STEP - 1e-9)), endpoint=False)
            for a, b in zip(knots[:-1], knots[1:], strict=True)
        ]
        return np.concatenate([*parts, [end]])

    return World(light, times)


def _reel(
    frames: Callable[[], Iterator[Frame]], developed: Callable[[np.ndarray], Float[np.ndarray, "h w"]]
) -> Callable[[int], Float[np.ndarray, "h w"]]:
    """Pictures by their number, a few in memory: wound on as far as is asked, and back to the start for earlier ones."""
    at, running = 0, frames()

    @lru_cache(maxsize=3)
    def picture(index: int) -> Float[np.ndarray, "h w"]:
        nonlocal at, running
        if index < at:
            at, running = 0, frames()
        for frame in running:
            at += 1
            if at > index:
                return developed(frame.image)
        raise InputError(f"picture {index} is gone: the footage was changed while it was read; start again")

    return picture


def _linear(
    image: Shaped[np.ndarray, "h w *c"], gamma: float | None, size: tuple[int, int] | None
) -> Float[np.ndarray, "H W"]:
    """Gray intensity from 0 to 1."""
    levels = np.arange(np.iinfo(image.dtype).max + 1) / np.iinfo(image.dtype).max
    if gamma is None:
        curve = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    else:
        curve = levels**gamma
    light = curve[image]
    gray = light @ REC709 if image.ndim == 3 else light
    if size is None or size == gray.shape:
        return gray
    import cv2

    return cv2.resize(gray, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def _video(path: Path, fps: float | None) -> Callable[[], Iterator[Frame]]:
    """What reads a video from its start. Raises InputError where it is none."""
    import imageio.v3 as iio

    def told(error: Exception) -> InputError:
        reason = (str(error).splitlines() or ["cut short"])[0][:120]
        return InputError(f"{path.name}: no readable video ({reason}); give another, or a folder of pictures")

    def frames() -> Iterator[Frame]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of forks: ffmpeg replaces the child at once
                with iio.imopen(path, "r", plugin="FFMPEG") as video:  # pyright: ignore[reportCallIssue, reportArgumentType]
                    rate = fps or float(video.metadata().get("fps") or 0)
                    if not 0 < rate < np.inf:
                        raise InputError(f"{path.name}: does not say how many pictures a second; pass --source-fps")
                    for number, image in enumerate(video.iter()):
                        yield Frame(round(number * 1e9 / rate), image)
        except (OSError, ValueError, RuntimeError, IndexError, KeyError) as error:
            if isinstance(error, InputError):
                raise
            raise told(error) from error

    return frames


def _folder(path: Path, fps: float | None) -> Callable[[], Iterator[Frame]]:
    """What reads the pictures of a folder: those of images.txt at its times, or all at `fps`."""
    if (path / "images.txt").is_file():
        members = folder_members(path, path.name)
        listed = listed_frames(f"{path.name}/images.txt", members, "images.txt", AS_STORED)
        stamped = fps is None
    else:
        files = _files(path)
        if not files:
            raise InputError(
                f"{path.name}: a folder without pictures ({', '.join(PICTURES)}) or images.txt; give another"
            )
        if fps is None:
            raise InputError(f"{path.name}: has no images.txt with the times of its pictures; pass --source-fps")

        def read(window: Window) -> Iterator[Frame]:
            for file in files:
                with file.open("rb") as stream:
                    yield Frame(0, read_picture(stream, f"{path.name}/{file.name}"), place=f"{path.name}/{file.name}")

        listed, stamped = FrameSet("frames", 0, read), False

    def frames() -> Iterator[Frame]:
        before = None
        for number, frame in enumerate(checked_frames(listed, ReadOptions(sort=True), 0, path.name)):
            if before is not None and frame.time < before:
                raise InputError(f"{frame.place}: time goes back; sort the lines of images.txt")
            before = frame.time
            yield frame if stamped else frame._replace(time=round(number * 1e9 / (fps or 1)))

    return frames


def _files(path: Path) -> tuple[Path, ...]:
    """The pictures of a folder, picture 10 after picture 9."""

    def parts(name: str) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"[0-9]+|[^0-9]+", name)]

    names = sorted((name for name in os.listdir(path) if name.lower().endswith(PICTURES)), key=parts)
    return tuple(path / name for name in names)
