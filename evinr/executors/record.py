"""What a run leaves that is done, by which the same job is known to be done: result.json in its folder."""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from evinr.cli.commands import Scoring
from evinr.cli.settings import plain
from evinr.files import write_json

RESULT = "result.json"
"""It goes with the run when that is replaced."""


class Record(NamedTuple):
    """What result.json holds."""

    about: dict[str, Any]
    """Numbers of the run, see `work.Result`."""
    scoring: dict[str, Any] | None
    state: str
    """Of the recording, before it was read."""
    files: dict[str, int]
    """Bytes of every file of the run."""


def read(folder: Path) -> Record | None:
    """The record of a run that is done, unless somebody damaged it."""
    found = plain(folder / RESULT)
    return Record(**found) if found.keys() == set(Record._fields) else None


def keep(folder: Path, score: Scoring | None, about: dict[str, Any], state: str) -> None:
    """Write that a run is done; `state` is that of its recording before it was read."""
    inside = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in inside if path.name != RESULT}
    write_json(folder / RESULT, Record(about, score and _plain(score), state, sizes)._asdict())


def damaged(folder: Path, record: Record) -> list[str]:
    """Files of a run that are not as they were when it was done."""
    return [name for name, size in record.files.items() if _size(folder / name) != size]


def is_scored(record: Record, score: Scoring | None) -> bool:
    """Whether the scores are there that are asked for."""
    return score is None or record.scoring == _plain(score)


def state(source: str) -> str:
    """A digest of the path, sizes and times of change of a recording's files; `demo` is known by its settings."""
    if source == "demo":
        return source
    lines = [f"{path} {status.st_size} {status.st_mtime_ns}\n" for path, status in files(source)]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def files(source: str) -> list[tuple[str, os.stat_result]]:
    """The files of a recording, by their real paths: itself, or all in its folder and below."""
    top = os.path.realpath(source)
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names] or [top]
    found = []
    for path in sorted(paths):
        with suppress(OSError):  # a link to nothing, which the reader will miss if it needs it
            found.append((path, os.stat(path)))
    return found


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _plain(options: Any) -> dict[str, Any]:
    """A dataclass as JSON gives it back."""
    return json.loads(json.dumps(asdict(options), default=str))
