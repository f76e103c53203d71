"""Scales of a chart: where values lie, and what is written beside them."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

DECADES = 2
"""Powers of ten that values span at least to lie on a logarithmic scale unasked."""


class Axis(NamedTuple):
    """A scale, and the values on it."""

    places: Float64[np.ndarray, " n"]
    """From 0, the lower end, to 1; NaN where there is no value."""
    marks: list[tuple[float, str]]
    """Places, and what is written there."""


def numbers(values: Sequence[int | float | None], log: bool = False) -> Axis:
    """Numbers on a linear scale, or on a logarithmic one, if that is asked for or they span two decades."""
    at = np.array([math.nan if value is None else value for value in values], np.float64)
    known = at[np.isfinite(at)]
    at[~np.isfinite(at)] = math.nan
    if not known.size:
        return Axis(at, [])
    low, high = float(known.min()), float(known.max())
    if low > 0 and low < high and (log or high / low >= 10**DECADES):
        ends = math.log10(low), math.log10(high)
        return Axis(_between(np.log10(at), *ends), _decades(*ends))
    if low == high:
        return Axis(np.where(np.isnan(at), at, 0.5), [(0.5, short(low))])
    return Axis(_between(at, low, high), _rounds(low, high))


def words(values: Sequence[Any]) -> Axis:
    """Values of any kind, evenly, in the order of their names."""
    names = [word(value) for value in values]
    order = sorted(set(names))
    places = {name: (index + 0.5) / len(order) for index, name in enumerate(order)}
    return Axis(np.array([places[name] for name in names]), [(place, name) for name, place in places.items()])


def word(value: Any) -> str:
    """A value as it is written."""
    if isinstance(value, float):
        return short(value)
    return value if isinstance(value, str) else json.dumps(value)


def short(value: float) -> str:
    """A number with four figures at most."""
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e")


def _between(at: Float64[np.ndarray, " n"], low: float, high: float) -> Float64[np.ndarray, " n"]:
    return (at - low) / (high - low)


def _rounds(low: float, high: float) -> list[tuple[float, str]]:
    """From three to seven round numbers."""
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    step *= next((factor for factor in (5, 2, 1) if factor * step <= (high - low) / 2), 1)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    every = 2 if last - first >= 7 else 1
    return [((index * step - low) / (high - low), short(index * step)) for index in range(first, last + 1, every)]


def _decades(low: float, high: float) -> list[tuple[float, str]]:
    """Powers of ten; with less than two of them, also 2 and 5 times such."""
    whole = range(math.floor(low), math.ceil(high) + 1)
    factors = (1,) if high - low >= DECADES else (1, 2, 5)
    found = [(power + math.log10(factor), factor * 10.0**power) for power in whole for factor in factors]
    return [((at - low) / (high - low), short(value)) for at, value in found if low - 1e-9 <= at <= high + 1e-9]
