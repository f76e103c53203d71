"""What the compiled programs are told of a configuration: its numbers when they run, so that other weights and rates compile
nothing anew; the rest when they are made."""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal

import jax

from evinr.config import Bayer, FitConfig

NUMBERS = (
    "smooth",
    "still",
    "constancy",
    "ridge",
    "outlier",
    "tie",
    "head_rate",
    "coarse_gain",
    "sine_rate",
    "weight_decay",
)
FORM = ("robust", "bayer", "colour", "variation", "precision", "overlap")


@partial(jax.tree_util.register_dataclass, data_fields=NUMBERS, meta_fields=FORM)
@dataclass(frozen=True)
class Goal:
    """Fields of `FitConfig`, numbers as such or traced; and whether events are to count less beyond `outlier`."""

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
    robust: bool
    bayer: Bayer | None
    colour: Literal["mosaic", "planes"]
    variation: Literal["isotropic", "anisotropic"]
    precision: Literal["bfloat16", "float32", "float64"]
    overlap: int


def goal(config: FitConfig) -> Goal:
    """Of a configuration."""
    same = {field.name: getattr(config, field.name) for field in fields(Goal) if field.name != "robust"}
    if config.outlier is None:
        same["outlier"] = 2.0 if config.windows == "whole" else 1.0
    return Goal(robust=same["outlier"] > 0, **same)
