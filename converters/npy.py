"""An npy that grows along its first axis: its length is known, and written, when it ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

Append = Callable[[Shaped[np.ndarray, "n ..."]], None]


@contextmanager
def growing_array(path: Path, row: tuple[int, ...], dtype: np.dtype) -> Iterator[Append]:
    """A function that appends blocks of rows to a new file; NumPy leaves room in its header for the length."""
    length = 0
    with path.open("wb") as file:

        def write_header() -> None:
            file.seek(0)
            descr = np.lib.format.dtype_to_descr(dtype)
            header = {"descr": descr, "fortran_order": False, "shape": (length, *row)}
            np.lib.format.write_array_header_1_0(file, header)

        def append(rows: Shaped[np.ndarray, "n ..."]) -> None:
            nonlocal length
            file.write(np.ascontiguousarray(rows, dtype).data)
            length += len(rows)

        write_header()
        yield append
        write_header()
