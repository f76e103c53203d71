"""`evinr report`: one page of what several methods made of one recording."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from converters import ReadOptions
from evinr.cli import prediction_files, scoring, side_by_side, source
from evinr.cli.commands import Report
from evinr.events import InputError
from evinr.pages import comparison, require_place


def run(command: Report) -> int:
    """Read, score, and write the page."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    require_place(command.out, command.overwrite)
    paths = scoring.named(command.predictions)
    read = {title: (path, prediction_files.read(path, None, "auto")) for title, path in paths.items()}
    named, options, seed = _fitted_to(list(paths.values()), command)
    rules = scoring.rules(command.scoring, source.name_of(named))
    given = source.read(named, options, seed, console)
    for path, prediction in read.values():
        if command.truth is None and prediction.sha256 not in (None, given.about["sha256"]):
            raise InputError(f"{path}: {named} has changed since it was fitted; fit again, or pass --truth SOURCE")
    predictions = {title: scoring.placed(path, prediction, given) for title, (path, prediction) in read.items()}
    compared = side_by_side.scored(console, given, predictions, rules)
    comparison.write(command.out, side_by_side.drawn(compared, given, command.pictures))
    side_by_side.tell(console, compared)
    console.print(f"page     {command.out}")
    return 0


def _fitted_to(paths: list[Path], command: Report) -> tuple[str, ReadOptions, int]:
    """The recording, how it is read, and the demo's seed: as the command says, else as the first run says."""
    every = [side_by_side.about(path) for path in paths]
    runs = [about for about in every if about.get("source")]
    if command.truth is not None:
        seeds = [about["seed"] for about in runs]
        return command.truth, command.read, seeds[0] if seeds else 0
    if not runs:
        raise InputError(f"{paths[0]}: does not say of which recording it is; pass --truth SOURCE")
    first = runs[0]
    for path, about in zip(paths, every, strict=True):
        if about.get("sha256", first["sha256"]) != first["sha256"]:
            raise InputError(
                f"{path}: is of {about['source']}, {paths[0]} of {first['source']}; report them apart, or pass --truth SOURCE"
            )
    if first["source"] != "demo" and not Path(first["source"]).exists():
        where = "" if Path(first["source"]).is_absolute() else f" (looked for in {Path.cwd()})"
        raise InputError(f"{first['source']}: the recording is not there any more{where}; pass --truth SOURCE")
    # How the file is understood, not which part of it was fitted: cuts and frames are those of the whole recording.
    part: dict[str, Any] = {name: getattr(command.read, name) for name in ("t_start", "t_end", "skip_frames")}
    if first["source"] == "demo":  # whose end is part of what it is
        part = {}
    known: dict[str, Any] = {
        name: value for name, value in first["read"].items() if name in {field.name for field in fields(ReadOptions)}
    }
    if known.get("polarity"):
        known["polarity"] = tuple(known["polarity"])
    return first["source"], ReadOptions(**(known | part)), first["seed"]
