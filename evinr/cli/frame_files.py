"""Frames on disk, written some at a time, as `evinr render` and `evinr baseline` leave them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from jaxtyping import Float, Float64

from evinr.files import whole
from evinr.report import bytes_of


def array(path: Path, shape: tuple[int, ...], kind: str, batches: Iterable[np.ndarray]) -> Iterator[int]:
    """Write one .npy of that shape and type, and yield the length of each batch that is written."""
    with whole(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
        for batch in batches:
            file.write(np.ascontiguousarray(batch, kind).tobytes())
            yield len(batch)


def pngs(
    folder: Path, times: Float64[np.ndarray, " n"], batches: Iterable[Float[np.ndarray, "k h w *c"]]
) -> Iterator[Float[np.ndarray, "k h w *c"]]:
    """Write PNGs of pictures in [0, 1] and `images.txt` with their times, as IJRR has it; yield each batch that is written."""
    place = 0
    with (folder / "images.txt").open("w") as index:
        for batch in batches:
            for picture in bytes_of(batch):
                name = f"frame_{place:08d}.png"
                iio.imwrite(folder / name, picture)
                index.write(f"{times[place]:.9f} {name}\n")
                place += 1
            yield batch
