"""W&B's schema of a sweep, with words for what does not fit it."""

import re
import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

import numpy as np

from evinr.sweeping.options import Fault

METHODS = ("grid", "random", "bayes")
CAP = "run_cap"
"""Runs at most; younger than the schema that comes with the engine."""
STOPPING = ("type", "min_iter", "max_iter", "s", "eta")
KEYS = ("value", "values", "min", "max", "distribution", "probabilities", "mu", "sigma", "q", "a", "b", "parameters")
"""What a parameter may be told."""
EXAMPLE = "a sweep has `method: random` and `parameters:`, see experiments/sweeps"


def require(config: Any) -> None:
    """Raise Fault where this is no sweep that the engine can run."""
    if not isinstance(config, dict) or not {"method", "parameters"} & set(config):
        raise Fault((), f"is no sweep: {EXAMPLE}")
    for key in config:
        if not isinstance(key, str) or key not in (*_schema()["properties"], CAP):
            raise Fault((str(key),), f"is no key of a sweep{_near(key, (*_schema()['properties'], CAP))}")
    for key in ("method", "parameters"):
        if key not in config:
            raise Fault((), f"has no `{key}`: {EXAMPLE}")
    if config["method"] not in METHODS:
        raise Fault(("method",), f"is {config['method']!r}, and must be grid, random or bayes")
    _require_parameters((), config["parameters"], config["method"])
    _require_stopping(config)
    if not isinstance(config.get("metric", {}), dict):
        raise Fault(("metric",), "must be told as in `{name: replay}`")
    cap = config.get(CAP, 1)
    if type(cap) is not int or cap < 1:
        raise Fault((CAP,), f"is {cap!r}, and must be a whole number above 0")
    known = {key: value for key, value in config.items() if key != CAP}
    for error in engine().config.schema.validator.iter_errors(known):
        raise Fault(tuple(map(str, error.absolute_path)), _limit(error))


def _require_parameters(above: tuple[str, ...], parameters: Any, method: str) -> None:
    keys = (*above, "parameters")
    if not isinstance(parameters, dict) or not parameters:
        raise Fault(keys, "must name options of `evinr fit`, as in `smooth: {values: [1, 2]}`")
    for name, told in parameters.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][\w.-]*", name, re.ASCII):
            raise Fault(keys, f"{name!r} is no name of an option")
        if isinstance(told, dict) and "parameters" in told:
            if len(told) > 1:
                raise Fault((*keys, name), "`parameters` stands alone there: move the other keys inside")
            _require_parameters((*keys, name), told["parameters"], method)
        else:
            _require_parameter((*keys, name), told, method)


def _require_parameter(keys: tuple[str, ...], told: Any, method: str) -> None:
    if not isinstance(told, dict):
        meant = f"values: {told}" if isinstance(told, list) else f"value: {told}"
        raise Fault(keys, f"must be told with a key: `{{{meant}}}`")
    for key in told:
        if key not in KEYS:
            raise Fault((*keys, str(key)), f"is no key of a parameter{_near(key, KEYS)}")
    name = told.get("distribution") or _implied(told)
    if name is None:
        raise Fault(keys, "needs `value`, `values`, or `min` and `max`")
    if not isinstance(name, str) or name not in _distributions():
        raise Fault((*keys, "distribution"), f"is {name!r}{_near(name, _distributions())}")
    _require_distribution(keys, told, name)
    if name == "categorical_w_probabilities" and method != "random":
        raise Fault((*keys, "probabilities"), f"do not go with method {method}: leave them out, or use random")
    if method == "grid" and name not in ("constant", "categorical", "int_uniform", "q_uniform"):
        raise Fault(keys, f"{name} has no end of values, and a grid needs `values`; give them, or use random or bayes")


def _require_distribution(keys: tuple[str, ...], told: Mapping[str, Any], name: str) -> None:
    known = _distributions()[name]
    if missing := [key for key in known["required"] if key not in told and key != "distribution"]:
        raise Fault(keys, f"{name} needs {' and '.join(missing)}")
    if extra := [key for key in told if key not in known["properties"]]:
        raise Fault((*keys, extra[0]), f"has no meaning with {name}: leave it out")
    for error in engine().config.schema.Draft7Validator(known).iter_errors({**told, "distribution": name}):
        raise Fault((*keys, *map(str, error.absolute_path)), _limit(error))
    if "min" in told and not told["min"] < told["max"]:
        raise Fault(keys, f"min {told['min']} is not below max {told['max']}")
    if name in ("log_uniform", "inv_log_uniform", "q_log_uniform") and 0 < told["min"] < told["max"] <= 1:
        raise Fault(
            keys, f"{name} takes exponents of e, which give no small numbers here: use {name}_values, or powers below 0"
        )
    weights = told.get("probabilities", [])
    if weights and (len(weights) != len(told["values"]) or not np.isclose(sum(weights), 1)):
        raise Fault(
            (*keys, "probabilities"), f"must be {len(told['values'])} numbers, one for each value, that sum to 1"
        )


def _implied(told: Mapping[str, Any]) -> str | None:
    """The distribution of a parameter that names none."""
    if "value" in told:
        return "constant"
    if "values" in told:
        return "categorical_w_probabilities" if "probabilities" in told else "categorical"
    if "min" in told or "max" in told:
        whole = all(type(told.get(end, 0)) is int for end in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    return None


def _limit(error: Any) -> str:
    """What the schema has against a value, in the words that the configs use."""
    wanted = {"number": "a number", "integer": "a whole number", "array": "a list in brackets", "string": "text"}
    of = error.validator_value
    said = {
        "exclusiveMinimum": f"above {of}",
        "minimum": f"{of} or more",
        "minItems": "longer",
        "type": wanted.get(str(of), f"of type {of}"),
        "enum": " or ".join(map(str, of)) if isinstance(of, list) else "",
    }
    return f"is {error.instance!r}, and must be {said[error.validator]}" if error.validator in said else error.message


def _require_stopping(config: Mapping[str, Any]) -> None:
    """Hyperband, as the engine needs it; it fails late on what its schema lets through."""
    if "early_terminate" not in config:
        return
    keys, told = ("early_terminate",), config["early_terminate"]
    if not isinstance(told, dict) or told.get("type") != "hyperband":
        raise Fault(keys, "must be told as in `{type: hyperband, min_iter: 3}`")
    for key, value in told.items():
        if key not in STOPPING:
            raise Fault((*keys, str(key)), f"is no key of early_terminate{_near(key, STOPPING)}")
        if key in ("min_iter", "max_iter", "s") and (type(value) is not int or value < 1):
            raise Fault((*keys, key), f"is {value!r}, and must be a whole number above 0")
        if key == "eta" and (isinstance(value, bool) or not isinstance(value, int | float) or not 1 < value < np.inf):
            raise Fault((*keys, key), f"is {value!r}, and must be a number above 1")
    if "min_iter" not in told and not {"max_iter", "s"} <= set(told):
        raise Fault(keys, "needs min_iter, or max_iter and s")
    if told.get("max_iter", np.inf) < told.get("eta", 3):
        raise Fault((*keys, "max_iter"), f"is {told['max_iter']}, and must not be below eta, {told.get('eta', 3)}")


def _near(word: Any, words: Iterable[str]) -> str:
    """Which of the words is meant, or all of them."""
    near = get_close_matches(str(word), words := list(words), 1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(words)}"


@cache
def _distributions() -> dict[str, Any]:
    """The schema of each distribution by its name."""
    found = {}
    for each in _schema()["definitions"].values():
        for form in each.get("anyOf", [each])[:1]:
            for name in form.get("properties", {}).get("distribution", {}).get("enum", ()):
                found[name] = form
    return found


def _schema() -> dict[str, Any]:
    return engine().config.schema.sweep_config_jsonschema


@cache
def engine() -> Any:
    """W&B's `sweeps` 0.2.0, which warns as it is imported: it was written for pydantic 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sweeps
        import sweeps.params
    return sweeps
