"""A recording with blurred frames: its events in memory, its pictures one at a time."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int, UInt8
from rich.console import Console
from rich.markup import escape

import converters
from baselines.windows import Windows
from converters import ReadOptions, Stream
from converters.checks import Passage, collect
from converters.frames import checked_frames
from converters.highrev import NO_BLUR
from converters.stream import FrameSet, Layout
from evinr import bayer
from evinr.cli.exposures import Chosen, Looked, choose, look
from evinr.events import Events, InputError

HIGHREV = "HighREV folder"
"""The format (`Stream.format`) whose exposures were told by their events, and end with one."""
REBLUR, KEPT = ("EFNet h5", "TimoStoff h5", 262, 320), 260
"""Formats, rows and columns of REBlur, whose frames tell their exposure, and the rows of its pictures that EFNet keeps, with
the events of all rows (scripts/data_preparation/make_voxels_real.py)."""


class Shots(NamedTuple):
    """Some frames of a recording, read whenever they are wanted, one at a time in memory."""

    kind: FrameSet
    options: ReadOptions
    origin: int
    """The file's time of t = 0, nanoseconds."""
    name: str
    """The recording, for messages."""
    places: Int[np.ndarray, " m"]
    """Which of the frames in the wanted span, never falling."""
    rows: int
    """How many of each picture are kept, from the top."""

    def only(self, which: Int[np.ndarray, " k"]) -> "Shots":
        """Some of these."""
        return self._replace(places=self.places[which])


class Blurred(NamedTuple):
    """What is made sharp, and what is known of it."""

    events: Events
    """Of all the sensor's rows."""
    frames: Shots
    windows: Windows
    """The events of each frame, and its time."""
    spans: Float64[np.ndarray, "m 2"]
    """From when to when these are, seconds."""
    how: dict[str, Any]
    """The same in words, for `config.json`."""
    sharp: Shots | None
    """What some of the frames would be without blur, where the recording has that."""
    scored: Int[np.ndarray, " k"]
    """Which frames these are of."""
    about: dict[str, Any]
    """As `evinr.cli.source.Source` has it."""


def read(source: str, options: ReadOptions, exposure: float | None, console: Console) -> Blurred:
    """The recording of that name; `exposure` in seconds, where the user told it.

    Raises InputError where it has no frames of 8 bits and of the sensor's size, and as `exposures.choose` does.
    """
    if source == "demo":
        raise InputError("demo: has no camera frames; `evinr simulate pan FOLDER` makes a recording with blurred ones")
    with console.status(escape(f"reading {source}")):
        stream, name = converters.open_stream(source, options), converters.recording_name(source)
        kind = next((kind for kind in stream.frames if kind.name == "frames"), None)
        if NO_BLUR in stream.notes:
            raise InputError(f"{name}: {NO_BLUR}; give a sequence with pictures in blur/")
        if kind is None:
            why = f" ({'; '.join(stream.notes)})" if stream.notes else ""
            raise InputError(
                f"{name}: has no camera frames to make sharp{why}; give a recording with frames and events"
            )
        events, assumptions, origin = collect(Passage(stream, options, name))
        looked = look(kind, options, origin, name)
        _require_alike(looked, events, name)
        # Where there are sharp pictures but no exposures, frames are means of the sharp ones around them.
        simulated, closed = any(kind.name == "sharp" for kind in stream.frames), stream.format == HIGHREV
        chosen = choose(looked, events, name, exposure=exposure, simulated=simulated, closed=closed)
        rows, said = events.height, [*assumptions, *chosen.said]
        if (
            stream.format in REBLUR[:2]
            and (looked.height, looked.width) == REBLUR[2:]
            and np.isfinite(looked.exposures).any()
        ):
            rows = KEPT
            said.append(f"only the upper {KEPT} rows of its pictures were taken, as EFNet does on REBlur")
        if kind.layout not in ("gray", "rgb"):
            said.append(f"its frames are {kind.layout} mosaics, of which colours were made")
        frames = Shots(kind, options, origin, name, chosen.places, rows)
        sharp, scored, more = _truth(stream, frames, chosen, looked)
        sha256 = converters.fingerprint(stream)
    about = {"source": source, "sha256": sha256, "format": stream.format, "origin_ns": origin + stream.zero}
    about |= {"assumptions": [*dict.fromkeys([*said, *more])], "version": version("evinr")}
    how: dict[str, Any] = {"windows": chosen.how} | ({} if exposure is None else {"exposure": exposure})
    return Blurred(events, frames, chosen.windows, chosen.spans, how, sharp, scored, about)


def pictures(shots: Shots) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The frames as RGB, of gray ones three times the same."""
    frames = enumerate(checked_frames(shots.kind, shots.options, shots.origin, shots.name))
    number, image = -1, np.zeros((0, 0), np.uint8)
    for place in shots.places.tolist():
        while number < place:
            number, frame = next(frames)
            image = frame.image
        yield _rgb(image, shots.kind.layout)[: shots.rows]


def _rgb(image: UInt8[np.ndarray, "h w *c"], layout: Layout) -> UInt8[np.ndarray, "h w 3"]:
    if image.ndim == 3:
        return image
    if layout in ("gray", "rgb"):
        return image[..., None].repeat(3, axis=2)
    return np.rint(bayer.demosaic(image[None].astype(np.float64), layout)[0]).astype(np.uint8)


def _require_alike(looked: Looked, events: Events, name: str) -> None:
    """Raises InputError unless the frames are of 8 bits, and of the pixels that fire the events."""
    if looked.dtype != "uint8":
        raise InputError(f"{name}: its frames are {looked.dtype}, not of 8 bits; tone-map them first")
    if (looked.height, looked.width) != (events.height, events.width):
        raise InputError(
            f"{name}: its frames are {looked.width} x {looked.height}, its sensor {events.width} x {events.height}; both must "
            "be of the same pixels: warp or resize the frames"
        )


def _truth(
    stream: Stream, frames: Shots, chosen: Chosen, looked: Looked
) -> tuple[Shots | None, Int[np.ndarray, " k"], list[str]]:
    """The sharp picture nearest to each frame and inside its window, which of the frames have one, and what is said."""
    kind, nothing = next((kind for kind in stream.frames if kind.name == "sharp"), None), np.zeros(0, int)
    if kind is None:
        return None, nothing, []
    sharp = look(kind, frames.options, frames.origin, frames.name)
    if (sharp.height, sharp.width, sharp.dtype) != (looked.height, looked.width, looked.dtype):
        return None, nothing, ["its sharp pictures are of another size or type than the frames, so nothing was scored"]
    times, reach = chosen.windows.times, (chosen.spans[:, 1] - chosen.spans[:, 0]) / 2
    nearest = np.searchsorted((sharp.times[1:] + sharp.times[:-1]) / 2, times)
    scored = np.flatnonzero(np.abs(sharp.times[nearest] - times) <= reach)
    if not scored.size:
        return None, nothing, ["none of its sharp pictures lies in the window of a frame, so nothing was scored"]
    return frames._replace(kind=kind, places=nearest[scored]), scored, []
