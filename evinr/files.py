"""Files that appear whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from evinr.events import InputError

PARTIAL = ".partial-"
"""Beginning of the names of what is not whole yet."""


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors of the system name `path`: a write to a full disk does not know of which file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def resolved(path: Path) -> Path:
    """The path without links. Raises InputError where they loop."""
    try:
        found = path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError over loops until Python 3.12
        raise InputError(f"{path}: cannot be followed ({error}); check its symbolic links") from error
    if found.is_symlink():  # and what a loop leaves since then
        raise InputError(f"{path}: cannot be followed, it leads to itself; check its symbolic links")
    return found


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name to write to, which becomes `path` at the end, and is gone after an error.

    It keeps the ending of `path`, by which writers of pictures and videos choose their format.
    """
    partial = path.with_name(f"{PARTIAL}{path.name}")
    try:
        with named(path):
            yield partial
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON."""
    with whole(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


@contextmanager
def whole_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A new folder to fill, which becomes `path` at the end, and is gone after an error.

    With `overwrite` it takes the place of what was there, which stays until then.
    """
    with parents(path), scratch_folder(path) as partial, named(path):
        yield partial
        old = path.with_name(f"{PARTIAL}{path.name}.old")
        if overwrite and path.exists():
            _remove(old)
            os.replace(path, old)
        os.replace(partial, path)
        _remove(old)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` for what is needed on the way to it, gone at the end.

    Always of the same name, so that what a killed process left there goes too.
    """
    scratch = path.with_name(f"{PARTIAL}{path.name}.d")
    shutil.rmtree(scratch, ignore_errors=True)
    with named(path):
        scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """Take away what a process that was killed on its way to `path` left beside it."""
    if path.exists():
        _remove(path.with_name(f"{PARTIAL}{path.name}.old"))
    path.with_name(f"{PARTIAL}{path.name}").unlink(missing_ok=True)
    shutil.rmtree(path.with_name(f"{PARTIAL}{path.name}.d"), ignore_errors=True)


@contextmanager
def parents(path: Path) -> Iterator[None]:
    """The folders above `path`, made where they are missing; those are gone after an error."""
    missing = [folder for folder in path.absolute().parents if not folder.exists()]
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):  # somebody else put something there meanwhile
                folder.rmdir()
        raise
