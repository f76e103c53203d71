"""ROS messages of event cameras, decoded from their bytes: arrays of events as packed records, and pictures.

ROS 1 writes fields one after another, little endian, without padding. ROS 2 writes CDR: 4 bytes that name the encoding,
then fields aligned to their own size, counted from after those. Definitions: dvs_msgs (rpg_dvs_ros), sensor_msgs.
Functions raise ValueError or struct.error where bytes do not fit; the caller knows which message it was.
"""

import struct
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from converters.pictures import read_picture
from converters.ros_topics import Topic
from converters.stream import Columns, Unit

U32 = struct.Struct("<I")
SIZES = struct.Struct("<III")
LAYOUTS = {
    "mono8": "gray", "8UC1": "gray", "mono16": "gray", "16UC1": "gray", "rgb8": "rgb", "bgr8": "rgb",
    "bayer_rggb8": "rggb", "bayer_bggr8": "bggr", "bayer_grbg8": "grbg", "bayer_gbrg8": "gbrg",
}  # fmt: skip
"""Encodings of sensor_msgs/Image that are read, and what their pixels are."""


class Located(NamedTuple):
    """Where the events of a message begin, how many there are, and the sensor that it names (0 x 0: none)."""

    start: int
    events: int
    height: int
    width: int


class EventLayout(NamedTuple):
    """How a type of message holds events."""

    unit: Unit
    record: np.dtype
    clock: struct.Struct
    """The time of an event, in whose record it is 4 bytes behind x."""
    locate: Callable[[memoryview], Located]
    copy: Callable[[bytearray, memoryview, int, int, int], None]
    """Appends the records `first` to `last` of a message whose events begin at `start`."""


class Picture(NamedTuple):
    """A picture as its message has it; colour as RGB. `encoding` is ROS's name for it."""

    time: int
    image: Shaped[np.ndarray, "h w *c"]
    encoding: str


def locate_packed(data: memoryview) -> Located:
    """In `Header header, uint32 height, uint32 width, Event[] events`."""
    (frame_id,) = U32.unpack_from(data, 12)
    height, width, count = SIZES.unpack_from(data, 16 + frame_id)
    start = 28 + frame_id
    if start + 13 * count != len(data):
        raise ValueError(f"claims {count} events in {len(data)} bytes")
    return Located(start, count, height, width)


def locate_old(data: memoryview) -> Located:
    """In the `Event[] events` of 2014."""
    (count,) = U32.unpack_from(data)
    if 4 + 13 * count != len(data):
        raise ValueError(f"claims {count} events in {len(data)} bytes")
    return Located(4, count, 0, 0)


def locate_cdr(data: memoryview) -> Located:
    """As `locate_packed`, in ROS 2."""
    after_header = skip_header(data, cdr=True)
    height, width, count = SIZES.unpack_from(data, after_header)
    start = after_header + 12
    # 16 bytes from one event to the next, 13 of the last; some middleware fills the message up to 4 bytes.
    if not 0 <= len(data) - start - max(16 * count - 3, 0) < 4:
        raise ValueError(f"claims {count} events in {len(data)} bytes")
    return Located(start, count, height, width)


def copy_packed(buffer: bytearray, data: memoryview, start: int, first: int, last: int) -> None:
    buffer += data[start + 13 * first : start + 13 * last]


def copy_cdr(buffer: bytearray, data: memoryview, start: int, first: int, last: int) -> None:
    """With x and y of the first event moved apart from its time, as those of all others are.

    An event ends at an odd byte; the next x follows after 1 byte, its seconds, aligned to 4, after 2 more.
    """
    begin = start + 16 * first - 2
    if first == 0:
        buffer += data[start : start + 4]
        buffer += b"\0\0"
        begin = start + 4
    buffer += data[begin : start + 16 * last - 3]
    buffer += b"\0"


SECONDS = [("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")]
ALIGNED = [("x", "<u2"), ("y", "<u2"), ("", "V2"), ("s", "<i4"), ("ns", "<u4"), ("p", "u1"), ("end", "V1")]
PACKED = EventLayout("ns", np.dtype(SECONDS), struct.Struct("<II"), locate_packed, copy_packed)
OLD = EventLayout(
    "us",
    np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<u8"), ("p", "u1")]),
    struct.Struct("<Q"),
    locate_old,
    copy_packed,
)
CDR = EventLayout("ns", np.dtype(ALIGNED), struct.Struct("<iI"), locate_cdr, copy_cdr)


def event_layout(topic: Topic) -> EventLayout:
    """The layout of a topic of events."""
    if topic.kind == "old events":
        return OLD
    return CDR if topic.cdr else PACKED


def event_time(layout: EventLayout, data: memoryview, start: int, event: int) -> int:
    """Nanoseconds of one event of a message."""
    time = layout.clock.unpack_from(data, start + layout.record.itemsize * event + 4)
    return time[0] * 1000 if layout.unit == "us" else time[0] * 10**9 + time[1]


def columns(layout: EventLayout, buffer: bytearray, first: int, done: float) -> Columns:
    """The events of copied records. Times are those of the events: the stamps of their arrays are something else."""
    records = np.frombuffer(buffer, layout.record)
    if layout.unit == "us":
        t = np.ascontiguousarray(records["t"])
    else:
        t = records["s"].astype(np.int64)
        t *= 10**9
        t += records["ns"]
    x, y, p = (np.ascontiguousarray(records[field]) for field in "xyp")
    return Columns(t, x, y, p, first, done)


def skip_header(data: memoryview, cdr: bool) -> int:
    """Where the fields after a std_msgs/Header begin: `uint32 seq` (ROS 1 alone), stamp, `string frame_id`."""
    if cdr and data[:2] != b"\0\1":
        raise ValueError(f"is serialised in a way that is not known ({data[:2].hex()}, expected 0001)")
    (frame_id,) = U32.unpack_from(data, 12)
    return align(16 + frame_id, cdr)


def align(at: int, cdr: bool) -> int:
    """The next place of a 4-byte number."""
    return at + -at % 4 if cdr else at


def stamp(data: memoryview, cdr: bool) -> int:
    """Nanoseconds of a std_msgs/Header."""
    seconds, nanoseconds = struct.unpack_from("<iI" if cdr else "<II", data, 4)
    return seconds * 10**9 + nanoseconds


def read_text(data: memoryview, at: int) -> tuple[str, int]:
    """A string, and where it ends."""
    (length,) = U32.unpack_from(data, at)
    return bytes(data[at + 4 : at + 4 + length]).rstrip(b"\0").decode("ascii", "replace")[:60], at + 4 + length


def decode_picture(topic: Topic, data: memoryview) -> Picture:
    """The picture of a sensor_msgs/Image or CompressedImage."""
    return (read_compressed if topic.kind == "compressed image" else read_image)(data, topic.cdr)


def read_image(data: memoryview, cdr: bool) -> Picture:
    """A sensor_msgs/Image. Rows are `step` bytes apart, which may be more than their pixels take."""
    at = skip_header(data, cdr)
    height, width = struct.unpack_from("<II", data, at)
    encoding, at = read_text(data, at + 8)
    big_endian = data[at : at + 1] == b"\1"
    step, size = struct.unpack_from("<II", data, align(at + 1, cdr))
    start = align(at + 1, cdr) + 8
    if encoding not in LAYOUTS:
        raise ValueError(f"has encoding {encoding!r}, which is not read; convert it to mono8 or rgb8")
    channels = 3 if LAYOUTS[encoding] == "rgb" else 1
    depth = 2 if "16" in encoding else 1
    if not (height and 0 < width * channels * depth <= step and height * step == size <= len(data) - start):
        raise ValueError(f"claims {width} x {height} pixels {encoding}, rows of {step} bytes, in {size} bytes of data")
    rows = np.frombuffer(data, np.uint8, size, start).reshape(height, step)[:, : width * channels * depth]
    if depth == 2:
        wide = np.ascontiguousarray(rows).view(">u2" if big_endian else "<u2")
        return Picture(stamp(data, cdr), wide.astype(np.uint16), encoding)
    image = rows.reshape(height, width, 3) if channels == 3 else rows
    return Picture(stamp(data, cdr), (image[..., ::-1] if encoding == "bgr8" else image).copy(), encoding)


def read_compressed(data: memoryview, cdr: bool) -> Picture:
    """A sensor_msgs/CompressedImage: a PNG or JPEG."""
    _, at = read_text(data, skip_header(data, cdr))
    at = align(at, cdr)
    (size,) = U32.unpack_from(data, at)
    if size > len(data) - at - 4:
        raise ValueError(f"claims {size} bytes of picture in {len(data)} bytes")
    image = read_picture(BytesIO(data[at + 4 : at + 4 + size]), "its PNG or JPEG")
    return Picture(stamp(data, cdr), image, "rgb8" if image.ndim == 3 else "mono8")
