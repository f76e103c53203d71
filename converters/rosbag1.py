"""Rosbag 1, format 2.0: records in compressed chunks, and at the end of the file an index of connections and chunks.

wiki.ros.org/Bags/Format/2.0. A record is a u32 length, a header of fields (u32 length, `name=value`), a u32 length, data.
Not read with the library rosbags, which keeps an object per message and unpacks whatever a chunk unpacks to.
"""

import bz2
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import lz4.frame

from converters.files import open_regular
from converters.ros_topics import Bag, Message, Topic
from converters.stream import Window
from evinr.events import InputError

MAGIC = b"#ROSBAG V2.0\n"
MESSAGE, BAG, CHUNK, CHUNK_INFO, CONNECTION = b"\x02", b"\x03", b"\x05", b"\x06", b"\x07"
LARGEST_HEADER = 2**16
LARGEST_DEFINITION = 2**20
LARGEST_CHUNK = 2**27
"""Bytes of a chunk, unpacked: rosbag makes chunks of 0.75 MB unless told otherwise; larger ones are refused."""
U32 = struct.Struct("<I")
TIME = struct.Struct("<II")
USUAL = re.compile(rb"(?s)....(?:\x09\0\0\0conn=(....)|\x04\0\0\0op=(\x02)|\x0d\0\0\0time=(.{8})){3}")
"""Header of a message with these fields in any order; to take it apart by fields costs ten times as much."""


class Chunk(NamedTuple):
    """What the index says of a chunk: its place, when its messages were recorded (ns), how many of each connection."""

    place: int
    start: int
    end: int
    counts: dict[int, int]


def read_bag(path: Path, name: str) -> Bag:
    """The index of a bag. Raises InputError where it is absent, damaged or points beyond the file."""
    with open_regular(path, name) as file, damage(f"{name}: index of the bag"):
        size = file.seek(0, 2)
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{name}: not a rosbag of format 2.0; convert older ones with `rosbag fix`")
        header, _ = read_header(file, BAG)
        if header.get(b"encryptor"):
            raise InputError(f"{name}: is encrypted; decrypt it with `rosbag decrypt`")
        (index,) = struct.unpack("<Q", header[b"index_pos"])
        if index == 0:
            raise InputError(
                f"{name}: has no index, its recording was not closed: run `rosbag reindex` on a copy of it"
            )
        if index > size:
            raise InputError(
                f"{name}: truncated: its index is at byte {index}, the file ends at {size}; copy it again, or run "
                "`rosbag reindex` on a copy of it"
            )
        connections, chunks = read_index(file, index, number(header[b"conn_count"]), number(header[b"chunk_count"]))
    if any(place >= end for place, end in pairwise([*(chunk.place for chunk in chunks), index])):
        raise InputError(f"{name}: index of the bag: chunks overlap; run `rosbag reindex` on a copy of it")
    identities: dict[tuple[str, str, str], list[int]] = {}
    for identity, connection in connections:
        identities.setdefault(identity, []).append(connection)
    wanted = {
        Topic(
            *identity, cdr=False, messages=sum(chunk.counts.get(each, 0) for chunk in chunks for each in numbers)
        ): numbers
        for identity, numbers in identities.items()
    }

    def messages(topic: Topic, window: Window) -> Iterator[Message]:
        return read_messages(path, name, chunks, wanted[topic], window)

    return Bag("ROS 1 bag", (path,), tuple(wanted), messages)


def read_index(
    file: BufferedReader, place: int, connection_count: int, chunk_count: int
) -> tuple[list[tuple[tuple[str, str, str], int]], list[Chunk]]:
    """Topic, type and md5sum of each connection, and the chunks in the order of the file."""
    connections, chunks = [], []
    file.seek(place)
    for _ in range(connection_count):
        header, size = read_header(file, CONNECTION)
        details = fields(read(file, size, LARGEST_DEFINITION))
        identity = (header[b"topic"].decode(), details[b"type"].decode(), details[b"md5sum"].decode())
        connections.append((identity, number(header[b"conn"])))
    for _ in range(chunk_count):
        header, size = read_header(file, CHUNK_INFO)
        if number(header[b"ver"]) != 1:
            raise ValueError(f"chunks are listed in version {number(header[b'ver'])}, expected 1")
        start, end = nanoseconds(header[b"start_time"]), nanoseconds(header[b"end_time"])
        counts = dict(struct.iter_unpack("<II", read(file, size, LARGEST_DEFINITION)))
        chunks.append(Chunk(struct.unpack("<Q", header[b"chunk_pos"])[0], start, end, counts))
    return connections, sorted(chunks, key=lambda chunk: chunk.place)


def read_messages(
    path: Path, name: str, chunks: Iterable[Chunk], connections: Iterable[int], window: Window
) -> Iterator[Message]:
    """The messages of some connections, from those chunks alone whose record times meet the window."""
    wanted = {U32.pack(connection) for connection in connections}
    counted = 0
    with open_regular(path, name) as file:
        size = file.seek(0, 2)
        for chunk in chunks:
            count = sum(chunk.counts.get(connection, 0) for connection in connections)
            if not count or chunk.end < window.first or chunk.start > window.last:
                counted += count
                continue
            with damage(f"{name}: chunk at byte {chunk.place}"):
                data = read_chunk(file, chunk.place)
                done = file.tell() / size
                for time, body in walk(data, wanted):
                    counted += 1
                    yield Message(time, body, counted, done)


def read_chunk(file: BufferedReader, place: int) -> bytes:
    """The records of a chunk, unpacked: never more than its header says, nor than LARGEST_CHUNK."""
    file.seek(place)
    header, stored = read_header(file, CHUNK)
    size = number(header[b"size"])
    if max(size, stored) > LARGEST_CHUNK:
        raise ValueError(
            f"takes {max(size, stored)} bytes, more than {LARGEST_CHUNK}, `rosbag filter` makes small ones"
        )
    compression, data = header[b"compression"], read(file, stored, LARGEST_CHUNK)
    if compression == b"lz4":
        data = lz4.frame.LZ4FrameDecompressor().decompress(data, size + 1)
    elif compression == b"bz2":
        data = bz2.BZ2Decompressor().decompress(data, size + 1)
    elif compression != b"none":
        raise ValueError(f"compression {compression[:20]!r} is not known")
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes or more where {size} are declared")
    return data


def walk(data: bytes, wanted: set[bytes]) -> Iterator[tuple[int, memoryview]]:
    """Record time and bytes of the wanted messages in a chunk, in its order."""
    view, at = memoryview(data), 0
    while at < len(data):
        (size,) = U32.unpack_from(data, at)
        header = USUAL.match(data, at)
        if header and header.end() == at + 4 + size and None not in header.groups():
            connection, time = header[1], header[3]
        else:
            named = fields(data[at + 4 : at + 4 + size])
            connection, time = (named[b"conn"], named[b"time"]) if named[b"op"] == MESSAGE else (None, b"")
        at += size + 4
        (size,) = U32.unpack_from(data, at)
        if at + 4 + size > len(data):
            raise ValueError(f"a record of {size} bytes goes beyond the chunk")
        if connection in wanted:
            yield nanoseconds(time), view[at + 4 : at + 4 + size]
        at += size + 4


def read_header(file: BufferedReader, kind: bytes) -> tuple[dict[bytes, bytes], int]:
    """The fields of a record of some kind, and the length of the data that follows them."""
    (size,) = U32.unpack(file.read(4))
    header = fields(read(file, size, LARGEST_HEADER))
    if header[b"op"] != kind:
        raise ValueError(f"record of kind {header[b'op'].hex()}, expected {kind.hex()}")
    return header, number(file.read(4))


def read(file: BufferedReader, size: int, largest: int) -> bytes:
    """The next bytes, all of them."""
    if size > largest:
        raise ValueError(f"a part of {size} bytes, more than {largest}")
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the file ends early")
    return data


def fields(header: bytes) -> dict[bytes, bytes]:
    """The values of a header by their names."""
    found, at = {}, 0
    while at < len(header):
        (size,) = U32.unpack_from(header, at)
        at += 4
        key, equals, value = header[at : at + size].partition(b"=")
        if not equals or at + size > len(header):
            raise ValueError("a header that does not divide into fields")
        found[key] = value
        at += size
    return found


def number(value: bytes) -> int:
    return U32.unpack(value)[0]


def nanoseconds(value: bytes) -> int:
    seconds, rest = TIME.unpack(value)
    return seconds * 10**9 + rest


@contextmanager
def damage(where: str) -> Iterator[None]:
    """Turns what misfitting bytes raise into an InputError that says where they are."""
    try:
        yield
    except InputError:
        raise
    except KeyError as error:
        raise InputError(
            f"{where}: damaged: field {error} is missing; copy it again or run `rosbag reindex`"
        ) from error
    except (ValueError, struct.error, OSError, EOFError, RuntimeError) as error:
        raise InputError(f"{where}: damaged: {error}; copy it again, or run `rosbag reindex` on a copy") from error
