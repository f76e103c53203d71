"""The scores of one sequence, kept as JSON: one that was made of the same file in the same way is not made again."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from converters import ReadOptions, fingerprint, open_stream
from evinr.config import FitConfig
from evinr.cuts import Cut
from evinr.files import write_json
from evinr.metrics.lpips import Lpips
from evinr.protocols import Protocol
from evinr.scores import Evaluation
from experiments.tables.scoring import as_json, from_json, scored
from experiments.tables.spans import walk


class Plan(NamedTuple):
    """How every sequence of a table is read, fitted and scored."""

    protocol: Protocol
    lpips: Lpips | None
    camera: bool
    """Whether there are frames to compare with."""
    read: ReadOptions
    config: FitConfig
    window: float
    """Seconds fitted at once."""
    limit: float | None
    """Seconds that are scored at most."""


def sequence(
    name: str, path: Path, cut: Cut | None, plan: Plan, out: Path, advance: Callable[[float], None]
) -> Evaluation:
    """The scores that lie in `out`, if they were made of this file by this plan, or new ones, which then lie there.

    `advance` is told what part is done. Raises InputError where the recording cannot be read, fitted or scored.
    """
    stream = open_stream(path, plan.read)
    made = {
        "evinr": version("evinr"),
        "source": path.name,
        "sha256": fingerprint(stream),
        "protocol": asdict(plan.protocol),
        "lpips": None if plan.lpips is None else {"trunk": plan.lpips.trunk, "sha256": plan.lpips.sha256},
        "cut": None if cut is None else f"{cut.dataset}, {cut.said}",
        "read": asdict(plan.read),
        "fit": asdict(plan.config),
        "window": plan.window,
        "limit": plan.limit,
    }
    if out.is_file():
        before: dict[str, Any] = json.loads(out.read_text())
        if before.get("made") == made:
            return from_json(before, plan.protocol)
    began = time.monotonic()
    walked = walk(stream, name, plan.read, cut, plan.window, plan.limit or inf, cut is None or plan.protocol.last_frame)
    evaluation = scored(walked, plan.config, plan.protocol, plan.lpips, plan.camera, advance)
    evaluation = evaluation._replace(notes=(*evaluation.notes, *walked.notes))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, {"made": made, "seconds": time.monotonic() - began, **as_json(evaluation)})
    return evaluation
