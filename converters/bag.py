"""Events and pictures of ROS bags (IJRR, HQF, CED, MVSEC): what is common to rosbag 1 and rosbag 2.

Events have times of their own, which are the ones that count; a picture's is the stamp in its header, the middle of
the exposure with the DAVIS driver. When a message was recorded only helps to find it.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, cast

from converters import rosbag1, rosbag2
from converters.options import ReadOptions
from converters.ros_messages import (
    LAYOUTS,
    EventLayout,
    Located,
    Picture,
    columns,
    decode_picture,
    event_layout,
    event_time,
)
from converters.ros_topics import Bag, Message, Topic, pick_events, pick_frames
from converters.stream import BLOCK, WHOLE, Columns, Frame, FrameSet, SensorSize, Stream, Window
from evinr.events import InputError

MARGIN = 10**9
"""Nanoseconds by which record times may be off. They lag the events by 3 to 9 ms in the samples, more on a busy disk."""


class Start(NamedTuple):
    """What the first messages of events tell: the sensor, and how long after its last event one was recorded (ns)."""

    size: SensorSize | None
    lag: int


def open_bag(path: Path, name: str, options: ReadOptions) -> Stream:
    """A rosbag 1 of format 2.0. Raises InputError where it is unindexed, damaged or has no topic of events."""
    return open_topics(name, rosbag1.read_bag(path, name), options)


def open_bag2(path: Path, name: str, options: ReadOptions) -> Stream:
    """A rosbag 2: its folder, or a bare `.mcap` or `.db3`. Raises InputError as `open_bag` does."""
    return open_topics(name, rosbag2.read_bag(path, name), options)


def open_topics(name: str, bag: Bag, options: ReadOptions) -> Stream:
    """The events of one topic and the pictures of the same camera."""
    topic, notes = pick_events(name, bag.topics, options.topic)
    layout = event_layout(topic)
    start = read_start(name, bag, topic, layout)
    frames, frame_notes = open_frames(name, bag, topic, options) if not options.skip_frames else ((), ())

    def blocks(window: Window) -> Iterator[Columns]:
        # A message may be recorded long after its first event; so the events themselves say when to stop.
        messages = bag.messages(topic, recorded(window, start.lag)._replace(last=WHOLE.last))
        return event_blocks(name, messages, topic, layout, window.last + MARGIN)

    return Stream(bag.format, bag.files, layout.unit, blocks, start.size, frames, notes=[*notes, *frame_notes])


def read_start(name: str, bag: Bag, topic: Topic, layout: EventLayout) -> Start:
    """Reads up to the first event. Raises InputError where the sensor that a message names is none."""
    size = None
    for message in bag.messages(topic, WHOLE):
        found = locate(name, topic, layout, message)
        if max(found.height, found.width) > 65536:
            raise InputError(
                f"{place(name, topic, message)}: names a sensor of {found.width} x {found.height}; the message is damaged"
            )
        if size is None and min(found.height, found.width) > 0:
            size = SensorSize(found.height, found.width, "the event messages")
        if found.events:
            return Start(size, message.time - event_time(layout, message.data, found.start, found.events - 1))
    return Start(size, 0)


def recorded(window: Window, lag: int) -> Window:
    """When messages of a window were recorded, widely; any time, where the clocks differ, as those of 2014 do.

    Both run on one computer, and the camera's crystal drifts by 3 ms a minute: the first lag stands for all.
    """
    if window == WHOLE or abs(lag) > MARGIN // 2:
        return WHOLE
    return Window(window.first - MARGIN, window.last + MARGIN)


def event_blocks(
    name: str, messages: Iterator[Message], topic: Topic, layout: EventLayout, end: int
) -> Iterator[Columns]:
    """The events of many messages at a time, up to a message that begins after `end` (ns).

    `first` counts from the first message that is read.
    """
    buffer, first, done = bytearray(), 0, 1.0
    full = BLOCK * layout.record.itemsize
    for message in messages:
        found = locate(name, topic, layout, message)
        if found.events and event_time(layout, message.data, found.start, 0) > end:
            break
        done = message.done
        for begin in range(0, found.events, BLOCK):
            layout.copy(buffer, message.data, found.start, begin, min(begin + BLOCK, found.events))
            if len(buffer) >= full:
                block = columns(layout, buffer, first, done)
                buffer = bytearray()
                yield block
                first += len(block.t)
    if buffer:
        yield columns(layout, buffer, first, done)


def locate(name: str, topic: Topic, layout: EventLayout, message: Message) -> Located:
    """Where the events of a message are. Raises InputError where their count does not fit its size."""
    try:
        return layout.locate(message.data)
    except (ValueError, struct.error) as error:
        raise InputError(
            f"{place(name, topic, message)}: message size does not fit its event count ({error}); the bag is damaged, "
            "copy or record it again"
        ) from error


def open_frames(
    name: str, bag: Bag, events: Topic, options: ReadOptions
) -> tuple[tuple[FrameSet, ...], tuple[str, ...]]:
    """The pictures beside the events, and what was assumed of them."""
    picked = pick_frames(name, bag.topics, events, options.frame_topic)
    if events.kind == "old events":
        note = "events are the dvs_msgs of 2014: in microseconds of a clock of their own, without the sensor's size"
        return (), (note, "frames were left out, as they have another clock") if picked.frames else (note,)
    sets, notes = [], list(picked.notes)
    for kind, topic in (("frames", picked.frames), ("raw", picked.raw)):
        message = next(bag.messages(topic, WHOLE), None) if topic else None
        if topic is None or message is None:
            continue
        picture = decode(name, topic, message)
        layout = LAYOUTS[picture.encoding]
        colour = f"{topic.name.rpartition('/')[0]}/image_color"
        # The driver publishes both only for a colour sensor, whose mosaic is RGGB (libcaer, rpg_e2vid).
        if picture.encoding == "mono8" and topic.name.endswith("/image_raw") and has_messages(bag, colour):
            layout = "rggb"
            notes.append(f"{topic.name} was taken for the RGGB mosaic of {colour}")
        if layout in ("rggb", "bggr", "grbg", "gbrg"):
            notes.append(f"the sensor is a colour one: `evinr fit --bayer {layout}` fits its mosaic")
        sets.append(frame_set(name, bag, kind, topic, message.time, picture, layout))
    return tuple(sets), tuple(notes)


def has_messages(bag: Bag, name: str) -> bool:
    return any(topic.name == name and topic.messages for topic in bag.topics)


def frame_set(name: str, bag: Bag, kind: str, topic: Topic, record_time: int, start: Picture, layout: str) -> FrameSet:
    """The pictures of a topic, of which `start` is the first and was recorded at `record_time`."""
    encoding, lag = start.encoding, record_time - start.time

    def read(window: Window) -> Iterator[Frame]:
        for message in bag.messages(topic, recorded(window, lag)):
            picture = decode(name, topic, message)
            if picture.encoding != encoding:
                raise InputError(
                    f"{place(name, topic, message)}: has encoding {picture.encoding}, those before {encoding}; "
                    "split the bag there"
                )
            if window.first <= picture.time <= window.last:
                yield Frame(picture.time, picture.image)

    height, width = start.image.shape[:2]
    return FrameSet(kind, start.time, read, cast(Literal["gray"], layout), height, width)


def decode(name: str, topic: Topic, message: Message) -> Picture:
    """The picture of a message. Raises InputError where it cannot be read."""
    try:
        return decode_picture(topic, message.data)
    except (ValueError, struct.error) as error:
        raise InputError(f"{place(name, topic, message)}: picture cannot be read: {error}") from error


def place(name: str, topic: Topic, message: Message) -> str:
    """File, topic and message, for messages to people."""
    recorded_at = f"{message.time // 10**9}.{message.time % 10**9:09d}"
    return f"{name}: {topic.name}: message {message.number or f'recorded at {recorded_at} s'}"
