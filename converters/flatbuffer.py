"""FlatBuffers as far as AEDAT4 needs them: tables read field by field, every offset checked against the buffer.

Format: https://flatbuffers.dev/internals/. Nothing is read ahead of need, so that a damaged buffer costs no time.
"""

import struct
from typing import NamedTuple


class FlatBufferError(ValueError):
    """The bytes are no such FlatBuffer."""


class Table(NamedTuple):
    """A table in a buffer, and the list of where its fields lie."""

    data: bytes
    start: int
    slots: int
    """Position of the offsets of its fields, two bytes each."""
    fields: int
    """How many of them there are."""


def read_root(data: bytes, identifier: str) -> Table:
    """The root table of a buffer that starts with its size. Raises FlatBufferError, also for another `identifier`."""
    if _number(data, 0, "<I") + 4 > len(data):
        raise FlatBufferError(f"says it has {_number(data, 0, '<I')} bytes, {len(data) - 4} are there")
    if data[8:12] != identifier.encode():
        raise FlatBufferError(f"starts with {data[8:12]!r}, expected {identifier}")
    return _table(data, 4 + _number(data, 4, "<I"))


def read_number(table: Table, field: int, code: str, default: int = 0) -> int:
    """An integer of a struct code such as `<q`; the default where the table leaves the field out."""
    at = _position(table, field)
    return _number(table.data, at, code) if at else default


def read_struct(table: Table, field: int, code: str) -> tuple[int, ...] | None:
    """The integers of an inline struct, if the table has it."""
    at = _position(table, field)
    return _unpack(table.data, at, code) if at else None


def read_vector(table: Table, field: int, item_size: int) -> tuple[int, int]:
    """Where the items of a vector start and how many there are; 0, 0 where there is none."""
    at = _position(table, field)
    if not at:
        return 0, 0
    start = at + _number(table.data, at, "<I")
    count = _number(table.data, start, "<I")
    if start + 4 + count * item_size > len(table.data):
        raise FlatBufferError(f"a list of {count} items of {item_size} bytes leads beyond its end")
    return start + 4, count


def read_string(table: Table, field: int) -> bytes:
    """The bytes of a string, empty where there is none."""
    start, count = read_vector(table, field, 1)
    return table.data[start : start + count]


def table_at(data: bytes, at: int) -> Table:
    """The table that an item of a list of tables points to."""
    return _table(data, at + _number(data, at, "<I"))


def _table(data: bytes, start: int) -> Table:
    slots = start - _number(data, start, "<i")
    size = _number(data, slots, "<H")
    return Table(data, start, slots + 4, max(size - 4, 0) // 2)


def _position(table: Table, field: int) -> int:
    if field >= table.fields:
        return 0
    offset = _number(table.data, table.slots + 2 * field, "<H")
    return table.start + offset if offset else 0


def _number(data: bytes, at: int, code: str) -> int:
    return _unpack(data, at, code)[0]


def _unpack(data: bytes, at: int, code: str) -> tuple[int, ...]:
    if at < 0 or at + struct.calcsize(code) > len(data):
        raise FlatBufferError(f"an offset leads to byte {at} of {len(data)}")
    return struct.unpack_from(code, data, at)
