"""Which events belong to each picture of an HDF5 file in the layout of event_utils."""

from collections.abc import Iterator

import h5py
import numpy as np
from jaxtyping import Int64

from converters.event_windows import event_windows
from converters.h5_access import member, numbers_at
from converters.h5_chunks import read_rows
from converters.h5_columns import Table
from converters.h5_frames import attribute, picture_keys
from converters.stream import Frame, FrameSet, Window


def with_windows(frames: FrameSet, file: h5py.File, name: str, table: Table, notes: list[str]) -> FrameSet:
    """The pictures with the events that the file gives to each, if it does. Raises InputError as `stored_windows` does."""
    keys = picture_keys(file, name, "images")
    windows = stored_windows(file, name, keys, table, notes)
    if windows is None:
        return frames
    own = {f"{name}: images/{key}": (int(first), int(end)) for key, (first, end) in zip(keys, windows, strict=True)}

    def read(window: Window) -> Iterator[Frame]:
        for frame in frames.read(window):
            yield frame._replace(window=own[str(frame.place)])

    return frames._replace(read=read, numbered=True)


def stored_windows(
    file: h5py.File, name: str, keys: list[str], table: Table, notes: list[str]
) -> Int64[np.ndarray, "n 2"] | None:
    """The events of each picture, by number: RLED's `event_indices`, those about the middle of its exposure; else from the
    attribute `event_idx` of the picture before to its own, as event_cnn_minimal and its kin cut recordings.

    None where the file has neither. Raises InputError where one is no event.
    """
    found, where = member(file, name, "event_indices"), f"{name}: event_indices"
    if isinstance(found, h5py.Dataset) and found.dtype.kind in "iu" and found.shape[1:] == (2,):
        return event_windows(read_rows(where, found, 0, len(found)), len(keys), table.events, where, notes)
    told = [attribute(numbers_at(file, name, f"images/{key}"), "event_idx") for key in keys]
    ends = [int(end[0]) for end in told if end is not None and end.size == 1 and end.dtype.kind in "iu"]
    if not ends or len(ends) < len(keys):
        return None
    last = np.array(ends)
    if (np.diff(last) < 0).any() or not (0 <= last[0] and last[-1] <= table.events):
        notes.append("the attributes event_idx of the pictures name no events in their order, and were not used")
        return None
    return np.stack([np.append(0, last[:-1]), last], 1)
