"""Measurements that are kept one by one, so that a script which was stopped goes on where it was."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evinr.files import whole
from experiments.benchmarks.machine import provenance

NO_MATTER = ("out", "scratch", "original", "torch_python")
"""Options on which no measurement depends."""


def kept(scratch: Path, name: str, config: Any, measure: Callable[[], dict[str, Any]], *lists: str) -> dict[str, Any]:
    """What `scratch/NAME.json` has, if it was measured with the same options; else what `measure` gives, kept there.

    `config` is the dataclass of the script's options; `lists` are those that list what is to be measured. Delete
    the folder to measure anew: a point also says from which commit it is.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / f"{name}.json"
    options = {key: value for key, value in asdict(config).items() if key not in (*NO_MATTER, *lists)}
    options = json.loads(json.dumps(options, default=str))
    if path.exists() and (found := json.loads(path.read_text()))["options"] == options:
        print(f"{name}: measured already, {found['from']['date']}", flush=True)
        return found["point"] | {"from": found["from"]}
    origin = provenance()
    point = measure()
    with whole(path) as partial:
        partial.write_text(json.dumps({"point": point, "options": options, "from": origin}, indent=2) + "\n")
    return point | {"from": origin}
