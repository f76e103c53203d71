"""A sweep without W&B's server: W&B's own engine says what is next, runs are logged to be uploaded later."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evinr.cli import sweep_session
from evinr.cli.sweep_run import Interrupted, Sweeping
from evinr.cli.sweep_table import Board
from evinr.files import whole
from evinr.sweeping import engine, results

SEED = 0
"""Of the search: a file has the same runs wherever it is run."""


def run(sweeping: Sweeping, count: int, project: str, board: Board, stop: Sequence[int]) -> None:
    """Make runs until there are `count`, or the grid is through. Raises Interrupted when there is something in `stop`, and
    what `sweep_session.one` raises."""
    import wandb

    while (number := len(rows := results.read(sweeping.results))) < count:
        values = engine.suggest(sweeping.plan, rows, SEED)
        if values is None:
            return
        if stop:
            raise Interrupted
        id = f"{sweeping.id}-{number:03d}"
        _forget(sweeping.out, id)
        os.environ["WANDB_SWEEP_PARAM_PATH"] = str(_config(sweeping.out, number, values).absolute())
        wandb.teardown()  # the environment is read when W&B starts
        session = wandb.init(
            mode="disabled" if os.environ.get("WANDB_MODE") == "disabled" else "offline",
            project=project,
            group=f"{sweeping.plan.name}-{sweeping.id}",
            name=f"{sweeping.plan.name}-{number}",
            id=id,
            config=sweep_session.about(sweeping),
        )
        sweep_session.one(sweeping, number, session, values, board)


def _config(out: Path, number: int, values: Mapping[str, Any]) -> Path:
    """The run's values as W&B's agent writes them, for `wandb.init` to find."""
    import yaml  # W&B's, which reads 1e-05 as text: only its own writer says 1.0e-05

    path = out / f"config-{number}.yaml"
    with whole(path) as partial:
        content = {"wandb_version": 1} | {name: {"value": value} for name, value in values.items()}
        partial.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def _forget(out: Path, id: str) -> None:
    """What a run that was killed has logged: it is made again."""
    for folder in (out / "wandb").glob(f"offline-run-*-{id}"):
        shutil.rmtree(folder)
