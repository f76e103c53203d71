"""Camera frames of more than 8 bits as linear light: read a second time, where a protocol asks for light."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Shaped

from converters import ReadOptions
from converters.frames import checked_frames
from converters.stream import WHOLE, FrameSet, Layout
from evinr import bayer
from evinr.events import InputError
from evinr.prediction import LUMA


class Light(NamedTuple):
    """Frames in time order: seconds on the clock of the events, and linear gray, 16 bits as parts of 65535."""

    times: Float64[np.ndarray, " n"]
    images: Float32[np.ndarray, "n h w"]


def is_high_range(frames: FrameSet) -> bool:
    """Whether frames have more than 8 bits."""
    return next(frames.read(WHOLE)).image.dtype != np.uint8


def read(frames: FrameSet, options: ReadOptions, origin: int, name: str) -> Light | None:
    """The frames inside the wanted span, all in memory; None where there are none. `origin` is the time 0 in nanoseconds,
    `name` the recording, for messages.

    Raises InputError where a frame has a number that is not finite.
    """
    times, images = [], []
    for number, frame in enumerate(checked_frames(frames, options, origin, name)):
        light = _gray(frame.image, frames.layout)
        if not np.isfinite(light).all():
            where = frame.place or f"{name}: {frames.name.removesuffix('s')} {number}"
            raise InputError(f"{where}: has numbers that are not finite; mend it, or pass --skip-frames")
        times.append((frame.time - origin) / 1e9)
        images.append(light)
    if not times:
        return None
    order = np.argsort(times, kind="stable")
    return Light(np.array(times)[order], np.stack([images[place] for place in order]))


def _gray(picture: Shaped[np.ndarray, "h w *c"], layout: Layout) -> Float32[np.ndarray, "h w"]:
    light = picture.astype(np.float32) / (1 if picture.dtype.kind == "f" else np.iinfo(picture.dtype).max)
    if layout not in ("gray", "rgb"):
        light = bayer.demosaic(light[None], layout)[0]
    return light if light.ndim == 2 else (light @ LUMA).astype(np.float32)
