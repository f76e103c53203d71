"""The published networks of a comparison: looked over before anything is fitted, then run, or kept where they were run."""

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from baselines.checkpoints import Model
from evinr.cli import baseline, baseline_run, source
from evinr.cli.commands import Compare
from evinr.cli.cutting import cut, require_fit
from evinr.cli.network_commands import Baseline
from evinr.cli.source import Source
from evinr.events import InputError


def loaded(command: Compare, names: list[str]) -> dict[str, Model]:
    """The networks with their weights. Raises InputError where one has none, or a weight is for none of them."""
    given = {str(name): path for name, path in command.weights.items()}
    if unused := [name for name in given if name not in names]:
        raise InputError(
            f"--weights {unused[0]}: is none of the methods; add it to --methods, or leave its weights out"
        )
    return {name: baseline.loaded(name, given.get(name), f"--weights {name} FILE") for name in names}


def kept(command: Compare, out: Path, models: Mapping[str, Model], given: Source) -> set[str]:
    """The networks whose runs are there already.

    Raises InputError where a network cannot take the recording, its windows cannot be cut or scored, or its run was made
    otherwise.
    """
    found = set[str]()
    for name, model in models.items():
        _, how, _ = cut(given, command.cutting, model.method, command.source)
        if how.windows not in ("between-frames", "stored") and source.times(given) is not None:
            raise InputError(
                f"--windows {how.windows}: pictures of such windows are at other times than the frames they are scored "
                "against; leave it out, or pass --skip-frames"
            )
        require_fit(model.method, given, False, command.source)
        if not (out / name).exists():
            continue
        baseline_run.require_replaceable(out / name)
        if command.overwrite:
            continue
        now = baseline.made_with(_one(command, out, name), model, how) | {"sha256": given.about["sha256"]}
        about = baseline_run.about(out / name)
        for part, value in json.loads(json.dumps(now)).items():
            if about.get(part) != value:
                part = {"numbers": "weights", "sha256": "recording"}.get(part, part)
                raise InputError(f"{out / name}: was made with another {part}; pass --overwrite, or another --out")
        found.add(name)
    return found


def run(command: Compare, console: Console, out: Path, model: Model, given: Source) -> None:
    """Run a network, in place of what is there and was not kept."""
    baseline.made(_one(command, out, model.method.name), console, out / model.method.name, model, given)


def _one(command: Compare, out: Path, name: str) -> Baseline:
    return Baseline(
        name,
        command.source,
        out=out,
        name=name,
        overwrite=True,
        cutting=command.cutting,
        seed=command.seed,
        read=command.read,
    )
