"""The folder of a run: made when there is something to put into it, gone with an error, never overwritten unasked."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from evinr import checkpoint, heads
from evinr.cli import outputs, source
from evinr.cli.commands import Fit
from evinr.events import InputError
from evinr.files import parents, resolved, whole

UNREADABLE = "[]*?"
"""Orbax takes paths with these for patterns, and finds nothing."""
LOCK = ".lock"
"""Held by the process that writes a run; it stays there, and says nothing of itself."""


def place(out: Path, name: str) -> Path:
    """The folder of that name. Raises InputError for what is not the name of one folder."""
    if Path(name).name != name or name in (".", ".."):
        raise InputError(f"--name {name}: give the name of one folder; --out says where it is")
    return out / name


def choose(command: Fit) -> Path:
    """The run's folder.

    Raises:
        InputError: it exists, and neither --resume nor --overwrite is given; it does not, and --resume is; it is to be
            overwritten and is no run, or holds the recording.
    """
    name = command.name or re.sub(f"[{re.escape(UNREADABLE)}]", "_", source.name_of(command.source))
    folder = place(command.out, name)
    if set(UNREADABLE) & set(str(folder.absolute())):
        raise InputError(
            f"{folder}: Orbax reads no folder with one of {UNREADABLE} in its path; pass another --name or --out"
        )
    if begun(folder) and command.overwrite:
        checkpoint.read_meaning(folder)  # anything else is somebody's
        if resolved(Path(command.source)).is_relative_to(resolved(folder)):
            raise InputError(f"{folder}: holds the recording itself; pass another --name or --out")
    if command.resume and not begun(folder):
        raise InputError(f"{folder}: no such run to resume; pass its --name, or leave out --resume")
    if begun(folder) and not (command.resume or command.overwrite):
        raise InputError(f"{folder}: exists already; pass --resume, --overwrite or another --name")
    return folder


def begun(folder: Path) -> bool:
    """Whether there is something in its place: more than an empty folder, as a process leaves that is killed at once."""
    if not folder.is_dir():
        return folder.exists()
    return any(entry.name != LOCK for entry in folder.iterdir())


def require_same(folder: Path, about: dict[str, Any]) -> None:
    """Raises InputError where a run is of another source or other settings than `about`."""
    checkpoint.read_meaning(folder)
    before = json.loads((folder / "config.json").read_text())
    now = json.loads(json.dumps(about))
    if before.get("sha256") != now["sha256"]:
        raise InputError(f"{folder}: is a fit of another recording, {before.get('source')}; pass another --name")
    for part in ("config", "read", "tone"):
        for name, value in now[part].items():
            if (old := before.get(part, {}).get(name)) != value:
                what = f"{name} was {old} and is now {value}"
                raise InputError(f"{folder}: {what}; give the same options, or start anew with --overwrite")


def has_numbers(folder: Path) -> bool:
    """Whether there is something to go on from."""
    return (folder / "checkpoint").exists() or heads.done(folder / heads.FOLDER) > 0


def finished(folder: Path) -> bool:
    """Whether a run has all its windows, and all its pictures, which are made last."""
    try:
        heads.Stored(folder / heads.FOLDER)
    except InputError:
        return False
    return outputs.exist(folder)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder, for this process alone, until it ends in whatever way.

    Raises InputError where another process has it.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{folder}: another process is writing it; wait for that, or pass another --name") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def opened(folder: Path, command: Fit) -> Iterator[None]:
    """The folder, new unless a run is resumed, and held. After an error before the first checkpoint nothing is left of a
    new one, and one that was to be overwritten is put back. Raises InputError where another process has it."""
    folder = resolved(folder)
    replaced = folder.with_name(f".replaced-{folder.name}")
    if command.resume:
        with held(folder):
            yield
        shutil.rmtree(replaced, ignore_errors=True)
        return
    with ExitStack() as locks, parents(folder):
        if begun(folder):
            locks.enter_context(held(folder))
            if replaced.exists():  # this one was to replace it, and was killed
                shutil.rmtree(folder)
            else:
                folder.rename(replaced)
        folder.mkdir(exist_ok=True)
        locks.enter_context(held(folder))
        if begun(folder):
            raise InputError(f"{folder}: another process has made it just now; pass another --name")
        try:
            yield
        except BaseException:
            if not has_numbers(folder):
                shutil.rmtree(folder, ignore_errors=True)
                if replaced.exists():
                    replaced.rename(folder)
            raise
        finally:
            if folder.exists():
                shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def metrics(folder: Path, kept: Callable[[dict[str, Any]], bool] | None) -> Iterator[TextIO]:
    """`metrics.jsonl` to append to; when resuming, with those rows that are `kept`, without the steps taken again."""
    path = folder / "metrics.jsonl"
    if kept is not None and path.exists():
        lines = path.read_text().splitlines(keepends=True)
        # The last line may be cut where a machine died while writing it.
        with whole(path) as partial:
            partial.write_text("".join(line for line in lines if line.endswith("\n") and kept(json.loads(line))))
    with path.open("w" if kept is None else "a") as file:
        yield file
