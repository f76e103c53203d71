"""ROS bags: events and pictures exactly as recorded, and what does not fit refused in one line."""

import bz2
import os
import struct
import tracemalloc
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import imageio.v3 as iio
import lz4.frame
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag1 import Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from converters import pictures, rosbag2
from converters.bag import open_bag, open_bag2
from converters.clock import nanoseconds
from converters.options import AS_STORED, ReadOptions
from converters.rosbag2 import zstd
from converters.stream import BLOCK, WHOLE, SensorSize, Stream, Window
from evinr.events import InputError

START = 1_468_939_993_071_227_019
"""The first event of slider_depth, an odd number of nanoseconds that no double has."""
LAG = 5_000_000
EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")])
EVENTS = ("dvs_msgs/msg/EventArray", "5e8beee5a6c107e504c2e78903c224b8")
OLD = ("dvs_msgs/msg/EventArray", "d2e726b2040dbc135644f4709c150a10")
IMAGE = ("sensor_msgs/msg/Image", "060021388200f6f0f447d0fcd9c64743")
COMPRESSED = ("sensor_msgs/msg/CompressedImage", "8f7a12909da2c9d3332d540a0977563f")
PACKET = ("event_camera_msgs/msg/EventPacket", "0" * 32)


class Said(NamedTuple):
    """A message to write: topic, type and md5sum, when recorded (ns), bytes."""

    topic: str
    type: tuple[str, str]
    time: int
    data: bytes


class Known(NamedTuple):
    """Events as they were written: nanoseconds, columns, rows, polarity 0 or 1."""

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray

    def part(self, first: int, last: int | None) -> "Known":
        return Known(*(column[first:last] for column in self))


def make_events(count: int, step: int = 1000, seed: int = 0) -> Known:
    random = np.random.default_rng(seed)
    t = START + np.cumsum(random.integers(0, step, count)) - 3
    return Known(t, random.integers(0, 240, count), random.integers(0, 180, count), random.integers(0, 2, count))


def event_array(events: Known, size: tuple[int, int] = (180, 240), claimed: int | None = None) -> bytes:
    """A dvs_msgs/EventArray of ROS 1, whose header stamp is another time than that of any event."""
    records = np.zeros(len(events.t), EVENT)
    records["x"], records["y"], records["p"] = events.x, events.y, events.p
    records["s"], records["ns"] = np.divmod(events.t, 10**9)
    count = len(records) if claimed is None else claimed
    header = struct.pack("<IIII", 7, 12, 34, 3) + b"dvs"
    return header + struct.pack("<III", *size, count) + records.tobytes()


def image(time: int, pixels: np.ndarray, encoding: str, step: int | None = None, big: int = 0) -> bytes:
    """A sensor_msgs/Image of ROS 1 with rows of `step` bytes."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    step = step or rows.shape[1]
    padded = np.full((len(rows), step), 0xEE, np.uint8)
    padded[:, : rows.shape[1]] = rows
    size = struct.pack("<II", *pixels.shape[:2])
    text = struct.pack("<I", len(encoding)) + encoding.encode()
    after = struct.pack("<BII", big, step, padded.size)
    return struct.pack("<IIII", 7, *divmod(time, 10**9), 0) + size + text + after + padded.tobytes()


def write_bag(path: Path, said: Iterable[Said], compression: str = "none", chunk: int = 4000, silent: str = "") -> Path:
    """A rosbag 1 of chunks of about `chunk` bytes, by the library rosbags, perhaps with a topic of no messages."""
    writer = Writer(path)
    if compression != "none":
        writer.set_compression(Writer.CompressionFormat[compression.upper()])
    writer.chunk_threshold = chunk
    writer.open()
    connections = {}
    if silent:
        kind = EVENTS if silent.endswith("events") else IMAGE
        writer.add_connection(silent, kind[0], msgdef="-", md5sum=kind[1])
    for topic, kind, time, data in said:
        if (topic, kind) not in connections:
            connections[topic, kind] = writer.add_connection(topic, kind[0], msgdef="-", md5sum=kind[1])
        writer.write(connections[topic, kind], time, data)
    writer.close()
    return path


def arrays(events: Known, per_message: int, topic: str = "/dvs/events") -> list[Said]:
    """Messages of so many events each, recorded a little after their last event; one is empty."""
    said = []
    for first in range(0, len(events.t), per_message):
        part = events.part(first, first + per_message)
        said.append(Said(topic, EVENTS, int(part.t[-1]) + LAG, event_array(part)))
    said.insert(1, Said(topic, EVENTS, said[0].time, event_array(events.part(0, 0))))
    return said


def frames_of(topic: str, times: Sequence[int], pictures: Sequence[np.ndarray], encoding: str) -> list[Said]:
    return [
        Said(topic, IMAGE, time + LAG, image(time, picture, encoding))
        for time, picture in zip(times, pictures, strict=True)
    ]


def in_order(*said: Iterable[Said]) -> list[Said]:
    return sorted((each for part in said for each in part), key=lambda each: each.time)


def read(stream: Stream, window: Window = WHOLE) -> Known:
    """All events in a window, filtered as the door does; checks that blocks say which events they hold."""
    blocks = list(stream.blocks(window))
    starts = np.cumsum([0] + [len(block.t) for block in blocks])[:-1]
    assert [block.first for block in blocks] == list(starts)
    assert all(0 <= block.done <= 1 for block in blocks)
    empty = np.zeros(0, np.int64)
    columns = [np.concatenate([empty, *(block[field] for block in blocks)]).astype(np.int64) for field in range(4)]
    t = nanoseconds(columns[0], stream.unit)
    kept = (t >= window.first) & (t <= window.last)
    return Known(*(column[kept] for column in (t, *columns[1:])))


def assert_same(found: Known, expected: Known) -> None:
    for name, a, b in zip("txyp", found, expected, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def open_said(tmp_path: Path, *said: Iterable[Said], options: ReadOptions = AS_STORED, **how: Any) -> Stream:
    return open_bag(write_bag(tmp_path / "a.bag", in_order(*said), **how), "a.bag", options)


@pytest.mark.parametrize("compression", ["none", "bz2", "lz4"])
def test_events(tmp_path, compression):
    events = make_events(5000, step=2_000_000)
    stream = open_said(tmp_path, arrays(events, 300), compression=compression)
    assert_same(read(stream), events)
    assert_same(read(stream), events)
    assert stream[:3] == ("ROS 1 bag", (tmp_path / "a.bag",), "ns")
    assert stream.size == SensorSize(180, 240, "the event messages")
    assert stream.frames == () and stream.count is None and stream.notes == []


def test_messages_larger_than_a_block_are_cut(tmp_path):
    events = make_events(2 * BLOCK + 1000)
    stream = open_said(tmp_path, arrays(events.part(0, 10), 10), arrays(events.part(10, None), 2 * BLOCK + 990))
    assert max(len(block.t) for block in stream.blocks(WHOLE)) < 2 * BLOCK
    assert_same(read(stream), events)


def test_windows_read_what_they_need(tmp_path):
    events = make_events(20_000, step=2_000_000)
    times = [int(events.t[k]) for k in range(0, 20_000, 1000)]
    pictures = [np.full((2, 3), k, np.uint8) for k in range(20)]
    stream = open_said(tmp_path, arrays(events, 100), frames_of("/dvs/image_raw", times, pictures, "mono8"))
    for first, last in [(0, 100), (9000, 11_000), (19_990, 19_999)]:
        window = Window(int(events.t[first]), int(events.t[last]))
        inside = (events.t >= window.first) & (events.t <= window.last)
        assert_same(read(stream, window), Known(*(column[inside] for column in events)))
        assert sum(len(block.t) for block in stream.blocks(window)) < 8000
        expected = [(t, k) for k, t in enumerate(times) if window.first <= t <= window.last]
        assert [(frame.time, frame.image[0, 0]) for frame in stream.frames[0].read(window)] == expected
    half = Window(int(events.t[10_000]), WHOLE.last)
    assert_same(read(stream, half), events.part(int(np.searchsorted(events.t, half.first)), None))
    half = Window(WHOLE.first, int(events.t[10_000]))
    assert_same(read(stream, half), events.part(0, int(np.searchsorted(events.t, half.last, "right"))))


def test_windows_inside_one_long_message(tmp_path):
    events = make_events(1000, step=100_000_000)
    stream = open_said(tmp_path, arrays(events, 500))
    for first, last in [(100, 110), (480, 520), (600, 601), (990, 999)]:
        window = Window(int(events.t[first]), int(events.t[last]))
        assert_same(read(stream, window), events.part(first, last + 1))


def test_windows_leave_damaged_chunks_outside_alone(tmp_path):
    events = make_events(20_000, step=2_000_000)
    times = [int(events.t[k]) for k in range(0, 20_000, 1000)] + [int(events.t[-1]) + 1]
    pictures = frames_of("/dvs/image_raw", times, [GRAY] * 21, "mono8")
    stream = open_said(tmp_path, arrays(events, 100), pictures, compression="bz2")
    whole = (tmp_path / "a.bag").read_bytes()
    late = whole.rindex(b"BZh9")
    (tmp_path / "a.bag").write_bytes(whole[: late + 10] + b"damage" + whole[late + 16 :])
    early = Window(times[1], times[3])
    assert len(read(stream, early).t) == 2001 and len(list(stream.frames[0].read(early))) == 3
    with pytest.raises(InputError, match="a.bag: chunk at byte [0-9]+: damaged"):
        read(stream)
    with pytest.raises(InputError, match="a.bag: chunk at byte [0-9]+: damaged"):
        list(stream.frames[0].read(WHOLE))


@pytest.mark.parametrize("offset", [10**12, -(10**12)])
def test_windows_where_record_times_are_another_clock(tmp_path, offset):
    events = make_events(5000, step=2_000_000)
    late = [said._replace(time=said.time + offset) for said in arrays(events, 100)]
    stream = open_said(tmp_path, late)
    window = Window(int(events.t[2000]), int(events.t[2500]))
    assert len(read(stream, window).t) >= 500


def test_sensor_size_may_be_unknown(tmp_path):
    said = [Said("/dvs/events", EVENTS, START, event_array(make_events(3), size=(0, 0)))]
    assert open_said(tmp_path, said).size is None


def test_old_messages_are_microseconds(tmp_path):
    records = np.zeros(3, [("x", "<u2"), ("y", "<u2"), ("t", "<u8"), ("p", "u1")])
    records["x"], records["y"], records["p"], records["t"] = [1, 2, 3], [4, 5, 6], [0, 1, 1], [3811, 3820, 2**40]
    said = [Said("/dvs/events", OLD, START, struct.pack("<I", 3) + records.tobytes())]
    said += frames_of("/dvs/image_raw", [START], [np.zeros((2, 2), np.uint8)], "mono8")
    stream = open_said(tmp_path, said)
    assert (stream.unit, stream.size, stream.frames) == ("us", None, ())
    assert [block.t.tolist() for block in stream.blocks(Window(3_800_000, 3_900_000))] == [[3811, 3820, 2**40]]
    assert_same(read(stream), Known(records["t"].astype(np.int64) * 1000, *(records[field] for field in "xyp")))
    assert "2014" in stream.notes[0] and "frames were left out" in stream.notes[1]


RANDOM = np.random.default_rng(1)
GRAY, RGB = RANDOM.integers(0, 256, (6, 5), np.uint8), RANDOM.integers(0, 256, (6, 5, 3), np.uint8)
WIDE = RANDOM.integers(0, 65536, (6, 5)).astype(np.uint16)
PICTURES = [
    *(("gray", GRAY, encoding, 0, GRAY) for encoding in ("mono8", "8UC1")),
    *((order, GRAY, f"bayer_{order}8", 0, GRAY) for order in ("rggb", "bggr", "grbg", "gbrg")),
    ("rgb", RGB, "rgb8", 0, RGB),
    ("rgb", RGB[..., ::-1], "bgr8", 0, RGB),
    ("gray", WIDE.astype("<u2"), "mono16", 0, WIDE),
    ("gray", WIDE.astype(">u2"), "16UC1", 1, WIDE),
]


@pytest.mark.parametrize(
    ("layout", "stored", "encoding", "big", "expected"), PICTURES, ids=[row[2] for row in PICTURES]
)
@pytest.mark.parametrize("spare", [0, 7])
def test_pictures(tmp_path, layout, stored, encoding, big, expected, spare):
    step = stored[0].nbytes + spare
    said = [Said("/dvs/image_raw", IMAGE, START, image(START - 12_345, stored, encoding, step, big))]
    stream = open_said(tmp_path, arrays(make_events(9), 3), said)
    (frames,) = stream.frames
    assert (frames.name, frames.start, *frames[3:6]) == ("frames", START - 12_345, layout, 6, 5)
    (frame,) = frames.read(WHOLE)
    assert frame.time == START - 12_345 and frame.exposure is None
    assert frame.image.dtype == expected.dtype
    np.testing.assert_array_equal(frame.image, expected)


@pytest.mark.parametrize(("stored", "layout"), [(GRAY, "gray"), (RGB, "rgb"), (WIDE, "gray")])
def test_compressed_pictures(tmp_path, stored, layout):
    png = iio.imwrite("<bytes>", stored, extension=".png", plugin="pillow")
    kind = b"bgr8; png compressed"
    head = struct.pack("<IIIII", 7, *divmod(START, 10**9), 0, len(kind)) + kind
    data = head + struct.pack("<I", len(png)) + png
    topic = "/dvs/image_raw/compressed"
    other = frames_of("/dvs/image_rect", [START], [GRAY], "mono8")
    stream = open_said(tmp_path, arrays(make_events(9), 3), [Said(topic, COMPRESSED, START, data)], other)
    (frame,) = stream.frames[0].read(WHOLE)
    assert stream.frames[0].layout == layout
    np.testing.assert_array_equal(frame.image, stored)
    cut = head + struct.pack("<I", 40) + png[:40]
    (tmp_path / "a.bag").unlink()
    with pytest.raises(InputError, match="a.bag: /dvs/image_raw/compressed: message 1: picture cannot be read"):
        open_said(tmp_path, arrays(make_events(9), 3), [Said(topic, COMPRESSED, START, cut)])


def test_compressed_pictures_of_any_size_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "LARGEST_PICTURE", 29)
    png = iio.imwrite("<bytes>", GRAY, extension=".png", plugin="pillow")
    data = struct.pack("<IIIII", 7, *divmod(START, 10**9), 0, 0) + struct.pack("<I", len(png)) + png
    with pytest.raises(InputError, match="a picture of 5 x 6, more than any"):
        open_said(tmp_path, arrays(make_events(9), 3), [Said("/dvs/image_raw", COMPRESSED, START, data)])


def test_pictures_keep_their_order(tmp_path):
    times = [START, START + 2000, START + 1000]
    said = frames_of("/dvs/image_raw", times, [GRAY, GRAY, GRAY], "mono8")
    said = [each._replace(time=START + k) for k, each in enumerate(said)]
    stream = open_said(tmp_path, arrays(make_events(9), 3), said)
    assert [frame.time for frame in stream.frames[0].read(WHOLE)] == times


@pytest.mark.parametrize(("encoding", "notes"), [("mono8", 2), ("bayer_rggb8", 1)])
def test_colour_camera_gives_colour_and_its_mosaic(tmp_path, encoding, notes):
    colour = frames_of("/dvs/image_color", [START, START + 9], [RGB, RGB], "bgr8")
    mosaic = frames_of("/dvs/image_raw", [START], [GRAY], encoding)
    stream = open_said(tmp_path, arrays(make_events(9), 3), mosaic, colour)
    frames, raw = stream.frames
    assert (frames.name, frames.layout, raw.name, raw.layout) == ("frames", "rgb", "raw", "rggb")
    assert [frame.time for frame in frames.read(WHOLE)] == [START, START + 9]
    np.testing.assert_array_equal(next(frames.read(WHOLE)).image, RGB[..., ::-1])
    np.testing.assert_array_equal(next(raw.read(WHOLE)).image, GRAY)
    assert len(stream.notes) == notes and all("rggb" in note.lower() for note in stream.notes)


def test_topics_of_a_stereo_camera(tmp_path):
    left, right = make_events(50), make_events(40, seed=1)
    said = [arrays(left, 10, "/davis/left/events"), arrays(right, 10, "/davis/right/events")]
    for side, value in (("left", 10), ("right", 20)):
        said.append(frames_of(f"/davis/{side}/image_raw", [START], [np.full((2, 2), value, np.uint8)], "mono8"))
    stream = open_said(tmp_path, *said)
    assert_same(read(stream), left)
    assert next(stream.frames[0].read(WHOLE)).image[0, 0] == 10
    assert len(stream.notes) == 1 and "/davis/left/events; there are also /davis/right/events" in stream.notes[0]
    for topic in ("right", "/davis/right/events", "davis/right/events"):
        stream = open_bag(tmp_path / "a.bag", "a.bag", ReadOptions(topic=topic))
        assert_same(read(stream), right)
        assert next(stream.frames[0].read(WHOLE)).image[0, 0] == 20 and stream.notes == []
    other = open_bag(tmp_path / "a.bag", "a.bag", ReadOptions(frame_topic="/davis/right/image_raw"))
    assert next(other.frames[0].read(WHOLE)).image[0, 0] == 20 and len(other.frames) == 1


@pytest.mark.parametrize("others", [["/a/right/events"], ["/a/right/events", "/b/left/events", "/davis/left/events"]])
def test_the_left_camera_is_the_usual_one(tmp_path, others):
    usual = "/davis/left/events" if "/davis/left/events" in others else "/a/left/events"
    said = [arrays(make_events(len(topic)), 10, topic) for topic in {*others, "/a/left/events"}]
    stream = open_said(tmp_path, *said)
    assert len(read(stream).t) == len(usual) and f"read from {usual}; there are also" in stream.notes[0]


def test_topics_without_messages(tmp_path):
    said = arrays(make_events(50), 10, "/cam/events"), frames_of("/cam/image_raw", [START], [GRAY], "mono8")
    stream = open_said(tmp_path, *said, silent="/dvs/events")
    assert len(read(stream).t) == 50 and stream.notes[0].startswith("events were read from /cam/events")
    (tmp_path / "a.bag").unlink()
    (frames,) = open_said(tmp_path, *said, silent="/cam/image_color").frames
    assert (frames.name, frames.layout) == ("frames", "gray")


def test_topics_of_other_cameras(tmp_path):
    events = make_events(50)
    stream = open_said(
        tmp_path,
        arrays(events, 10, "/cam/events"),
        [Said("/dvs/imu", ("sensor_msgs/msg/Imu", "1" * 32), START, bytes(99))],
        frames_of("/cam/camera/image", [START], [GRAY], "mono8"),
        frames_of("/other/image_raw", [START], [GRAY], "mono8"),
    )
    assert_same(read(stream), events)
    assert stream.notes == [
        "events were read from /cam/events, the only topic of events",
        "frames were read from /cam/camera/image",
    ]
    with pytest.raises(InputError, match=r"no topic '/nowhere': it has .*/cam/events \(dvs_msgs/EventArray\)"):
        open_bag(tmp_path / "a.bag", "a.bag", ReadOptions(topic="/nowhere"))
    with pytest.raises(InputError, match=r"a.bag: topic /dvs/imu holds no events: it has .*EventArray"):
        open_bag(tmp_path / "a.bag", "a.bag", ReadOptions(topic="/dvs/imu"))
    with pytest.raises(InputError, match=r"no topic '/dvs/imu' of pictures .*--frame-topic"):
        open_bag(tmp_path / "a.bag", "a.bag", ReadOptions(frame_topic="/dvs/imu"))


def test_topics_that_leave_a_choice(tmp_path):
    said = arrays(make_events(50), 10, "/a/events"), arrays(make_events(50), 10, "/b/events")
    with pytest.raises(InputError, match="several topics: /a/events .*/b/events .*--topic"):
        open_said(tmp_path, *said)
    (tmp_path / "a.bag").unlink()
    stream = open_said(tmp_path, *said, arrays(make_events(20), 10, "/dvs/events"))
    assert len(read(stream).t) == 20 and "/a/events" in stream.notes[0]


@pytest.mark.parametrize(
    ("topic", "kind", "message"),
    [
        ("/event_camera/events", PACKET, "/event_camera/events holds event_camera_msgs/EventPacket, .*bag_to_raw"),
        ("/dvs/events", (EVENTS[0], "9" * 32), "holds dvs_msgs/EventArray of a definition that is not known .*9999"),
        ("/dvs/image_raw", IMAGE, r"no topic of events .*: it has /dvs/image_raw \(sensor_msgs/Image\)"),
    ],
)
def test_bags_without_known_events(tmp_path, topic, kind, message):
    data = image(START, GRAY, "mono8")
    with pytest.raises(InputError, match=message):
        open_said(tmp_path, [Said(topic, kind, START, data), Said(topic, kind, START + 1, data)])


@pytest.mark.parametrize("claimed", [299, 301, 900_000_000])
def test_counts_that_do_not_fit(tmp_path, claimed):
    events = make_events(9000, step=2_000_000)
    said = arrays(events, 300)
    said[25] = said[25]._replace(data=event_array(make_events(300), claimed=claimed))
    stream = open_said(tmp_path, said)
    window = Window(int(events.t[7000]), int(events.t[7300]))
    message = f"a.bag: /dvs/events: message 26: message size does not fit .*claims {claimed} events"
    for part in (WHOLE, window):
        with pytest.raises(InputError, match=message):
            read(stream, part)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (image(START, GRAY, "32FC1"), "encoding '32FC1'"),
        (image(START, GRAY, "mono8")[:-1], "claims 5 x 6 pixels mono8"),
        (
            image(START, GRAY, "mono8").replace(struct.pack("<II", 5, 30), struct.pack("<II", 5, 29)),
            "in 29 bytes of data",
        ),
        (image(START, GRAY, "mono8").replace(struct.pack("<II", 6, 5), bytes(8)), "claims 0 x 0 pixels"),
        (image(START, WIDE, "mono16"), "has encoding mono16, those before mono8"),
        (image(START, GRAY, "rgb8"), "claims 5 x 6 pixels rgb8, rows of 5 bytes"),
        (image(START, GRAY, "mono8")[:20], "requires a buffer"),
        (struct.pack("<IIII", 7, 1, 2, 2**32 - 1), "requires a buffer"),
    ],
    ids=["encoding", "cut", "size", "empty", "change", "rows", "header", "frame_id"],
)
def test_pictures_that_cannot_be_read(tmp_path, data, message):
    good = [Said("/dvs/image_raw", IMAGE, START, image(START, GRAY, "mono8"))]
    stream = open_said(tmp_path, arrays(make_events(9), 3), good, [Said("/dvs/image_raw", IMAGE, START + 1, data)])
    pictures = stream.frames[0].read(WHOLE)
    next(pictures)
    with pytest.raises(InputError, match="a.bag: /dvs/image_raw: message 2: .*" + message):
        next(pictures)


# What follows is packed by hand: what rosbags would not write.


def record(header: dict[str, bytes], data: bytes) -> bytes:
    packed = b"".join(
        struct.pack("<I", len(name) + 1 + len(value)) + name.encode() + b"=" + value for name, value in header.items()
    )
    return struct.pack("<I", len(packed)) + packed + struct.pack("<I", len(data)) + data


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def time_of(time: int) -> bytes:
    return struct.pack("<II", *divmod(time, 10**9))


TOPIC = {"topic": b"/dvs/events", "type": b"dvs_msgs/EventArray", "md5sum": EVENTS[1].encode()}
CONNECTION = record(
    {"op": b"\7", "conn": u32(5), "topic": b"/dvs/events"}, record({**TOPIC, "message_definition": b"-"}, b"")[4:-4]
)


def by_hand(
    messages: bytes,
    count: int = 1,
    chunk: dict[str, bytes] | None = None,
    stored: bytes | None = None,
    info: dict[str, bytes] | None = None,
    bag: dict[str, bytes] | None = None,
    repeat: int = 1,
) -> bytes:
    """A bag of one chunk with `messages`; the rest is what to change in it."""
    place = 13 + 4096
    header = {"op": b"\5", "compression": b"none", "size": u32(len(messages))}
    body = record({**header, **(chunk or {})}, messages if stored is None else stored)
    about = {"op": b"\6", "ver": u32(1), "chunk_pos": struct.pack("<Q", place), "count": u32(1)}
    times = {"start_time": time_of(START), "end_time": time_of(START + 10**9)}
    infos = record({**about, **times, **(info or {})}, u32(5) + u32(count)) * repeat
    top = {"op": b"\3", "index_pos": struct.pack("<Q", place + len(body)), "conn_count": u32(1)}
    first = record({**top, "chunk_count": u32(repeat), **(bag or {})}, b"")
    padding = 4096 - len(first)
    first = first[:-4] + u32(padding) + b" " * padding
    return b"#ROSBAG V2.0\n" + first + body + CONNECTION + infos


FIELDS = {"op": b"\2", "conn": u32(5), "time": time_of(START)}


def said_by(*names: str, extra: dict[str, bytes] | None = None, data: bytes = event_array(make_events(5))) -> bytes:
    """A record of a message, its fields in that order."""
    return record({name: FIELDS[name] for name in names} | (extra or {}), data)


def said_twice(*names: str) -> bytes:
    """As `said_by`, where names may come twice."""
    fields = b"".join(record({name: FIELDS[name]}, b"")[4:-4] for name in names)
    return u32(len(fields)) + fields + u32(0)


def open_bytes(tmp_path: Path, data: bytes) -> Stream:
    (tmp_path / "b.bag").write_bytes(data)
    return open_bag(tmp_path / "b.bag", "b.bag", AS_STORED)


@pytest.mark.parametrize("names", [("conn", "op", "time"), ("op", "conn", "time"), ("time", "conn", "op")])
@pytest.mark.parametrize("extra", [{}, {"latching": b"1"}])
def test_fields_in_any_order(tmp_path, names, extra):
    other = record({"op": b"\2", "conn": u32(6), "time": time_of(START)}, b"another topic")
    stream = open_bytes(tmp_path, by_hand(CONNECTION + other + said_by(*names, extra=extra)))
    assert_same(read(stream), make_events(5))


GOOD = said_by("conn", "op", "time")
BROKEN = {
    "no bag": (b"#ROSBAG V1.2\n", "not a rosbag of format 2.0"),
    "header": (b"#ROSBAG V2.0\n" + b"\xff" * 8, "index of the bag: damaged: a part of 4294967295 bytes"),
    "unindexed": (by_hand(GOOD, bag={"index_pos": bytes(8)}), "has no index.*rosbag reindex"),
    "index behind the end": (by_hand(GOOD, bag={"index_pos": struct.pack("<Q", 10**9)}), "truncated: .*1000000000"),
    "encrypted": (by_hand(GOOD, bag={"encryptor": b"rosbag/AesCbcEncryptor"}), "encrypted"),
    "no chunk count": (by_hand(GOOD, bag={"chunk_count": b""}), "index of the bag: damaged"),
    "more chunks": (by_hand(GOOD, bag={"chunk_count": u32(2**32 - 1)}), "index of the bag: damaged"),
    "more connections": (by_hand(GOOD, bag={"conn_count": u32(2**32 - 1)}), "index of the bag: damaged: record of kind"),
    "chunks twice": (by_hand(GOOD, repeat=2), "chunks overlap"),
    "chunk behind the end": (by_hand(GOOD, info={"chunk_pos": b"\xff" * 8}), "chunks overlap"),
    "index version": (by_hand(GOOD, info={"ver": u32(2)}), "version 2, expected 1"),
    "compression": (by_hand(GOOD, chunk={"compression": b"xz"}), "chunk at byte 4109: damaged: compression b'xz'"),
    "no lz4": (by_hand(GOOD, chunk={"compression": b"lz4"}), "chunk at byte 4109: damaged"),
    "no bz2": (by_hand(GOOD, chunk={"compression": b"bz2"}), "chunk at byte 4109: damaged"),
    "bz2 cut": (
        by_hand(GOOD, chunk={"compression": b"bz2"}, stored=bz2.compress(GOOD)[:-20]),
        "chunk at byte 4109: damaged: 0 bytes or more where",
    ),
    "chunk too small": (by_hand(GOOD, chunk={"size": u32(len(GOOD) - 1)}), "damaged: .* bytes or more where"),
    "chunk too large": (by_hand(GOOD, chunk={"size": u32(2**32 - 1)}), "more than 134217728"),
    "chunk beyond the file": (
        by_hand(GOOD).replace(u32(len(GOOD)) + GOOD, u32(10**6) + GOOD),
        "chunk at byte 4109: damaged: the file ends early",
    ),
    "no time": (by_hand(said_by("conn", "op")), "field b'time' is missing"),
    "conn twice": (by_hand(said_twice("conn", "conn", "time")), "field b'op' is missing"),
    "op twice": (by_hand(said_twice("op", "conn", "op")), "field b'time' is missing"),
    "record beyond the chunk": (by_hand(GOOD[:-1]), "goes beyond the chunk"),
    "short record": (by_hand(GOOD + b"\1"), "chunk at byte 4109: damaged"),
    "sensor": (
        by_hand(said_by("conn", "op", "time", data=event_array(make_events(2), size=(1, 2**32 - 1)))),
        "names a sensor of 4294967295 x 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_bags(tmp_path, broken):
    data, message = BROKEN[broken]
    with pytest.raises(InputError, match="b.bag: .*" + message) as caught:
        read(open_bytes(tmp_path, data))
    assert "\n" not in str(caught.value)


def test_a_chunk_never_unpacks_to_more_than_it_says(tmp_path):
    bomb = by_hand(GOOD, chunk={"compression": b"bz2", "size": u32(1000)}, stored=bz2.compress(bytes(3 * 10**7)))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="1001 bytes or more where 1000 are declared"):
            open_bytes(tmp_path, bomb)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


def test_a_bag_without_messages_has_no_events(tmp_path):
    stream = open_bytes(tmp_path, by_hand(GOOD, bag={"chunk_count": u32(0)}))
    assert list(stream.blocks(WHOLE)) == [] and stream.size is None


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none.bag", tmp_path):
        with pytest.raises(InputError, match="it: "):
            open_bag(path, "it", AS_STORED)
        with pytest.raises(InputError, match="it: "):
            open_bag2(path, "it", AS_STORED)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux lists open files there")
def test_nothing_stays_open(tmp_path):
    said = arrays(make_events(3 * BLOCK), 5000), frames_of("/dvs/image_raw", [START] * 2, [GRAY] * 2, "mono8")
    stream = open_said(tmp_path, *said)
    before = os.listdir("/proc/self/fd")
    blocks: Any = stream.blocks(WHOLE)
    pictures: Any = stream.frames[0].read(WHOLE)
    next(blocks)
    next(pictures)
    assert len(os.listdir("/proc/self/fd")) > len(before)
    blocks.close()
    pictures.close()
    assert os.listdir("/proc/self/fd") == before


# ROS 2, written with the serialiser of rosbags.

EVENT_TYPES = {
    "dvs_msgs/msg/Event": "uint16 x\nuint16 y\nbuiltin_interfaces/Time ts\nbool polarity\n",
    "dvs_msgs/msg/EventArray": "std_msgs/Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events\n",
}
ROS2 = get_typestore(Stores.ROS2_HUMBLE)
for msgtype, definition in EVENT_TYPES.items():
    ROS2.register(get_types_from_msg(definition, msgtype))


def header_of(time: int, frame_id: str) -> Any:
    stamp = ROS2.types["builtin_interfaces/msg/Time"](*divmod(time, 10**9))
    return ROS2.types["std_msgs/msg/Header"](stamp, frame_id)


def event_array2(events: Known, frame_id: str = "dvs") -> bytes:
    """A dvs_msgs/EventArray in CDR, one object per event."""
    moment, event = ROS2.types["builtin_interfaces/msg/Time"], ROS2.types["dvs_msgs/msg/Event"]
    listed: Any = [
        event(x, y, moment(*divmod(t, 10**9)), bool(p))
        for t, x, y, p in zip(*(column.tolist() for column in events), strict=True)
    ]
    array = ROS2.types["dvs_msgs/msg/EventArray"](header_of(START, frame_id), 180, 240, listed)
    return bytes(ROS2.serialize_cdr(array, "dvs_msgs/msg/EventArray"))


def image2(time: int, pixels: np.ndarray, encoding: str, step: int, big: int, frame_id: str) -> bytes:
    padded = np.zeros((len(pixels), step), np.uint8)
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    padded[:, : rows.shape[1]] = rows
    kind = ROS2.types["sensor_msgs/msg/Image"]
    message = kind(header_of(time, frame_id), *pixels.shape[:2], encoding, big, step, padded.ravel())
    return bytes(ROS2.serialize_cdr(message, "sensor_msgs/msg/Image"))


def write_bag2(path: Path, said: Iterable[Said], plugin: StoragePlugin, mode: CompressionMode | None = None) -> Path:
    writer = Writer2(path, version=9, storage_plugin=plugin)
    if mode:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, kind, time, data in said:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind[0], msgdef="-", rihs01="RIHS01_0")
            writer.write(connections[topic], time, data)
    return path


def arrays2(events: Known, sizes: Sequence[int]) -> list[Said]:
    said, first = [], 0
    for k, size in enumerate(sizes):
        part = events.part(first, first + size)
        time = int(part.t[-1]) + LAG if size else START + LAG
        said.append(Said("/dvs/events", EVENTS, time, event_array2(part, "dvs!"[: k % 5])))
        first += size
    return said


MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
STORAGES = [
    (MCAP, None), (MCAP, CompressionMode.STORAGE), (SQLITE, None), (SQLITE, CompressionMode.MESSAGE),
]  # fmt: skip


@pytest.mark.parametrize(("plugin", "mode"), STORAGES)
def test_ros2(tmp_path, plugin, mode):
    events = make_events(400, step=50_000_000)
    sizes = [1, 0, 2, 3, 7, 5, 82, *[100] * 3]
    times = [int(events.t[k]) for k in range(len(PICTURES))]
    pictures = [image2(times[0] - 5, GRAY, "bayer_rggb8", 8, 0, "")]
    said = in_order(arrays2(events, sizes), [Said("/dvs/image_raw", IMAGE, times[0], pictures[0])])
    path = write_bag2(tmp_path / "rec", said, plugin, mode)
    stream = open_bag2(path, "rec", AS_STORED)
    assert_same(read(stream), events)
    assert stream.format == "ROS 2 bag" and stream.unit == "ns" and stream.size == (180, 240, "the event messages")
    assert [file.parent for file in stream.files] == [path] and stream.files[0].is_file()
    (frame,) = stream.frames[0].read(WHOLE)
    assert frame.time == times[0] - 5 and stream.frames[0].layout == "rggb"
    np.testing.assert_array_equal(frame.image, GRAY)
    window = Window(int(events.t[150]), int(events.t[160]))
    assert_same(read(stream, window), events.part(150, 161))
    assert sum(len(block.t) for block in stream.blocks(window)) < 400 or plugin is MCAP


@pytest.mark.parametrize(
    ("layout", "stored", "encoding", "big", "expected"), PICTURES, ids=[row[2] for row in PICTURES]
)
def test_ros2_pictures(tmp_path, layout, stored, encoding, big, expected):
    said = arrays2(make_events(9), [9])
    for k in range(4):
        data = image2(START + k, stored, encoding, stored[0].nbytes + k, big, "cam"[:k])
        said.append(Said("/dvs/image_raw", IMAGE, START + 10**9 + k, data))
    (frames,) = open_bag2(write_bag2(tmp_path / "rec", said, MCAP), "rec", AS_STORED).frames
    assert frames.layout == layout
    found = list(frames.read(WHOLE))
    assert [frame.time for frame in found] == [START + k for k in range(4)]
    for frame in found:
        np.testing.assert_array_equal(frame.image, expected)


@pytest.mark.parametrize(("plugin", "suffix"), [(MCAP, ".mcap"), (SQLITE, ".db3")])
def test_ros2_storage_alone(tmp_path, plugin, suffix):
    events = make_events(300)
    write_bag2(tmp_path / "rec", arrays2(events, [100] * 3), plugin)
    odd = tmp_path / f"100% ?#1{suffix}"
    (tmp_path / f"rec/rec{suffix}").rename(odd)
    stream = open_bag2(odd, odd.name, AS_STORED)
    assert stream.files == (odd,)
    assert_same(read(stream), events)


def test_ros2_message_larger_than_a_block(tmp_path):
    events = make_events(1000)
    said = Said("/dvs/events", EVENTS, START, event_array2(events))
    many = -(-(BLOCK + 5) // 1000)
    # Events after the first take 16 bytes each, and may be repeated.
    start = len(said.data) - (16 * 1000 - 3)
    rest = said.data[start + 14 :] + b"\0"
    data = said.data[: start - 4] + struct.pack("<I", 1 + 999 * many) + said.data[start : start + 14] + rest * many
    path = write_bag2(tmp_path / "rec", [said._replace(data=data[:-1])], MCAP)
    found = read(open_bag2(path, "rec", AS_STORED))
    expected = Known(*(np.concatenate([column[:1], *[column[1:]] * many]) for column in events))
    assert len(found.t) > BLOCK
    assert_same(found, expected)


def test_ros2_refusals(tmp_path):
    said = arrays2(make_events(300), [100] * 3)
    data = bytearray(said[1].data)
    position = data.index(struct.pack("<III", 180, 240, 100)) + 8
    data[position : position + 4] = u32(900_000_000)
    big_endian = said[1]._replace(data=b"\0\0" + said[1].data[2:])
    cases = [
        ([said[0], said[1]._replace(data=bytes(data))], "rec: /dvs/events: message 2: message size does not fit"),
        ([said[0], big_endian], r"message 2: .*serialised in a way that is not known \(0000"),
        ([Said("/e", PACKET, START, b"\0\1\0\0")], "holds event_camera_msgs/EventPacket"),
    ]
    for k, (wrong, message) in enumerate(cases):
        path = write_bag2(tmp_path / f"rec{k}", wrong, SQLITE)
        with pytest.raises(InputError, match=message):
            read(open_bag2(path, "rec", AS_STORED))
    packed = write_bag2(tmp_path / "packed", said, SQLITE, CompressionMode.FILE)
    with pytest.raises(InputError, match="packed as a whole"):
        open_bag2(packed, "rec", AS_STORED)
    (packed / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    with pytest.raises(InputError, match="rec: damaged bag: .*ros2 bag reindex"):
        open_bag2(packed, "rec", AS_STORED)
    os.mkfifo(packed / "pipe")
    with pytest.raises(InputError, match="rec/pipe: not a regular file"):
        open_bag2(packed, "rec", AS_STORED)


def test_ros2_unclosed_mcap(tmp_path):
    write_bag2(tmp_path / "rec", arrays2(make_events(300), [100] * 3), MCAP)
    data = bytearray((tmp_path / "rec/rec.mcap").read_bytes())
    data[-28:-20] = bytes(8)  # where the footer says that the summary starts
    (tmp_path / "cut.mcap").write_bytes(data)
    with pytest.raises(InputError, match="cut.mcap: damaged bag: it has no index of its chunks; .*mcap recover"):
        open_bag2(tmp_path / "cut.mcap", "cut.mcap", AS_STORED)


def test_ros2_messages_never_unpack_to_more_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(rosbag2, "LARGEST", 20_000)
    zero = Known(*(np.zeros(1500, np.int64) for _ in range(4)))
    said = [Said("/dvs/events", EVENTS, START, event_array2(zero))]
    path = write_bag2(tmp_path / "rec", said, SQLITE, CompressionMode.MESSAGE)
    with pytest.raises(InputError, match="rec: damaged bag: a message of more than 20000 bytes"):
        open_bag2(path, "rec", AS_STORED)


def mcap_record(kind: int, body: bytes) -> bytes:
    return struct.pack("<BQ", kind, len(body)) + body


def mcap_text(text: bytes) -> bytes:
    return u32(len(text)) + text


def mcap_by_hand(
    *messages: Said, compression: bytes = b"", stored: bytes | None = None, size: int | None = None, repeat: int = 1
) -> bytes:
    """An MCAP with a chunk for each message, without an index of messages; the rest is what to change."""
    data = b"\x89MCAP0\r\n" + mcap_record(1, mcap_text(b"ros2") + mcap_text(b""))
    listed = []
    for message in messages:
        records = mcap_record(5, struct.pack("<HIQQ", 3, 0, message.time, message.time) + message.data)
        records += mcap_record(5, struct.pack("<HIQQ", 4, 0, message.time, message.time) + b"another topic")
        size = len(records) if size is None else size
        packed = records if stored is None else stored
        head = struct.pack("<QQQI", message.time, message.time, size, 0) + mcap_text(compression)
        chunk = mcap_record(6, head + struct.pack("<Q", len(packed)) + packed)
        times = struct.pack("<QQQQ", message.time, message.time, len(data), len(chunk))
        listed.append(
            mcap_record(8, times + u32(0) + bytes(8) + mcap_text(compression) + struct.pack("<QQ", len(packed), size))
        )
        data += chunk
        size = None
    start = len(data)
    data += mcap_record(
        3, struct.pack("<H", 1) + mcap_text(EVENTS[0].encode()) + mcap_text(b"ros2msg") + mcap_text(b"-")
    )
    data += mcap_record(4, struct.pack("<HH", 3, 1) + mcap_text(b"/dvs/events") + mcap_text(b"cdr") + mcap_text(b""))
    data += b"".join(listed) * repeat
    return data + mcap_record(2, struct.pack("<QQI", start, 0, 0)) + b"\x89MCAP0\r\n"


def test_mcap_without_an_index_of_messages(tmp_path):
    events = make_events(300, step=200_000_000)
    said = arrays2(events, [50] * 6)
    path = tmp_path / "a.mcap"
    path.write_bytes(mcap_by_hand(*said))
    stream = open_bag2(path, "a.mcap", AS_STORED)
    assert_same(read(stream), events)
    window = Window(int(events.t[160]), int(events.t[190]))
    assert_same(read(stream, window), events.part(160, 191))
    assert sum(len(block.t) for block in stream.blocks(window)) == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"repeat": 2}, "chunks overlap"),
        ({"size": 2**40}, "no chunk of up to"),
        ({"size": 5}, "does not fit its size"),
        ({"compression": b"lz5"}, "compression b'lz5' is not known"),
        ({"compression": b"zstd", "stored": zstd.compress(bytes(3 * 10**7)), "size": 1000}, "does not fit its size"),
        (
            {"compression": b"lz4", "stored": lz4.frame.compress(bytes(3 * 10**7)), "size": 1000},
            "does not fit its size",
        ),
        ({"compression": b"zstd"}, "damaged bag"),
        ({"stored": b"\5" * 9, "size": 9}, "goes beyond its chunk"),
    ],
)
def test_broken_mcap(tmp_path, change, message):
    path = tmp_path / "a.mcap"
    path.write_bytes(mcap_by_hand(*arrays2(make_events(5), [5]), **change))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="a.mcap: damaged bag: .*" + message if "bag" not in message else message):
            read(open_bag2(path, "a.mcap", AS_STORED))
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> dict[str, bytes]:
    """A small valid bag of each kind."""
    folder = tmp_path_factory.mktemp("small")
    said = arrays(make_events(60), 20), frames_of("/dvs/image_raw", [START], [GRAY], "mono8")
    kinds = {name: write_bag(folder / name, in_order(*said), name, 300).read_bytes() for name in ("none", "bz2", "lz4")}
    for plugin, name in ((MCAP, "mcap"), (SQLITE, "db3")):
        mode = CompressionMode.STORAGE if plugin is MCAP else None
        path = write_bag2(folder / f"{name}2", arrays2(make_events(60), [20] * 3), plugin, mode)
        kinds[name] = (path / f"{name}2.{name}").read_bytes()
    return kinds


@pytest.mark.parametrize("kind", ["none", "bz2", "lz4", "mcap", "db3"])
@settings(max_examples=150)
@given(data=st.data())
def test_damage_is_an_input_error_or_harmless(small, tmp_path_factory, kind, data):
    damaged = bytearray(small[kind])
    for _ in range(data.draw(st.integers(0, 3))):
        # The padding of a bag header is most of a small bag.
        at = data.draw(st.integers(0, len(damaged) - 1).filter(lambda k: damaged[k] != 0x20))
        damaged[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    path.write_bytes(damaged)
    opener = open_bag if kind in ("none", "bz2", "lz4") else open_bag2
    try:
        stream = opener(path, "damaged", AS_STORED)
        for _ in stream.blocks(Window(START, START + 10**9)):
            pass
        for frames in stream.frames:
            for _ in frames.read(WHOLE):
                pass
    except InputError as error:
        assert str(error).startswith("damaged") and "\n" not in str(error)
