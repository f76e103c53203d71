"""The topics of a ROS bag: what they carry, and which of them are the events and the pictures of one camera."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from converters.stream import Window
from evinr.events import InputError

Kind = Literal["events", "old events", "packets", "image", "compressed image", "other"]
DIGESTS: dict[str, Kind] = {
    "5e8beee5a6c107e504c2e78903c224b8": "events",  # dvs_msgs, prophesee_event_msgs: same fields, so the same digest
    "d2e726b2040dbc135644f4709c150a10": "old events",  # dvs_msgs of 2014
    "060021388200f6f0f447d0fcd9c64743": "image",
    "8f7a12909da2c9d3332d540a0977563f": "compressed image",
}
"""What the md5sums of ROS 1 definitions stand for. Names do not tell: dvs_msgs/EventArray has had two layouts."""
TYPES: dict[str, Kind] = {
    "dvs_msgs/EventArray": "events",
    "prophesee_event_msgs/EventArray": "events",
    "sensor_msgs/Image": "image",
    "sensor_msgs/CompressedImage": "compressed image",
}
"""What the types of ROS 2 stand for, which have no md5sums."""
PACKETS = ("event_camera_msgs/EventPacket", "event_array_msgs/EventArray")
"""Bytes as the camera sent them, EVT3 or libcaer, under its new and its old name."""


class Topic(NamedTuple):
    """A topic with messages of one type; `cdr` where they are serialised as in ROS 2."""

    name: str
    type: str
    digest: str
    cdr: bool
    messages: int

    @property
    def kind(self) -> Kind:
        """What its messages hold, as far as this package knows."""
        if self.type in PACKETS:
            return "packets"
        return (TYPES.get(self.type) if self.cdr else DIGESTS.get(self.digest)) or "other"


class Message(NamedTuple):
    """One message as it is stored; `time` is when it was recorded, in nanoseconds."""

    time: int
    data: memoryview
    number: int | None
    """Which message of its topic this is, counted from 1; None where the file does not tell."""
    done: float
    """Part of the bag that is behind it."""


class Bag(NamedTuple):
    """A bag whose index has been read."""

    format: str
    files: tuple[Path, ...]
    topics: tuple[Topic, ...]
    messages: Callable[[Topic, Window], Iterator[Message]]
    """The messages of a topic that were recorded within a window, as recorded, and perhaps some around them."""


class Picked(NamedTuple):
    """Topics of pictures: the camera's, and the Bayer mosaic that they were made from, if any. Notes on the choice."""

    frames: Topic | None
    raw: Topic | None
    notes: tuple[str, ...]


def listing(topics: Sequence[Topic]) -> str:
    """Topics and types in one line, for messages."""
    named = [f"{topic.name} ({topic.type})" for topic in topics]
    more = [f"and {len(named) - 20} more"] if len(named) > 20 else []
    return ", ".join(named[:20] + more) or "no topics"


def pick_events(name: str, topics: Sequence[Topic], wanted: str | None) -> tuple[Topic, tuple[str, ...]]:
    """The topic of the events, and notes where there was a choice.

    `wanted` is its name, or a part of it such as `right`. Else that of the DAVIS driver, the left one of a stereo
    recording, or the only one. Raises InputError, listing the topics, where that leaves none or several.
    """
    events = [topic for topic in topics if topic.kind in ("events", "old events")]
    if wanted is not None:
        found = named(topics, wanted) or [topic for topic in events if wanted in topic.name.split("/")]
        if len(found) != 1:
            wrong = "several topics match" if found else "no topic"
            raise InputError(f"{name}: {wrong} {wanted!r}: it has {listing(topics)}; name one with --topic")
        if found[0] not in events:
            raise InputError(no_events(name, found[0], topics))
        return found[0], ()
    if not events:
        raise InputError(no_events(name, None, topics))
    filled = [topic for topic in events if topic.messages] or events
    left = [topic for topic in filled if "left" in topic.name.split("/")]
    usual = named(filled, "/dvs/events") or named(filled, "/davis/left/events")
    for choice in (usual, filled, left):
        if len(choice) == 1:
            others = [topic for topic in events if topic != choice[0]]
            if others:
                return choice[0], (f"events were read from {choice[0].name}; there are also {listing(others)}",)
            return choice[0], () if usual else (f"events were read from {choice[0].name}, the only topic of events",)
    raise InputError(f"{name}: events on several topics: {listing(filled)}; name one with --topic")


def no_events(name: str, asked: Topic | None, topics: Sequence[Topic]) -> str:
    """Why the topic that was asked for, or else any, gives no events."""
    for topic in [asked] if asked else topics:
        if topic.kind == "packets":
            return (
                f"{name}: {topic.name} holds {topic.type}, undecoded bytes of the camera: convert them to RAW with "
                "bag_to_raw of the ROS package event_camera_tools, or republish them as dvs_msgs"
            )
        if topic.type.endswith("/EventArray"):
            return (
                f"{name}: {topic.name} holds {topic.type} of a definition that is not known (md5sum "
                f"{topic.digest or 'none'}): record it as dvs_msgs/EventArray"
            )
    where = f"topic {asked.name} holds no events" if asked else "no topic of events (dvs_msgs/EventArray)"
    return f"{name}: {where}: it has {listing(topics)}; name another with --topic, or convert the messages to dvs_msgs"


def pick_frames(name: str, topics: Sequence[Topic], events: Topic, wanted: str | None) -> Picked:
    """The pictures of the camera that gave the events: `wanted`, or `image_color` and `image_raw` beside the events.

    Raises InputError where `wanted` names no topic of pictures.
    """
    images = [topic for topic in topics if topic.kind in ("image", "compressed image")]
    filled = [topic for topic in images if topic.messages]
    home = events.name.rpartition("/")[0]
    beside = {
        suffix: next(iter(named(filled, f"{home}/{suffix}") or named(filled, f"{home}/{suffix}/compressed")), None)
        for suffix in ("image_color", "image_raw")
    }
    if wanted is not None:
        if len(found := named(images, wanted)) != 1:
            raise InputError(
                f"{name}: no topic {wanted!r} of pictures (sensor_msgs/Image): it has {listing(topics)}; "
                "name one of those with --frame-topic"
            )
        return Picked(found[0], None, ())
    if beside["image_color"]:
        return Picked(beside["image_color"], beside["image_raw"], ())
    if beside["image_raw"]:
        return Picked(beside["image_raw"], None, ())
    if not filled:
        return Picked(None, None, ())
    inside = [topic for topic in filled if topic.name.startswith(f"{home}/")]
    if len(inside) == 1:
        return Picked(inside[0], None, (f"frames were read from {inside[0].name}",))
    return Picked(None, None, (f"no frames were read: choose among {listing(filled)} with --frame-topic",))


def named(topics: Sequence[Topic], name: str) -> list[Topic]:
    """The topics of that name that hold messages, or else those that do not; ROS ignores a slash before it."""
    found = [topic for topic in topics if topic.name.strip("/") == name.strip("/")]
    return [topic for topic in found if topic.messages] or found
