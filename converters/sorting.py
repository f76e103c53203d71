"""A stable sort by time of events on disk, in bounded memory: sorted chunks, merged slice by slice."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float64

CHUNK = 2**21
"""Events sorted at once: 64 MiB."""
SLICE = 2**14
"""Events taken of a chunk at once while merging."""


def sorted_rows(path: Path, rows: int, chunk: int = CHUNK, step: int = SLICE) -> Iterator[Float64[np.ndarray, "n 4"]]:
    """The rows (t, x, y, p) of an npy, sorted by t; equal times keep their order. The file itself is rearranged."""
    starts = range(0, rows, chunk)
    for start in starts:
        part = np.load(path, mmap_mode="r+")[start : start + chunk]
        part[:] = part[np.argsort(part[:, 0], kind="stable")]
        part.flush()  # pyright: ignore[reportAttributeAccessIssue]
    position = list(starts)
    ends = [min(start + chunk, rows) for start in starts]
    while any(at < end for at, end in zip(position, ends, strict=True)):
        table = np.load(path, mmap_mode="r")  # mapped anew, so that pages that are done with do not count as memory
        # Nothing that is still to come may be earlier than what is handed on now.
        reach = [at + step for at in position]
        limit = min((table[at, 0] for at, end in zip(reach, ends, strict=True) if at < end), default=np.inf)
        parts = []
        for index, (at, end) in enumerate(zip(position, ends, strict=True)):
            taken = at + int(np.searchsorted(table[at:end, 0], limit, "right"))
            parts.append(np.array(table[at:taken]))
            position[index] = taken
        merged = np.concatenate(parts)
        yield merged[np.argsort(merged[:, 0], kind="stable")]
