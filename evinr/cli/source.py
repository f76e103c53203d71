"""What commands are given: a recording through the door, or a simulated scene; and what is said of it."""

import hashlib
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8
from rich.console import Console
from rich.markup import escape

import converters
from converters import Frames, ReadOptions
from converters.pictures import to_gray
from converters.stream import Layout
from evinr import bayer
from evinr.cli import linear_frames
from evinr.cli.linear_frames import Light
from evinr.events import Events, InputError
from evinr.files import resolved
from evinr.prediction import LUMA, Truth
from evinr.reconstruction import Span
from evinr.report import bytes_of
from evinr.simulator import demo
from evinr.simulator.simulate import Scene, Sensor


class Source(NamedTuple):
    """What is fitted, and what is known of it."""

    events: Events
    asked: Span | None
    """The seconds that were asked for, if any were."""
    frames: Frames | None
    truth: Scene | None
    start: float
    """First event or frame of all the recording, whatever part of it was read."""
    cut_short: bool
    """Whether frames after the last one read may exist."""
    hdr: bool
    """Whether its frames have more than 8 bits, and were tone-mapped to be looked at."""
    about: dict[str, Any]
    """For `config.json`: source, sha256, format, assumptions, version."""
    light: Callable[[], Light | None] | None = None
    """Reads its frames of more than 8 bits as they are, where it has such: those named `hdr`, else its first ones."""


def read(source: str, options: ReadOptions, seed: int, console: Console) -> Source:
    """The recording of that name; `demo` is the simulation of that seed, a recording of that name `./demo`.

    Its frames are the sharp ones where a recording has blurred ones too.
    """
    if source == "demo":
        return _simulated(options, seed)
    with console.status(escape(f"reading {source}")):
        stream = converters.open_stream(source, options)
        name = converters.recording_name(source)
        deep = [*(kind for kind in stream.frames if kind.name == "hdr"), *stream.frames[:1]][:1]
        sharp = tuple(kind for kind in stream.frames if kind.name == "sharp")
        if sharp:
            stream = stream._replace(frames=sharp)
        events, frames, format, assumptions, origin = converters.in_memory(stream, name, options)
        if sharp and frames is not None:
            others = ", for linear light those called hdr" if deep[0].name == "hdr" else ""
            assumptions += (f"of its pictures the sharp ones are taken{others}",)
        first = [float(events.t[0])] + ([] if frames is None else [float(frames.times[0])])
        begin = min(first) if options.t_start is None else converters.beginning(stream, name, options)
        hdr, light = False, None
        if frames is not None:
            if linear_frames.is_high_range(deep[0]):
                light = partial(linear_frames.read, deep[0], options, origin - stream.zero, name)
            kind = stream.frames[0]
            hdr = linear_frames.is_high_range(kind)
            if kind.layout not in ("gray", "rgb"):
                assumptions += (f"its frames are {kind.layout} mosaics, taken as the gray of their colours",)
            frames = as_gray(frames, kind.layout)
        sha256 = converters.fingerprint(stream)
    start, end = options.t_start, options.t_end
    asked = None
    if start is not None or end is not None:
        asked = Span(float(events.t[0]) if start is None else start, float(events.t[-1]) if end is None else end)
    about = {"source": source, "sha256": sha256, "format": format}
    about |= {"origin_ns": origin, "assumptions": list(assumptions)}
    about |= {"version": version("evinr")}
    return Source(events, asked, frames, None, begin, end is not None, hdr, about, light)


def as_gray(frames: Frames, layout: Layout) -> Frames:
    """Frames that may be mosaics as the gray of their colours."""
    if layout in ("gray", "rgb"):
        return frames
    colour = bayer.demosaic(frames.images.astype(np.float64), layout)
    return frames._replace(images=np.rint(colour @ LUMA).astype(np.uint8))


def name_of(source: str) -> str:
    """What a recording is called, without folders and ending."""
    path = resolved(Path(source))
    if path.stem == "events":  # IJRR's text is always called so; its folder has the name
        path = path.parent
    return (path.name if path.is_dir() else path.stem) or "run"


def truth(source: Source, light: bool = False) -> Truth | None:
    """The pictures to score against, linear light if `light`: the camera's, or 25 a second of the simulated scene; None where
    there are neither.

    Raises InputError for frames of more than 8 bits where pictures are asked for (tone-mapped one by one they are no truth),
    and for frames of 8 bits where light is.
    """
    if light and (source.light is not None or source.frames is not None):
        return _light(source)
    if source.hdr:
        raise InputError(
            f"{source.about['source']}: its frames are 16-bit or HDR, which this protocol does not compare; pass --protocol "
            "hdr, or --skip-frames to score by what needs no frames"
        )
    if source.frames is not None:
        return Truth(source.frames.times, source.frames.images, source.start, not source.cut_short)
    asked = times(source)
    if source.truth is None or asked is None:
        return None
    linear = np.stack([np.exp(source.truth(time)) for time in asked]).astype(np.float32) if light else None
    return Truth(asked, _seen(source.truth, asked), source.start, light=linear)


def _light(source: Source) -> Truth | None:
    if source.light is None:
        raise InputError(
            f"{source.about['source']}: its frames have 8 bits, and protocol hdr compares linear light; pass another "
            "--protocol, or --skip-frames to score by what needs no frames"
        )
    found = source.light()
    if found is None:
        return None
    looked = np.stack([to_gray(picture) for picture in found.images])
    return Truth(found.times, looked, source.start, not source.cut_short, found.images)


def times(source: Source) -> Float64[np.ndarray, " n"] | None:
    """When there are pictures to score against."""
    if source.frames is not None:
        return source.frames.times
    return None if source.truth is None else np.arange(source.events.t[0], source.events.t[-1], 0.04)


def near(source: Source, asked: Float64[np.ndarray, " k"]) -> UInt8[np.ndarray, "k h w"] | None:
    """The camera's pictures nearest to these times, or the simulated scene's of these times."""
    if source.frames is not None:
        return source.frames.images[np.abs(source.frames.times[:, None] - asked).argmin(0)]
    return None if source.truth is None else _seen(source.truth, asked)


def _seen(scene: Scene, asked: Float64[np.ndarray, " k"]) -> UInt8[np.ndarray, "k h w"]:
    return bytes_of(np.stack([np.exp(scene(time)) for time in asked]))


def _simulated(options: ReadOptions, seed: int) -> Source:
    height, width = options.size[:2] if options.size else (180, 240)
    duration, sensor = 0.5 if options.t_end is None else options.t_end, Sensor()
    if min(height, width) < 16 or not 0.05 <= duration <= 10 or options.t_start is not None:
        raise InputError(
            "demo: is simulated from 0 to --t-end, 0.05 to 10 s, on --height and --width of 16 or more; pass such"
        )
    events, truth = demo.recording(height, width, duration, sensor, seed)
    assumption = (
        f"simulated: {duration:g} s of a moving scene, {width} x {height}, contrast threshold "
        f"{sensor.contrast_threshold:g} +- {sensor.mismatch:g}, leak {sensor.leak_rate:g} and shot noise "
        f"{sensor.shot_noise_rate:g} events a second and pixel"
    )
    identity = hashlib.sha256(repr((height, width, duration, sensor, seed)).encode()).hexdigest()
    about = {"source": "demo", "sha256": identity, "format": "simulation", "assumptions": [assumption]}
    return Source(events, None, None, truth, 0.0, False, False, about | {"version": version("evinr")})


def tell(console: Console, source: Source, events: Events, span: Span, intervals: int) -> None:
    """Say what was read, what was assumed, and what will be fitted."""
    console.print(f"{source.about['source']}: {source.about['format']}")
    for assumption in source.about["assumptions"]:
        console.print(f"  {assumption}")
    seconds = span.end - span.start
    console.print(
        f"  {events.count} events from {span.start:.6f} to {span.end:.6f} s ({seconds:.4g} s), "
        f"{events.count / seconds:,.0f} a second, {float(np.mean(events.p > 0)):.0%} of them rising"
    )
    if source.frames is not None:
        console.print(f"  {len(source.frames.times)} camera frames, shown beside the result, not used")
    console.print(f"  fitted on {intervals} event images")
