"""What is fitted to the windows of a recording: where each of them lies in time, and how they are kept in a folder.

In `windows/` of a run, `000000.npz` and so on hold a window each, and `index.txt` a line of equal length for each: its
number, the bytes of its file, and where it lies. A window counts once its line is whole.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int8

from evinr.events import InputError
from evinr.files import named, whole

FOLDER = "windows"
"""In the folder of a run."""

INDEX = "index.txt"

KEPT = 3
"""Windows that stay in memory once they were read: two are needed at a seam."""

LARGEST = float(np.finfo(np.float16).max)


class Head(NamedTuple):
    """The answer of one window: log intensity at its knots, which the network takes to the times between them."""

    times: Float64[np.ndarray, " k"]
    """Seconds of the knots, strictly rising."""
    values: Float[np.ndarray, "k planes h w"]
    """Log intensity at the knots, in units of the contrast threshold."""
    shared: int
    """How many of its first knots are also the last ones of the window before: 0 for the first window."""


class Place(NamedTuple):
    """Where a window lies, in seconds: alone from `seam_end` to the next one's `seam_start`, blended in its seams."""

    start: float
    seam_start: float
    seam_end: float
    end: float


def place(head: Head, overlap: int) -> Place:
    """Where a window lies. Its seam is the last `overlap` of the intervals that it shares with the one before."""
    start, end = float(head.times[0]), float(head.times[-1])
    if head.shared == 0:
        return Place(start, start, start, end)
    last = head.shared - 1
    return Place(start, float(head.times[last - overlap]), float(head.times[last]), end)


def coordinate(
    times: Float64[np.ndarray, " k"], seconds: Float64[np.ndarray, " n"]
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """The knots counted from 0 as a smooth, rising function of time, at `seconds` between them; and its derivative, 1/s.

    Monotone cubic (Fritsch and Butland, 1984), as scipy's PchipInterpolator, which takes 0.5 s to import.
    """
    step = np.diff(times)
    before, after = step[:-1], step[1:]
    inner = 3 * (before + after) / ((2 * after + before) * before + (after + 2 * before) * after)
    slope = np.concatenate([[_end_slope(step[0], step[1])], inner, [_end_slope(step[-1], step[-2])]])
    cell = np.clip(np.searchsorted(times, seconds, "right") - 1, 0, len(step) - 1)
    x, left, right = (seconds - times[cell]) / step[cell], slope[cell] * step[cell], slope[cell + 1] * step[cell]
    square, cube = 3 - 2 * left - right, left + right - 2
    rise = x * (left + x * (square + x * cube))
    return cell + rise, (left + x * (2 * square + x * 3 * cube)) / step[cell]


def _end_slope(outer: float, inner: float) -> float:
    return max(((2 * outer + inner) / outer - outer / inner) / (outer + inner), 0.0)


class Stored:
    """Windows in a folder, each read when it is asked for; the latest few stay in memory.

    Raises:
        InputError: there is none; or one that the index tells of is missing, cut short or damaged.
    """

    def __init__(self, folder: Path):
        rows, lines = _index(folder)
        count = done(folder)
        if lines == 0:
            raise InputError(f"{folder}: holds no whole window; go on with --resume, or fit again with --overwrite")
        if len(rows) < lines:
            raise _refusal(folder / INDEX, f"line {len(rows) + 1} is damaged")
        if count < lines:
            size, expected = _sizes(folder).get(_name(count)), int(rows[count, 1])
            found = "missing" if size is None else f"cut short or changed, it has {size} of {expected} bytes"
            raise _refusal(folder / _name(count), found)
        self.folder = folder
        self.layout = rows[:, 2:]
        self._kept = lru_cache(KEPT)(self._read)

    def __len__(self) -> int:
        return len(self.layout)

    def __getitem__(self, number: int) -> Head:
        return self._kept(range(len(self))[number])

    def seen(self, number: int) -> Int8[np.ndarray, "h w"] | None:
        """The picture of events that was stored with a window, if there was one."""
        seen = _arrays(self.folder / _name(number), "seen")[0]
        return seen if seen.size else None

    def _read(self, number: int) -> Head:
        path = self.folder / _name(number)
        times, values, shared = _arrays(path, "times", "values", "shared")
        if (times[0], times[-1]) != (self.layout[number, 0], self.layout[number, -1]):
            raise _refusal(path, f"is of another run, it starts at {times[0]} s")
        return Head(times, values, int(shared))


Heads = Sequence[Head] | Stored
"""All windows of a fit, in order of time."""


def layout(heads: Heads, overlap: int) -> Float64[np.ndarray, "w 4"]:
    """The `Place` of every window, without reading those that are stored."""
    return heads.layout if isinstance(heads, Stored) else np.array([place(head, overlap) for head in heads])


def save(folder: Path, number: int, head: Head, overlap: int, seen: Int8[np.ndarray, "h w"] | None = None) -> None:
    """Write a window, whole or not at all; those after it, left by an earlier run, no longer count.

    Values are rounded to float16, which is 0.05 % of each. `seen` is a picture of its events, for previews.

    Raises:
        InputError: a value is no number, or beyond those of float16.
        OSError: it cannot be written.
    """
    path = folder / _name(number)
    with named(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _write(path, number, head, seen)
    line = f"{number:9d} {path.stat().st_size:15d}" + "".join(f" {at:25.17e}" for at in place(head, overlap)) + "\n"
    with named(folder / INDEX), open(folder / INDEX, "ab") as index:
        index.truncate(number * len(line))
        index.write(line.encode())


def revise(folder: Path, number: int, head: Head) -> None:
    """Write a window anew, at the same knots, whole or not at all; those after it stay. Raises as `save`."""
    _write(folder / _name(number), number, head, None)


def _write(path: Path, number: int, head: Head, seen: Int8[np.ndarray, "h w"] | None) -> None:
    largest = float(max(head.values.max(), -head.values.min()))
    if not largest <= LARGEST:
        raise InputError(
            f"window {number}, from {head.times[0]} to {head.times[-1]} s: log intensity of {largest:.3g} thresholds cannot be"
            f" stored, {LARGEST:.0f} can; the fit diverged, or a pixel never rests: take it out of the recording"
        )
    picture = np.zeros((0, 0), np.int8) if seen is None else seen
    with whole(path) as partial:
        np.savez(partial, times=head.times, values=head.values.astype(np.float16), shared=head.shared, seen=picture)


def done(folder: Path) -> int:
    """How many windows are whole, from the first one on: where a fit that was stopped goes on."""
    rows, _ = _index(folder)
    sizes = _sizes(folder)
    for number, row in enumerate(rows):
        if sizes.get(_name(number)) != row[1]:
            return number
    return len(rows)


LINE = 9 + 1 + 15 + 4 * 26 + 1
"""Bytes of a line of the index."""


def _index(folder: Path) -> tuple[Float64[np.ndarray, "w 6"], int]:
    """The lines before the first damaged one, and how many whole ones there are: what a killed run left of one is none."""
    content = (folder / INDEX).read_bytes() if (folder / INDEX).exists() else b""
    lines = [content[start : start + LINE] for start in range(0, len(content) - LINE + 1, LINE)]
    rows = []
    for number, line in enumerate(lines):
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            break
        if len(row) != 6 or row[0] != number:
            break
        rows.append(row)
    return np.array(rows).reshape(-1, 6), len(lines)


def _sizes(folder: Path) -> dict[str, int]:
    if not folder.is_dir():
        return {}
    return {entry.name: entry.stat().st_size for entry in os.scandir(folder) if entry.name.endswith(".npz")}


def _arrays(path: Path, *names: str) -> list[np.ndarray]:
    try:
        with path.open("rb") as raw, np.load(raw) as file:
            return [file[name] for name in names]
    except Exception as error:  # zipfile's, zlib's and numpy's errors have no common base
        raise _refusal(path, f"damaged ({error})") from None


def _name(number: int) -> str:
    return f"{number:06d}.npz"


def _refusal(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}; copy it again, go on with --resume, or fit again with --overwrite")
