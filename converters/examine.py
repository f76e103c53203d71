"""Everything that can be seen of a recording before it is used: its events once, its frames once, their clocks."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from converters import frame_offset
from converters.checks import Passage
from converters.frame_health import FrameHealth, look_at_frames
from converters.frame_offset import REACH, Offset
from converters.frames import checked_frames
from converters.health import MOST_PIXELS, Health, events_until, hot_pixels, look, on_sensor
from converters.options import ReadOptions
from converters.stream import FrameSet, SensorSize, Stream
from evinr.events import InputError

Advance = Callable[[str, float], None]
"""Is told what is read, `events` or `frames`, and what part of it has been, 0 to 1."""


class Pixels(NamedTuple):
    """What each pixel did."""

    counts: Int64[np.ndarray, "2 h w"]
    """Falling, rising."""
    hot: Int64[np.ndarray, " k"]
    """Flat indices of hot pixels, the busiest first."""


class FrameReport(NamedTuple):
    """The frames of a recording and their clock."""

    health: FrameHealth | None
    failure: str | None
    """Why they cannot be read."""
    offset: Offset
    others: tuple[str, ...]
    """Names of other kinds of pictures, not looked at."""


class Examination(NamedTuple):
    """What was seen of a recording."""

    name: str
    format: str
    size: SensorSize
    origin: int
    """The file's time of t = 0, nanoseconds."""
    zero: int
    """What the writer of the file says to have subtracted from its times, nanoseconds."""
    assumptions: tuple[str, ...]
    health: Health
    pixels: Pixels | None
    """None on a sensor that is too large to be one."""
    frames: FrameReport | None


def examine(stream: Stream, options: ReadOptions, name: str, advance: Advance) -> Examination:
    """Read a recording, keeping nothing of it. Steps back in time are counted, whatever `options.sort` says.

    Raises InputError where the events cannot be used at all; frames that cannot be read are reported.
    """
    asked, options = options, replace(options, sort=True)
    passage = Passage(stream, options, name)

    def blocks():
        for block in passage.blocks():
            yield block
            advance("events", block.done)

    try:
        health = look(blocks(), options.size or stream.size)
    except InputError:
        # Whoever sorts says that the first column is time; without that the answer may be a better one.
        for _ in Passage(stream, asked, name).blocks():
            pass
        raise
    size, assumptions = passage.conclusion()
    pixels = None
    if health.pixels is not None and size.height * size.width <= MOST_PIXELS:
        counts = on_sensor(health.pixels, size.height, size.width)
        pixels = Pixels(counts, hot_pixels(counts.sum(0)))
    frames = _frames(stream, options, name, passage.origin, health, size, advance) if stream.frames else None
    # Nothing was sorted: steps back are told apart.
    assumptions = tuple(said for said in assumptions if not said.startswith("events were sorted by time"))
    return Examination(
        name,
        stream.format,
        size,
        passage.origin,
        stream.zero,
        assumptions,
        health._replace(pixels=None),
        pixels,
        frames,
    )


def _frames(
    stream: Stream,
    options: ReadOptions,
    name: str,
    origin: int,
    health: Health,
    size: SensorSize,
    advance: Advance,
) -> FrameReport:
    kind, others = stream.frames[0], tuple(other.name for other in stream.frames[1:])
    middle = origin + round((health.start + health.end) / 2 * 1e9)

    def frames():
        for frame in checked_frames(kind, options, origin, name):
            yield frame
            advance("frames", ((frame.time - origin) / 1e9 - health.start) / (health.seconds or 1.0))

    try:
        seen = look_at_frames(kind.name, kind.layout, frames(), middle)
    except InputError as error:
        return FrameReport(None, str(error), Offset(reason="they cannot be read"), others)
    if seen is None:
        return FrameReport(None, None, Offset(reason="there are none in the span"), others)
    return FrameReport(seen, None, _offset(stream, kind, options, name, origin, health, seen, size), others)


def _offset(
    stream: Stream,
    kind: FrameSet,
    options: ReadOptions,
    name: str,
    origin: int,
    health: Health,
    seen: FrameHealth,
    size: SensorSize,
) -> Offset:
    """The offset of the frames, from a second look at those frames and events where events are many."""
    if seen.shape[:2] != (size.height, size.width):
        return Offset(reason="frames and events have different sensors")
    times = np.unique(seen.times)
    seconds = (times - origin) / 1e9
    times = times[(seconds >= health.start) & (seconds <= health.end)]
    chosen = frame_offset.busiest(times, events_until(health, (times - origin) / 1e9).sum(0))
    if chosen is None:
        return Offset(
            reason=f"fewer than {frame_offset.FEWEST + 1} frames within {frame_offset.LONGEST // 10**9} s lie among the events"
        )
    reach = (REACH + 2) / 1e3
    around = replace(
        options, t_start=(int(chosen[0]) - origin) / 1e9 - reach, t_end=(int(chosen[-1]) - origin) / 1e9 + reach
    )
    return frame_offset.measure(
        Passage(stream, around, name).blocks(),
        checked_frames(kind, around, origin, name),
        chosen,
        origin,
        size.height,
        size.width,
    )
