"""Files with HDF5's magic: which layout is it, and who reads it."""

from collections.abc import Callable
from pathlib import Path

import h5py

from converters.converted import open_converted_h5
from converters.dsec import open_dsec
from converters.h5_access import contents, member, opened
from converters.h5_tables import open_e2calib, open_m3ed, open_mvsec, open_v2e
from converters.options import ReadOptions
from converters.stream import Stream
from converters.timostoff import open_timostoff
from evinr.events import InputError

READERS: dict[str, Callable[[Path, str, ReadOptions], Stream]] = {
    "evinr": open_converted_h5,
    "timostoff": open_timostoff,
    "rled": open_timostoff,
    "eventhdr": open_timostoff,
    "efnet": open_timostoff,
    "dsec": open_dsec,
    "mvsec": open_mvsec,
    "e2calib": open_e2calib,
    "v2e": open_v2e,
    "m3ed": open_m3ed,
}


def open_hdf5(path: Path, name: str, options: ReadOptions) -> Stream:
    """The recording in an HDF5 file of any known layout: by `options.format`, else by its content.

    Raises InputError where the file is damaged, its layout unknown, or a part of it missing.
    """
    if options.format and options.format not in READERS:
        raise InputError(f"{name}: is HDF5, which --format {options.format} is not; leave that option out")
    if options.format:
        return READERS[options.format](path, name, options)
    with opened(path, name) as file:
        layout = recognise(file, name, options)
    return READERS[layout](path, name, options)


def recognise(file: h5py.File, name: str, options: ReadOptions) -> str:
    """The layout of an opened file. Raises InputError where it is none that can be read."""

    def there(*paths: str) -> bool:
        return any(member(file, name, path) is not None for path in paths)

    if there("evinr"):
        return "evinr"
    if there("CD/events"):
        raise InputError(
            f"{name}: CD/events is Metavision HDF5, compressed by Prophesee's ECF (filter 0x8ECF); convert the recording "
            "with metavision_file_to_dat, or give its RAW file"
        )
    if there("davis/left/events", "davis/right/events"):
        return "mvsec"
    if there("prophesee/left/t", "prophesee/right/t"):
        return "m3ed"
    group = options.topic or "events"
    events = member(file, name, group)
    if isinstance(events, h5py.Dataset):
        return "v2e"
    if isinstance(events, h5py.Group):
        if there(f"{group}/t") and there("t_offset", "ms_to_idx"):
            return "dsec"
        return "timostoff"
    if options.topic:
        raise InputError(f"{name}: no {options.topic} (holds {contents(file)}); give --topic a group that is there")
    if sum(there(column) for column in "txyp") > 1:
        return "e2calib"
    if there("voxels"):
        raise InputError(
            f"{name}: holds {contents(file)}, no events/: voxel grids (as EFNet's SCER files) do not give back their "
            "events; give the raw recording"
        )
    raise InputError(
        f"{name}: holds {contents(file)}, no events; expected events/ with ts, xs, ys, ps or another known layout: "
        "name the group of the events with --topic"
    )
