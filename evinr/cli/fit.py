"""`evinr fit`: which folder, which recording, and in windows or as a whole."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from evinr import devices
from evinr.cli import fit_whole, fit_windows, passing, run_folder, source
from evinr.cli.commands import Fit


def run(command: Fit, argv: Sequence[str]) -> int:
    """Fit, write the run folder, and say where things are. `argv` is how the command was given."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    devices.compilation_cache()
    folder = run_folder.choose(command)
    again = ["evinr", *(word for word in argv if word != "--overwrite"), *["--resume"] * (not command.resume)]
    if command.fit.windows != "whole":
        return fit_windows.fitted(command, shlex.join(again), console, folder, passing.opened(command, console))
    given = source.read(command.source, command.read, command.fit.seed, console)
    return fitted(command, shlex.join(again), console, folder, given)


def fitted(command: Fit, again: str, console: Console, folder: Path, given: source.Source) -> int:
    """Fit a recording in memory into a folder that `run_folder.choose` chose; `again` is how to go on if stopped."""
    if command.fit.windows == "whole":
        return fit_whole.fitted(command, again, console, folder, given)
    return fit_windows.fitted(command, again, console, folder, passing.held(given))
