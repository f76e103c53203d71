"""`evinr sweep`: which sweep, which recordings, which road; and what came of it."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from evinr.cli import batch_list, sweep_begun
from evinr.cli.commands import PRESETS, complete
from evinr.cli.many_commands import Sweep
from evinr.cli.sweep_table import Shown, board
from evinr.events import InputError
from evinr.files import parents, write_json
from evinr.sweeping import combinations, options, results
from evinr.sweeping import plan as plans
from evinr.sweeping.plan import Plan

if TYPE_CHECKING:
    from evinr.cli.sweep_run import Recording, Sweeping

WITHOUT_METRIC = "replay"
"""What the runs of a file without a metric are put in order by: it needs no truth."""


def run(command: Sweep, argv: Sequence[str]) -> int:
    """Make the runs that are missing, and say which is best. `argv` is how the command was given."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    plan = plans.read(command.file, PRESETS["default"])
    for note in plan.notes:
        console.print(f"{command.file}: {note}")
    sources = _sources(command, plan)
    out = command.out or Path("sweeps") / plan.name
    sweep_begun.require_ours(out)

    from evinr import devices
    from evinr.cli import sweep_run, sweep_session

    devices.compilation_cache()
    metric = plan.metric or WITHOUT_METRIC
    recordings = _recordings(command, plan, sources, metric, console)
    about = {
        "evinr": version("evinr"),
        "sweep": plan.config,
        "recordings": {recording.source: recording.given.about["sha256"] for recording in recordings},
        "scoring": {name: value and str(value) for name, value in asdict(complete(command.scoring)).items()},
        "project": command.project or plan.config.get("project", "evinr"),
    }
    with parents(out / sweep_begun.MARK), sweep_begun.held(out):
        mark = sweep_begun.marked(out, about)
        for folder in ("runs", "logs"):
            (out / folder).mkdir(exist_ok=True)
        again = shlex.join(["evinr", *argv])
        sweeping = sweep_run.Sweeping(plan, metric, mark["id"], out, recordings, again)
        with sweep_session.quiet(out):
            return _searched(command, sweeping, mark, console)


def _sources(command: Sweep, plan: Plan) -> tuple[str, ...]:
    if command.sources and plan.sources:
        raise InputError(f"{command.file}: has a source of its own, {plan.sources[0]}; give recordings here or there")
    sources = command.sources or plan.sources
    if not sources:
        raise InputError(f"{command.file}: has no parameter `source`; give a recording after the file")
    if twice := [source for source in sources if sources.count(source) > 1]:
        raise InputError(f"{twice[0]}: given twice; give it once")
    return sources


def _recordings(
    command: Sweep, plan: Plan, sources: Sequence[str], metric: str, console: Console
) -> "tuple[Recording, ...]":
    """Every recording, read once for all runs, with names that tell their folders apart."""
    from evinr.cli import scoring, source, sweep_run

    fixed = {}
    for keys, told in combinations.definitions(plan.config["parameters"]):
        option = options.option(combinations.path(keys))
        if "value" in told and (option.group == "read" or option.name == "seed"):
            fixed[option.name] = told["value"]
    fit = options.command(fixed, PRESETS["default"])
    found = []
    for one, name in zip(sources, batch_list.names(sources) if len(sources) > 1 else [""], strict=True):
        given = source.read(one, fit.read, fit.fit.seed, console)
        rules = scoring.rules(command.scoring, source.name_of(one))
        found.append(sweep_run.Recording(one, name, given, rules))
        sweep_run.require_metric(found[-1], metric)
    return tuple(found)


def _searched(command: Sweep, sweeping: "Sweeping", mark: dict[str, Any], console: Console) -> int:
    """Take one of the roads to its end, and say what is there then."""
    from evinr.cli import sweep_local, sweep_online, sweep_told
    from evinr.cli.running import stop_signals
    from evinr.cli.sweep_run import Interrupted

    plan, out = sweeping.plan, sweeping.out
    online = _online(command, sweeping, mark, console)
    count = min(command.count, plan.config.get("run_cap", command.count))
    if plan.method == "grid":
        count = min(count, combinations.size(dict(combinations.definitions(plan.config["parameters"]))))
    shown = Shown(sweeping.metric, plan.goal, list(plans.searched(plan)), count)
    try:
        with stop_signals(console) as stop, board(console, shown, results.read(sweeping.results)) as told:
            if online:
                sweep_online.run(sweeping, online, count, told)
            else:
                sweep_local.run(sweeping, count, mark["project"], told, stop)
    except (Interrupted, KeyboardInterrupt):
        console.print(f"stopped; what is fitted is kept; to go on: {sweeping.again}")
        return 130
    sweep_told.tell(sweeping, shown, console)
    if not online and any((out / "wandb").glob("offline-run-*")):
        console.print(f"upload   wandb sync {shlex.quote(str(out / 'wandb'))}/offline-run-*")
    return 0 if any(row.metric is not None for row in results.read(sweeping.results)) else 1


def _online(command: Sweep, sweeping: "Sweeping", mark: dict[str, Any], console: Console) -> str | None:
    """The sweep's path on W&B, or None for the local road; which it is, and why, is said."""
    from evinr.cli import sweep_online

    begun, out = mark["wandb"], sweeping.out
    if command.local:
        against = "--local"
    elif begun is None and results.read(sweeping.results):
        against = "it was begun so"
    else:
        against = sweep_online.reason_against()
    if against is None and begun is None:
        created = sweep_online.created(sweeping.plan.config, mark["project"])
        if isinstance(created, str):
            against = created
        else:
            begun = created.path
            write_json(out / sweep_begun.MARK, mark | {"wandb": begun})
            console.print(f"W&B: {created.url or begun}")
    elif against is None:
        console.print(f"W&B: going on with {begun}")
    if against is None:
        return begun
    if begun is not None and not command.local:
        raise InputError(f"{out}: is a sweep on W&B, {begun}, and {against}; mend that, or go on here with --local")
    logged = "" if os.environ.get("WANDB_MODE") == "disabled" else ", runs are logged for a later `wandb sync`"
    console.print(f"local sweep ({against}): W&B's engine searches here{logged}")
    return None
