"""What of a sweep the metric depends on, as W&B tells it: a forest's importance, and the linear correlation."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from evinr.sweeping.plan import flat
from evinr.sweeping.results import Row

FEWEST = 5
"""Finished runs, below which nothing is said."""


class Importance(NamedTuple):
    """How the metric depends on one parameter."""

    name: str
    importance: float
    """Part of what a random forest explains by it, from 0 to 1; all sum to 1, or to 0 where the metric is constant."""
    correlation: float | None
    """Pearson's, of its value with the metric; None where it is no number, or the metric is constant."""


def importance(rows: Sequence[Row]) -> list[Importance] | None:
    """Parameters that varied, the most important first; None below five finished runs."""
    from sklearn.ensemble import RandomForestRegressor

    finished = [row for row in rows if row.state == "finished" and row.metric is not None and np.isfinite(row.metric)]
    if len(finished) < FEWEST:
        return None
    metric = np.array([row.metric for row in finished], np.float64)
    values = columns(finished)
    features = {name: _features(of) for name, of in values.items()}
    if not features:
        return []
    forest = RandomForestRegressor(n_estimators=100, random_state=0)
    forest.fit(np.concatenate(list(features.values()), axis=1), metric)
    ends = np.cumsum([of.shape[1] for of in features.values()])
    parts = [float(part.sum()) for part in np.split(forest.feature_importances_, ends[:-1])]
    found = [
        Importance(name, part, _correlation(of, metric)) for (name, of), part in zip(values.items(), parts, strict=True)
    ]
    return sorted(found, key=lambda each: -each.importance)


def columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The values of each parameter that varied, by the option's own name, in the order of the rows."""
    known = [flat(row.parameters) for row in rows]
    names = dict.fromkeys(name for of in known for name in of)
    found = {name: [of.get(name) for of in known] for name in names}
    return {name: of for name, of in found.items() if len({json.dumps(value) for value in of}) > 1}


def are_numbers(values: Sequence[Any]) -> bool:
    """Whether all of them are; true and false are words."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _features(values: Sequence[Any]) -> Float64[np.ndarray, "n _k"]:
    """A column of numbers, or one for each word, 1 where it is that."""
    if are_numbers(values):
        return np.array(values, np.float64)[:, None]
    words = [json.dumps(value) for value in values]
    return np.array([[word == other for other in sorted(set(words))] for word in words], np.float64)


def _correlation(values: Sequence[Any], metric: Float64[np.ndarray, " n"]) -> float | None:
    if not (are_numbers(values) or all(isinstance(value, bool) for value in values)) or np.ptp(metric) == 0:
        return None
    return float(np.corrcoef(np.array(values, np.float64), metric)[0, 1])
