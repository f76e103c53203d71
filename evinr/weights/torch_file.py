"""Checkpoints of PyTorch, read without PyTorch and without running anything that they hold.

Two formats, as torch/serialization.py and torch/csrc/serialization.cpp write them. Since 1.6 a zip: `data.pkl` says how
tensors lie in the storages `data/KEY`, in the byte order of the record `byteorder`. Before it a stream: five pickles (a magic
number, a version, a machine, the content, the order of the storages), then for each storage its length and its numbers,
always little endian.
"""

import hashlib
import io
import mmap
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from evinr.events import InputError
from evinr.weights import inert_pickle
from evinr.weights.torch_tensors import KNOWN, Plain, Storage, declared, flat, shown


class Checkpoint(NamedTuple):
    """What a checkpoint holds, by names: keys of nested dictionaries, attributes and places in lists, joined with dots.

    A tensor or number that is the whole content has the name "". Empty containers, and attributes of dictionaries (such as the
    `_metadata` of PyTorch), are left out.
    """

    arrays: Mapping[str, np.ndarray]
    """Every tensor, as a read-only view of the file's numbers; bfloat16 as ml_dtypes has it. An expanded tensor takes no
    memory, however large it says it is: look at shapes before copying."""
    values: Mapping[str, Plain]
    """All else that is a number, a string or None."""
    stubs: tuple[str, ...]
    """Classes and functions that it would have had PyTorch look up, other than those that make up tensors. Of their objects
    only attributes and entries are in the above."""
    sha256: str
    """Of the file."""


def read(path: Path) -> Checkpoint:
    """The tensors and values of a checkpoint. Memory is bounded by a small multiple of the file's size.

    Raises InputError where there is no such file, or it is damaged or no checkpoint.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the checkpoint in it")
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a checkpoint of PyTorch, as its publisher has it")
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pickletools, over odd escapes in strings
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            content, storages = _open_zip(file, data) if data[:4] == b"PK\3\4" else _open_stream(data)
            arrays, values = flat(content.value, storages)
        except _DAMAGE as error:
            raise InputError(
                f"{path}: damaged, or no checkpoint of PyTorch ({shown(str(error))}); fetch it again and compare its size "
                "with the publisher's"
            ) from None
        stubs = tuple(sorted(shown(name) for name in content.names - KNOWN))
        return Checkpoint(arrays, values, stubs, hashlib.sha256(data).hexdigest())


def _open_zip(file: BinaryIO, data: mmap.mmap) -> tuple[inert_pickle.Unpickled, dict[str, np.ndarray]]:
    archive = zipfile.ZipFile(file)
    records = archive.infolist()
    if any(record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1 for record in records):
        raise ValueError("a zip with packed records, which PyTorch never writes")
    if sum(record.file_size for record in records) > len(data):
        raise ValueError("a zip whose records are larger than itself")
    roots = [name.removesuffix("data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ValueError(f"a zip with {len(roots)} records data.pkl, not one")
    order = archive.read(f"{roots[0]}byteorder") if f"{roots[0]}byteorder" in archive.namelist() else b"little"
    if order not in (b"little", b"big"):
        raise ValueError(f"byte order {order!r}, not little or big")
    content = inert_pickle.load(io.BytesIO(archive.read(f"{roots[0]}data.pkl")))
    return content, {
        key: _native(_numbers(_place(archive.getinfo(f"{roots[0]}data/{key}"), data), storage), order.decode())
        for key, storage in declared(content).items()
    }


def _place(record: zipfile.ZipInfo, data: mmap.mmap) -> memoryview:
    """Where in the file a record's numbers lie; `ZipFile.read` would take twice their memory."""
    start = record.header_offset + 30 + sum(struct.unpack_from("<HH", data, record.header_offset + 26))
    numbers = memoryview(data)[start : start + record.file_size]
    if zlib.crc32(numbers) != record.CRC:
        raise ValueError(f"record {record.filename} has changed: another CRC-32 than stated")
    return numbers


def _open_stream(data: mmap.mmap) -> tuple[inert_pickle.Unpickled, dict[str, np.ndarray]]:
    if data[257:262] == b"ustar":
        raise ValueError("a tar archive, as PyTorch wrote before 0.2: load and save it with PyTorch")
    try:
        magic = inert_pickle.load(data).value
    except (ValueError, KeyError, IndexError, TypeError):
        magic = None
    if magic != 0x1950A86A20F9469CFC6C:
        raise ValueError(f"neither of its formats begins with {data[:16]!r}")
    inert_pickle.load(data), inert_pickle.load(data)  # version 1001; the machine, which readers ignore
    content = inert_pickle.load(data)
    keys = inert_pickle.load(data).value
    needed, at = declared(content), data.tell()
    storages = dict[str, np.ndarray]()
    for key in keys:
        count = int.from_bytes(data[at : at + 8], "little")
        if count != needed[key].length:
            raise ValueError(f"storage {key} of {count} numbers, not {needed[key].length}")
        storages[key] = _native(_numbers(memoryview(data)[at + 8 :], needed[key]), "little")
        at += 8 + storages[key].nbytes
    return content, storages


def _numbers(raw: memoryview, storage: Storage) -> np.ndarray:
    """The first numbers here, as many and of the type that the storage has."""
    return np.frombuffer(raw, storage.kind, storage.length) if storage.length else np.zeros(0, storage.kind)


def _native(numbers: np.ndarray, order: str) -> np.ndarray:
    """Numbers in this machine's byte order."""
    if order == sys.byteorder or numbers.itemsize == 1:
        return numbers
    part = numbers.itemsize // 2 if numbers.dtype.kind == "c" else numbers.itemsize
    return numbers.view(f"u{part}").byteswap().view(numbers.dtype)


_DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, NotImplementedError, EOFError),
    *(zipfile.BadZipFile, struct.error, OSError),
)
"""What zipfile, numpy and torch_tensors raise over numbers and records that do not fit."""
