"""The values that can come up in a sweep, tried in the options they are for, and together."""

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from evinr.cli.commands import Fit
from evinr.sweeping.options import Fault, built, coerced, option
from evinr.sweeping.schema import engine

ALL = 10_000
"""Combinations of which every one is tried."""
DRAWN = 1000
"""Combinations that are drawn of more."""
LARGEST = 100_000
"""Combinations of a grid; the engine lists all of them for every run."""
RARE = 0.001
"""Where distributions that never end are tried, from either end."""
FIXED = {
    "source": "every run fits all the recordings",
    "preset": "the preset is what the other parameters start from",
    "read": "runs of different events cannot be compared",
}
"""Options, and a group of them, that are the same in all runs, and why."""

Definitions = Mapping[tuple[str, ...], Mapping[str, Any]]
"""What the file says of each parameter, by the way to it."""


def definitions(parameters: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Parameters with those inside groups, by the way to them: `("parameters", "fit", "parameters", "smooth")`."""
    for name, told in parameters.items():
        keys = (*above, "parameters", name)
        if "parameters" in told:
            yield from definitions(told["parameters"], keys)
        else:
            yield keys, told


def path(keys: Sequence[str]) -> str:
    """The name of a parameter in a run: `fit.smooth`."""
    return ".".join(keys[1::2])


def varies(told: Mapping[str, Any]) -> bool:
    """Whether a parameter can have more than one value."""
    return "value" not in told and len(told.get("values", "ab")) > 1


def size(told: Definitions) -> int:
    """How many there are in a grid."""
    return math.prod(len(_values(keys, of, "grid")) for keys, of in told.items())


def require(told: Definitions, method: str, defaults: Fit) -> None:
    """Raise Fault where a parameter is no option, or one of its values does not suit the option or the others."""
    names = {}
    for keys in told:
        try:
            names[keys] = option(path(keys)).name
        except Fault as fault:
            raise Fault(keys, str(fault)) from None
    for keys, of in told.items():
        fixed = FIXED.get(option(path(keys)).group or names[keys])
        if fixed and ("value" not in of):
            raise Fault(keys, f"{fixed}: give it one `value`")
    twice = [keys for keys in told if list(names.values()).count(names[keys]) > 1]
    if twice:
        raise Fault(twice[1], f"{names[twice[1]]} is given twice; leave one out")
    values = {keys: _values(keys, of, method) for keys, of in told.items()}
    size = math.prod(map(len, values.values()))
    if method == "grid" and size > LARGEST:
        raise Fault(("parameters",), f"a grid of {size:,} combinations is beyond {LARGEST:,}; use random or bayes")
    typed = {keys: [_coerced(keys, names[keys], value) for value in of] for keys, of in values.items()}
    for point in _points(list(typed.values()), size):
        _try(dict(zip(told, point, strict=True)), names, defaults)


def _values(keys: tuple[str, ...], told: Mapping[str, Any], method: str) -> Sequence[Any]:
    """All values of a parameter, or those at the ends and in the middle of its distribution."""
    if "value" in told:
        return [told["value"]]
    if "values" in told:
        return told["values"]
    parameter = engine().params.HyperParameter(path(keys), dict(told))
    known, kind = parameter.config, parameter.type
    if method == "grid" and known["max"] - known["min"] > LARGEST * known.get("q", 1):
        raise Fault(keys, f"a grid of more than {LARGEST:,} values is too fine; use random or bayes")
    if kind == parameter.INT_UNIFORM:
        low, high = known["min"], known["max"]
        return range(low, high + 1) if method == "grid" else sorted({low, (low + high) // 2, high})
    if method == "grid":  # as the engine counts them, without the last one
        return np.arange(known["min"], known["max"], known["q"]).tolist()
    found = option(path(keys))
    if found.whole and not float(known.get("q", 0.5)).is_integer():
        raise Fault(keys, f"gives broken numbers, and {found.name} takes whole ones: use int_uniform or q_uniform")
    edge = 0.0 if "min" in known or "a" in known else RARE
    with np.errstate(all="ignore"):
        ends = [np.asarray(parameter.ppf(part)).item() for part in (edge, 0.5, 1 - edge)]
    return [float(f"{end:.3g}") if edge else end for end in ends]


def _coerced(keys: tuple[str, ...], name: str, value: Any) -> Any:
    try:
        return coerced(name, value)
    except Fault as fault:
        raise Fault(keys, str(fault)) from None


def _points(values: list[list[Any]], size: int) -> Iterable[tuple[Any, ...]]:
    if size <= ALL:
        return product(*values)
    draw = random.Random(0)
    return (tuple(draw.choice(of) for of in values) for _ in range(DRAWN))


def _try(point: dict[tuple[str, ...], Any], names: Mapping[tuple[str, ...], str], defaults: Fit) -> None:
    """Raise Fault where values do not go together, naming as few of them as bring it about."""
    message = _wrong(point, names, defaults)
    if message is None:
        return
    for keys in list(point):
        fewer = {other: value for other, value in point.items() if other != keys}
        if _wrong(fewer, names, defaults) == message:
            point = fewer
    together = " and ".join(f"{names[keys]} {value}" for keys, value in point.items())
    named = next((keys for keys in point if message.startswith(names[keys])), next(reversed(point)))
    raise Fault(named, f"with {together}: {message}" if len(point) > 1 else message)


def _wrong(point: Mapping[tuple[str, ...], Any], names: Mapping[tuple[str, ...], str], defaults: Fit) -> str | None:
    try:
        built({names[keys]: value for keys, value in point.items()}, defaults)
    except Fault as fault:
        return str(fault)
    return None
