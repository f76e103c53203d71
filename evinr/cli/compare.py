"""`evinr compare`: methods side by side on one recording."""

import json
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

from evinr import heads
from evinr.cli import compared_networks, fit, prediction_files, run_folder, scoring, side_by_side, source
from evinr.cli.commands import PRESETS, Compare, Fit
from evinr.cli.network_commands import MethodName
from evinr.cli.prediction_files import Given
from evinr.events import InputError
from evinr.files import parents, write_json
from evinr.matching import in_cut
from evinr.pages import comparison

PRESET = {"evinr": "default", "paper": "paper"}
"""The preset of each method."""
MARK = "comparison.json"


def run(command: Compare, argv: Sequence[str]) -> int:
    """Fit what is not fitted yet, score everything, and write the page. `argv` is how the command was given."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    out = command.out or Path("comparisons") / source.name_of(command.source)
    if out.exists() and not (out / MARK).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists, and is no comparison of evinr; pass another --out")
    others = _others(command)
    models = compared_networks.loaded(command, [method for method in command.methods if method not in PRESET])
    before = _before(out / MARK)
    given = source.read(command.source, command.read, command.seed, console)
    rules = scoring.rules(command.scoring, source.name_of(command.source))
    _require_frames(command, rules, given)  # before anything is fitted
    about = {part: given.about.get(part) for part in ("source", "sha256", "format", "version")}
    if before and before.get("sha256") != about["sha256"] and not command.overwrite:
        changed = ", which has changed since" if before.get("source") == command.source else ""
        raise InputError(
            f"{out}: compares methods on {before.get('source')}{changed}; pass another --out, or --overwrite"
        )
    if before and before.get("sha256") != about["sha256"]:  # fits of another recording, which are to be overwritten
        for method in (*PRESET, *get_args(MethodName)):
            if (out / method / "config.json").is_file():
                shutil.rmtree(out / method)
    kept = compared_networks.kept(command, out, models, given)
    with parents(out / MARK):
        write_json(out / MARK, about)
    predictions = {}
    again = shlex.join(["evinr", *(word for word in argv if word != "--overwrite")])
    for method in command.methods:
        console.print(f"\n{method}")
        run = out / method
        if method in kept:
            console.print(f"{run} is finished: kept")
        elif method in models:
            compared_networks.run(command, console, out, models[method], given)
        else:
            one = _fit(command, method, out)
            code = fit.fitted(one, again, console, run_folder.choose(one), given)
            if code:
                return code
        predictions[method] = scoring.placed(run, prediction_files.read(run, None, "auto"), given)
    console.print()
    for title, (path, other) in others.items():
        predictions[title if title not in predictions else f"{title} (given)"] = scoring.placed(path, other, given)
    compared = side_by_side.scored(console, given, predictions, rules)
    comparison.write(out / "report.html", side_by_side.drawn(compared, given, command.pictures))
    write_json(out / "scores.json", about | {"methods": compared.as_json()})
    scoring.write_csv(out / "frames.csv", compared.evaluations)
    side_by_side.tell(console, compared)
    console.print(f"page     {out / 'report.html'}")
    console.print(f"scores   {out / 'scores.json'}\nframes   {out / 'frames.csv'}")
    return 0


def _require_frames(command: Compare, rules: scoring.Rules, given: source.Source) -> None:
    """Raises InputError where the protocol has no use for the recording's frames, or its cut keeps none."""
    truth = source.truth(given, rules.protocol.light)
    if truth is not None:
        try:
            in_cut(truth, rules.protocol, rules.cut)
        except InputError as error:
            raise InputError(f"{command.source}: {error}") from None


def _fit(command: Compare, method: str, out: Path) -> Fit:
    """The fit of a method: to be gone on with where one was begun."""
    preset, folder = PRESETS[PRESET[method]], out / method
    resume = run_folder.has_numbers(folder) and not command.overwrite
    # What a process that was killed before its first window or checkpoint left; anything else in it is somebody's.
    left = {"config.json", "metrics.jsonl", heads.FOLDER, run_folder.LOCK}
    cut_short = folder.is_dir() and {file.name for file in folder.iterdir()} <= left
    return replace(
        preset,
        source=command.source,
        out=out,
        name=method,
        resume=resume,
        overwrite=command.overwrite or (cut_short and not resume),
        read=command.read,
        fit=replace(preset.fit, seed=command.seed),
    )


def _others(command: Compare) -> dict[str, tuple[Path, Given]]:
    """The predictions of others, read before anything is fitted."""
    paths = scoring.named(command.predictions) if command.predictions else {}
    return {title: (path, prediction_files.read(path, None, "auto")) for title, path in paths.items()}


def _before(mark: Path) -> dict[str, Any]:
    """What an earlier comparison says of itself; empty where there is none."""
    if not mark.is_file():
        return {}
    try:
        return dict(json.loads(mark.read_text()))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{mark}: cannot be understood ({error}); it is damaged: remove it, or pass another --out"
        ) from None
