"""`evinr evaluate`: any prediction against a recording, under a named protocol."""

import json
from pathlib import Path

from rich.console import Console

from evinr.cli import prediction_files, scoring, side_by_side, source
from evinr.cli.commands import Evaluate
from evinr.events import InputError
from evinr.files import resolved, whole_folder, write_json
from evinr.protocols import PROTOCOLS

SCORES, FRAMES = "scores.json", "frames.csv"


def run(command: Evaluate) -> int:
    """Score, print the table, write the numbers."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    name = resolved(command.prediction).name
    out = resolved(command.out or Path("evaluations") / f"{name}-{command.scoring.protocol}")
    _require_place(out, command.overwrite)
    if command.normalisation is not None and PROTOCOLS[command.scoring.protocol].normalisation != "own":
        raise InputError(
            f"--normalisation {command.normalisation}: {command.scoring.protocol} has its own; leave it out"
        )
    rules = scoring.rules(command.scoring, source.name_of(command.truth))._replace(normalisation=command.normalisation)
    read = prediction_files.read(command.prediction, command.timestamps, command.values)
    given = source.read(command.truth, command.read, read.seed, console)
    prediction = scoring.placed(command.prediction, read, given, command.offset)
    compared = side_by_side.scored(console, given, {name: prediction}, rules)
    truth = {part: given.about.get(part) for part in ("source", "sha256", "format")}
    assumptions = (*prediction.assumptions, *given.about["assumptions"])
    about = compared.as_json()[name] | {"truth": truth, "assumptions": [*assumptions, rules.said]}
    with whole_folder(out, command.overwrite) as folder:
        scoring.write_csv(folder / FRAMES, compared.evaluations)
        write_json(folder / SCORES, about)
    for assumption in assumptions:
        console.print(f"  {assumption}")
    side_by_side.tell(console, compared)
    console.print(f"scores   {out / SCORES}\nframes   {out / FRAMES}")
    return 0


def _require_place(out: Path, overwrite: bool) -> None:
    """Raise InputError where the folder cannot be written, before anything is read."""
    if out.exists() and not _is_ours(out):
        raise InputError(f"{out}: exists, and is no evaluation of evinr; pass another --out")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: exists already; pass --overwrite or another --out")


def _is_ours(out: Path) -> bool:
    """Whether a folder holds an evaluation, and nothing else."""
    if not out.is_dir() or {file.name for file in out.iterdir()} != {SCORES, FRAMES}:
        return False
    try:
        return "evinr" in json.loads((out / SCORES).read_text())
    except (ValueError, TypeError):
        return False
