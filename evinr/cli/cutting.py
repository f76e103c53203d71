"""How a recording that was read is cut into the windows of a network, and whether the network can take it."""

from typing import Literal

from baselines.method import Method, signed
from baselines.windows import Windows, between_frames, of_count, of_seconds, stored
from evinr.cli import source
from evinr.cli.network_commands import Cutting
from evinr.cli.source import Source
from evinr.events import InputError

EVENTS, SECONDS = 10_000, 0.04
"""Of a window, where nothing else is asked for."""
MOST = 1_000_000
"""Windows: eleven hours of 25 a second."""


def cut(given: Source, cutting: Cutting, method: Method, name: str) -> tuple[Windows, Cutting, list[str]]:
    """The windows of a network, how they were cut, and what was assumed.

    Raises InputError where there are none, too few, or far too many.
    """
    events, truth, size, said = given.events, source.times(given), "", list[str]()
    spans = None if given.frames is None else given.frames.windows
    match _kind(cutting, truth is not None, spans is not None and method.windows == "stored"):
        case "k-events":
            count = cutting.window_events or EVENTS
            windows, how, size = of_count(events.t, count), Cutting("k-events", count), f"{count:,} events"
        case "t-seconds":
            seconds = cutting.window_seconds or SECONDS
            if (events.t[-1] - events.t[0]) / seconds > MOST:
                raise InputError(f"{name}: more than {MOST:,} windows of {seconds:g} s; pass a larger --window-seconds")
            windows, how = of_seconds(events.t, seconds), Cutting("t-seconds", window_seconds=seconds)
            size = f"{seconds:g} s"
        case "between-frames":
            if truth is None:
                raise InputError(f"{name}: has no camera frames; pass --windows k-events or t-seconds")
            from_start = method.windows == "stored"
            windows, how = between_frames(events.t, truth, from_start=from_start), Cutting("between-frames")
            first = "holds what is before the first" if from_start else "is empty, so the first picture shows nothing"
            said.append(f"{len(truth)} windows, each from one frame to the next; the first {first}")
        case "stored":
            if spans is None or truth is None:
                raise InputError(f"{name}: says of no frame which events are its own; leave out --windows stored")
            windows, how = stored(spans, truth), Cutting("stored")
            said.append(f"{len(truth)} windows, those that the recording gives to its frames")
    if not windows.times.size:
        raise InputError(f"{name}: {events.count} events fill no window of {size}; pass smaller ones")
    if (windows.end == windows.first).all():
        raise InputError(
            f"{name}: none of the {len(windows.times)} windows holds an event: frames go from {windows.times[0]:.6f} to "
            f"{windows.times[-1]:.6f} s, events from {events.t[0]:.6f} to {events.t[-1]:.6f} s; see that they are of one clock"
        )
    if len(windows.times) <= 2 * method.delay:
        raise InputError(
            f"{name}: {len(windows.times)} windows, and {method.title} takes {2 * method.delay + 1} for a picture; pass a "
            "longer span, or smaller windows"
        )
    if method.delay:
        said.append(f"{method.title} looks at windows on both sides, so {method.delay} at each end have no picture")
    if size:
        said.append(
            f"{len(windows.times)} windows of {size}" + ("" if truth is not None else ", as it has no camera frames")
        )
        if windows.end[-1] < events.count:
            said.append(f"the last {events.count - windows.end[-1]:,} events fill no window and are left out")
    if empty := int((windows.end[1:] == windows.first[1:]).sum()):
        said.append(f"{empty} of the windows after the first have no events")
    return windows, how, said


def _kind(cutting: Cutting, frames: bool, spans: bool) -> Literal["between-frames", "stored", "k-events", "t-seconds"]:
    if cutting.windows is not None:
        return cutting.windows
    if cutting.window_events is not None:
        return "k-events"
    if cutting.window_seconds is not None or not frames:
        return "t-seconds"
    return "stored" if spans else "between-frames"


def require_fit(method: Method, given: Source, colour: bool, name: str) -> None:
    """Raises InputError where the network cannot take such a sensor."""
    height, width = given.events.height, given.events.width
    if min(height, width) // (1 + colour) < method.smallest:
        least = method.smallest * (1 + colour)
        raise InputError(f"{name}: {width} x {height} pixels; {method.title} takes {least} x {least} or more")
    if colour and (height % 2 or width % 2):
        raise InputError(f"{name}: {width} x {height}: a mosaic has even sides; leave out --bayer")
    if colour and (method.finish in ("exprobust", "light") or method.represent is not signed):
        ways = {"exprobust": "gives log intensity", "light": "gives linear light"}
        gives = ways.get(method.finish, "has its own way to see events")
        raise InputError(f"--bayer: {method.title} {gives}, from which colour is not merged; leave it out")
