"""The folder of a run: made when there is something to put into it, gone with an error, never overwritten unasked."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from evinr import checkpoint
from evinr.cli.commands import Fit
from evinr.events import InputError
from evinr.files import whole
from evinr.fitting import Snapshot


def choose(command: Fit) -> Path:
    """The run's folder.

    Raises:
        InputError: it exists, and neither --resume nor --overwrite is given; or it does not, and --resume is.
    """
    folder = command.out / (command.name or _name(command.source))
    if command.resume and not folder.is_dir():
        raise InputError(f"{folder}: no such run to resume; pass its --name, or leave out --resume")
    if folder.exists() and not (command.resume or command.overwrite):
        raise InputError(f"{folder}: exists already; pass --resume, --overwrite or another --name")
    return folder


def _name(source: str) -> str:
    path = Path(source)
    if path.stem in ("events", ""):  # IJRR's text is always called so; its folder has the name
        return path.resolve().parent.name or "run"
    return path.stem


def resumed(folder: Path, about: dict[str, Any]) -> Snapshot:
    """The snapshot to go on from.

    Raises:
        InputError: the run is of another source or other settings than `about`; or its checkpoint cannot be read.
    """
    checkpoint.read_meaning(folder)
    before = json.loads((folder / "config.json").read_text())
    now = json.loads(json.dumps(about))
    if (before.get("source"), before.get("sha256")) != (now["source"], now["sha256"]):
        raise InputError(
            f"{folder}: is a fit of {before.get('source')}, or of what it was; give that, or another --name"
        )
    for part in ("config", "read"):
        for name, value in now[part].items():
            if (old := before.get(part, {}).get(name)) != value:
                what = f"{name} was {old} and is now {value}"
                raise InputError(f"{folder}: {what}; give the same options, or start anew with --overwrite")
    return checkpoint.load_state(folder)


@contextmanager
def opened(folder: Path, command: Fit) -> Iterator[None]:
    """The folder, new unless a run is resumed. After an error before the first checkpoint nothing is left of a new one,
    and one that was to be overwritten is put back."""
    if command.resume:
        yield
        return
    replaced = folder.with_name(f".replaced-{folder.name}")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.rename(replaced)
    folder.mkdir(parents=True)
    try:
        yield
    except BaseException:
        if not (folder / "checkpoint").exists():
            shutil.rmtree(folder, ignore_errors=True)
            if replaced.exists():
                replaced.rename(folder)
        raise
    finally:
        if folder.exists():
            shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def metrics(folder: Path, start: Snapshot | None) -> Iterator[TextIO]:
    """`metrics.jsonl` to append to; when resuming, without the steps that will be taken again."""
    path = folder / "metrics.jsonl"
    if start is not None and path.exists():
        kept = [line for line in path.read_text().splitlines(keepends=True) if json.loads(line)["step"] <= start.step]
        with whole(path) as partial:
            partial.write_text("".join(kept))
    with path.open("a" if start else "w") as file:
        yield file
