"""The folder of a sweep: held by one process, and gone on with only by the same sweep."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from evinr.events import InputError
from evinr.files import write_json

MARK = "sweep.json"
LOCK = ".lock"
SAME = ("sweep", "recordings", "scoring", "project")
"""Parts of the mark that make a sweep the same."""


def require_ours(out: Path) -> None:
    """Raises InputError where the folder is somebody's."""
    left = {LOCK, f".partial-{MARK}"}  # of a process that was killed at once
    others = not out.is_dir() or any(entry.name not in left for entry in out.iterdir()) if out.exists() else False
    if others and not (out / MARK).is_file():
        raise InputError(f"{out}: exists, and is no sweep of evinr; pass another --out")


@contextmanager
def held(out: Path) -> Iterator[None]:
    """The folder, for this process alone, until it ends in whatever way. Raises InputError where another one has it."""
    out.mkdir(exist_ok=True)
    lock = FileLock(out / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{out}: another process runs this sweep; wait for that, or pass another --out") from None
    try:
        yield
    finally:
        lock.release()


def marked(out: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """What the folder says of its sweep, made where there is none: what `about` says, an `id`, and the sweep's path on W&B
    as `wandb`, once it is there.

    Raises InputError where it is of another sweep.
    """
    about = json.loads(json.dumps(about))
    if not (out / MARK).is_file():
        before = {**about, "id": secrets.token_hex(4), "wandb": None}
        write_json(out / MARK, before)
        return before
    try:
        before = json.loads((out / MARK).read_text())
        differences = [part for part in SAME if before[part] != about[part]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{out / MARK}: cannot be understood ({error}); remove it, or pass another --out") from None
    for part in differences:
        what, old, new = _difference(part, before[part], about[part])
        raise InputError(f"{out}: is a sweep with {what} {old}, which is now {new}; pass another --out")
    return before


def _difference(name: str, old: Any, new: Any) -> tuple[str, str, str]:
    """The first thing that differs, by the way to it, shortened to be said."""
    if isinstance(old, dict) and isinstance(new, dict):
        key = next(key for key in (*old, *new) if old.get(key) != new.get(key))
        return _difference(f"{name}.{key}", old.get(key, "unset"), new.get(key, "unset"))
    return name, _short(old), _short(new)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else f"{text[:56]} ..."
