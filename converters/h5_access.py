"""HDF5 opened with distrust: only what lies in the file itself, and only where all of it is really there.

A link may name any other file, a shape may declare what nobody stored, and a chunk may inflate to gigabytes; HDF5
follows, fills and inflates without a word. So datasets are reached and read through these functions only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from math import prod
from pathlib import Path

import h5py
from h5py import h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]

from converters.files import open_regular
from converters.h5_chunks import ECF, ERRORS, LARGEST_CHUNK, filters, reason
from evinr.events import InputError

CACHE = 2**23
"""Bytes of chunks that HDF5 keeps per dataset."""
LINKS = 16
"""Soft links in a row, at most; HDF5 has the same limit."""


@contextmanager
def opened(path: Path, name: str) -> Iterator[h5py.File]:
    """The file, for reading. Raises InputError where it is damaged, also while it is read."""
    open_regular(path, name).close()
    try:
        # Without locks, which read-only and network file systems may lack; nothing is ever written.
        with h5py.File(path, "r", locking=False, rdcc_nbytes=CACHE, rdcc_nslots=10_007) as file:
            yield file
    except InputError:
        raise
    except ERRORS as error:
        raise InputError(f"{name}: truncated or damaged HDF5 ({reason(error)}); copy or download it again") from error


def member(file: h5py.File, name: str, path: str) -> h5py.Group | h5py.Dataset | None:
    """What stands at a path inside the file, if anything. Raises InputError where a link leads out of it or loops."""
    here: h5py.Group | h5py.Dataset = file
    parts, followed = path.split("/"), 0
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        if not isinstance(here, h5py.Group):
            return None
        # Through the low-level interface: Group.get and `in` open the files that external links name.
        links, key = here.id.links, part.encode("utf-8", "surrogateescape")
        if not links.exists(key):
            return None
        kind = links.get_info(key).type
        if kind == h5l.TYPE_SOFT:
            followed += 1
            target = links.get_val(key).decode("utf-8", "surrogateescape")
            if followed > LINKS:
                raise InputError(f"{name}: {path} is a link that loops; save the data themselves there")
            here = file if target.startswith("/") else here
            parts = target.split("/") + parts
        elif kind == h5l.TYPE_HARD:
            found = h5o.open(here.id, key)
            if isinstance(found, h5py.h5d.DatasetID):
                here = h5py.Dataset(found)
            elif isinstance(found, h5py.h5g.GroupID):
                here = h5py.Group(found)
            else:
                return None
        else:
            target = links.get_val(key)[0].decode(errors="replace") if kind == h5l.TYPE_EXTERNAL else "elsewhere"
            raise InputError(
                f"{name}: {path} is a link out of the file (to {target}), which is never followed; copy the data into "
                "the file, such as with h5repack --merge"
            )
    return here


def contents(group: h5py.Group) -> str:
    """The names in a group, for messages; groups with a slash."""
    shown = []
    for key in islice(group, 12):
        # h5py gives names that are no UTF-8 as bytes.
        code = key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")
        key = code.decode("utf-8", "replace")
        hard = group.id.links.get_info(code).type == h5l.TYPE_HARD
        is_group = hard and h5o.get_info(group.id, code).type == h5o.TYPE_GROUP
        shown.append((key if key.isprintable() else ascii(key))[:60] + "/" * is_group)
    return ", ".join(shown + ["..."] * (len(group) > 12)) or "nothing"


def numbers_at(file: h5py.File, name: str, path: str) -> h5py.Dataset:
    """The dataset of numbers at a path, all of it stored in this file and readable.

    Raises InputError where it is missing, holds no real numbers, lies elsewhere (external storage, virtual), was not
    written to its end, has chunks too large, or is compressed by a filter that nobody has.
    """
    dataset = member(file, name, path)
    if not isinstance(dataset, h5py.Dataset):
        parent, _, _ = path.rpartition("/")
        group = member(file, name, parent)
        found = f"{parent or 'its root'} holds {contents(group)}" if isinstance(group, h5py.Group) else "no such group"
        raise InputError(f"{name}: {path} is missing ({found}); save it there, or name the layout with --format")
    where = f"{name}: {path}"
    layout = dataset.id.get_create_plist()
    # Before anything else is asked: the shape of a virtual dataset may come from other files.
    if layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count():
        raise InputError(f"{where}: its data lie in other files, which are never opened; save them here with h5repack")
    dtype = dataset.dtype
    if dtype.kind not in "biuf":
        kind = "strings" if h5py.check_string_dtype(dtype) else f"dtype {dtype}"
        raise InputError(f"{where}: holds {kind} (dtype {dtype}), expected real numbers; save it as numbers")
    require_filters(where, layout)
    require_stored(where, dataset)
    return dataset


def require_filters(where: str, layout: h5py.h5p.PropDCID) -> None:
    for code in filters(layout):
        if h5py.h5z.filter_avail(code):
            continue
        # Registers its filters when imported: Blosc (DSEC), Zstandard, LZ4, Bitshuffle, ...
        import hdf5plugin  # noqa: F401

        if not h5py.h5z.filter_avail(code):
            mend = (
                "Prophesee's ECF: convert the recording with metavision_file_to_dat, or give the RAW file"
                if code == ECF
                else "install its plugin, or save the file where it can be read with h5repack -f GZIP=4"
            )
            raise InputError(f"{where}: compressed with filter {code} (0x{code:04X}), which is not available; {mend}")


def require_stored(where: str, dataset: h5py.Dataset) -> None:
    """Refuse what was declared and not written: HDF5 would make it up from fill values."""
    need, stored = prod(dataset.shape) * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if dataset.chunks is None:
        complete = stored >= need
    else:
        size = prod(dataset.chunks) * dataset.dtype.itemsize
        if size > LARGEST_CHUNK and dataset.id.get_create_plist().get_nfilters():
            raise InputError(
                f"{where}: compressed chunks of {amount(size)}, expected at most {amount(LARGEST_CHUNK)}; save it "
                "in smaller ones, such as with h5repack -l CHUNK=65536"
            )
        complete = dataset.id.get_num_chunks() >= prod(
            -(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)
        )
    if not complete:
        raise InputError(
            f"{where}: {prod(dataset.shape):,} values declared, which need {amount(need)}, but {amount(stored)} are "
            "stored: it was not written to its end; record or copy it again"
        )


def amount(size: int) -> str:
    """Bytes for people."""
    power = min(max(len(str(size)) - 1, 0) // 3, 4)
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
