"""A dark room with a window to the sun: seven decades of light in one picture."""

import numpy as np
from scipy.ndimage import gaussian_filter

from evinr.simulator.scenes.layers import camera, canvas
from evinr.simulator.scenes.motions import corners_speed, sway
from evinr.simulator.scenes.shapes import Canvas, Coordinates, box, disc, leaf, paint
from evinr.simulator.scenes.textures import clouds, leaves
from evinr.simulator.scenes.world import World, dense

SUN = 3e4
"""Its intensity, where white is 1; the wall by the window has 0.2, the floor in the corner 0.003."""
WHITE = 0.25
"""The camera is set for the room, not for the window."""
GLARE = 3e-5
"""Part of all light that a lens scatters about the picture."""


def room(rng: np.random.Generator, height: int, width: int) -> World:
    """The camera sways before the window."""
    motion = sway(rng, height, width)
    view = camera(canvas(_room, rng, height, width, (1.2, 1.3)), motion, height, width)
    return World(lambda t: np.log(view(t)), dense(lambda t: corners_speed(motion, height, width, t)), WHITE)


def _room(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    rows, columns = np.arange(height, dtype=np.float32)[:, None] / px, np.arange(width, dtype=np.float32)[None, :] / px
    tall, wide = height / px, width / px
    middle = 0.42 * tall, 0.36 * wide
    distance = np.hypot(rows - middle[0], columns - middle[1])
    # Wall paper with stripes, in what light the window throws back.
    inside = 0.35 / (1 + (distance / 70) ** 2) ** 1.5 * (1 + 0.12 * np.tanh(4 * np.sin(columns / 2.6)))
    inside = (inside * np.ones((height, width))).astype(np.float32)
    _shelf(rng, inside, px, (0.3 * tall, 0.8 * wide))
    _floor(rng, inside, px, 0.8 * tall)
    _table(rng, inside, px, (0.78 * tall, 0.74 * wide))
    _window(rng, inside, px, middle)
    seen = gaussian_filter(inside, 0.45 * px) + GLARE * gaussian_filter(inside, 25 * px)
    grain = gaussian_filter(rng.standard_normal((height, width)), 0.6 * px)
    return (np.maximum(seen, 0.002) * np.exp(0.03 * grain / grain.std())).astype(np.float32)


def _window(rng: np.random.Generator, room: Canvas, px: float, middle: tuple[float, float]) -> None:
    """Sky and sun, trees on a hill, and the frame before them."""
    place, size, stretch = (middle[0] * px, middle[1] * px), 54 * px, 0.9
    tall, wide = int(2 * size) + 4, int(2 * stretch * size) + 4
    v, u = np.mgrid[:tall, :wide].astype(np.float32) / px - np.array([tall, wide])[:, None, None] / 2 / px
    far = np.hypot(v + 24, u - 18)
    sky = 14 * clouds(rng, tall, wide, px) ** 0.5
    sky = sky + 40 * np.exp(-far / 14) + 600 * np.exp(-far / 3) + SUN * np.clip(5.5 - far, 0, 1)
    hill = 18 + 5 * np.sin(u / 9) + 3 * np.sin(u / 3.7 + 1) + 1.5 * np.sin(u / 1.3)
    outside = np.where(v > hill, 7 * leaves(rng, tall, wide, 0.55 * px), sky)

    def shown(rows: Coordinates, columns: Coordinates) -> Coordinates:
        down = np.clip(np.rint(tall / 2 + size * rows).astype(int), 0, tall - 1)
        right = np.clip(np.rint(wide / 2 + size * columns).astype(int), 0, wide - 1)
        return outside[down, right]

    paint(room, place, size + 5 * px, 0.0, box(stretch), 0.05, reach=1.6)
    paint(room, place, size, 0.0, box(stretch), shown, reach=1.6)
    for angle in (0.0, np.pi / 2):
        paint(room, place, 1.8 * px, angle, box(29.0), 0.03, reach=30.0)
    sill = place[0] + size + 5 * px, place[1]
    paint(room, sill, 3 * px, 0.0, box(20.0), 0.7, reach=21.0)
    pot = sill[0] - 12 * px, place[1] - 30 * px
    paint(room, pot, 9 * px, 0.0, box(0.7), 0.015, reach=1.4)
    for turn in np.linspace(0.35, np.pi - 0.35, 11) + rng.normal(0, 0.08, 11):
        long = px * rng.uniform(13, 21)
        at = pot[0] - 7 * px - long * np.sin(turn), pot[1] + long * np.cos(turn)
        paint(room, at, long, -turn, leaf(0.16), lambda v, u: 0.03 + 0.1 * (v > 0))


def _shelf(rng: np.random.Generator, room: Canvas, px: float, middle: tuple[float, float]) -> None:
    """Three boards of books."""
    for board in range(3):
        floor = middle[0] + 36 * (board - 1) + 16
        column = middle[1] - 34
        paint(room, ((floor - 15) * px, middle[1] * px), 17 * px, 0.0, box(2.15), 0.006, reach=2.5)
        while column < middle[1] + 32:
            thick, tall = rng.uniform(2, 4.5), rng.uniform(9, 14)
            tone = np.exp(rng.normal(np.log(0.05), 0.7)) * np.exp(-(column - middle[1] + 34) / 60)
            bands = rng.uniform(2, 5)

            def spine(v: Coordinates, u: Coordinates, tone=tone, bands=bands) -> Coordinates:
                return tone * (1 + 0.9 * (np.sin(bands * v) > 0.8)) * (1 - 0.15 * np.abs(u))

            place = (floor - tall) * px, (column + thick) * px
            paint(room, place, tall * px, rng.normal(0, 0.02), box(thick / tall * 0.95), spine, reach=1.3)
            column += 2 * thick
        paint(room, ((floor + 1) * px, middle[1] * px), 1.5 * px, 0.0, box(25.0), 0.08, reach=26.0)


def _floor(rng: np.random.Generator, room: Canvas, px: float, top: float) -> None:
    """Boards that run away from us, and the sun on them."""
    start = int(top * px)
    v, u = np.mgrid[start : room.shape[0], : room.shape[1]].astype(np.float32) / px
    away, middle = (v - top + 8) / 30, room.shape[1] / px / 2
    along = (u - middle) / away
    joints = np.clip(np.abs(np.mod(along, 22) - 11) * away - 10.4 * away, 0, 1)
    wood = 0.035 * (1 - 0.7 * joints) * (1 + 0.25 * np.sin(3 * along + 4 * np.sin(along / 5)))
    wood *= np.exp(-np.abs(u - 0.36 * 2 * middle) / 110)
    patch = np.clip(3 - np.abs(along + 60 - 25 * away) / 12, 0, 1) * np.clip(4 * (away - 0.45), 0, 1)
    bars = 1 - np.exp(-(((along + 60 - 25 * away) / 3) ** 2))
    room[start:] = wood * (1 + 28 * patch * bars)


def _table(rng: np.random.Generator, room: Canvas, px: float, middle: tuple[float, float]) -> None:
    """A table, its shadow, and what stands on it."""
    row, column = middle[0] * px, middle[1] * px
    paint(room, (row + 26 * px, column), 24 * px, 0.0, box(2.2), 0.003, soft=8 * px, opacity=0.9, reach=2.6)
    for side in (-1, 1):
        paint(room, (row + 24 * px, column + side * 46 * px), 24 * px, 0.0, box(0.07), 0.02, reach=1.2)
    paint(room, (row, column), 2.6 * px, 0.0, box(20.0), 0.11, reach=21.0)
    paint(room, (row - 12 * px, column - 22 * px), 9 * px, 0.0, disc, lambda v, u: 0.12 * (1.2 - u) * (1 - 0.3 * v))
    paint(room, (row - 11 * px, column + 4 * px), 8.5 * px, 0.0, box(0.55), lambda v, u: 0.05 * (1.3 - u), reach=1.3)
    for book in range(4):
        tone = 0.02 * 2 ** rng.uniform(0, 2)
        paint(
            room, (row - (4 + 4 * book) * px, column + 30 * px), 2 * px, rng.normal(0, 0.02), box(6.0), tone, reach=7.0
        )
