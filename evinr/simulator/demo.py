"""A recording that needs no data: a textured scene of known intensity, seen by a moving camera."""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

from evinr.events import Events
from evinr.simulator.simulate import Scene, Sensor, simulate

SAMPLES_PER_SECOND = 600
"""The scene moves by less than half a pixel between two samples of a 240 x 180 sensor."""
FASTEST = 275.0
"""Pixels a second that anything moves there, at most."""


def recording(height: int, width: int, seconds: float, sensor: Sensor, seed: int) -> tuple[Events, Scene]:
    """Events of a simulated camera, and the log intensity it saw as a function of time in seconds."""
    view = scene(height, width, seed)
    rate = SAMPLES_PER_SECOND * max(1.0, height / 180, width / 240)
    times = np.linspace(0, seconds, max(round(seconds * rate), 2))
    return simulate(view, times, sensor, seed), view


def scene(height: int, width: int, seed: int) -> Scene:
    """A wall of cards and discs in uneven light, with a ball rolling in front; the camera sways and rolls."""
    wall = _wall(np.random.default_rng(seed), 2 * height, 2 * width)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    rows, columns = rows - (height - 1) / 2, columns - (width - 1) / 2

    def view(time: float) -> Float[np.ndarray, "h w"]:
        roll = 0.12 * np.sin(5.0 * time)
        down, right = 0.10 * height * np.sin(7.0 * time), 0.14 * width * np.sin(4.0 * time)
        at_row = height - 0.5 + down + rows * np.cos(roll) + columns * np.sin(roll)
        at_column = width - 0.5 + right + columns * np.cos(roll) - rows * np.sin(roll)
        image = map_coordinates(wall, [at_row, at_column], order=1, mode="nearest")
        radius = 0.13 * height
        y, x = rows - 0.22 * height, columns - width * (0.9 * time - 0.3)
        depth = 1 - (np.square(x) + np.square(y)) / radius**2
        shading = 0.15 + 0.75 * np.clip(0.6 * np.sqrt(np.clip(depth, 0, 1)) - 0.4 * (x + y) / radius, 0, 1)
        edge = np.clip(0.5 + 0.5 * depth * radius, 0, 1)  # a pixel wide, so that the ball does not jump
        return np.log(image * (1 - edge) + shading * edge)

    return view


def _wall(rng: np.random.Generator, height: int, width: int) -> Float[np.ndarray, "h w"]:
    """Intensity from 0.03 to 1: rectangles and discs of random brightness, fine texture, and light from one side."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    wall = np.full((height, width), 0.45)
    for _ in range(70):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        size, stretch = rng.uniform(0.03, 0.16) * height, rng.uniform(0.4, 2.0)
        inside = np.maximum(np.abs(rows - y), np.abs(columns - x) / stretch) < size
        if rng.random() < 0.4:
            inside = np.hypot(rows - y, columns - x) < size
        wall[inside] = np.exp(rng.uniform(np.log(0.05), np.log(0.95)))
    coarse = np.asarray(zoom(rng.standard_normal((height // 16 + 1, width // 16 + 1)), 16, order=3))[:height, :width]
    fine = np.asarray(gaussian_filter(rng.standard_normal((height, width)), 1.0)) / 0.28
    light = 0.55 + 0.45 * np.cos(0.8 * np.pi * (columns / width - 0.7)) * np.cos(0.5 * np.pi * (rows / height - 0.4))
    soft = np.asarray(gaussian_filter(wall, 0.7))
    return np.clip(soft * np.exp(0.05 * fine + 0.08 * coarse) * light, 0.03, 1.0)
