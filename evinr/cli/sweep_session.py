"""Where a sweep meets W&B: quietly, in the sweep's own folder, and leaving nothing behind in the process."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evinr.cli import sweep_run
from evinr.cli.sweep_run import Sweeping
from evinr.cli.sweep_table import Board
from evinr.events import InputError
from evinr.sweeping import results

if TYPE_CHECKING:
    import wandb

AT_ONCE = 3
"""Failures in a row with which a sweep begins that end it, as W&B's agent has it."""


@contextmanager
def quiet(out: Path) -> Iterator[None]:
    """W&B without its words, its files in `out`. Its process and its marks on the environment are gone afterwards."""
    import wandb

    before = {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}
    wandb.teardown()  # it reads the environment once
    os.environ |= {"WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "WANDB_DIR": str(out.absolute())}
    try:
        yield
    finally:
        wandb.teardown()
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            del os.environ[name]
        os.environ |= before


def about(sweeping: Sweeping) -> dict[str, Any]:
    """What W&B is told of a run beside its parameters."""
    recordings = [recording.source for recording in sweeping.recordings]
    return {"recordings": recordings, "protocol": sweeping.recordings[0].rules.protocol.name, "evinr": version("evinr")}


def one(
    sweeping: Sweeping,
    number: int,
    session: "wandb.Run",
    values: Mapping[str, Any],
    board: Board,
    is_stop: Callable[[Exception], bool] = sweep_run.never,
) -> None:
    """Make a run, log it, and put it into the results.

    Raises InputError when all runs have failed and these are `AT_ONCE`, and what `sweep_run.done` raises.
    """
    import wandb

    board.begun(number, values)
    try:
        row = sweep_run.done(sweeping, number, session.id, values, session.log, is_stop)
        if row.state == "finished":
            for recording in sweeping.recordings:
                picture = sweeping.out / sweep_run.folder_of(number, recording) / "preview.png"
                session.log({f"preview {recording.name}".strip(): wandb.Image(str(picture))})
        session.summary.update(row.scores | {"state": row.state, "folder": row.folder})
        results.append(sweeping.results, row)
    except BaseException:
        session.finish(exit_code=1)
        raise
    session.finish(exit_code=int(row.state == "failed"))
    board.ended(row)
    rows = results.read(sweeping.results)
    if len(rows) == AT_ONCE and all(row.state == "failed" for row in rows):
        raise InputError(f"{sweeping.out}: all of the first {AT_ONCE} runs failed, the last one so: {row.error}")
