"""A sweep's file: W&B's YAML, checked before anything runs."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, NamedTuple

from evinr.cli.commands import Fit
from evinr.events import InputError
from evinr.scores import METRICS
from evinr.sweeping import combinations, schema
from evinr.sweeping.options import Fault, option
from evinr.sweeping.options import command as command
from evinr.sweeping.options import flat as flat

Goal = Literal["minimize", "maximize"]
GOALS: dict[str, Goal] = {"lower": "minimize", "higher": "maximize"}
FOR_AGENTS = ("program", "command", "controller")
"""Keys that only W&B's own agent and controller read."""


class Plan(NamedTuple):
    """A sweep, as its file describes it."""

    config: dict[str, Any]
    """What the file says, with the metric's goal filled in: what `wandb.sweep` takes."""
    method: str
    """`grid`, `random` or `bayes`."""
    metric: str | None
    """A key of `scores.METRICS`."""
    goal: Goal
    sources: tuple[str, ...]
    """From the parameter `source`; may be empty."""
    early: dict[str, Any] | None
    """How runs that do badly are stopped."""
    name: str
    """The file's, without its ending."""
    notes: tuple[str, ...]
    """What of the file has no effect here."""


def read(path: Path, defaults: Fit) -> Plan:
    """Read a sweep, and try the values that can come up in the options of `evinr fit` on top of `defaults`.

    Raises InputError that names the file, the line and the parameter: no YAML, no sweep by W&B's schema, no such option
    or metric, a value outside an option's type, values that exclude each other.
    """
    text = _text(path)
    config = _loaded(path, text)
    try:
        return _plan(config, path.stem, defaults)
    except Fault as fault:
        where = [f"{path}:{_line(text, fault.keys)}", ".".join(fault.keys)] if fault.keys else [str(path)]
        raise InputError(": ".join([*where, str(fault)])) from None


def searched(plan: Plan) -> dict[str, dict[str, Any]]:
    """What the file says of each parameter that varies, by its option's own name."""
    told = combinations.definitions(plan.config["parameters"])
    return {option(combinations.path(keys)).name: of for keys, of in told if combinations.varies(of)}


def _plan(config: Any, name: str, defaults: Fit) -> Plan:
    schema.require(config)
    config = deepcopy(config)
    metric, goal = _metric(config)
    if metric is not None:
        config["metric"]["goal"] = goal
    told = dict(combinations.definitions(config["parameters"]))
    combinations.require(told, config["method"], defaults)
    cut = next((of.get("value") for keys, of in told.items() if keys[-1] == "windows"), None)
    if "early_terminate" in config and cut == "whole":
        raise Fault(("early_terminate",), "a fit with windows whole has no pictures before its end; leave it out")
    if not any(map(combinations.varies, told.values())):
        raise Fault(("parameters",), "nothing varies: give an option `values`, or `min` and `max`")
    given = next((of["value"] for keys, of in told.items() if keys[-1] == "source"), ())
    return Plan(
        config,
        config["method"],
        metric,
        goal,
        (given,) if isinstance(given, str) else tuple(given),
        config.get("early_terminate"),
        name,
        tuple(f"{key}: is for `wandb agent`, and has no effect here" for key in FOR_AGENTS if key in config),
    )


def _metric(config: dict[str, Any]) -> tuple[str | None, Goal]:
    """The metric to optimise, and its direction."""
    if "metric" not in config:
        needed = "method bayes" if config["method"] == "bayes" else "early_terminate"
        if config["method"] == "bayes" or "early_terminate" in config:
            raise Fault((), f"has no `metric`, which {needed} needs: give one, as in `metric: {{name: replay}}`")
        return None, "minimize"
    known: dict[str, Goal] = {name: GOALS[of.better] for name, of in METRICS.items() if of.better in GOALS}
    told = config["metric"]
    name = told.get("name")
    if name not in known:
        raise Fault(("metric", "name"), f"there is no metric {name!r} to optimise; there are {', '.join(known)}")
    goal = known[name]
    if told.get("goal", goal) != goal:
        raise Fault(("metric", "goal"), f"is {told['goal']}, and {name} is better {METRICS[name].better}: {goal} it")
    return name, goal


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give the YAML file of a sweep") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text; give the YAML file of a sweep") from None


def _loaded(path: Path, text: str) -> Any:
    """The file by YAML 1.2, where 1e-5 is a number."""
    from ruamel.yaml import YAML, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply to be a sweep") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else f"{path}"
        raise InputError(f"{where}: is no YAML: {getattr(error, 'problem', None) or error}; mend it there") from None


def _line(text: str, keys: Sequence[str]) -> int:
    """The line, counted from 1, of what the keys lead to, as far as they do."""
    from ruamel.yaml import YAML

    node = YAML(typ="safe", pure=True).compose(text)
    line = node.start_mark.line
    for key in keys:
        known = node.value if node.tag.endswith(":map") else []
        inside = {of.value: (of, value) for of, value in known if isinstance(of.value, str)}
        if key not in inside:
            break
        line, node = inside[key][0].start_mark.line, inside[key][1]
    return line + 1
