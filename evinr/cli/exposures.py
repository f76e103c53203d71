"""Which camera frames can be made sharp, and the events of each.

As EFNet's preparation of data has it (https://github.com/AHupuJR/EFNet, scripts/data_preparation/base_dataset.py): a real
frame has the events of its exposure; a simulated one (GoPro) has those from halfway to the frame before it to halfway to the
next.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from baselines.windows import Windows
from converters.clock import LATEST
from converters.frames import checked_frames
from converters.options import ReadOptions
from converters.stream import FrameSet
from evinr.events import Events, InputError

COVERED = 0.95
"""Part of a window, at least, from which there are events: a recording's first one comes a little after its begin."""


class Looked(NamedTuple):
    """What the frames of a recording are, without their pictures."""

    times: Float64[np.ndarray, " n"]
    """Seconds, rising."""
    exposures: Float64[np.ndarray, "n 2"]
    """Begin and end of each in seconds; not a number where the recording does not tell."""
    height: int
    width: int
    dtype: str
    ends: bool = False
    """Whether the times are the ends of exposures, not their middles."""


class Chosen(NamedTuple):
    """The frames that can be made sharp."""

    places: Int[np.ndarray, " m"]
    """Which of the recording's they are."""
    spans: Float64[np.ndarray, "m 2"]
    """From when to when the events of each are taken, seconds."""
    windows: Windows
    """Which events these are."""
    how: str
    """`exposures` or `midpoints`."""
    said: tuple[str, ...]


def look(kind: FrameSet, options: ReadOptions, origin: int, name: str) -> Looked:
    """Look at all frames of the wanted span, one at a time in memory; `origin` in nanoseconds.

    Raises InputError where there are none, where one is not later than the one before it, and as `checked_frames` does.
    """
    times, exposures, height, width, dtype = list[float](), list[tuple[float, float]](), 0, 0, ""
    for number, frame in enumerate(checked_frames(kind, options, origin, name)):
        time = (frame.time - origin) / 1e9
        if times and time <= times[-1]:
            where = frame.place or f"{name}: frame {number}"
            raise InputError(
                f"{where}: not later than the one before it; `evinr convert --sort` puts frames in order, of two of one "
                "time delete one"
            )
        begin, end = frame.exposure or (0, 0)
        told = -LATEST < begin < end < LATEST
        times.append(time)
        exposures.append(((begin - origin) / 1e9, (end - origin) / 1e9) if told else (np.nan, np.nan))
        (height, width), dtype = frame.image.shape[:2], str(frame.image.dtype)
    if not times:
        raise InputError(f"{name}: no {kind.name} lie in the span; change --t-start and --t-end")
    return Looked(np.array(times), np.array(exposures), height, width, dtype, kind.ends)


def choose(
    looked: Looked, events: Events, name: str, *, exposure: float | None, simulated: bool, closed: bool
) -> Chosen:
    """The frames that have a window which the events cover, and their windows.

    Args:
        exposure: Seconds of each frame, which count whatever the recording says.
        simulated: Whether frames without exposures have windows from halfway to halfway.
        closed: Whether an event at the very end of an exposure belongs to it, as where that was told by the event.

    Raises:
        InputError: no exposures are known; frames and events do not overlap; no window is covered.
    """
    times, told = looked.times, np.isfinite(looked.exposures[:, 0])
    said = list[str]()
    if exposure is not None:
        begin = -1.0 if looked.ends else -0.5
        spans, how = times[:, None] + exposure * np.array([[begin, begin + 1]]), "exposures"
        where, other = "before" if looked.ends else "about", ", not as the recording says" if told.any() else ""
        said.append(f"frames were taken for exposed {exposure:g} s {where} their times, as told{other}")
    elif told.any():
        spans, how = looked.exposures, "exposures"
        if not told.all():
            said.append(f"{(~told).sum()} of {told.size} frames were left out, as no exposure of theirs is told")
    elif simulated:
        spans, how = np.full((times.size, 2), np.nan), "midpoints"
        halfway = (times[1:] + times[:-1]) / 2
        spans[1:-1] = np.stack([halfway[:-1], halfway[1:]], axis=1)
        if times.size < 3:
            raise InputError(
                f"{name}: {times.size} frames without exposures, of which the first and the last have no window; give more, "
                "or pass --exposure SECONDS"
            )
        said.append(
            "frames tell no exposure, so each has the events from halfway to the frame before it to halfway to the next "
            "(EFNet's GoPro); the first and the last were left out"
        )
    else:
        raise InputError(f"{name}: its frames do not tell how long they were exposed; pass --exposure SECONDS")
    places = np.flatnonzero(np.isfinite(spans[:, 0]))
    spans, first, last = spans[places], float(events.t[0]), float(events.t[-1])
    run = f"frames run from {spans[0, 0]:.6f} to {spans[-1, 1]:.6f} s, events from {first:.6f} to {last:.6f} s"
    inside = np.minimum(spans[:, 1], last) - np.maximum(spans[:, 0], first)
    if (inside < 0).all():
        raise InputError(f"{name}: frames and events do not overlap: {run}; see that they are of one clock")
    covered = inside >= COVERED * (spans[:, 1] - spans[:, 0])
    if not covered.any():
        raise InputError(
            f"{name}: no frame has events for all of its exposure: {run}; give a longer recording or span, or pass a shorter "
            "--exposure"
        )
    if out := int((~covered).sum()):
        said.append(f"{out} of {covered.size} frames were left out, as the events do not cover their exposure: {run}")
    places, spans = places[covered], spans[covered]
    start = np.searchsorted(events.t, spans[:, 0])
    end = np.searchsorted(events.t, spans[:, 1], "right" if closed else "left")
    if empty := int((start == end).sum()):
        said.append(f"{empty} of {start.size} frames have no events in their exposure")
    return Chosen(places, spans, Windows(start, end, times[places]), how, tuple(said))
