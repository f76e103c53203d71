"""Flat worlds to move a camera over: intensity from about 0.02 to 1, in light that is not even.

`px` is the number of texels in a 1/180 of the sensor's height, so that a scene looks the same at every resolution.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float32
from scipy.ndimage import gaussian_filter, zoom

from evinr.simulator.scenes.shapes import Canvas, Coordinates, box, disc, leaf, paint, pebble

Texture = Callable[[np.random.Generator, int, int, float], Canvas]


def cards(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    """Cards and discs of paper on a wall, some printed, each with its shadow."""
    wall = np.full((height, width), 0.4, np.float32)
    for _ in range(round(0.8e-3 * height * width / px**2)):
        place, size = (rng.uniform(0, height), rng.uniform(0, width)), px * rng.uniform(5, 22)
        angle, stretch = rng.normal(0, 0.25), rng.uniform(0.6, 1.9)
        shape, reach = (disc, 1.0) if rng.random() < 0.3 else (box(stretch), 1.0 + stretch)
        paper = np.exp(rng.uniform(np.log(0.05), np.log(0.95)))
        ink = paper * rng.choice([0.25, 0.5, 1.0, 1.0]) if paper > 0.2 else min(1.0, paper * rng.choice([1.0, 4.0]))
        printed = partial(_printed, paper, ink, rng.choice([3.0, 6.0, 10.0]))
        shadow = place[0] + 1.6 * px, place[1] + 1.6 * px
        paint(wall, shadow, size, angle, shape, 0.02, soft=3 * px, opacity=0.55, reach=reach)
        paint(wall, place, size, angle, shape, printed, reach=reach)
    return lit(rng, wall, px)


def pebbles(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    """Stones of all sizes that hide each other: dead leaves, with the statistics of natural pictures (Lee et al. 2001)."""
    ground = np.full((height, width), 0.15, np.float32)
    for _ in range(round(0.028 * height * width / px**2)):
        size = px * min(2.2 / np.sqrt(rng.uniform(0.004, 1)), 30)  # density of sizes falls with their third power
        place, angle = (rng.uniform(0, height), rng.uniform(0, width)), rng.uniform(0, np.pi)
        shape = pebble(rng.uniform(1.0, 1.5), rng.uniform(0, 0.09), rng.uniform(0, 6.3))
        rounded = partial(_rounded, np.exp(rng.normal(np.log(0.5), 0.5)), angle + 0.8)
        shadow = place[0] + 0.12 * size, place[1] + 0.12 * size
        paint(ground, shadow, size, angle, shape, 0.02, soft=2 * px, opacity=0.6, reach=1.7)
        paint(ground, place, size, angle, shape, rounded, soft=1.2 * px, reach=1.7)
    return lit(rng, ground, px)


def leaves(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    """A thicket: leaves with ribs, dark behind and bright before, and blades of grass."""
    thicket = np.full((height, width), 0.02, np.float32)
    count = round(0.022 * height * width / px**2)
    for number in range(count):
        near = number / count
        place, angle = (rng.uniform(0, height), rng.uniform(0, width)), rng.normal(0.6, 0.9)
        slim, size = (0.3, px * rng.uniform(5, 17) * (0.6 + 0.5 * near)) if rng.random() < 0.85 else (0.06, px * 26)
        ribbed = partial(_ribbed, np.exp(np.log(0.05) + 2.9 * near**1.3 + rng.normal(0, 0.3)), slim)
        shadow = place[0] + 2.5 * px, place[1] + 1.5 * px
        paint(thicket, shadow, size, angle, leaf(slim), 0.015, soft=4 * px, opacity=0.45)
        paint(thicket, place, size, angle, leaf(slim), ribbed, soft=px)
    return lit(rng, thicket, px)


def bricks(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    """A wall of bricks, no two alike, in raking light."""
    wall = np.full((height, width), 0.7, np.float32) * np.exp(0.1 * _noise(rng, (height, width), 0.7 * px))
    course, length = 13 * px, 30 * px
    for row in range(int(height / course) + 1):
        for column in range(int(width / length) + 2):
            tone = np.exp(rng.normal(np.log(0.3), 0.35))
            place = (row + 0.5) * course, (column + 0.5 * (row % 2)) * length + rng.normal(0, 0.3 * px)
            size = course / 2 - 1.1 * px
            stretch = (length / 2 - 1.1 * px) / size
            paint(
                wall,
                place,
                size,
                rng.normal(0, 0.008),
                box(stretch),
                partial(_worn, tone),
                soft=1.5 * px,
                reach=1.2 * stretch,
            )
    wall *= np.exp(0.07 * _noise(rng, (height, width), 0.8 * px) + 0.09 * _noise(rng, (height, width), 3.0 * px))
    return lit(rng, wall, px)


def clouds(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    """Noise whose amplitude falls with frequency, as in natural pictures, as log intensity."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    cut = np.exp(-((frequency * 2 * px) ** 2))
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) * cut / frequency**1.25
    field = np.fft.irfft2(spectrum, (height, width))
    return np.clip(np.exp(np.log(0.25) + 0.75 * field / field.std()), 0.02, 1).astype(np.float32)


def lit(rng: np.random.Generator, canvas: Canvas, px: float) -> Canvas:
    """A canvas in the light of a lamp somewhere, with grain, seen through a lens that is not quite sharp."""
    height, width = canvas.shape
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    v, u = rng.uniform(-0.6, 0.2), rng.uniform(-0.6, 0.6)
    light = 0.45 + 0.75 * np.exp(-((rows - v) ** 2) - (columns - u) ** 2)
    grain = 0.035 * _noise(rng, canvas.shape, 0.6 * px) + 0.06 * _noise(rng, canvas.shape, 9 * px)
    sharp = canvas * light * np.exp(grain)
    return np.clip(gaussian_filter(sharp, 0.45 * px), 0.015, 1).astype(np.float32)


def _printed(paper: float, ink: float, stripes: float, v: Coordinates, u: Coordinates) -> Coordinates:
    """Stripes on paper."""
    return paper + (ink - paper) * np.clip(0.5 + 3 * np.sin(stripes * u), 0, 1) * (np.abs(v) < 0.75)


def _rounded(tone: float, sun: float, v: Coordinates, u: Coordinates) -> Coordinates:
    """A stone, with the sun at that angle."""
    towards = -(v * np.cos(sun) + u * np.sin(sun))
    return np.clip(tone * (0.85 + 0.45 * towards - 0.3 * (u * u + v * v)), 0.02, 1)


def _ribbed(tone: float, slim: float, v: Coordinates, u: Coordinates) -> Coordinates:
    """A leaf."""
    rib = np.exp(-((v / 0.03) ** 2)) + 0.25 * np.cos(22 * (u + 0.8 * np.abs(v)))
    return np.clip(tone * (0.85 + 0.25 * np.tanh(8 * v / slim) + 0.3 * rib), 0.02, 1)


def _worn(tone: float, v: Coordinates, u: Coordinates) -> Coordinates:
    """A brick, with lit and shaded edges."""
    return tone * (1 - 0.25 * v - 0.4 * np.clip(v - 0.8, 0, 1) + 0.4 * np.clip(-v - 0.8, 0, 1) + 0.02 * u)


def _noise(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Float32[np.ndarray, "h w"]:
    """Smooth noise of unit variance, with grains of so many texels."""
    coarse = max(grain / 2, 1.0)
    small = rng.standard_normal((int(shape[0] / coarse) + 4, int(shape[1] / coarse) + 4))
    large = np.asarray(zoom(gaussian_filter(small, grain / coarse), coarse, order=1))[: shape[0], : shape[1]]
    return (large / large.std()).astype(np.float32)
