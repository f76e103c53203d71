"""What `evinr fit` is given: a recording through the door, or a simulated scene; and what is said of it."""

from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape

import converters
from converters import Frames
from evinr import demo
from evinr.cli.commands import Fit
from evinr.events import Events, InputError
from evinr.reconstruction import Span
from evinr.simulate import Scene, Sensor


class Source(NamedTuple):
    """What is fitted, and what is known of it."""

    events: Events
    asked: Span | None
    """The seconds that were asked for, if any were."""
    frames: Frames | None
    truth: Scene | None
    about: dict[str, Any]
    """For `config.json`: source, sha256, format, assumptions, version."""


def read(command: Fit, console: Console) -> Source:
    """The recording that the command names; `demo` is the simulation, a recording of that name `./demo`."""
    if command.source == "demo":
        return _simulated(command)
    with console.status(escape(f"reading {command.source}")):
        stream = converters.open_stream(command.source, command.read)
        name = converters.recording_name(command.source)
        events, frames, format, assumptions, origin = converters.in_memory(stream, name, command.read)
        sha256 = converters.fingerprint(stream)
    start, end = command.read.t_start, command.read.t_end
    asked = None
    if start is not None or end is not None:
        asked = Span(float(events.t[0]) if start is None else start, float(events.t[-1]) if end is None else end)
    about = {"source": command.source, "sha256": sha256, "format": format}
    about |= {"origin_ns": origin, "assumptions": list(assumptions)}
    return Source(events, asked, frames, None, about | {"version": version("evinr")})


def _simulated(command: Fit) -> Source:
    height, width = command.read.size[:2] if command.read.size else (180, 240)
    duration, sensor = 0.5 if command.read.t_end is None else command.read.t_end, Sensor()
    if min(height, width) < 16 or not 0.05 <= duration <= 10 or command.read.t_start is not None:
        raise InputError(
            "demo: is simulated from 0 to --t-end, 0.05 to 10 s, on --height and --width of 16 or more; pass such"
        )
    events, truth = demo.recording(height, width, duration, sensor, command.fit.seed)
    assumption = (
        f"simulated: {duration:g} s of a moving scene, {width} x {height}, contrast threshold "
        f"{sensor.contrast_threshold:g} +- {sensor.mismatch:g}, leak {sensor.leak_rate:g} and shot noise "
        f"{sensor.shot_noise_rate:g} events a second and pixel"
    )
    about = {"source": "demo", "sha256": None, "format": "simulation", "assumptions": [assumption]}
    return Source(events, None, None, truth, about | {"version": version("evinr")})


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
