"""How a camera moves before a flat world: smooth for ever, and different for each seed."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Times = Float[np.ndarray, "..."] | float


class Pose(NamedTuple):
    """Where a camera looks at such times: sensor pixels from the middle of the world, radians, a factor."""

    down: Times
    right: Times
    roll: Times
    zoom: Times
    """World pixels in a sensor pixel."""


Motion = Callable[[Times], Pose]


def still() -> Motion:
    """None at all."""
    return lambda t: Pose(0.0 * t, 0.0 * t, 0.0 * t, 1.0 + 0.0 * t)


def pan(rng: np.random.Generator, height: int, width: int) -> Motion:
    """To and fro over a long wall, almost level."""
    phase, sign = rng.uniform(0, 2 * np.pi, 2), rng.choice([-1, 1])

    def pose(t: Times) -> Pose:
        right = sign * 0.3 * width * np.sin(1.1 * t + 0.4 * np.sin(phase[0]))
        return Pose(0.05 * height * np.sin(2.3 * t + phase[1]), right, 0.02 * np.sin(1.9 * t + phase[0]), 1.0 + 0.0 * t)

    return pose


def shake(rng: np.random.Generator, height: int, width: int) -> Motion:
    """A hand that trembles: six tones from 1.5 to 14 Hz for each degree of freedom, the fast ones small."""
    tones = np.geomspace(1.5, 14.0, 6)[:, None] * rng.uniform(0.9, 1.1, (6, 4))
    phases, amounts = rng.uniform(0, 2 * np.pi, (6, 4)), rng.uniform(0.6, 1.4, (6, 4)) / tones

    def pose(t: Times) -> Pose:
        waves = np.sin(2 * np.pi * tones * np.asarray(t)[..., None, None] + phases) * amounts
        down, right, roll, zoom = np.moveaxis(waves.sum(-2), -1, 0)
        return Pose(0.018 * height * down, 0.018 * height * right, 0.01 * roll, np.exp(0.01 * zoom))

    return pose


def rotation(rng: np.random.Generator, height: int, width: int) -> Motion:
    """Rolling to and fro about the line of sight, which wanders a little."""
    phase, sign = rng.uniform(0, 2 * np.pi, 2), rng.choice([-1, 1])

    def pose(t: Times) -> Pose:
        down, right = 0.05 * height * np.sin(2.1 * t + phase[0]), 0.05 * width * np.sin(1.7 * t + phase[1])
        return Pose(down, right, sign * 0.7 * np.sin(1.6 * t), 1.0 + 0.0 * t)

    return pose


def zoom(rng: np.random.Generator, height: int, width: int) -> Motion:
    """Towards a point and back, with a slight turn."""
    phase = rng.uniform(0, 2 * np.pi, 2)

    def pose(t: Times) -> Pose:
        down, right = 0.08 * height * np.sin(1.3 * t + phase[0]), 0.08 * width * np.sin(1.1 * t + phase[1])
        return Pose(down, right, 0.06 * np.sin(1.5 * t + phase[0]), np.exp(-0.4 * np.sin(3.0 * t)))

    return pose


def sway(rng: np.random.Generator, height: int, width: int) -> Motion:
    """Slow and small, as a camera on a wire."""
    phase = rng.uniform(0, 2 * np.pi, 3)

    def pose(t: Times) -> Pose:
        down, right = 0.03 * height * np.sin(2.2 * t + phase[0]), 0.06 * width * np.sin(1.6 * t + phase[1])
        return Pose(down, right, 0.02 * np.sin(1.8 * t + phase[2]), 1.0 + 0.0 * t)

    return pose


def corners_speed(motion: Motion, height: int, width: int, t: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Pixels per second of the fastest corner of the picture: no point of the world moves faster through it."""
    gap = 1e-4
    corners = [(row * height / 2, column * width / 2) for row in (-1, 1) for column in (-1, 1)]
    before, after = motion(t - gap / 2), motion(t + gap / 2)
    moved = []
    for corner in corners:
        (down, right), (then_down, then_right) = look(before, *corner), look(after, *corner)
        moved.append(np.hypot(then_down - down, then_right - right))
    return np.max(moved, axis=0) / gap / np.minimum(before.zoom, after.zoom)


def look(pose: Pose, rows: Times, columns: Times) -> tuple[Times, Times]:
    """The places in the world, in its pixels from its middle, that pixels of the sensor (from its middle) look at."""
    cos, sin = pose.zoom * np.cos(pose.roll), pose.zoom * np.sin(pose.roll)
    return pose.down + rows * cos + columns * sin, pose.right + columns * cos - rows * sin
