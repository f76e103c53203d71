"""AEDAT4, from bytes packed here: what is in a file comes out, and what is no sound file is refused in one line."""

import re
import struct
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters import aedat4, aedat4_packets
from converters.aedat4 import open_aedat4
from converters.aedat4_packets import zstd
from converters.options import AS_STORED, ReadOptions
from converters.stream import WHOLE, Frame, SensorSize, Stream, Window
from evinr.events import InputError

UNIX = 1_600_000_000_000_000
"""Microseconds."""
PACK = {
    0: bytes,
    1: lambda data: lz4.frame.compress(data, store_size=False),
    2: lambda data: lz4.frame.compress(data, compression_level=9),
    3: zstd.compress,
    4: lambda data: zstd.compress(data, 19),
}


Fields = dict[int, tuple[str, *tuple[int, ...]] | bytes]
"""Fields of a table: numbers with their struct code, or a vector."""


def table(fields: Fields) -> tuple[bytes, int]:
    """A FlatBuffer table: inline numbers by struct code, or vectors. Returns its bytes and where in them it starts."""
    slots, inline, vectors = [0] * (max(fields, default=-1) + 1), b"", []
    for field, value in fields.items():
        slots[field] = 4 + len(inline)
        if isinstance(value, bytes):
            vectors.append((len(inline), value))
            inline += bytes(4)
        else:
            inline += struct.pack(value[0], *value[1:])
    slots_bytes = struct.pack(f"<HH{len(slots)}H", 4 + 2 * len(slots), 4 + len(inline), *slots)
    tail = b""
    for at, value in vectors:
        offset = len(inline) - at + len(tail)
        inline = inline[:at] + struct.pack("<I", offset) + inline[at + 4 :]
        tail += value
    return slots_bytes + struct.pack("<i", len(slots_bytes)) + inline + tail, len(slots_bytes)


def vector(items: bytes, count: int) -> bytes:
    return struct.pack("<I", count) + items


def tables(items: list[tuple[bytes, int]]) -> bytes:
    """A vector of tables."""
    offsets, blob = [], b""
    for number, (data, start) in enumerate(items):
        offsets.append(4 * (len(items) - number) + len(blob) + start)
        blob += data
    return struct.pack(f"<I{len(items)}I", len(items), *offsets) + blob


def buffer(identifier: str, fields: Fields) -> bytes:
    """A FlatBuffer that starts with its size."""
    data, start = table(fields)
    data = struct.pack("<I4s", 8 + start, identifier.encode()) + data
    return struct.pack("<I", len(data)) + data


def event_packet(t, x, y, on) -> bytes:
    events = b"".join(struct.pack("<qhhB3x", *event) for event in zip(t, x, y, on, strict=True))
    return buffer("EVTS", {0: vector(events, len(t))})


def frame_packet(image: np.ndarray, time: int, begin: int = 0, end: int = 0, pixels: int = 0, **more: int) -> bytes:
    fields: Fields = {0: ("<q", time), 6: ("<h", image.shape[1]), 7: ("<h", image.shape[0])}
    for field, code, value in (
        (3, "<q", begin),
        (4, "<q", end),
        (5, "<b", pixels),
        (8, "<h", more.get("left", 0)),
        (9, "<h", more.get("top", 0)),
    ):
        if value:
            fields[field] = (code, value)
    return buffer("FRME", fields | {10: vector(image.tobytes(), image.size)})


STREAMS = {0: ("EVTS", "events", "DAVIS_1"), 1: ("FRME", "frames", "DAVIS_1"), 2: ("IMUS", "imu", "DAVIS_1")}


def description(streams: dict[int, tuple[str, str, str]], size=(6, 4)) -> bytes:
    nodes = ""
    for number, (kind, name, source) in streams.items():
        nodes += f"""<node name="{number}" path="/outInfo/{number}/">
            <attr key="typeIdentifier" type="string">{kind}</attr>
            <attr key="originalOutputName" type="string">{name}</attr>
            <node name="info"><attr key="source" type="string">{source}</attr>"""
        if size:
            nodes += f'<attr key="sizeX" type="int">{size[0]}</attr><attr key="sizeY" type="int">{size[1]}</attr>'
        nodes += "</node></node>"
    return f'<dv version="2.0"><node name="outInfo">{nodes}</node></dv>'.encode()


def header(compression: int, position: int, xml: bytes) -> bytes:
    fields: Fields = {1: ("<q", position), 2: vector(xml + b"\0", len(xml))}
    return b"#!AER-DAT4.0\r\n" + buffer("IOHE", fields | ({0: ("<i", compression)} if compression else {}))


def write(
    path: Path,
    packets: list[tuple[int, bytes]],
    compression=0,
    xml: bytes | None = None,
    entries: list[tuple[int, int, int]] | None = None,
    position: int | None = None,
) -> Path:
    """A file of packets; `entries` are the count, first and last time of each in the table, which is left out for None."""
    xml = description(STREAMS) if xml is None else xml
    start = len(header(compression, -1, xml))
    body, places = b"", []
    for stream, data in packets:
        packed = PACK[compression](data)
        places.append((start + len(body) + 8, stream, len(packed)))
        body += struct.pack("<ii", stream, len(packed)) + packed
    listed = b""
    if entries is not None:
        items = [
            table({0: ("<q", at), 1: ("<ii", stream, size), 2: ("<q", count), 3: ("<q", first), 4: ("<q", last)})
            for (at, stream, size), (count, first, last) in zip(places, entries, strict=True)
        ]
        listed = PACK[compression](buffer("FTAB", {0: tables(items)}))
    if position is None:
        position = -1 if entries is None else start + len(body)
    path.write_bytes(header(compression, position, xml) + body + listed)
    return path


def events_of(stream: Stream, window: Window = WHOLE) -> list[np.ndarray]:
    """Columns of all blocks; the blocks follow each other in a whole reading."""
    blocks = list(stream.blocks(window))
    if window == WHOLE:
        assert [block.first for block in blocks] == [0, *np.cumsum([len(block.t) for block in blocks])][:-1]
        done = [block.done for block in blocks]
        assert done == sorted(done) and 0 < done[-1] <= 1
    return [np.concatenate([getattr(block, name) for block in blocks]) for name in ("t", "x", "y", "p")]


def opened(path: Path, **options) -> Stream:
    return open_aedat4(path, path.name, ReadOptions(**options))


def some_events(number: int, count: int = 10):
    """Events of packet `number`, a millisecond after the one before it."""
    random = np.random.default_rng(number)
    t = UNIX + 1000 * number + np.arange(count)
    return t.tolist(), random.integers(0, 6, count), random.integers(0, 4, count), random.integers(0, 2, count)


def recording(path: Path, compression=1, tabled=True) -> Path:
    """Eight packets of 10 events with two frames and an IMU packet between them."""
    packets, entries = [], []
    for number in range(8):
        packets.append((0, event_packet(*some_events(number))))
        entries.append((10, UNIX + 1000 * number, UNIX + 1000 * number + 9))
        if number in (2, 5):
            at = UNIX + 1000 * number
            image = np.arange(24, dtype=np.uint8).reshape(4, 6) + number
            packets.append((1, frame_packet(image, at, at, at + 501)))
            entries.append((1, at, at))
    packets.insert(4, (2, buffer("IMUS", {0: vector(b"", 0)})))
    entries.insert(4, (0, 0, 0))
    return write(path, packets, compression, entries=entries if tabled else None)


@pytest.mark.parametrize("compression", PACK)
def test_all_compressions(tmp_path, compression):
    stream = opened(recording(tmp_path / "a.aedat4", compression))
    assert (stream.format, stream.unit, stream.count, stream.notes) == ("AEDAT4", "us", None, [])
    assert stream.size == SensorSize(4, 6, "the AEDAT4 header (sizeX, sizeY)")
    for _ in range(2):
        t, x, y, p = events_of(stream)
        expected = [np.concatenate(column) for column in zip(*map(some_events, range(8)), strict=True)]
        assert t.dtype == np.int64
        for column, values in zip((t, x, y, p), expected, strict=True):
            np.testing.assert_array_equal(column, values)
    [frames] = stream.frames
    assert (frames.name, frames.layout, frames.height, frames.width) == ("frames", "gray", 4, 6)
    first, second = frames.read(WHOLE)
    assert frames.start == first.time == (UNIX + 2000) * 1000 + 250_500
    assert first.exposure == ((UNIX + 2000) * 1000, (UNIX + 2501) * 1000)
    assert first.place and re.fullmatch(r"packet at byte \d+", first.place)
    np.testing.assert_array_equal(second.image, np.arange(24, dtype=np.uint8).reshape(4, 6) + 5)
    assert [frame.time for frame in frames.read(Window(first.time + 1, second.time))] == [second.time]


@pytest.mark.parametrize(("pixels", "channels"), [(16, 3), (24, 4)])
def test_colour_is_handed_out_as_rgb(tmp_path, pixels, channels):
    image = np.random.default_rng(0).integers(0, 256, (4, 6, channels)).astype(np.uint8)
    packets = [(0, event_packet(*some_events(0))), (1, frame_packet(image, UNIX, UNIX, UNIX + 2, pixels))]
    [frames] = opened(write(tmp_path / "a.aedat4", packets, 3, entries=[(10, 0, 1), (1, 0, 1)])).frames
    [frame] = frames.read(WHOLE)
    assert frames.layout == "rgb"
    np.testing.assert_array_equal(frame.image, np.stack([image[..., 2], image[..., 1], image[..., 0]], axis=2))


def test_frames_without_exposure_and_parts_of_the_sensor_are_noted_once(tmp_path):
    image = np.zeros((2, 3), np.uint8)
    packets = [(0, event_packet(*some_events(0))), (1, frame_packet(image, UNIX + 7, left=1, top=2))]
    stream = opened(write(tmp_path / "a.aedat4", packets * 2, entries=[(10, 0, 1), (1, 0, 1)] * 2))
    for _ in range(2):
        first, second = stream.frames[0].read(WHOLE)
        assert first.time == (UNIX + 7) * 1000 and first.exposure is None
    assert stream.notes == [
        "frames are a part of the sensor, from column 1 and row 2 on",
        "frames without begin and end of their exposure have the time of their packet",
    ]


def test_packets_are_joined_and_cut_to_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(aedat4, "BLOCK", 25)
    packets = [(0, event_packet(*some_events(number, count))) for number, count in enumerate((10, 10, 10, 60, 0, 3))]
    stream = opened(write(tmp_path / "a.aedat4", packets, entries=[(0, 0, 0)] * 6))
    assert [len(block.t) for block in stream.blocks(WHOLE)] == [20, 10, 25, 25, 13]
    assert len(events_of(stream)[0]) == 93


@pytest.mark.parametrize("tabled", [True, False])
@pytest.mark.parametrize("span", [(3005, 5003), (0, 0), (7009, 9000), (-5, -1), (8000, 9000), (2009, 3000)])
def test_a_window_holds_what_the_whole_holds(tmp_path, tabled, span):
    stream = opened(recording(tmp_path / "a.aedat4", tabled=tabled))
    t, x, _, _ = events_of(stream)
    window = Window((UNIX + span[0]) * 1000, (UNIX + span[1]) * 1000)
    inside = (t >= UNIX + span[0]) & (t <= UNIX + span[1])
    found = [(time, column) for block in stream.blocks(window) for time, column in zip(block.t, block.x, strict=True)]
    assert [pair for pair in found if UNIX + span[0] <= pair[0] <= UNIX + span[1]] == list(
        zip(t[inside], x[inside], strict=True)
    )
    for block in stream.blocks(window):
        np.testing.assert_array_equal(block.t, t[block.first : block.first + len(block.t)])
    whole = [frame.time for frame in stream.frames[0].read(WHOLE)]
    assert [frame.time for frame in stream.frames[0].read(window)] == [
        time for time in whole if window.first <= time <= window.last
    ]


def test_a_window_skips_packets_by_the_table(tmp_path):
    path = recording(tmp_path / "a.aedat4")
    window = Window((UNIX + 4000) * 1000, (UNIX + 4005) * 1000)
    stream, data = opened(path), bytearray(path.read_bytes())
    starts = [match.start() for match in re.finditer(re.escape(struct.pack("<I", 0x184D2204)), data)]
    data[starts[1]] ^= 1
    path.write_bytes(data)
    assert events_of(stream, window)[0].tolist()[10:] == list(range(UNIX + 4000, UNIX + 4010))
    with pytest.raises(InputError, match="packet at byte"):
        list(stream.blocks(WHOLE))


def test_a_table_that_does_not_fit_is_not_used(tmp_path):
    packets = [(0, event_packet(*some_events(number))) for number in range(4)]
    window, path = Window((UNIX + 2000) * 1000, (UNIX + 9000) * 1000), tmp_path / "a.aedat4"
    true = [(10, UNIX + 1000 * number, UNIX + 1000 * number + 9) for number in range(4)]

    def firsts() -> list[int]:
        return [block.first for block in opened(path).blocks(window)]

    write(path, packets, entries=true)
    assert firsts() == [0, 20]
    data = path.read_bytes()
    at = data.index(struct.pack("<qii", data.index(b"EVTS", 800) - 8, 0, len(packets[0][1])))
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    assert firsts() == [0]
    path.write_bytes(data[:-200])
    assert firsts() == [0]
    for lie in ((10, 1, 2), (9, UNIX, UNIX + 9), (-1, UNIX, UNIX + 9), (10, UNIX + 9, UNIX)):
        write(path, packets, entries=[lie] * 4)
        assert firsts() == [0]
    write(path, packets, entries=[true[0], (-10, *true[1][1:]), *true[2:]])
    assert firsts() == [0]
    write(path, packets, entries=[*true[:3], (9, *true[3][1:])])
    with pytest.raises(InputError, match=r"a.aedat4: .*10 events, the table of packets says 9"):
        firsts()


def test_frames_are_not_sought_in_a_table_that_does_not_fit(tmp_path):
    image, packets = np.zeros((4, 6), np.uint8), [(0, event_packet(*some_events(0)))]
    times = [UNIX + 10**7 * number for number in range(5)]
    packets += [(1, frame_packet(image, time, time, time + 2)) for time in times]
    window = Window(times[3] * 1000, times[4] * 1000 + 1000)
    for entries, reads in (([(1, time, time) for time in times], [0, 3, 4]), ([(1, 5, 6)] * 5, [0, 1, 2, 3, 4])):
        path = write(tmp_path / "a.aedat4", packets, 1, entries=[(10, UNIX, UNIX + 9), *entries])
        frames, data = opened(path).frames[0], bytearray(path.read_bytes())
        assert [frame.time for frame in frames.read(window)] == [time * 1000 + 1000 for time in times[3:]]
        starts = [match.start() for match in re.finditer(re.escape(struct.pack("<I", 0x184D2204)), data)][1:6]
        for number, start in enumerate(starts):
            data[start] ^= 1
            path.write_bytes(data)
            data[start] ^= 1
            try:
                list(frames.read(window))
                assert number not in reads
            except InputError:
                assert number in reads


def test_a_recording_that_was_not_closed(tmp_path):
    stream = opened(recording(tmp_path / "a.aedat4", tabled=False))
    for _ in range(2):
        assert len(events_of(stream)[0]) == 80
    assert stream.notes == ["the recording was not closed: it has no table of packets, but all of them are whole"]


def test_truncated(tmp_path):
    path = recording(tmp_path / "a.aedat4", 0)
    data = path.read_bytes()
    position = data.index(b"FTAB") - 8
    last = position - 8 - len(event_packet(*some_events(7)))
    for end, message in (
        (position - 5, r"a.aedat4: truncated: the last packet is cut after \d+ of \d+ bytes, 10 whole packets come"),
        (last + 5, r"a.aedat4: truncated: it ends in a packet, 10 whole"),
        (last, rf"a.aedat4: truncated: {position - last} bytes before its table"),
        (300, r"a.aedat4: truncated or damaged: a header of \d+ bytes, 300 in all"),
        (15, r"a.aedat4: truncated or damaged"),
        (9, r"a.aedat4: no AEDAT4"),
    ):
        path.write_bytes(data[:end])
        with pytest.raises(InputError, match=message):
            opened(path)
    path.write_bytes(data[:position])
    assert len(events_of(opened(path))[0]) == 80


@pytest.mark.parametrize("version", ["1.0", "2.0", "3.1"])
def test_older_versions_are_refused_by_name(tmp_path, version):
    path = tmp_path / "a.aedat"
    path.write_bytes(f"#!AER-DAT{version}\r\n# more\r\n".encode())
    with pytest.raises(InputError, match=f"a.aedat: AEDAT {version}, only AEDAT4"):
        opened(path)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (b"<dv", "damaged header"),
        (b"<!DOCTYPE dv [<!ENTITY a 'b'>]><dv/>", "damaged header .*declarations"),
        ("<!DOCTYPE dv><dv/>".encode("utf-16"), "damaged header .*declarations"),
        (b"<?xml version='1.0' encoding='none'?><dv/>", "damaged header"),
        (description({1: ("FRME", "frames", "")}), r"no stream of events \(EVTS\) among 1 FRME frames"),
        (b"<dv/>", r"no stream of events \(EVTS\) among none"),
        (description(STREAMS).replace(b'name="0"', b'name="zero"'), "damaged header"),
        (description(STREAMS, (-6, 4)), "damaged header: a sensor of -6 x 4"),
        (description(STREAMS, (70000, 4)), "damaged header: a sensor of 70000 x 4"),
    ],
)
def test_damaged_descriptions(tmp_path, xml, message):
    with pytest.raises(InputError, match=f"a.aedat4: {message}"):
        opened(write(tmp_path / "a.aedat4", [], xml=xml))


def test_a_size_that_is_not_told(tmp_path):
    packets = [(0, event_packet(*some_events(0)))]
    assert opened(write(tmp_path / "a.aedat4", packets, xml=description(STREAMS, None))).size is None


def refused(path: Path, message: str):
    with pytest.raises(InputError, match=message):
        stream = opened(path)
        list(stream.blocks(WHOLE))
        for frames in stream.frames:
            list(frames.read(WHOLE))


def test_damaged_packets(tmp_path):
    path, good = tmp_path / "a.aedat4", event_packet(*some_events(0))
    image = np.zeros((4, 6), np.uint8)
    for packets, compression, message in (
        ([(9, good)], 0, r"damaged at byte \d+: a packet of \d+ bytes of stream 9, the header lists 0, 1, 2"),
        ([(0, frame_packet(image, 0))], 0, "starts with b'FRME', expected EVTS"),
        ([(0, good[:-4])], 0, r"a.aedat4: the packet at byte \d+ is damaged \(says it has"),
        ([(0, good[:12])], 0, "is damaged"),
        ([(0, b"")], 0, "is damaged"),
        ([(0, good[:4] + b"\xff\xff\xff\x7f" + good[8:])], 0, "an offset leads to byte"),
        ([(0, buffer("EVTS", {0: vector(b"", 2**31)}))], 0, "a list of 2147483648 items"),
        ([(0, good), (1, frame_packet(image, 0, pixels=2))], 0, "OpenCV's pixel format 2"),
        ([(0, good), (1, frame_packet(image, 0, pixels=16))], 0, "24 bytes for a frame of 6 x 4 pixels of 3 bytes"),
        ([(0, good), (1, frame_packet(image.reshape(4, 6)[:0], 0))], 0, "frame of 6 x 0"),
    ):
        refused(write(path, packets, compression), message)
    cut = write(path, [(0, good)], 0, position=-1).read_bytes()
    at = cut.index(good) - 4
    path.write_bytes(cut[:at] + struct.pack("<i", -8) + cut[at + 4 :])
    refused(path, "a packet of -8 bytes")
    refused(write(path, [(0, good)], position=5), "a table of packets at byte 5, inside it")
    start = len(header(0, -1, description(STREAMS)))
    refused(write(path, [(0, good)], position=start + 20), "damaged: the last packet is cut after 12 of")
    data = write(path, [(0, good)], 1).read_bytes()
    path.write_bytes(data.replace(header(1, -1, description(STREAMS)), header(7, -1, description(STREAMS))))
    refused(path, "compression 7, expected none, LZ4 or Zstandard")


@pytest.mark.parametrize("compression", [1, 3])
def test_bombs_and_cut_frames_are_refused(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(aedat4_packets, "LARGEST", 2**22)
    packets = [(0, event_packet(*some_events(0))), (0, bytes(2**25))]
    refused(write(tmp_path / "a.aedat4", packets, compression), "unpacks to more than 4194304 bytes")
    monkeypatch.setitem(PACK, 1, lambda data: lz4.frame.compress(data)[:-9])
    monkeypatch.setitem(PACK, 3, lambda data: zstd.compress(data)[:-9])
    refused(write(tmp_path / "a.aedat4", packets[:1], compression), "compressed bytes end early")
    monkeypatch.setitem(PACK, compression, lambda data: b"no such thing" * 9)
    refused(write(tmp_path / "a.aedat4", packets[:1], compression), r"the packet at byte \d+ is damaged")
    monkeypatch.setitem(PACK, 0, bytes)
    refused(write(tmp_path / "a.aedat4", [(0, bytes(2**22 + 1))], 0), "no packet is larger than 4194304")


def test_streams_are_chosen(tmp_path):
    left, right = (("EVTS", "events", camera) for camera in ("left", "right"))
    streams = {0: left, 1: right, 2: ("FRME", "frames", "left"), 3: ("FRME", "frames", "right"), 4: ("FRME", "sum", "")}
    image = np.zeros((4, 6), np.uint8)
    packets = [(0, event_packet(*some_events(0))), (1, event_packet(*some_events(1)))]
    packets += [(number, frame_packet(image + number, UNIX, UNIX, UNIX + 2)) for number in (2, 3, 4)]
    path = write(tmp_path / "a.aedat4", packets, xml=description(streams), entries=[(10, 0, 0)] * 5)

    def start_and_pixel(stream: Stream):
        [frame] = stream.frames[0].read(WHOLE)
        return events_of(stream)[0][0] - UNIX, frame.image[0, 0]

    stream = opened(path)
    assert start_and_pixel(stream) == (0, 2)
    assert stream.notes == [
        "EVTS stream 0 EVTS events of left was read, not 1 EVTS events of right (--topic chooses)",
        "FRME stream 2 FRME frames of left was read, not 3 FRME frames of right, 4 FRME sum (--frame-topic chooses)",
    ]
    assert start_and_pixel(opened(path, topic="1")) == (1000, 3)
    assert start_and_pixel(opened(path, topic="right", frame_topic="sum")) == (1000, 4)
    assert "frames are of the camera left, events of right" in opened(path, topic="1", frame_topic="left").notes
    for wanted, number in (("events", 2), ("up", 0)):
        with pytest.raises(
            InputError, match=f"--topic {wanted} fits {number} EVTS streams of 0 EVTS events of left, 1"
        ):
            opened(path, topic=wanted)


def test_a_stream_without_packets_has_no_frames(tmp_path):
    stream = opened(write(tmp_path / "a.aedat4", [(0, event_packet(*some_events(0)))], entries=[(10, 0, 0)]))
    assert stream.frames == () and stream.notes == []


def test_another_unit_holds_for_events_and_frames(tmp_path):
    stream = opened(recording(tmp_path / "a.aedat4"), time_unit="ns")
    assert stream.unit == "ns" and stream.frames[0].start == UNIX + 2250
    window = Window(UNIX + 4000, UNIX + 4005)
    assert events_of(stream, window)[0].tolist()[10:] == list(range(UNIX + 4000, UNIX + 4010))


def read_all(path: Path, window: Window) -> list[Frame]:
    stream = open_aedat4(path, path.name, AS_STORED)
    for block in stream.blocks(window):
        assert len({len(block.t), len(block.x), len(block.y), len(block.p)}) == 1
    return [frame for frames in stream.frames for frame in frames.read(window)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([0, 1, 3]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=4),
    st.floats(0, 1),
    st.booleans(),
)
def test_any_damage_is_an_input_error(tmp_path, compression, flips, kept, cut):
    data = bytearray(recording(tmp_path / "a.aedat4", compression).read_bytes())
    for place, bits in flips:
        data[int(place * (len(data) - 1))] ^= bits
    path = tmp_path / "b.aedat4"
    path.write_bytes(data[: int(kept * len(data))] if cut else data)
    for window in (WHOLE, Window((UNIX + 3000) * 1000, (UNIX + 4000) * 1000)):
        try:
            read_all(path, window)
        except InputError as error:
            assert "\n" not in str(error) and "b.aedat4: " in str(error)
