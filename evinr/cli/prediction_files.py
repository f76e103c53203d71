"""Predictions as people have them: a run folder, a folder of pictures with their times, an array in a file."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Shaped

from converters.pictures import read_picture, to_gray
from evinr.cli import baseline_run, frame_files
from evinr.cli.listings import LISTINGS, PICTURES, beside, check_rising, entries_of, natural, times_of
from evinr.events import InputError
from evinr.prediction import LUMA, Prediction, of_reconstruction
from evinr.reconstruction import Span

Values = Literal["auto", "picture", "intensity", "light", "log"]
"""What the numbers of an array are."""
EXR = ".exr"


class Given(NamedTuple):
    """A prediction as it was read."""

    prediction: Prediction
    origin: int
    """The recording's own time of t = 0 in nanoseconds, where the prediction knows it; else 0."""
    assumptions: tuple[str, ...]
    sha256: str | None = None
    """Of the recording that a run was fitted to."""
    seed: int = 0
    """With which a run was made, and the demo's scene."""


def read(path: Path, timestamps: Path | None, values: Values) -> Given:
    """What lies at `path`; `timestamps` is the file with its times where it is not beside the pictures.

    Raises InputError for what is no prediction: no times, times that fall, pictures that cannot be read or differ in size.
    """
    if baseline_run.is_fit(path):
        if timestamps is not None or values != "auto":
            raise InputError(f"{path}: is a run, which knows its times and values; leave out --timestamps and --values")
        return _run(path)
    if baseline_run.is_one(path):
        if timestamps is not None or values != "auto":
            raise InputError(f"{path}: is a run, which knows its times and values; leave out --timestamps and --values")
        about = baseline_run.about(path)
        kind = about["windows"]["windows"]
        frames = "the frames, by their " if kind in ("exposures", "midpoints") else "its windows, "  # a deblurring run
        said = (f"what {about['method']} made of {frames}{kind}",)
        return Given(baseline_run.prediction(path), about.get("origin_ns") or 0, said, about["sha256"], about["seed"])
    if path.is_dir():
        if values not in ("auto", "picture"):
            raise InputError(f"{path}: is a folder of pictures; leave out --values")
        return _folder(path, timestamps)
    if path.suffix == ".npy" and path.is_file():
        return _array(path, timestamps, values)
    if not path.exists():
        raise InputError(f"{path}: does not exist; give a run folder, a folder of pictures or an .npy")
    raise InputError(
        f"{path}: no prediction; give a run folder, a folder of pictures with a timestamps file, or an .npy"
    )


def _run(path: Path) -> Given:
    from evinr import checkpoint

    result = checkpoint.load(path)
    about = json.loads((path / "config.json").read_text())
    said = ("a fit, asked at the very times of what it is held against",)
    return Given(of_reconstruction(result), about.get("origin_ns", 0), said, about.get("sha256"), result.config.seed)


def _folder(path: Path, timestamps: Path | None) -> Given:
    listing = timestamps or next((name for name in beside(path) if name.is_file()), None)
    pictures = sorted((file for file in path.iterdir() if file.suffix.lower() in PICTURES), key=natural)
    if listing is None:
        raise InputError(
            f"{path}: no {' or '.join(LISTINGS)} in it; pass --timestamps FILE, one time in seconds a picture"
        )
    listed = entries_of(listing, path, pictures)
    times = np.array([entry.time for entry in listed])
    check_rising(times, str(listing))
    light = [entry.path.suffix.lower() == EXR for entry in listed]
    if any(light) and not all(light):
        raise InputError(
            f"{path}: lists {EXR}, which is light, beside other pictures; keep them in folders of their own"
        )
    at, kind = _reader([entry.path for entry in listed], times), "light" if any(light) else "picture"
    said = f"{len(times)} pictures{' of linear light' if any(light) else ''} at the times of {listing.name}"
    return Given(Prediction(kind, Span(times[0], times[-1]), times, at), 0, (said,))


def _reader(paths: Sequence[Path], times: Float64[np.ndarray, " m"]) -> Callable[..., Float[np.ndarray, "k h w"]]:
    def at(asked: Float64[np.ndarray, " k"]) -> Float[np.ndarray, "k h w"]:
        pictures = []
        for where in np.searchsorted(times, asked):
            picture = _picture(paths[where])
            if pictures and picture.shape != pictures[0].shape:
                (height, width), (rows, columns) = picture.shape, pictures[0].shape
                raise InputError(
                    f"{paths[where]}: {width} x {height}, those before it {columns} x {rows}; mend or remove it"
                )
            pictures.append(picture)
        return np.stack(pictures)

    return at


def _picture(path: Path) -> Float[np.ndarray, "h w"]:
    if path.suffix.lower() == EXR:
        light = frame_files.read_exr(path)
        return light if light.ndim == 2 else (light @ LUMA).astype(np.float32)
    with path.open("rb") as file:
        return _unit(read_picture(file, str(path)))


def _unit(picture: Shaped[np.ndarray, "h w *c"]) -> Float[np.ndarray, "h w"]:
    """8 or 16 bits, gray or RGB, as gray in [0, 1]: those of 8 bits as a recording's own frames are read."""
    if picture.dtype == np.uint8:
        return to_gray(picture).astype(np.float32) / 255
    unit = picture.astype(np.float32) / np.iinfo(picture.dtype).max
    return unit if unit.ndim == 2 else (unit @ LUMA).astype(np.float32)


def _array(path: Path, timestamps: Path | None, values: Values) -> Given:
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a readable .npy ({error}); save it again with numpy.save") from None
    if not isinstance(frames, np.ndarray):
        raise InputError(f"{path}: is an .npz by its content; save the frames alone with numpy.save")
    if frames.ndim == 4 and frames.shape[-1] == 1:
        frames = frames[..., 0]
    if frames.ndim not in (3, 4) or (frames.ndim == 4 and frames.shape[-1] != 3) or not _is_number(frames):
        raise InputError(
            f"{path}: {frames.dtype} of shape {frames.shape}; expected uint8, uint16 or floats (n, H, W) or (n, H, W, 3)"
        )
    if not frames.size:
        raise InputError(f"{path}: holds no frames; predict some")
    if timestamps is None:
        timestamps = path.with_suffix(".txt")
        if not timestamps.is_file():
            raise InputError(
                f"{path}: an array does not tell its times; put them beside it, in {timestamps.name}, one a line, or "
                "pass --timestamps"
            )
    times = times_of(timestamps)
    if len(times) != len(frames):
        raise InputError(
            f"{timestamps}: {len(times)} times for the {len(frames)} frames of {path.name}; give one for each"
        )
    check_rising(times, str(timestamps))
    values, said = _meaning(path, frames, values)

    def at(asked: Float64[np.ndarray, " k"]) -> Float[np.ndarray, "k h w"]:
        chosen = np.asarray(frames[np.searchsorted(times, asked)])
        if chosen.dtype.kind in "ui":
            chosen = chosen.astype(np.float32) / np.iinfo(chosen.dtype).max
        light = np.exp(chosen) if values == "log" and chosen.ndim == 4 else chosen
        gray = light if light.ndim == 3 else light @ LUMA
        if values == "intensity" and (gray <= 0).any():
            raise InputError(
                f"{path}: has numbers of 0 or less, {int((gray <= 0).sum())} in the frames asked for, which have no logarithm; "
                "pass --values light, whose black is 0"
            )
        with np.errstate(invalid="ignore", divide="ignore"):  # no number stays none, and is refused where it is scored
            return np.log(gray) if values == "intensity" or (values == "log" and chosen.ndim == 4) else gray

    kinds: dict[str, Literal["log", "picture", "light"]] = {"intensity": "log", "log": "log", "light": "light"}
    kind = kinds.get(values, "picture")
    return Given(Prediction(kind, Span(times[0], times[-1]), times, at), 0, (said,))


def _is_number(frames: Shaped[np.ndarray, "..."]) -> bool:
    return frames.dtype in (np.uint8, np.uint16) or frames.dtype.kind == "f"


def _meaning(path: Path, frames: Shaped[np.ndarray, "..."], values: Values) -> tuple[Values, str]:
    """What the numbers are, and who says so."""
    if values != "auto":
        return values, f"its numbers are taken for {values}, as told"
    if frames.dtype.kind in "ui":
        return "picture", f"its numbers are taken for pictures, as they are {frames.dtype}"
    smallest, largest = min(float(frame.min()) for frame in frames), max(float(frame.max()) for frame in frames)
    if not all(0 <= float(frame.min()) and float(frame.max()) <= 1 for frame in frames):
        raise InputError(
            f"{path}: its numbers, {smallest:.3g} to {largest:.3g}, may be log intensity, intensity, light or pictures; say so "
            "with --values log, intensity (above 0), light (black is 0) or picture (in [0, 1])"
        )
    return "picture", f"its numbers, {smallest:.3g} to {largest:.3g}, are taken for pictures; --values says otherwise"
