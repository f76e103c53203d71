"""What is fitted to the windows of a recording: where each of them lies in time, and how they are kept in a folder.

In `windows/` of a run, `000000.npz` and so on hold a window each, `000000r.npz` one that was revised, and `index.txt` a line
of equal length for each: its number, whether it was revised, how many more lines belong to it, the bytes of its file, and
where it lies. Of two lines the later counts, and a first version of a window takes away those behind it; what no line tells
of does not count, and neither do lines without all that belong to them.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

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
        rows, damaged = _index(folder)
        if damaged is not None:
            raise _refusal(folder / INDEX, f"line {damaged + 1} is damaged")
        if len(rows) == 0:
            raise InputError(f"{folder}: holds no whole window; go on with --resume, or fit again with --overwrite")
        count = done(folder)
        if count < len(rows):
            name, expected = _name(count, bool(rows[count, 1])), int(rows[count, 2])
            size = _sizes(folder).get(name)
            found = "missing" if size is None else f"cut short or changed, it has {size} of {expected} bytes"
            raise _refusal(folder / name, found)
        self.folder = folder
        self.layout = rows[:, 3:7]
        self._revised = rows[:, 1].astype(bool)
        self._kept = lru_cache(KEPT)(self._read)

    def __len__(self) -> int:
        return len(self.layout)

    def __getitem__(self, number: int) -> Head:
        return self._kept(range(len(self))[number])

    def _read(self, number: int) -> Head:
        path = self.folder / _name(number, bool(self._revised[number]))
        if not path.exists():  # of a fit that goes on, and has revised it since
            path = self.folder / _name(number, True)
        times, values, shared = _arrays(path, "times", "values", "shared")
        if (times[0], times[-1]) != (self.layout[number, 0], self.layout[number, -1]):
            raise _refusal(path, f"is of another run, it starts at {times[0]} s")
        return Head(times, values, int(shared))


Heads = Sequence[Head] | Stored
"""All windows of a fit, in order of time."""


def layout(heads: Heads, overlap: int) -> Float64[np.ndarray, "w 4"]:
    """The `Place` of every window, without reading those that are stored."""
    return heads.layout if isinstance(heads, Stored) else np.array([place(head, overlap) for head in heads])


def save(folder: Path, number: int, heads: Sequence[Head], overlap: int, revised: Head | None = None) -> None:
    """Write windows, the first of them `number`, and the one before them as they made it, `revised`: all of it or nothing,
    whenever the process dies. Windows behind them, left by an earlier run, no longer count.

    Values are rounded to float16, which is 0.05 % of each.

    Raises:
        InputError: a value is no number, or beyond those of float16.
        OSError: it cannot be written.
    """
    with named(folder):
        folder.mkdir(parents=True, exist_ok=True)
    first = number if revised is None else number - 1
    new = list(heads) if revised is None else [revised, *heads]
    lines = []
    for at, head in enumerate(new, first):
        path = folder / _name(at, at < number)
        _write(path, at, head)
        about = f"{at:9d} {at < number:d} {first + len(new) - at - 1:3d} {path.stat().st_size:13d}"
        lines.append(about + "".join(f" {seconds:25.17e}" for seconds in place(head, overlap)) + "\n")
    with named(folder / INDEX), open(folder / INDEX, "ab" if number else "wb") as index:
        index.write("".join(lines).encode())
    if revised is not None:
        (folder / _name(first, False)).unlink(missing_ok=True)


def tidy(folder: Path) -> None:
    """Before a fit goes on from `done` windows: take away what a killed one left behind them."""
    count = done(folder)
    rows, _ = _index(folder)
    kept = {_name(number, bool(row[1])) for number, row in enumerate(rows[:count])}
    for name in _sizes(folder).keys() - kept:
        (folder / name).unlink()
    if (folder / INDEX).exists():
        content = (folder / INDEX).read_bytes()
        lines = [content[line * LINE : (line + 1) * LINE] for line in rows[:count, -1].astype(int)]
        with whole(folder / INDEX) as partial:
            partial.write_bytes(b"".join(line[:12] + b"  0" + line[15:] for line in lines))  # each by itself


def require_storable(number: int, head: Head) -> None:
    """Raises InputError where a value is no number, or beyond those of float16."""
    if not max(head.values.max(), -head.values.min()) <= LARGEST:
        raise InputError(
            f"window {number}, from {head.times[0]} to {head.times[-1]} s: its log intensity is beyond the {LARGEST:.0f}"
            " thresholds that can be stored; the fit diverged, or a pixel never rests: take it out of the recording"
        )


def _write(path: Path, number: int, head: Head) -> None:
    require_storable(number, head)
    with whole(path) as partial:
        np.savez(partial, times=head.times, values=head.values.astype(np.float16), shared=head.shared)


def done(folder: Path) -> int:
    """How many windows are whole, from the first one on: where a fit that was stopped goes on."""
    rows, _ = _index(folder)
    sizes = _sizes(folder)
    for number, row in enumerate(rows):
        name = _name(number, bool(row[1]))
        # A fit that goes on may have revised the last one since the index was read.
        if sizes.get(name) != row[2] and (name in sizes or number + 1 < len(rows) or _name(number, True) not in sizes):
            return number
    return len(rows)


LINE = 9 + 1 + 1 + 1 + 3 + 1 + 13 + 4 * 26 + 1
"""Bytes of a line of the index."""


def _index(folder: Path) -> tuple[Float64[np.ndarray, "w 8"], int | None]:
    """For each window its line that counts: number, revised, bytes, where it lies, and which line that is; and the first
    damaged line, behind which none counts."""
    content = (folder / INDEX).read_bytes() if (folder / INDEX).exists() else b""
    rows: list[list[float]] = []
    group: list[list[float]] = []
    for line in range(len(content) // LINE):
        try:
            number, revised, more, size, *place = map(float, content[line * LINE : (line + 1) * LINE].split())
            at = int(number)
        except ValueError:
            return np.array(rows).reshape(-1, 8), line
        if len(place) != 4 or not 0 <= at <= len(rows) + len(group):
            return np.array(rows).reshape(-1, 8), line
        group.append([at, revised, size, *place, line])
        if more:
            continue
        for row in group:
            rows[int(row[0]) : int(row[0]) + 1 if row[1] else None] = [row]
        group = []
    return np.array(rows).reshape(-1, 8), None


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


def _name(number: int, revised: bool) -> str:
    return f"{number:06d}{'r' if revised else ''}.npz"


def _refusal(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}; copy it again, go on with --resume, or fit again with --overwrite")
