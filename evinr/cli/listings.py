"""The times of pictures: where they are looked for, and the ways in which people write them down."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from evinr.events import InputError
from evinr.files import resolved

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".exr")
LISTINGS = ("timestamps.txt", "images.txt")
"""What E2VID, EVREAL and NER-Net call the times of their pictures; and IJRR and we."""


class Listed(NamedTuple):
    """One picture of a folder."""

    time: float
    path: Path


def beside(path: Path) -> Iterator[Path]:
    """Where the times of a folder's pictures are looked for: in it, and in the conversion of a recording around it."""
    yield from (path / name for name in LISTINGS)
    yield path.parent / f"images_{path.name}.txt"
    around = path.parent / "images.txt"
    if around.is_file() and all(Path(words[-1]).parent.name == path.name for _, words in _lines(around)):
        yield around


def times_of(path: Path) -> Float64[np.ndarray, " m"]:
    """The times in a text or .npy, in seconds, as they stand there. Raises InputError for what is no list of times."""
    if path.suffix == ".npy":
        try:
            times = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{path}: not a readable .npy of times ({error}); save it again") from None
        if not isinstance(times, np.ndarray) or times.dtype.kind not in "uif":
            raise InputError(f"{path}: holds no plain numbers; save times in seconds with numpy.save")
        return times.astype(np.float64).ravel()
    # A time alone, before a picture's name, or after its number.
    named = [
        (number, words[0] if Path(words[-1]).suffix.lower() in PICTURES else words[-1])
        for number, words in _lines(path)
    ]
    return np.array([_number(word, path, number) for number, word in named])


def entries_of(listing: Path, folder: Path, pictures: Sequence[Path]) -> list[Listed]:
    """Times and pictures of a listing: lines `time`, `time picture`, or `index time` as EVREAL writes them.

    `pictures` are those of the folder, in order. Raises InputError where they and the listing do not belong together.
    """
    lines = _lines(listing)
    if all(len(words) == 1 for _, words in lines):
        if len(lines) != len(pictures):
            raise InputError(
                f"{listing}: {len(lines)} times for the {len(pictures)} pictures of {folder}; give one for each, or name them"
            )
        numbered = zip(lines, pictures, strict=True)
        return [Listed(_number(words[0], listing, number), picture) for (number, words), picture in numbered]
    by_index = {int(found[-1]): picture for picture in pictures if (found := re.findall(r"\d+", picture.stem))}
    listed = []
    for number, words in lines:
        time, name = words[0], " ".join(words[1:])
        if Path(name).suffix.lower() in PICTURES:
            # Only pictures of this folder: a listing that names the camera's must not score those against themselves.
            places = (folder / name, folder / Path(name).name, listing.parent / name)
            inside = (place for place in places if place.is_file() and resolved(place).is_relative_to(resolved(folder)))
            path = next(inside, None)
        else:
            time, name = words[-1], words[0]
            path = by_index.get(int(name)) if name.isdecimal() else None
        if path is None:
            raise InputError(
                f"{listing}: line {number}: picture {name[:60]!r} is not in {folder}; mend or delete the line"
            )
        listed.append(Listed(_number(time, listing, number), path))
    return listed


def check_rising(times: Float64[np.ndarray, " m"], where: str) -> None:
    """Raise InputError, which names the entry of `where`, unless every time is later than the one before it."""
    if not np.isfinite(times).all():
        raise InputError(f"{where}: time {int(np.flatnonzero(~np.isfinite(times))[0])} is no number; mend it")
    falls = np.flatnonzero(np.diff(times) <= 0)
    if falls.size:
        first = int(falls[0])
        raise InputError(
            f"{where}: times do not rise: {times[first]:g} s is followed by {times[first + 1]:g} s (entry {first + 2}); sort"
        )


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The lines that say something, with their numbers."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give one with a time in seconds for each picture")
    text = path.read_text(errors="replace").splitlines()
    split = [(number, line.replace(",", " ").split()) for number, line in enumerate(text, 1)]
    lines = [(number, words) for number, words in split if words and not words[0].startswith("#")]
    if not lines:
        raise InputError(f"{path}: no times; expected one a line, in seconds")
    return lines


def _number(word: str, path: Path, line: int) -> float:
    try:
        value = float(word)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(f"{path}: line {line}: {word[:40]!r} is no time in seconds; mend or delete the line")
    return value


def natural(path: Path) -> list[int | str]:
    """Sorts frame_10 after frame_9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]
