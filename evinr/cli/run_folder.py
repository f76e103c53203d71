"""The folder of a run: made when there is something to put into it, gone with an error, never overwritten unasked."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from evinr import checkpoint, heads
from evinr.cli import outputs, settings, source
from evinr.cli.commands import Fit
from evinr.events import InputError
from evinr.files import PARTIAL, named, parents, resolved, whole

UNREADABLE = "[]*?"
"""Orbax takes paths with these for patterns, and finds nothing."""
LOCK = ".lock"
"""Held by the process that writes a run. It says nothing of itself: what a killed process leaves of it is held by none."""


def place(out: Path, name: str) -> Path:
    """The folder of that name. Raises InputError for what is not the name of one folder."""
    if Path(name).name != name or name in (".", ".."):
        raise InputError(f"--name {name}: give the name of one folder; --out says where it is")
    return out / name


def name_for(recording: str) -> str:
    """What the folder is called where nobody says it."""
    return re.sub(f"[{re.escape(UNREADABLE)}]", "_", source.name_of(recording))


def choose(command: Fit) -> Path:
    """The run's folder.

    Raises:
        InputError: it exists, and neither --resume nor --overwrite is given; it does not, and --resume is; it is to be
            overwritten and is no run, or holds the recording.
    """
    folder = place(command.out, command.name or name_for(command.source))
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
    """Whether there is something in its place: more than a process leaves that is killed before `config.json` is there."""
    if not folder.is_dir():
        return folder.exists()
    return any(entry.name != LOCK and not entry.name.startswith(PARTIAL) for entry in folder.iterdir())


def require_same(folder: Path, command: Fit, sha256: str) -> None:
    """Raises InputError where a run is of another recording or other settings, but for its pace, which may change."""
    before = checkpoint.read_meaning(folder)
    if before.get("sha256") != sha256:
        raise InputError(f"{folder}: is a fit of another recording, {before.get('source')}; pass another --name")
    if what := settings.difference(folder, command, pace=False):
        raise InputError(f"{folder}: {what}; give the same options, or start anew with --overwrite")


def has_numbers(folder: Path) -> bool:
    """Whether there is something to go on from."""
    return checkpoint.exists(folder) or heads.done(folder / heads.FOLDER) > 0


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
    replaced = _aside(folder, "replaced")
    if command.resume:
        with held(folder):
            yield
            discard(replaced)
            (folder / LOCK).unlink()
        return
    with ExitStack() as locks, parents(folder):
        if begun(folder) and command.overwrite:
            locks.enter_context(held(folder))
            if replaced.exists() and not outputs.exist(folder):  # this one was to replace it, and was killed
                discard(folder)
            else:
                discard(replaced)
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
                discard(replaced)
                (folder / LOCK).unlink(missing_ok=True)


def tidy(folder: Path) -> None:
    """Take away what stands aside of a finished run that replaced another one, and was killed at its very end."""
    if any(_aside(folder, what).exists() for what in ("replaced", "removed")):
        with held(folder):
            discard(_aside(folder, "replaced"))
            (folder / LOCK).unlink()


def discard(folder: Path) -> None:
    """Take a folder away at once: whenever the process dies, no half of it stands in its place."""
    removed = folder.with_name(f".removed-{folder.name.removeprefix('.replaced-')}")
    shutil.rmtree(removed, ignore_errors=True)
    if folder.exists():
        folder.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)


def _aside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{what}-{folder.name}")


def metrics(folder: Path, kept: Callable[[dict[str, Any]], bool] | None) -> Callable[[str], None]:
    """Appends lines to `metrics.jsonl`; when resuming, to those rows that are `kept`, without the steps taken again."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if kept is not None and path.exists() else []
    with whole(path) as partial:
        # The last line may be cut where a machine died while writing it.
        partial.write_text("".join(line for line in lines if line.endswith("\n") and kept and kept(json.loads(line))))

    def append(rows: str) -> None:
        with named(path), path.open("a") as file:
            file.write(rows)

    return append
