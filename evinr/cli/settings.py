"""What a run depends on beside its recording, and whether two are the same in it. Brings no JAX."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evinr.cli.commands import Fit


def of(command: Fit) -> dict[str, dict[str, Any]]:
    """In parts, as `config.json` has them; `pace` is how long a fit may take, and what is shown of it."""
    pace = {name: getattr(command, name) for name in ("budget", "window_budget", "frames", "fps")}
    parts = {"config": asdict(command.fit), "read": asdict(command.read), "tone": asdict(command.tone), "pace": pace}
    return json.loads(json.dumps(parts))


def difference(folder: Path, command: Fit, *, pace: bool = True) -> str | None:
    """The first setting that a run was begun with otherwise, for people; None where the same are asked for."""
    before = plain(folder / "config.json")
    for part, now in of(command).items():
        for name, value in now.items() if pace or part != "pace" else ():
            if (old := before.get(part, {}).get(name)) != value:
                return f"{name} was {old} and is now {value}"
    return None


def plain(path: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing where it is not there, or damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
