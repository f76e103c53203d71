"""Frames on disk, written some at a time, as `evinr render` and `evinr baseline` leave them."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8, UInt16

from converters.pictures import LARGEST_PICTURE
from evinr.events import InputError
from evinr.files import whole
from evinr.light import sixteen_bits
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
    return _listed(folder, ".png", times, batches, lambda path, picture: write_png(path, bytes_of(picture)))


def deep_pngs(
    folder: Path, times: Float64[np.ndarray, " n"], batches: Iterable[Float[np.ndarray, "k h w"]]
) -> Iterator[Float[np.ndarray, "k h w"]]:
    """The same in 16 bits."""
    return _listed(folder, ".png", times, batches, lambda path, picture: write_png(path, sixteen_bits(picture)))


def write_png(path: Path, picture: UInt8[np.ndarray, "h w *c"] | UInt16[np.ndarray, "h w"]) -> None:
    """By way of memory: imageio, given a path, prints a traceback where the disk is full."""
    path.write_bytes(iio.imwrite("<bytes>", picture, extension=".png"))


def exrs(
    folder: Path, times: Float64[np.ndarray, " n"], batches: Iterable[Float32[np.ndarray, "k h w"]]
) -> Iterator[Float32[np.ndarray, "k h w"]]:
    """The same as OpenEXR, which keeps every float as it is: one channel Y."""
    return _listed(folder, ".exr", times, batches, _write_exr)


def _listed(
    folder: Path,
    ending: str,
    times: Float64[np.ndarray, " n"],
    batches: Iterable[Float[np.ndarray, "k h w *c"]],
    write: Callable[[Path, Float[np.ndarray, "h w *c"]], object],
) -> Iterator[Float[np.ndarray, "k h w *c"]]:
    place = 0
    with (folder / "images.txt").open("w") as index:
        for batch in batches:
            for picture in batch:
                name = f"frame_{place:08d}{ending}"
                write(folder / name, picture)
                index.write(f"{times[place]:.9f} {name}\n")
                place += 1
            yield batch


def _write_exr(path: Path, light: Float[np.ndarray, "h w"]) -> None:
    import OpenEXR

    header, file = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, BytesIO()
    OpenEXR.File(header, {"Y": np.ascontiguousarray(light, np.float32)}).write(file)
    path.write_bytes(file.getvalue())  # to a path it writes without a word where the disk is full


def read_exr(path: Path) -> Float32[np.ndarray, "h w *c"]:
    """Linear light of an OpenEXR picture: one channel, whatever its name, or RGB; alpha is left out.

    Raises InputError where it is damaged, or has other channels; OSError where it may not be read.
    """
    import OpenEXR

    with path.open("rb"):  # a file that may not be read is not damaged
        pass
    try:
        with _hushed():
            (left, top), (right, bottom) = OpenEXR.File(str(path), header_only=True).header()["dataWindow"]
        width, height = int(right) - int(left) + 1, int(bottom) - int(top) + 1
        if not 0 < width * height <= LARGEST_PICTURE:
            raise InputError(f"{path}: a picture of {width} x {height}, more than any camera's; make it smaller")
        with _hushed():
            channels = {name: channel.pixels for name, channel in OpenEXR.File(str(path)).channels().items()}
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: is damaged or cut short, or no OpenEXR picture; write it again, or remove it and its time"
        ) from error
    found = next((channels[name][..., :3] for name in ("RGB", "RGBA") if name in channels), None)
    if found is None and len(channels) == 1:
        (found,) = channels.values()
    if found is None or found.dtype.kind != "f":
        raise InputError(f"{path}: has the channels {', '.join(channels)}; expected floats, gray or RGB: convert it")
    return found.astype(np.float32)


@contextmanager
def _hushed() -> Iterator[None]:
    """What the library says is dropped: of a damaged file up to 13 lines to stderr below Python, and one to Python's stdout."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        with redirect_stdout(StringIO()):
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
