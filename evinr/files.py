"""Files that appear whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors of the system name `path`: a write to a full disk does not know of which file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name to write to, which becomes `path` at the end, and is gone after an error.

    It keeps the ending of `path`, by which writers of pictures and videos choose their format.
    """
    partial = path.with_name(f".partial-{path.name}")
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
