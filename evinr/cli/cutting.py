"""How a recording that was read is cut into the windows of a network, and whether the network can take it."""

from baselines.method import Method
from baselines.windows import Windows, between_frames, of_count, of_seconds
from evinr.cli import source
from evinr.cli.network_commands import Cutting
from evinr.cli.source import Source
from evinr.events import InputError

MOST = 1_000_000
"""Windows: eleven hours of 25 a second."""


def cut(given: Source, cutting: Cutting, name: str) -> tuple[Windows, Cutting, list[str]]:
    """The windows, how they were cut, and what was assumed. Raises InputError where there are none, or far too many."""
    events, truth, size = given.events, source.times(given), ""
    how, said = kind_of(cutting, truth is not None), list[str]()
    match how.windows:
        case "k-events":
            windows, size = of_count(events.t, how.window_events or 0), f"{how.window_events:,} events"
        case "t-seconds":
            seconds = how.window_seconds or 0.0
            if (events.t[-1] - events.t[0]) / seconds > MOST:
                raise InputError(f"{name}: more than {MOST:,} windows of {seconds:g} s; pass a larger --window-seconds")
            windows, size = of_seconds(events.t, seconds), f"{seconds:g} s"
        case _:
            if truth is None:
                raise InputError(f"{name}: has no camera frames; pass --windows k-events or t-seconds")
            windows = between_frames(events.t, truth)
            said.append(
                f"{len(truth)} windows, each from one frame to the next; the first is empty, so the first picture shows nothing"
            )
    if not windows.times.size:
        raise InputError(f"{name}: {events.count} events fill no window of {size}; pass smaller ones")
    if size:
        said.append(
            f"{len(windows.times)} windows of {size}" + ("" if truth is not None else ", as it has no camera frames")
        )
        if windows.end[-1] < events.count:
            said.append(f"the last {events.count - windows.end[-1]:,} events fill no window and are left out")
    if empty := int((windows.end[1:] == windows.first[1:]).sum()):
        said.append(f"{empty} of the windows after the first have no events")
    return windows, how, said


def kind_of(cutting: Cutting, frames: bool) -> Cutting:
    """The same, with nothing that is used unset."""
    if cutting.windows == "k-events" or cutting.window_events is not None:
        return Cutting("k-events", window_events=cutting.window_events or 10_000)
    if cutting.windows == "t-seconds" or cutting.window_seconds is not None or not (frames or cutting.windows):
        return Cutting("t-seconds", window_seconds=cutting.window_seconds or 0.04)
    return Cutting("between-frames")


def require_fit(method: Method, given: Source, colour: bool, name: str) -> None:
    """Raises InputError where the network cannot take such a sensor."""
    height, width = given.events.height, given.events.width
    if min(height, width) // (1 + colour) < method.smallest:
        least = method.smallest * (1 + colour)
        raise InputError(f"{name}: {width} x {height} pixels; {method.title} takes {least} x {least} or more")
    if colour and (height % 2 or width % 2):
        raise InputError(f"{name}: {width} x {height}: a mosaic has even sides; leave out --bayer")
    if colour and method.finish == "exprobust":
        raise InputError(f"--bayer: {method.title} gives log intensity, from which colour is not merged; leave it out")
