"""A recording whose events pass by in blocks, so that it may have any length: a file, looked through once before; what
comes in live; or a simulated scene."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from rich.console import Console

import converters
from converters import Frames, ReadOptions, Stream
from converters.checks import Passage
from converters.frames import gather
from converters.live import Live, open_live
from evinr import report
from evinr.cli import source
from evinr.cli.commands import Fit
from evinr.events import Events
from evinr.reconstruction import Span
from evinr.simulator.simulate import Scene

NEAR = 0.05
"""Seconds around a time in which a camera frame is looked for."""


class Known(NamedTuple):
    """What is known of a recording before it is fitted, unless it comes in live."""

    events: int
    span: Span
    rising: int
    """Events of polarity +1."""


class Passing(NamedTuple):
    """A recording that passes by."""

    name: str
    """By which messages of its reader call it."""
    height: int
    width: int
    blocks: Callable[[], Iterator[Events]]
    """The events in time order, none of the blocks empty. Raises InputError."""
    known: Known | None
    """None of what comes in live."""
    about: dict[str, Any]
    """For `config.json`; of what comes in live, the assumptions are known at the end."""
    conclude: Callable[[], tuple[str, ...]]
    """What was assumed; to be asked at the end."""
    frames: Callable[[Float64[np.ndarray, " n"]], Frames | None]
    """The camera's frame nearest to each time, where there is one within NEAR."""
    live: Live | None = None
    demo: source.Source | None = None
    """The simulated recording, all of it, with its scene."""

    @property
    def truth(self) -> Scene | None:
        """The simulated scene."""
        return None if self.demo is None else self.demo.truth


def opened(command: Fit, console: Console) -> Passing:
    """The recording that the command names. A file is looked through once: what is wrong is known before anything is fitted.

    Raises:
        InputError: it is no sound recording.
    """
    if command.is_live:
        return _live(command)
    if command.source == "demo" or command.read.sort:  # events that are to be sorted must be in memory
        return held(source.read(command.source, command.read, command.fit.seed, console))
    return _file(command.source, command.read, console)


def held(given: source.Source) -> Passing:
    """A recording that is in memory."""
    events = given.events

    def frames(times: Float64[np.ndarray, " n"]) -> Frames | None:
        if given.frames is None:
            return None
        nearest = np.unique(np.abs(given.frames.times[:, None] - times).argmin(0))
        return Frames(given.frames.times[nearest], given.frames.images[nearest])

    known = Known(events.count, Span(float(events.t[0]), float(events.t[-1])), int((events.p > 0).sum()))
    said = tuple(given.about["assumptions"])
    name, blocks = str(given.about["source"]), lambda: iter([events])
    return Passing(name, events.height, events.width, blocks, known, given.about, lambda: said, frames, demo=given)


def _file(path: str, options: ReadOptions, console: Console) -> Passing:
    name = converters.recording_name(path)
    stream = converters.open_stream(path, options)
    passage = Passage(stream, options, name)
    count = rising = before = 0
    start = end = None
    with report.progress(console, "checking", 1000, report.PERCENT) as advance:
        for block in passage.blocks():
            start = float(block.t[0]) if start is None else start
            end, count, rising = float(block.t[-1]), count + len(block.t), rising + int((block.p > 0).sum())
            here = int(1000 * block.done)
            advance(here - before)
            before = here
    assert start is not None and end is not None  # a passage without events is refused
    size, said = passage.conclusion()
    sized = stream._replace(size=size)

    def blocks() -> Iterator[Events]:
        for t, x, y, p, _ in Passage(sized, options, name).blocks():
            yield Events(t, x, y, p, size.height, size.width)

    about = {"source": path, "sha256": converters.fingerprint(stream), "format": stream.format}
    about |= {"origin_ns": passage.origin + stream.zero, "assumptions": list(said), "version": version("evinr")}
    frames = partial(_frames_near, stream, options, passage.origin, name)
    known = Known(count, Span(start, end), rising)
    return Passing(name, size.height, size.width, blocks, known, about, lambda: said, frames)


def _frames_near(
    stream: Stream, options: ReadOptions, origin: int, name: str, times: Float64[np.ndarray, " n"]
) -> Frames | None:
    kinds = [*(kind for kind in stream.frames if kind.name == "sharp"), *stream.frames][:1]
    found: list[Frames] = []
    for kind in kinds:
        for time in times.tolist():
            around = replace(options, t_start=time - NEAR, t_end=time + NEAR)
            frames, _ = gather(kind, around, origin, name)
            if frames is not None:
                nearest = int(np.abs(frames.times - time).argmin())
                one = Frames(frames.times[nearest : nearest + 1], frames.images[nearest : nearest + 1])
                found.append(source.as_gray(one, kind.layout))
    if not found:
        return None
    every, first = np.unique(np.concatenate([frames.times for frames in found]), return_index=True)
    return Frames(every, np.concatenate([frames.images for frames in found])[first])


def _live(command: Fit) -> Passing:
    live = open_live(command.source, command.read, follow=command.follow, when_late=command.when_late)
    about = {"source": command.source, "sha256": None, "format": live.passage.stream.format, "assumptions": []}
    return Passing(
        live.source.name,
        live.size.height,
        live.size.width,
        live.blocks,
        None,
        about | {"version": version("evinr")},
        live.conclusion,
        lambda times: None,
        live,
    )
