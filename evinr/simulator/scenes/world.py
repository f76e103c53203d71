"""Something to look at: its light at any time, and how densely in time it must be looked at."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from evinr.simulator.simulate import Scene

STEP = 0.4
"""Pixels that anything moves between two samples, at most."""
PERIOD = 16
"""Samples of a light's period, at least."""
FEWEST = 200
"""Samples a second, at least."""
FINE = 4000
"""Steps a second in which speeds are looked up."""


class World(NamedTuple):
    """A scene, and when to look at it."""

    light: Scene
    """Log intensity, any time; 0 is white to the sensor."""
    times: Callable[[float, float], Float64[np.ndarray, " n"]]
    """Rising times from one to another, both included (seconds): between two of them light changes in a line, about."""
    white: float = 1.0
    """The intensity that the camera's exposure makes white."""


def dense(
    speed: Callable[[Float64[np.ndarray, " n"]], Float64[np.ndarray, " n"]], flicker: float = 0.0
) -> Callable[[float, float], Float64[np.ndarray, " n"]]:
    """Times for things that move at most so many pixels a second at any time, in light of at most `flicker` Hz.

    Between two of them nothing moves farther than `STEP`, nor does more than 1 / `PERIOD` of a light's period pass.
    """

    def times(start: float, end: float) -> Float64[np.ndarray, " n"]:
        fine = np.linspace(start, end, int(np.ceil((end - start) * FINE)) + 2)
        density = np.maximum(speed(fine) / STEP, max(FEWEST, PERIOD * flicker))
        # The larger density of the two ends of each fine step, so that the limit holds inside.
        passed = np.concatenate([[0.0], np.cumsum(np.maximum(density[1:], density[:-1]) * np.diff(fine))])
        return np.interp(np.linspace(0, passed[-1], int(np.ceil(passed[-1])) + 1), passed, fine)

    return times
