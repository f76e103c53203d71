"""The packets of an AEDAT4 file: its header, where each packet lies, and what it holds once decompressed.

A file is `#!AER-DAT4.0`, a header, packets one after another, and a table of the packets, which a recording that was
not closed lacks. Format: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html, and
the FlatBuffer schemas of dv-processing (Apache-2.0). Compression is LZ4 or Zstandard, packet by packet.
"""

import os
import struct
import sys
from collections.abc import Iterator
from io import BufferedReader
from typing import NamedTuple
from xml.etree import ElementTree

import lz4.frame

from converters.flatbuffer import (
    FlatBufferError,
    Table,
    read_number,
    read_root,
    read_string,
    read_struct,
    read_vector,
    table_at,
)
from evinr.events import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"#!AER-DAT4.0\r\n"
LARGEST = 2**27
"""Bytes of a decompressed packet: 8 million events. Cameras send packets of 10 ms, 0.3 MB."""
LARGEST_HEADER = 2**24
STEP = 2**20
"""Bytes decompressed at once, so that a bomb is noticed early."""
LZ4, ZSTD = (1, 2), (3, 4)


class Recorded(NamedTuple):
    """What the header says of one stream of packets."""

    id: int
    kind: str
    """EVTS, FRME, IMUS or TRIG."""
    name: str
    source: str
    """The camera."""
    size: tuple[str, str] | None
    """Rows and columns as the header has them."""


class Layout(NamedTuple):
    """How a file is built."""

    name: str
    """For messages."""
    compression: int
    streams: dict[int, Recorded]
    start: int
    """First byte of the first packet."""
    end: int
    """The byte after the last packet: the table or the end of the file."""
    table: bool
    """Whether the table of packets starts there."""
    cut: int
    """How many bytes before its table the file ends, 0 for one that is whole."""


class Packet(NamedTuple):
    """Where the compressed bytes of a packet lie."""

    stream: int
    at: int
    size: int


class Entry(NamedTuple):
    """What the table of packets says of one: nothing to rely on."""

    packet: Packet
    elements: int
    first: int
    last: int


def read_layout(file: BufferedReader, name: str) -> Layout:
    """The header. Raises InputError where it is damaged, or the file of another version or cut before its table."""
    size = os.fstat(file.fileno()).st_size
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        version = magic.removeprefix(b"#!AER-DAT")
        if version != magic and version[:1] in (b"1", b"2", b"3"):
            spelled = version.strip().decode("ascii", "replace")
            raise InputError(f"{name}: AEDAT {spelled}, only AEDAT4 is read; convert it, such as with DV")
        raise InputError(f"{name}: no AEDAT4, whose first line is #!AER-DAT4.0; check the format")
    prefix = file.read(4)
    length = struct.unpack("<i", prefix)[0] if len(prefix) == 4 else -1
    start = len(MAGIC) + 4 + length
    if not 0 <= length <= min(size - len(MAGIC) - 4, LARGEST_HEADER):
        raise InputError(f"{name}: truncated or damaged: a header of {length} bytes, {size} in all; copy it again")
    try:
        header = read_root(prefix + file.read(length), "IOHE")
        compression = read_number(header, 0, "<i")
        table = read_number(header, 1, "<q", -1)
        streams = _streams(read_string(header, 2))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{name}: damaged header ({error}); copy it again") from error
    if compression not in (0, *LZ4, *ZSTD):
        raise InputError(f"{name}: compression {compression}, expected none, LZ4 or Zstandard; record it with these")
    # DV leaves -1 where a recording was never closed.
    if table <= 0:
        return Layout(name, compression, streams, start, size, False, 0)
    if table < start:
        raise InputError(f"{name}: damaged header: a table of packets at byte {table}, inside it; copy it again")
    return Layout(name, compression, streams, start, min(table, size), table < size, max(table - size, 0))


def _streams(xml: bytes) -> dict[int, Recorded]:
    xml = xml.rstrip(b"\0")
    if b"<!" in xml or b"\0" in xml:
        raise ValueError("its XML has declarations, which can be made to grow without end")
    streams: dict[int, Recorded] = {}
    for node in ElementTree.fromstring(xml).iter("node"):
        about = _attributes(node)
        if "typeIdentifier" not in about:
            continue
        info = node.find("node[@name='info']")
        details = {} if info is None else _attributes(info)
        size = (details["sizeY"], details["sizeX"]) if {"sizeX", "sizeY"} <= set(details) else None
        number = int(node.get("name", ""))
        name, source = about.get("originalOutputName", ""), details.get("source", "")
        streams[number] = Recorded(number, about["typeIdentifier"], name, source, size)
    return streams


def _attributes(node: ElementTree.Element) -> dict[str, str]:
    return {attribute.get("key", ""): attribute.text or "" for attribute in node.findall("attr")}


def walk_packets(file: BufferedReader, layout: Layout) -> Iterator[Packet]:
    """All packets in the file's order, none of them read. Raises InputError where the chain breaks."""
    at, count, name = layout.start, 0, layout.name
    cut = os.fstat(file.fileno()).st_size == layout.end
    while at < layout.end:
        file.seek(at)
        header = file.read(8)
        stream, size = struct.unpack("<ii", header) if len(header) == 8 else (0, 0)
        whole = len(header) == 8 and at + 8 + size <= layout.end
        if whole and (size < 0 or stream not in layout.streams):
            raise InputError(
                f"{name}: damaged at byte {at}: a packet of {size} bytes of stream {stream}, the header lists"
                f" {', '.join(map(str, layout.streams))}; copy it again"
            )
        if not whole:
            there = max(layout.end - at - 8, 0)
            what = (
                f"the last packet is cut after {there} of {size} bytes" if len(header) == 8 else "it ends in a packet"
            )
            kind = "truncated" if cut else "damaged"
            raise InputError(f"{name}: {kind}: {what}, {count} whole packets come before it; copy it again")
        yield Packet(stream, at + 8, size)
        at, count = at + 8 + size, count + 1
    if layout.cut:
        raise InputError(
            f"{name}: truncated: {layout.cut} bytes before its table of packets are missing; copy it again"
        )


def read_packet(file: BufferedReader, layout: Layout, packet: Packet) -> Table:
    """What a packet holds, decompressed and checked for its kind. Raises InputError."""
    try:
        data = _decompressed(_bytes(file, packet.at, packet.size), layout.compression)
        return read_root(data, layout.streams[packet.stream].kind)
    except (FlatBufferError, RuntimeError, zstd.ZstdError) as error:
        raise packet_error(layout.name, packet, str(error)) from error


def packet_error(name: str, packet: Packet, what: str) -> InputError:
    return InputError(f"{name}: the packet at byte {packet.at - 8} is damaged ({what}); copy the file again")


def read_table(file: BufferedReader, layout: Layout) -> Iterator[Entry]:
    """What the table of packets says, in the file's order; it ends where there is no more sound entry."""
    if not layout.table:
        return
    try:
        size = os.fstat(file.fileno()).st_size - layout.end
        data = _decompressed(_bytes(file, layout.end, size), layout.compression)
        start, count = read_vector(read_root(data, "FTAB"), 0, 4)
        for item in range(count):
            entry = table_at(data, start + 4 * item)
            stream, size = read_struct(entry, 1, "<ii") or (-1, -1)
            elements, first, last = (read_number(entry, field, "<q") for field in (2, 3, 4))
            yield Entry(Packet(stream, read_number(entry, 0, "<q"), size), elements, first, last)
    except (FlatBufferError, RuntimeError, zstd.ZstdError):
        return


def _bytes(file: BufferedReader, at: int, size: int) -> bytes:
    if size > LARGEST:
        raise FlatBufferError(f"{size} bytes, no packet is larger than {LARGEST}")
    file.seek(at)
    return file.read(size)


def _decompressed(data: bytes, compression: int) -> bytes:
    """What a packet was before it was compressed. Raises RuntimeError and ZstdError where it is damaged or a bomb."""
    if not compression:
        return data
    decoder = lz4.frame.LZ4FrameDecompressor() if compression in LZ4 else zstd.ZstdDecompressor()
    parts = [decoder.decompress(data, max_length=STEP)]
    size = len(parts[0])
    while not decoder.eof:
        if decoder.needs_input or not parts[-1]:
            raise RuntimeError("its compressed bytes end early")
        parts.append(decoder.decompress(b"", max_length=STEP))
        size += len(parts[-1])
        if size > LARGEST:
            raise RuntimeError(f"it unpacks to more than {LARGEST} bytes")
    return b"".join(parts)
