"""What the compiled programs are told of a configuration: its numbers when they run, so that other weights and rates compile
nothing anew; the rest when they are made."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

import jax

from evinr.config import Bayer, FitConfig

FORM = {"static": True}
"""Marks what programs are made for."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Goal:
    """Fields of `FitConfig`, numbers as such or traced; and whether events are to count less beyond `outlier`.

    A dataclass, as a NamedTuple cannot have parts that are no arrays.
    """

    smooth: Any
    still: Any
    constancy: Any
    ridge: Any
    outlier: Any
    tie: Any
    head_rate: Any
    coarse_gain: Any
    sine_rate: Any
    weight_decay: Any
    robust: bool = field(metadata=FORM)
    bayer: Bayer | None = field(metadata=FORM)
    colour: Literal["mosaic", "planes"] = field(metadata=FORM)
    variation: Literal["isotropic", "anisotropic"] = field(metadata=FORM)
    precision: Literal["bfloat16", "float32", "float64"] = field(metadata=FORM)
    overlap: int = field(metadata=FORM)


def goal(config: FitConfig) -> Goal:
    """Of a configuration."""
    same = {part.name: getattr(config, part.name) for part in fields(Goal) if part.name != "robust"}
    if config.outlier is None:
        same["outlier"] = 2.0 if config.windows == "whole" else 1.0
    return Goal(robust=same["outlier"] > 0, **same)
