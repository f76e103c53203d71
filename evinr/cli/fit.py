"""`evinr fit`: which folder, which recording, and in windows or as a whole."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from evinr import devices, hosts
from evinr.cli import fit_whole, fit_windows, passing, run_folder, source
from evinr.cli.commands import Fit
from evinr.cli.running import Log, unwatched


def run(command: Fit, argv: Sequence[str]) -> int:
    """Fit, write the run folder, and say where things are. `argv` is how the command was given."""
    devices.compilation_cache()
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if "WANDB_SWEEP_ID" in os.environ and (run := os.environ.get("WANDB_RUN_ID")) and not command.is_live:
        from evinr.cli import agent_run

        return agent_run.fitted(command, argv, console, run)
    if command.hosts.coordinator is None:
        return alone(command, argv, console)
    with hosts.joined(command.hosts.coordinator, command.hosts.processes, command.hosts.process):
        if hosts.writes():
            return alone(command, argv, console)
        quiet = Console(quiet=True)
        return fit_windows.assisted(command, passing.opened(command, quiet))


def alone(command: Fit, argv: Sequence[str], console: Console) -> int:
    """What the process does that writes."""
    folder = run_folder.choose(command)
    if command.is_live and command.fit.windows == "parallel":
        console.print("live: windows are fitted one after another, as they come (--windows sequential)")
        command = replace(command, fit=replace(command.fit, windows="sequential"))
    again = ["evinr", *(word for word in argv if word != "--overwrite"), *["--resume"] * (not command.resume)]
    if command.fit.windows != "whole":
        return fit_windows.fitted(command, shlex.join(again), console, folder, passing.opened(command, console))
    given = source.read(command.source, command.read, command.fit.seed, console)
    return fitted(command, shlex.join(again), console, folder, given)


def fitted(
    command: Fit, again: str, console: Console, folder: Path, given: source.Source, watch: Log = unwatched
) -> int:
    """Fit a recording in memory into a folder that `run_folder.choose` chose; `again` is how to go on if stopped.

    `watch` is told of every step, once what it fitted is saved.
    """
    if command.fit.windows == "whole":
        return fit_whole.fitted(command, again, console, folder, given, watch)
    return fit_windows.fitted(command, again, console, folder, passing.held(given), watch)
