"""`evinr fit` where W&B's own agent calls it: a run of a sweep, in a folder of its own, logged and scored there."""

import shlex
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from evinr.cli import fit, run_folder, running, scored, scoring, settings, source
from evinr.cli.commands import Fit, Scoring


def fitted(command: Fit, argv: Sequence[str], console: Console, run: str) -> int:
    """Fit, log every step, and put the scores into the summary of the run, for the sweep's metric to be among them.

    Scores are those of `evinr sweep`, by the camera's frames where there are any, else by what needs none: protocol aligned,
    and hdr for frames of more than 8 bits.
    """
    name = command.name or f"{run_folder.name_for(command.source)}-{run}"
    console.print(f"a run of W&B's agent: {command.out / name}, logged and scored there")
    command = replace(command, name=name, wandb=False)
    folder = run_folder.choose(command)
    given = source.read(command.source, command.read, command.fit.seed, console)
    rules = scoring.rules(Scoring(protocol="hdr" if given.hdr else "aligned"), source.name_of(command.source))
    again = shlex.join(["evinr", *argv, "--name", name, "--resume"])
    with running.session(folder, given.about | settings.of(command)) as session:
        code = fit.fitted(command, again, console, folder, given, running.logged(session))
        if code == 0:
            scores = scored.means(folder, given, rules)
            session.summary.update(scores)
            console.print("scores   " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    return code
