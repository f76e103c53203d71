"""The recordings of a batch, each with the name of its run, and the part of them that one of several machines takes."""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from converters.dataset import find_recordings, is_recording_folder
from evinr.events import InputError

TAKEN = ("logs", "batch.json", "results.csv", "results.json", ".lock")
"""Names of what lies beside the runs."""


class Entry(NamedTuple):
    """A recording to be fitted."""

    name: str
    """Of its run."""
    source: str
    """Where it is, as it was found."""


class Found(NamedTuple):
    """What was found."""

    entries: list[Entry]
    """In the order of their paths."""
    passed_over: list[Path]
    """Text and arrays in folders that do not look like events."""


def found(words: Sequence[str], out: Path) -> Found:
    """The recordings that the words tell of: recordings, folders of them, patterns, and lists (.txt) with such a word a line.

    Raises:
        InputError: a word leads to nothing; a recording is named twice; `out` lies in a folder that is looked through, or
            a recording in `out`.
    """
    passed_over: list[Path] = []
    sources: list[str] = []
    for word in words:
        if not os.path.lexists(word) and not glob.has_magic(word) and word != "demo":
            raise InputError(
                f"{word}: no such file or folder; give recordings, folders, patterns or a list (.txt) of them"
            )
        within = _lines(Path(word)) if _is_list(Path(word)) else [word]
        for part in within:
            sources += _meant(part, out, passed_over)
    sources.sort()
    real = Counter(os.path.realpath(source) for source in sources)
    for source in sources:
        if real[os.path.realpath(source)] > 1:
            raise InputError(f"{source}: is given twice, by this or another path; give it once")
        if source != "demo" and Path(os.path.realpath(source)).is_relative_to(os.path.realpath(out)):
            raise InputError(f"{source}: lies in {out}, where the runs go; pass another --out")
    return Found([Entry(name, source) for name, source in zip(names(sources), sources, strict=True)], passed_over)


def names(sources: Sequence[str]) -> list[str]:
    """A name for each recording, the same whatever their order: the shortest end of its path that no other has.

    Two that differ in their endings only keep them. What Orbax takes for a pattern is replaced, and so are blanks and
    what is no text.
    """
    paths = [Path(os.path.abspath(source)) for source in sources]
    titles = [path.parent if path.stem == "events" else path for path in paths]  # as IJRR's text is called
    stems = [title if title.is_dir() else title.with_name(title.stem) for title in titles]
    often = Counter(map(_folded, stems))
    ends = [stem if often[_folded(stem)] == 1 else path for stem, path in zip(stems, paths, strict=True)]
    depth = [1] * len(ends)
    while True:
        found = [_joined(end, count) for end, count in zip(ends, depth, strict=True)]
        times = Counter(name.casefold() for name in [*found, *TAKEN])
        alike = [k for k, name in enumerate(found) if times[name.casefold()] > 1 and depth[k] < len(ends[k].parts) - 1]
        if not alike:
            break
        for k in alike:
            depth[k] += 1
    seen = set[str](TAKEN)
    for k in sorted(range(len(found)), key=lambda k: sources[k]):
        while found[k].casefold() in seen:  # alike but for characters that were replaced
            found[k] += "_"
        seen.add(found[k].casefold())
    return found


def shard(entries: Sequence[Entry], part: str | None) -> list[Entry]:
    """Every N-th of the recordings from the i-th on, for `i/N` counted from 1: together, all of them, once each.

    Raises InputError for what is no such part.
    """
    if part is None:
        return list(entries)
    match = re.fullmatch(r"(\d+)/(\d+)", part)
    number, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise InputError(f"--shard {part}: give i/N, counted from 1 to N, as 1/8 (sbatch --array=1-8)")
    return list(entries[number - 1 :: count])


def _meant(word: str, out: Path, passed_over: list[Path]) -> list[str]:
    """The recordings that a word tells of, which is no list."""
    if glob.has_magic(word) and not os.path.lexists(word):
        matches = sorted(glob.glob(word, recursive=True))
        if not matches:
            raise InputError(f"{word}: nothing has such a name; quote the pattern, and check it")
        return [source for match in matches for source in _meant(match, out, passed_over)]
    folder = Path(word)
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK) or is_recording_folder(folder):
        return [word]
    if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(folder)):
        raise InputError(f"{out}: lies in {folder}, which is looked through; pass another --out")
    inside = [str(path) for path in find_recordings(folder, passed_over)]
    if not inside:
        there = ", ".join(sorted(os.listdir(folder))[:10]) or "nothing"
        raise InputError(f"{folder}: is a folder without a recording in it or below (found {there}); give another")
    return inside


def _is_list(path: Path) -> bool:
    """Whether it is text that does not begin, behind a line of names perhaps, with rows of numbers, as events do."""
    if path.suffix.lower() != ".txt" or not path.is_file():
        return False
    with path.open(errors="replace") as file:
        head = _telling(file.read(4096).splitlines())[:2]
    return not any(re.fullmatch(r"[-+0-9.eE]+([,;\s]+[-+0-9.eE]+){2,}", line) for _, line in head)


def _lines(path: Path) -> list[str]:
    """The words of a list, a line each, those that are no absolute paths seen from its folder.

    What is not there stays in, and fails as one of many. Raises InputError for an empty list.
    """
    lines = _telling(path.read_text(errors="surrogateescape").splitlines())
    if not lines:
        raise InputError(f"{path}: is empty; write a recording a line")
    for number, line in lines:
        if "\0" in line:
            raise InputError(f"{path}: line {number} is no path; write a recording a line")
    return [line if line == "demo" else os.path.join(path.parent, line) for _, line in lines]


def _telling(lines: Iterable[str]) -> list[tuple[int, str]]:
    """The lines that say something, with their numbers."""
    bare = ((number, line.strip()) for number, line in enumerate(lines, 1))
    return [(number, line) for number, line in bare if line and not line.startswith("#")]


def _folded(path: Path) -> str:
    return str(path).casefold()


def _joined(path: Path, depth: int) -> str:
    """The last parts of a path as one name."""
    name = "-".join(path.parts[-depth:]).strip(os.sep)
    return re.sub(r"[\[\]*?\s\x00-\x1f\x7f]", "_", name.encode(errors="replace").decode()).lstrip(".") or "run"
