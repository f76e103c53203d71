"""What `evinr info` can be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from converters import ReadOptions


@dataclass(frozen=True)
class Info:
    """Tell how sound a recording is, and what a fit of it needs."""

    source: Annotated[str, tyro.conf.Positional]
    """Recording: a file or folder of any known format."""
    html: Path | None = None
    """Page to write: the same with pictures, in one file that needs no network."""
    overwrite: bool = False
    """Replace the page if it exists."""
    read: ReadOptions = field(default_factory=ReadOptions)
