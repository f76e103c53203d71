"""Rosbag 2: a folder with metadata.yaml and its storage, SQLite or MCAP (mcap.dev/spec), or such a storage alone.

The library rosbags opens it and reads its index. Chunks of MCAP and packed messages are unpacked here, as it would unpack
whatever size they unpack to, and leave out chunks that have no index of their messages.
"""

import struct
import sys
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from itertools import count, repeat
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote
from zlib import crc32

import apsw
import lz4.frame
from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag2.errors import ReaderError
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import ChunkInfo, McapReader
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from converters.files import open_regular
from converters.ros_topics import Bag, Message, Topic
from converters.stream import WHOLE, Window
from evinr.events import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LARGEST = 2**27
"""Bytes of a chunk or message, unpacked; rosbag2 makes chunks of 0.8 MB."""
LARGEST_METADATA = 2**22
CHUNK = struct.Struct("<BQQQQII")
"""Kind, length, first and last time, unpacked size, checksum; length of the name of the compression."""
RECORD = struct.Struct("<BQ")
MESSAGE = struct.Struct("<BQHIQQ")
"""Kind, length, channel, sequence number, record time, publish time."""
DAMAGE = (
    ReaderError, OSError, EOFError, struct.error, LookupError, ValueError, TypeError, AttributeError, AssertionError,
    OverflowError, MemoryError, RecursionError, RuntimeError, zstd.ZstdError, YAMLError, apsw.Error,
)  # fmt: skip
"""What rosbags and its libraries raise where bytes do not fit."""


class IndexedMcap(McapReader):
    """MCAP with an index of its chunks, which are read one at a time and never unpacked beyond what they declare."""

    def meta_scan(self) -> None:
        raise ReaderError("it has no index of its chunks")

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        wanted = {connection.id: connection for connection in connections}
        assert self.bio
        if not self.chunks:
            self.meta_scan()
        behind = 0
        for chunk in sorted(self.chunks, key=lambda chunk: chunk.chunk_start_offset):
            if chunk.chunk_start_offset < behind:
                raise ReaderError("its chunks overlap")
            inside = (stop is None or chunk.message_start_time < stop) and (
                start is None or chunk.message_end_time >= start
            )
            if inside and (not chunk.message_index_offsets or wanted.keys() & chunk.message_index_offsets):
                data = self.unpack(chunk)
                behind = self.bio.tell()
                at = 0
                while at < len(data):
                    kind, size = RECORD.unpack_from(data, at)
                    end = at + RECORD.size + size
                    if end > len(data):
                        raise ReaderError(f"a record of {size} bytes goes beyond its chunk")
                    if kind == 5:
                        _, _, channel, _, time, _ = MESSAGE.unpack_from(data, at)
                        if channel in wanted:
                            yield wanted[channel], time, data[at + MESSAGE.size : end]
                    at = end

    def unpack(self, chunk: ChunkInfo) -> bytes:
        """The records of a chunk."""
        assert self.bio
        self.bio.seek(chunk.chunk_start_offset)
        kind, _, _, _, size, checksum, named = CHUNK.unpack(self.bio.read(CHUNK.size))
        if kind != 6 or named > 20 or size > LARGEST:
            raise ReaderError(f"no chunk of up to {LARGEST} bytes is at byte {chunk.chunk_start_offset}")
        compression = self.bio.read(named)
        (stored,) = struct.unpack("<Q", self.bio.read(8))
        if stored > LARGEST:
            raise ReaderError(f"a chunk of {stored} bytes, more than {LARGEST}")
        data = self.bio.read(stored)
        if compression == b"lz4":
            data = lz4.frame.LZ4FrameDecompressor().decompress(data, size + 1)
        elif compression == b"zstd":
            data = zstd.ZstdDecompressor().decompress(data, size + 1)
        elif compression:
            raise ReaderError(f"compression {compression!r} is not known")
        if len(data) != size or (checksum and crc32(data) != checksum):
            raise ReaderError(f"the chunk at byte {chunk.chunk_start_offset} does not fit its size or checksum")
        return data


class QuotedSqlite3(Sqlite3Reader):
    """SQLite storage whose path goes into a URI, where `?`, `#` and `%` mean something."""

    def __init__(self, path: Any):
        super().__init__(Path(quote(str(path))))

    def open(self) -> None:
        super().open()
        assert self.dbconn
        self.dbconn.limit(apsw.SQLITE_LIMIT_LENGTH, LARGEST)


class Folder(DirectoryReader):
    """A folder of such storages."""

    STORAGE_PLUGINS = {"mcap": IndexedMcap, "sqlite3": QuotedSqlite3}  # noqa: RUF012


Reader = Folder | IndexedMcap | QuotedSqlite3


def read_bag(path: Path, name: str) -> Bag:
    """The index of a bag. Raises InputError where it is absent, damaged, or packed as a whole."""
    with open_reader(path, name) as reader:
        counts: dict[Topic, int] = {}
        for connection in reader.connections:
            cdr = cast(ConnectionExtRosbag2, connection.ext).serialization_format == "cdr"
            topic = Topic(connection.topic, connection.msgtype.replace("/msg/", "/"), "", cdr, 0)
            counts[topic] = counts.get(topic, 0) + connection.msgcount
        files = tuple(Path(unquote(str(storage.path))) for storage in storages(reader))
    topics = {topic._replace(messages=found): topic for topic, found in counts.items()}

    def messages(topic: Topic, window: Window) -> Iterator[Message]:
        return read_messages(path, name, topic, window)

    return Bag("ROS 2 bag", files, tuple(topics), messages)


def read_messages(path: Path, name: str, topic: Topic, window: Window) -> Iterator[Message]:
    """The messages of a topic that were recorded in the window; numbered where none is left out before them."""
    start, stop = max(window.first, -(2**63)), min(window.last, 2**63 - 2) + 1
    numbers = count(1) if window == WHOLE else repeat(None)
    with open_reader(path, name) as reader:
        begin, duration, packed = (
            reader.metadata.start_time,
            max(reader.metadata.duration, 1),
            reader.metadata.compression_mode == "message",
        )
        for storage in storages(reader):
            connections = [each for each in storage.connections if each.topic == topic.name]
            for _, time, data in storage.messages(connections, start, stop) if connections else ():
                if packed:
                    data = unpack_message(data)
                yield Message(time, memoryview(data), next(numbers), min(max((time - begin) / duration, 0.0), 1.0))


def unpack_message(data: bytes) -> bytes:
    unpacked = zstd.ZstdDecompressor().decompress(data, LARGEST + 1)
    if len(unpacked) > LARGEST:
        raise ReaderError(f"a message of more than {LARGEST} bytes")
    return unpacked


def storages(reader: Reader) -> list[IndexedMcap | QuotedSqlite3]:
    """The files of a bag, in the order of time."""
    return cast(list[IndexedMcap | QuotedSqlite3], reader.storages if isinstance(reader, Folder) else [reader])


@contextmanager
def open_reader(path: Path, name: str) -> Iterator[Reader]:
    """The opened bag. Whatever damage shows up, also while it is read, becomes an InputError."""
    try:
        reader = find_reader(path, name)
        reader.open()
        try:
            yield reader
        finally:
            reader.close()
    except InputError:
        raise
    except DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise InputError(
            f"{name}: damaged bag: {reason}; copy it again, or run `ros2 bag reindex` or `mcap recover`"
        ) from error


def find_reader(path: Path, name: str) -> Reader:
    """What opens a folder, or a file by its first bytes."""
    if not path.is_dir():
        with open_regular(path, name) as file:
            magic = file.read(16)
        if magic.startswith(b"\x89MCAP0\r\n"):
            return IndexedMcap(path)
        if magic == b"SQLite format 3\0":
            return QuotedSqlite3(path)
        raise InputError(f"{name}: neither MCAP nor SQLite; give the folder with metadata.yaml")
    for member in path.iterdir():
        if not (member.is_file() or member.is_dir()):  # a pipe would hang
            raise InputError(f"{name}/{member.name}: not a regular file; take it out of the folder")
    metadata = path / "metadata.yaml"
    if not metadata.is_file():
        raise InputError(f"{name}: no metadata.yaml; run `ros2 bag reindex` on a copy, or give its .mcap or .db3")
    if metadata.stat().st_size > LARGEST_METADATA:
        raise InputError(
            f"{name}/metadata.yaml: larger than {LARGEST_METADATA} bytes; run `ros2 bag reindex` on a copy"
        )
    information = YAML(typ="safe").load(metadata.read_text())["rosbag2_bagfile_information"]
    if str(information.get("compression_mode")).lower() == "file":
        raise InputError(f"{name}: its files are packed as a whole; unpack it with `ros2 bag convert`")
    return Folder(path)
