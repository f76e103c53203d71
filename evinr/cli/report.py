"""`evinr report`: one page of what several methods made of one recording. `evinr compare` ends here, too."""

from pathlib import Path

from rich.console import Console

from converters import ReadOptions
from evinr.cli import scoring, side_by_side, source
from evinr.cli.commands import Report
from evinr.events import InputError
from evinr.pages import comparison


def run(command: Report) -> int:
    """Read, score, and write the page."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if command.out.is_dir() or (command.out.exists() and not command.overwrite):
        raise InputError(f"{command.out}: exists already; pass --overwrite or another --out")
    predictions = scoring.named(command.predictions)
    named, options, seed = _fitted_to(list(predictions.values()), command)
    given = source.read(named, options, seed, console)
    rules = scoring.rules(command.scoring, source.name_of(named))
    compared = side_by_side.scored(console, predictions, given, rules)
    comparison.write(command.out, side_by_side.drawn(compared, given, command.pictures))
    console.print(f"page     {command.out}")
    return 0


def _fitted_to(paths: list[Path], command: Report) -> tuple[str, ReadOptions, int]:
    """The recording, how it is read, and the demo's seed: as the command says, else as the first run says."""
    runs = [about for path in paths if (about := side_by_side.about(path)).get("source")]
    if command.truth is not None:
        seeds = [about["config"]["seed"] for about in runs]
        return command.truth, command.read, seeds[0] if seeds else 0
    if not runs:
        raise InputError(f"{paths[0]}: does not say of which recording it is; pass --truth SOURCE")
    first = runs[0]
    for path, about in zip(paths, map(side_by_side.about, paths), strict=True):
        if about.get("sha256", first["sha256"]) != first["sha256"]:
            raise InputError(f"{path}: is of {about['source']}, {paths[0]} of {first['source']}; report them apart")
    if first["source"] != "demo" and not Path(first["source"]).exists():
        raise InputError(f"{first['source']}: the recording is not there any more; pass --truth SOURCE")
    kept = first["read"] | ({"polarity": tuple(first["read"]["polarity"])} if first["read"].get("polarity") else {})
    return first["source"], ReadOptions(**kept), first["config"]["seed"]
