"""A recording in consecutive spans, events and camera frames, two spans at a time in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from math import inf
from typing import NamedTuple

import numpy as np

from converters import Frames, ReadOptions, Stream, beginning
from converters.checks import Block, Passage
from converters.frames import checked_frames
from converters.pictures import to_gray
from converters.stream import Frame, SensorSize
from evinr import bayer
from evinr.cuts import Cut
from evinr.events import Events, InputError
from evinr.knots import FEWEST
from evinr.prediction import LUMA


class Piece(NamedTuple):
    """A span of a recording."""

    events: Events
    frames: Frames | None
    """The camera's frames in it, in gray; None where there are none."""
    done: float
    """Part of the reading that is behind us, 0 to 1."""


class Walk(NamedTuple):
    """A recording that is read in spans."""

    start: float
    """First event or frame, in seconds of the recording's clock: cuts count from here."""
    pieces: Iterator[Piece]
    notes: list[str]
    """What was assumed; complete when the pieces have been read."""


def walk(
    stream: Stream, name: str, options: ReadOptions, cut: Cut | None, window: float, limit: float, last_frame: bool
) -> Walk:
    """Spans of `window` seconds over the cut, or over all where there is none, but at most over its first `limit` seconds.
    Without `last_frame` the recording's last one is left out of what is read to the end.

    A span goes on until it has as many events as a fit needs, the last one beyond them.

    Raises InputError, at the latest at the end, as `converters.read` does, and where nothing lies in the cut.
    """
    size = options.size or stream.size
    if size is None:
        raise InputError(f"{name}: does not tell its sensor; convert it first (evinr convert --height H --width W)")
    start = beginning(stream, name, options)
    begin = start + (cut.start if cut else 0)
    end = min(start + (cut.end if cut else inf), begin + limit)
    passage = Passage(stream, replace(options, t_start=begin, t_end=None if end == inf else end), name)
    notes: list[str] = []
    shots = _shots(passage, notes)  # begins when it is first asked: the passage knows its origin by then
    if end == inf and not last_frame:
        shots = (shot for shot, _ in pairwise(shots))
    return Walk(start, _pieces(passage, size, shots, begin, cut, window, notes), notes)


def _pieces(
    passage: Passage,
    size: SensorSize,
    shots: Iterator[tuple[float, np.ndarray]],
    begin: float,
    cut: Cut | None,
    window: float,
    notes: list[str],
) -> Iterator[Piece]:
    ahead, asked = None, False
    try:
        for edge, blocks in _spans(passage, begin, window):
            if not asked:
                ahead, asked = next(shots, None), True
            times, images = [], []
            while ahead is not None and ahead[0] < edge:
                times.append(ahead[0])
                images.append(ahead[1])
                ahead = next(shots, None)
            t, x, y, p = (np.concatenate(column) for column in zip(*(block[:4] for block in blocks), strict=True))
            frames = Frames(np.array(times), np.stack(images)) if times else None
            yield Piece(Events(t, x, y, p, size.height, size.width), frames, blocks[-1].done)
    except InputError as error:
        if passage.kept or cut is None:
            raise
        why = str(error).partition(": change --t-start")[0].removeprefix(f"{passage.name}: ")
        raise InputError(
            f"{passage.name}: nothing of its cut in {cut.dataset}, {cut.said} after its start, can be read ({why}); is it "
            "shortened? --whole scores without cuts"
        ) from error
    notes += passage.conclusion()[1]


def _spans(passage: Passage, begin: float, window: float) -> Iterator[tuple[float, list[Block]]]:
    """The events of each span, and the time at which it ends: infinity for the last."""
    before, held, border, count = list[Block](), list[Block](), begin, 1
    for block in passage.blocks():
        while block.t[-1] >= (edge := begin + count * window):
            split = int(np.searchsorted(block.t, edge, "left"))
            held.append(_part(block, 0, split))
            if _enough(held):
                if before:
                    yield border, before
                before, held, border = held, [], edge
            block = _part(block, split, len(block.t))
            count += 1
        held.append(block)
    if before and _enough(held):
        yield border, before
        before = []
    yield inf, before + held


def _part(block: Block, first: int, last: int) -> Block:
    return Block(block.t[first:last], block.x[first:last], block.y[first:last], block.p[first:last], block.done)


def _enough(blocks: list[Block]) -> bool:
    times = [block.t for block in blocks if len(block.t)]
    return sum(map(len, times)) >= FEWEST and times[0][0] < times[-1][-1]


def _shots(passage: Passage, notes: list[str]) -> Iterator[tuple[float, np.ndarray]]:
    """Time in seconds and gray picture of the frames in the span; of the sharp ones where there are blurred ones too."""
    kinds = [kind for kind in passage.stream.frames if kind.name == "sharp"] or passage.stream.frames[:1]
    for kind in kinds:
        # Times that fall are mended below, as EVREAL does; so they are not refused here.
        frames = checked_frames(kind, replace(passage.options, sort=True), passage.origin, passage.name)
        for frame in mended(frames, passage.name, notes):
            if kind.layout in ("gray", "rgb"):
                gray = to_gray(frame.image)
            else:
                gray = np.rint(bayer.demosaic(frame.image[None].astype(np.float64), kind.layout)[0] @ LUMA)
            yield (frame.time - passage.origin) / 1e9, gray.astype(np.uint8)


def mended(frames: Iterable[Frame], name: str, notes: list[str]) -> Iterator[Frame]:
    """A frame whose time falls gets the mean of its neighbours' times, as EVREAL gives it (tools/bag_to_npy.py): frame 528
    of HQF's engineering_posters. Raises InputError where those do not rise either."""
    before, fallen = None, None
    for frame in frames:
        if before is None or frame.time >= before.time:
            if before is not None and fallen is not None:
                fallen = fallen._replace(time=(before.time + frame.time) // 2)
                notes.append(f"a frame whose time fell was put midway between its neighbours, at {fallen.time} ns")
                yield fallen
            yield frame
            before, fallen = frame, None
        elif fallen is None:
            fallen = frame
        else:
            break
    if fallen is not None:
        raise InputError(
            f"{name}: the times of its frames fall, at {fallen.time} ns; delete the frames that are out of order"
        )
