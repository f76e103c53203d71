"""What a run leaves that is done, by which the same job is known to be done: result.json in its folder."""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from evinr.cli.commands import Fit, Scoring
from evinr.files import write_json

RESULT = "result.json"
"""It goes with the run when that is replaced."""
BESIDE = ("budget", "window_budget", "frames", "fps")
"""Options that a result depends on and `config.json` does not have."""


class Record(NamedTuple):
    """What result.json holds."""

    about: dict[str, Any]
    """Numbers of the run, see `work.Result`."""
    beside: dict[str, Any]
    scoring: dict[str, Any] | None
    state: str
    """Of the recording, before it was read."""
    files: dict[str, int]
    """Bytes of every file of the run."""


def read(folder: Path) -> Record | None:
    """The record of a run that is done, unless somebody damaged it."""
    found = _json(folder / RESULT)
    return Record(**found) if found.keys() == set(Record._fields) else None


def keep(folder: Path, command: Fit, score: Scoring | None, about: dict[str, Any], state: str) -> None:
    """Write that a run is done; `state` is that of its recording before it was read."""
    beside = {name: getattr(command, name) for name in BESIDE}
    inside = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in inside if path.name != RESULT}
    write_json(folder / RESULT, Record(about, beside, score and _plain(score), state, sizes)._asdict())


def is_whole(folder: Path, record: Record) -> bool:
    """Whether all files of a run are as they were when it was done."""
    with suppress(OSError):
        return all((folder / name).stat().st_size == size for name, size in record.files.items())
    return False


def is_scored(record: Record, score: Scoring | None) -> bool:
    """Whether the scores are there that are asked for."""
    return score is None or record.scoring == _plain(score)


def changed(folder: Path, record: Record | None, command: Fit) -> str | None:
    """The first setting that a run was begun with otherwise, for people; None where the same are asked for."""
    before = _json(folder / "config.json")
    pairs = [
        (before.get(part, {}).get(name), value, name)
        for part, now in (("config", command.fit), ("read", command.read), ("tone", command.tone))
        for name, value in _plain(now).items()
    ]
    if record is not None:
        pairs += [(record.beside.get(name), getattr(command, name), name) for name in BESIDE]
    return next((f"{name} was {old} and is now {new}" for old, new, name in pairs if old != new), None)


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


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _plain(options: Any) -> dict[str, Any]:
    """A dataclass as JSON gives it back."""
    return json.loads(json.dumps(asdict(options), default=str))
