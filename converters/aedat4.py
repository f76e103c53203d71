"""AEDAT4, the files of DV and of iniVation's cameras: events, frames with their exposure, and other packets.

Times are int64 microseconds of the Unix clock. Packets of different streams are not in order with each other.
"""

from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from converters.aedat4_packets import (
    Entry,
    Layout,
    Packet,
    Recorded,
    packet_error,
    read_layout,
    read_packet,
    read_table,
    walk_packets,
)
from converters.files import open_regular
from converters.flatbuffer import FlatBufferError, Table, read_number, read_vector
from converters.options import ReadOptions
from converters.stream import BLOCK, TICKS, WHOLE, Columns, Frame, FrameSet, SensorSize, Stream, Unit, Window
from evinr.events import InputError

EVENT = np.dtype({"names": ["t", "x", "y", "on"], "formats": ["<i8", "<i2", "<i2", "u1"], "itemsize": 16})
FORMATS = {0: 1, 16: 3, 24: 4}
"""Channels of the pixel formats gray, BGR and BGRA, which are numbered as in OpenCV."""
LONGEST_EXPOSURE = 10**9
"""Nanoseconds around the time that the table of packets has for a frame; exposures are shorter."""


class Source(NamedTuple):
    """One kind of packets in one file."""

    path: Path
    layout: Layout
    stream: int
    unit: Unit


class Piece(NamedTuple):
    """Consecutive events of one packet."""

    events: Shaped[np.ndarray, " n"]
    first: int
    done: float


def open_aedat4(path: Path, name: str, options: ReadOptions) -> Stream:
    """Events and frames of an AEDAT4 file; `topic` and `frame_topic` choose streams by number, name or camera.

    Raises InputError where it is damaged, truncated, or of an older version.
    """
    unit, notes, packets = options.time_unit or "us", [], {}
    with open_regular(path, name) as file:
        layout = read_layout(file, name)
        for packet in walk_packets(file, layout):
            packets.setdefault(packet.stream, packet)
        events = _choose(layout, "EVTS", options.topic, "--topic", notes)
        if not events:
            kinds = ", ".join(map(_spelled, layout.streams.values()))
            raise InputError(f"{name}: no stream of events (EVTS) among {kinds or 'none'}; record the events too")
        if not layout.table:
            notes.append("the recording was not closed: it has no table of packets, but all of them are whole")
        frames = None
        if not options.skip_frames:
            frames = _choose(layout, "FRME", options.frame_topic, "--frame-topic", notes, events.source)
        sets = ()
        if frames and frames.id in packets:
            if frames.source != events.source:
                notes.append(f"frames are of the camera {frames.source}, events of {events.source}")
            shown = Source(path, layout, frames.id, unit)
            table = read_packet(file, layout, packets[frames.id])
            sets = (_frame_set(shown, _frame(shown, table, packets[frames.id], notes), notes),)
    blocks = partial(_blocks, Source(path, layout, events.id, unit))
    return Stream("AEDAT4", (path,), unit, blocks, _size(layout, events), sets, notes=notes)


def _choose(
    layout: Layout, kind: str, wanted: str | None, option: str, notes: list[str], camera: str = ""
) -> Recorded | None:
    """The stream that the option names, else the first, of the camera of the events if there are several."""
    streams = [stream for stream in layout.streams.values() if stream.kind == kind]
    if wanted is not None:
        named = [stream for stream in streams if wanted in (str(stream.id), stream.name, stream.source)]
        if len(named) != 1:
            there = ", ".join(map(_spelled, streams)) or "none"
            raise InputError(
                f"{layout.name}: {option} {wanted} fits {len(named)} {kind} streams of {there}; give a number"
            )
        return named[0]
    own = [stream for stream in streams if stream.source == camera] or streams
    if len(streams) > 1:
        others = ", ".join(_spelled(stream) for stream in streams if stream != own[0])
        notes.append(f"{kind} stream {_spelled(own[0])} was read, not {others} ({option} chooses)")
    return own[0] if own else None


def _spelled(stream: Recorded) -> str:
    return " ".join(filter(None, (str(stream.id), stream.kind, stream.name, stream.source and f"of {stream.source}")))


def _size(layout: Layout, stream: Recorded) -> SensorSize | None:
    if stream.size is None:
        return None
    height, width = (int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0 for text in stream.size)
    if not (1 <= height <= 65536 and 1 <= width <= 65536):
        raise InputError(
            f"{layout.name}: damaged header: a sensor of {stream.size[1]} x {stream.size[0]}; copy it again"
        )
    return SensorSize(height, width, "the AEDAT4 header (sizeX, sizeY)")


def _blocks(source: Source, window: Window) -> Iterator[Columns]:
    """The packets of events, joined to blocks of at most BLOCK."""
    held: list[Piece] = []
    for piece in _pieces(source, window):
        count = sum(len(part.events) for part in held)
        if held and (count + len(piece.events) > BLOCK or held[0].first + count != piece.first):
            yield _columns(held)
            held = []
        held.append(piece)
    if held:
        yield _columns(held)


def _columns(pieces: list[Piece]) -> Columns:
    t, x, y, p = (np.concatenate([piece.events[name] for piece in pieces]) for name in ("t", "x", "y", "on"))
    return Columns(t, x, y, p, pieces[0].first, pieces[-1].done)


def _pieces(source: Source, window: Window) -> Iterator[Piece]:
    layout, (_, last) = source.layout, window.ticks(source.unit)
    first, trusted = 0, False
    with open_regular(source.path, layout.name) as file:
        for packet, entry in _packets(file, source, window):
            if trusted and entry and _outside(entry, source, window, margin=0):
                first += entry.elements
                continue
            events = _events(layout, packet, read_packet(file, layout, packet))
            if trusted and entry and entry.elements != len(events):
                what = f"{len(events)} events, the table of packets says {entry.elements}"
                raise packet_error(layout.name, packet, what)
            trusted = trusted or (entry is not None and _fits(entry, events))
            if len(events) and events["t"][0] > last:
                return
            done = (packet.at + packet.size - layout.start) / (layout.end - layout.start)
            for start in range(0, len(events), BLOCK):
                yield Piece(events[start : start + BLOCK], first + start, done)
            first += len(events)


def _fits(entry: Entry, events: Shaped[np.ndarray, " n"]) -> bool:
    return len(events) == entry.elements > 0 and events["t"][[0, -1]].tolist() == [entry.first, entry.last]


def _events(layout: Layout, packet: Packet, table: Table) -> Shaped[np.ndarray, " n"]:
    try:
        start, count = read_vector(table, 0, EVENT.itemsize)
    except FlatBufferError as error:
        raise packet_error(layout.name, packet, str(error)) from error
    return np.frombuffer(table.data, EVENT, count, start)


def _packets(file: BufferedReader, source: Source, window: Window) -> Iterator[tuple[Packet, Entry | None]]:
    """The packets of a stream; for a part of the recording with their entries, as long as these fit the packets.

    Entries are trusted from the first packet on that was read and is what they say.
    """
    entries = iter(()) if window == WHOLE else read_table(file, source.layout)
    for packet in walk_packets(file, source.layout):
        entry = next(entries, None)
        if entry and (entry.packet != packet or entry.elements < 0 or entry.first > entry.last):
            entries, entry = iter(()), None
        if packet.stream == source.stream:
            yield packet, entry


def _outside(entry: Entry, source: Source, window: Window, margin: int) -> bool:
    tick = 10**9 // TICKS[source.unit]
    return entry.last * tick < window.first - margin or entry.first * tick > window.last + margin


def _frame_set(source: Source, first: Frame, notes: list[str]) -> FrameSet:
    def read(window: Window) -> Iterator[Frame]:
        trusted = False
        with open_regular(source.path, source.layout.name) as file:
            for packet, entry in _packets(file, source, window):
                if trusted and entry and _outside(entry, source, window, LONGEST_EXPOSURE):
                    continue
                frame = _frame(source, read_packet(file, source.layout, packet), packet, notes)
                at = Window(frame.time, frame.time)
                trusted = trusted or (entry is not None and not _outside(entry, source, at, LONGEST_EXPOSURE))
                if window.first <= frame.time <= window.last:
                    yield frame

    height, width = first.image.shape[:2]
    return FrameSet("frames", first.time, read, "gray" if first.image.ndim == 2 else "rgb", height, width)


def _frame(source: Source, table: Table, packet: Packet, notes: list[str]) -> Frame:
    """The picture of a packet, in the middle of its exposure where that is told."""
    tick = 10**9 // TICKS[source.unit]
    try:
        time, begin, end = (read_number(table, field, "<q") for field in (0, 3, 4))
        pixels = read_number(table, 5, "<b")
        width, height, left, top = (read_number(table, field, "<h") for field in (6, 7, 8, 9))
        start, count = read_vector(table, 10, 1)
    except FlatBufferError as error:
        raise packet_error(source.layout.name, packet, str(error)) from error
    if pixels not in FORMATS:
        raise InputError(
            f"{source.layout.name}: the frame at byte {packet.at - 8} has OpenCV's pixel format {pixels},"
            " expected 8-bit gray, BGR or BGRA; record it so"
        )
    if min(width, height) < 1 or count != width * height * FORMATS[pixels]:
        what = f"{count} bytes for a frame of {width} x {height} pixels of {FORMATS[pixels]} bytes"
        raise packet_error(source.layout.name, packet, what)
    image = np.frombuffer(table.data, np.uint8, count, start)
    image = image.reshape(height, width) if pixels == 0 else image.reshape(height, width, -1)[..., 2::-1]
    if left or top:
        _add(notes, f"frames are a part of the sensor, from column {left} and row {top} on")
    place = f"packet at byte {packet.at - 8}"
    # DV wrote the middle of the exposure as the frame's time, dv-processing 2 writes its begin; so neither is used.
    if 0 < begin <= end:
        return Frame((begin + end) * tick // 2, image, (begin * tick, end * tick), place)
    _add(notes, "frames without begin and end of their exposure have the time of their packet")
    return Frame(time * tick, image, None, place)


def _add(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)
