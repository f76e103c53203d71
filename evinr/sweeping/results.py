"""The runs of a sweep in `results.jsonl`, a line each."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from evinr.events import InputError
from evinr.files import named


class Row(NamedTuple):
    """A run of a sweep that came to its end."""

    number: int
    """Counted from 0."""
    id: str
    """W&B's."""
    state: Literal["finished", "stopped", "failed"]
    """Stopped: early, by the sweep."""
    parameters: dict[str, Any]
    """As the file nests them."""
    scores: dict[str, float]
    """By name of the metric (a key of `scores.METRICS`), means over the recordings."""
    metric: float | None
    """The score that is optimised; of a run that was stopped, what it had come to."""
    history: list[float]
    """Course of the metric while it was fitted, where the sweep stops runs early."""
    seconds: float
    folder: str
    """Of the run, or of the first of its recordings."""
    error: str | None
    """Why it failed."""


def append(path: Path, row: Row) -> None:
    """Write a line, and have it on the disk when this returns; a line before it that was cut short is taken away."""
    line = (json.dumps(row._asdict()) + "\n").encode()
    with named(path), path.open("ab+") as file:
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Row]:
    """The rows that were written whole; none where there is no file. Raises InputError where it is damaged."""
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if line.endswith(b"\n"):  # else a process died while it wrote the last one
            try:
                rows.append(Row(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"{path}:{number}: is no run of a sweep ({error}); the file is damaged: mend or remove that line"
                ) from None
    return rows


def best_first(rows: Sequence[Row], goal: Literal["minimize", "maximize"]) -> list[Row]:
    """Finished runs by their metric, then those that were stopped, then the others; the earlier first where they tie."""
    states = ("finished", "stopped", "failed")

    def rank(row: Row) -> tuple[int, bool, float, int]:
        none = row.metric is None or math.isnan(row.metric)
        metric = 0.0 if row.metric is None or none else row.metric
        return states.index(row.state), none, metric if goal == "minimize" else -metric, row.number

    return sorted(rows, key=rank)
