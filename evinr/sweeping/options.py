"""The options of `evinr fit` as a sweep names them: flat (`smooth`), or inside their group (`fit: {smooth: ...}`)."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from functools import cache
from types import NoneType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import tyro

from converters import ReadOptions
from evinr.cli.commands import PRESETS, Fit, Hosts, Seconds, seconds
from evinr.config import FitConfig
from evinr.events import InputError
from evinr.tonemap import ToneMap

GROUPS = {"fit": FitConfig, "read": ReadOptions, "tone": ToneMap}
"""Fields of `Fit` whose options a sweep may name without them, as the command line does."""
OWN_FOLDER = "every run has a folder of its own inside the sweep's"
WHOLE = "every run fits the whole recording, in this process"
REFUSED = {
    "out": OWN_FOLDER,
    "name": OWN_FOLDER,
    "resume": "runs that were stopped are gone on with unasked",
    "overwrite": OWN_FOLDER,
    "wandb": "the sweep itself logs every run",
    "follow": WHOLE,
    "when_late": WHOLE,
    **dict.fromkeys(("hosts", *(field.name for field in fields(Hosts))), WHOLE),
}
"""Options of `evinr fit` that say nothing in a sweep, and why."""

WORDS = {int: "a whole number", float: "a number", Seconds: "a time", bool: "true or false", str: "text"}
"""What a value must be, by the type of the option."""


class Fault(Exception):
    """What is wrong with a sweep, and where."""

    def __init__(self, keys: tuple[str, ...], message: str):
        super().__init__(message)
        self.keys = keys
        """The way to it through the mappings of the file."""


class Option(NamedTuple):
    """An option of `evinr fit`."""

    group: str | None
    """Of `GROUPS`; None for those of `Fit` itself."""
    name: str
    kind: Any
    """Its type, as annotated."""

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers, and no others."""
        return set(get_args(self.kind) or (self.kind,)) - {NoneType} == {int}


@cache
def options() -> dict[str, Option]:
    """All that a sweep may name."""
    found = {"source": Option(None, "source", str)}
    for group, record in ((None, Fit), *GROUPS.items()):
        hints = get_type_hints(record, include_extras=True)
        for field in fields(record):
            nested = group is None and field.name in (*GROUPS, "hosts", "source")
            if not nested and field.name not in REFUSED:
                found[field.name] = Option(group, field.name, hints[field.name])
    return found


def option(path: str) -> Option:
    """The option behind `smooth`, `fit.smooth` or `warm-iterations`.

    Raises Fault where there is none, or none that a sweep may set.
    """
    *group, name = path.replace("-", "_").split(".")
    if name in REFUSED or (group and group[0] in REFUSED):
        raise Fault((path,), f"no option of a sweep: {REFUSED.get(name) or REFUSED[group[0]]}; leave it out")
    if name not in options():
        raise Fault((path,), f"there is no such option; {_instead(name)}")
    found = options()[name]
    if group and group != [found.group]:
        raise Fault((path,), f"there is no such option; write {name} alone")
    return found


def _instead(name: str) -> str:
    near = get_close_matches(name, options(), 1)
    return f"did you mean {near[0]}?" if near else "`evinr fit --help` lists them"


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """A run's values by the options' own names: `{"fit": {"tie": 1}, "warm-iterations": 2}` has tie and warm_iterations.

    Raises Fault where a name is wrong, or two mean the same option.
    """
    found: dict[str, Any] = {}
    for path, value in paths(values):
        name = option(path).name
        if name in found:
            raise Fault((path,), f"{name} is given twice; leave one out")
        found[name] = value
    return found


def paths(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values by name, those inside a group by `group.name`."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", of) for inner, of in paths(value))
        else:
            yield name, value


def command(values: Mapping[str, Any], defaults: Fit) -> Fit:
    """The fit that a run's parameter values describe, flat or nested; everything else as in `defaults`, or as the preset
    has it that the values name. Several sources leave `source` as it is.

    Raises InputError that names the parameter.
    """
    try:
        return built({name: coerced(name, value) for name, value in flat(values).items()}, defaults)
    except Fault as fault:
        raise InputError(": ".join([*fault.keys, str(fault)])) from None


def coerced(name: str, value: Any) -> Any:
    """The value in the option's own type; a number may come as text, as YAML 1.1 reads 1e-5. Raises Fault."""
    from pydantic import ValidationError

    if name == "source" and isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return value
    kind = options()[name].kind
    if isinstance(value, bool) and kind is not bool:
        raise Fault((name,), f"is {str(value).lower()}, and must not be true or false")
    try:
        return _adapter(name).validate_python(value)
    except ValidationError as error:
        raise Fault((name,), f"is {value!r}{_wrong(kind, error.errors()[0])}") from None


def _wrong(kind: Any, error: Any) -> str:
    """What pydantic has against a value, in the words that the configs use."""
    if error["type"] == "literal_error":
        return f", and must be {error['ctx']['expected']}"
    if error["type"] == "value_error":
        return f": {error['ctx']['error']}"
    kinds = (kind, *get_args(kind))
    if pair := next((each for each in kinds if get_origin(each) is tuple), None):
        return f", and must be {len(get_args(pair))} numbers in brackets"
    return f", and must be {next(words for type_, words in WORDS.items() if type_ in kinds)}"


@cache
def _adapter(name: str) -> Any:
    from pydantic import BeforeValidator, TypeAdapter

    kind: Any = options()[name].kind
    if Seconds in get_args(kind):  # `10s`, as on the command line
        timed = BeforeValidator(lambda value: None if value is None else seconds(str(value)))
        kind = Annotated[float | None, timed]
    return TypeAdapter(kind)


def built(values: Mapping[str, Any], defaults: Fit) -> Fit:
    """The fit with values in their own types by their own names. Raises Fault where one forbids another."""
    base = defaults
    if preset := values.get("preset"):
        base = replace(base, fit=PRESETS[preset].fit, tone=PRESETS[preset].tone)
    inside: dict[str | None, dict[str, Any]] = {group: {} for group in (None, *GROUPS)}
    for name, value in values.items():
        if not (name == "source" and isinstance(value, list)):
            inside[options()[name].group][name] = value
    try:
        groups = {group: replace(getattr(base, group), **inside[group]) for group in GROUPS if inside[group]}
        known = {field.name: getattr(base, field.name) for field in fields(Fit)} | groups | inside[None]
        if known["source"] is tyro.MISSING:  # that nobody has named it cannot be handed on
            del known["source"]
        return Fit(**known)
    except ValueError as error:
        raise Fault((), str(error)) from None
