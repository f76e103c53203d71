"""What is seen of a fit between two chunks of steps, and what it has come to."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from evinr import devices
from evinr.config import FitConfig
from evinr.energy import Some, Values
from evinr.goal import Goal
from evinr.heads import Head
from evinr.losses import Terms, Weights, objective
from evinr.windows import Window

CHUNK = 10
"""Steps between two looks at a fit: the grain of progress and budgets."""

Allow = Callable[[int, int, int], int]
"""How many steps to take next, given how many were done, at which number this part of them ends, and how many there are in
all; 0 ends the part."""


def all_wanted(done: int, until: int, of: int) -> int:
    """As many steps as the configuration says."""
    return min(CHUNK, until - done)


class Look(NamedTuple):
    """A fit between two chunks of steps."""

    windows: Sequence[Window]
    """Those that are being fitted."""
    steps: int
    """That each of them has had."""
    wanted: int
    """Steps that each of them is to have."""
    terms: Terms
    """Their mean terms, plain numbers."""
    answers: "Sequence[Answer]"
    """What they have become, and before them the one before, revised; none until they are finished."""


class Answer(NamedTuple):
    """A window, and what was fitted to it."""

    window: Window
    head: Head


@jax.jit
def look(values: Values, images: Float[Some, "n planes h w"], goal: Goal) -> Terms:
    """The terms of the objective of a window."""
    weights = Weights(goal.smooth / len(images), goal.still / len(images))
    return objective(jnp.asarray(values), jnp.asarray(images), weights, goal)


def answer_of(window: Window, values: np.ndarray, config: FitConfig) -> Head:
    """Rounded as it is stored, so that a fit that goes on from there comes to the same; not in double precision."""
    with np.errstate(over="ignore"):  # refused where it is to be stored
        rounded = values if config.precision == "float64" else values.astype(np.float16)
    return Head(window.times, rounded, window.shared)


def plain(terms: Terms) -> Terms:
    return Terms(*(float(term) for term in terms))  # pyright: ignore[reportArgumentType]


def kind_of(config: FitConfig) -> type[np.floating]:
    return np.float64 if config.precision == "float64" else np.float32


def on_host(values: Float[Some, "*b k planes h w"], mesh: Mesh | None) -> Float[np.ndarray, "*b k planes h w"]:
    return np.asarray(values) if mesh is None else devices.gather(values)
