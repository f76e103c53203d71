"""A street by night: dim walls, lit windows, and the lamps of cars that pass."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from evinr.simulator.scenes.layers import DESIGN, camera, canvas
from evinr.simulator.scenes.motions import corners_speed, sway
from evinr.simulator.scenes.shapes import Canvas, Coordinates, box, disc, paint
from evinr.simulator.scenes.textures import bricks
from evinr.simulator.scenes.world import World, dense

WHITE = 0.12
"""What a camera's long exposure makes white."""
KERB = 118
"""Row of the design where the road begins."""


class Car(NamedTuple):
    """One that passes again and again, in rows and columns of the design."""

    row: float
    start: float
    pace: float
    """Columns a second; to the left where negative."""
    size: float


def street(rng: np.random.Generator, height: int, width: int) -> World:
    """The camera sways a little; five cars pass, near ones fast, with lamps a thousand times brighter than the walls."""
    unit, motion = height / DESIGN, sway(rng, height, width)
    view = camera(canvas(_street, rng, height, width, (1.2, 1.4)), motion, height, width)
    wide = width / unit
    cars = [
        Car(row, rng.uniform(0, 2 * wide), pace * rng.uniform(0.85, 1.15), size)
        for row, pace, size in (
            (126.0, 70, 0.7),
            (128.0, 95, 0.75),
            (137.0, -120, 0.9),
            (152.0, 190, 1.25),
            (156.0, 150, 1.3),
        )
    ]
    rows = (np.arange(height)[:, None] - (height - 1) / 2) / unit + DESIGN / 2
    columns = (np.arange(width)[None, :] - (width - 1) / 2) / unit

    def light(t: float) -> np.ndarray:
        picture = view(t)
        for car in cars:
            _pass(picture, rows, columns, car, t, wide)
        return np.log(picture)

    fastest = max(abs(car.pace) for car in cars) * unit
    return World(light, dense(lambda t: np.maximum(corners_speed(motion, height, width, t), fastest)), WHITE)


def _pass(
    picture: Float[np.ndarray, "h w"], rows: np.ndarray, columns: np.ndarray, car: Car, t: float, wide: float
) -> None:
    """A car in the picture at a time: a dark body that hides what is behind it, and lamps, which add to it."""
    at = (car.start + car.pace * t) % (2 * wide) - wide
    ahead, size = np.sign(car.pace), car.size
    seen = np.clip(4 * (1 - abs(at) / wide), 0, 1)  # it comes and goes outside the picture
    near = np.abs(columns[0] - at) < 24 * size
    if near.any():
        v, u = (rows - car.row) / size, (columns[:, near] - at) / size
        body = np.maximum(np.abs(v) - 5, np.abs(u) - 20)
        cabin = np.maximum(np.abs(v + 8) - 5, np.abs(u + 2 * ahead) - 11 - 0.6 * (v + 8))
        cover = np.clip(0.5 - np.minimum(body, cabin) * size, 0, 1)
        glass = np.clip(0.5 - np.maximum(np.abs(v + 8.5) - 3.2, np.abs(u + 2 * ahead) - 9 - 0.6 * (v + 8)) * size, 0, 1)
        shade = 0.006 + 0.004 * np.clip(-v / 5, 0, 1) + 0.012 * glass
        picture[:, near] += cover * (shade - picture[:, near])
    front, back = at + ahead * 19.5 * size, at - ahead * 19.5 * size
    for lamp in _lamps(car, front, back, ahead):
        across = np.exp(-(((columns - lamp.column) / lamp.broad) ** 2))
        picture += seen * lamp.amount * np.exp(-(((rows - lamp.row) / lamp.high) ** 2)) * across


class Glow(NamedTuple):
    """Light that falls off as a bell curve, up and down and to the sides."""

    row: float
    column: float
    high: float
    broad: float
    amount: float


def _lamps(car: Car, front: float, back: float, ahead: float) -> tuple[Glow, ...]:
    """Head lamp with its haze, tail lamp, what lies in the head lamp's beam, and both mirrored in the road."""
    size, road = car.size, car.row + 8 * car.size
    return (
        Glow(car.row, front, 1.9 * size, 1.9 * size, 20.0),
        Glow(car.row, front, 7 * size, 7 * size, 0.06),
        Glow(car.row - 1, back, 1.5 * size, 1.3 * size, 1.5),
        Glow(road, front + ahead * 24 * size, 3.5 * size, 20 * size, 0.05),
        Glow(road + 5 * size, front, 9 * size, 2.2 * size, 0.05),
        Glow(road + 4 * size, back, 6 * size, 1.6 * size, 0.02),
    )


def _street(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    top = height / px / 2 - DESIGN / 2  # row 0 of the design
    rows, columns = np.arange(height)[:, None] / px - top, np.arange(width)[None, :] / px
    picture = (0.0014 + 0.003 * np.exp(-np.abs(rows - 70) / 40) * np.ones((height, width))).astype(np.float32)
    walls, column = bricks(rng, height, width, 0.5 * px), -5.0
    while column < width / px:
        _house(rng, picture, walls, px, top, column, wide := rng.uniform(36, 64))
        column += wide
    road = 0.0045 * np.exp(0.25 * gaussian_filter(rng.standard_normal((height, width)), 0.8 * px) * 2 * px)
    picture[:] = np.where(rows > KERB, road * (1 + 0.004 * (rows - KERB)), picture)
    picture[:] = np.where(np.abs(rows - KERB) < 1.5, 0.014, picture)
    dashes = (np.abs(rows - 144) < 1.2) & (np.mod(columns, 26) < 12)
    picture[:] = np.where(dashes, 0.03, picture)
    for lamp in np.arange(30, width / px, 78):
        _lamp(picture, px, top, lamp)
    return np.maximum(gaussian_filter(picture, 0.45 * px), 0.001)


def _house(
    rng: np.random.Generator, picture: Canvas, walls: Canvas, px: float, top: float, left: float, wide: float
) -> None:
    """A house of bricks, with some windows lit."""
    roof, tone = rng.uniform(8, 50), rng.uniform(0.012, 0.03)
    place, size = ((top + (roof + KERB) / 2) * px, (left + wide / 2) * px), (KERB - roof) / 2 * px

    def wall(v: Coordinates, u: Coordinates) -> Coordinates:
        row = np.clip(np.rint(place[0] + size * v).astype(int), 0, picture.shape[0] - 1)
        column = np.clip(np.rint(place[1] + size * u).astype(int), 0, picture.shape[1] - 1)
        return tone * walls[row, column] * (0.7 + 0.5 * v)

    paint(picture, place, size, 0.0, box(wide * px / 2 / size), wall, reach=2.0)
    for row in np.arange(roof + 12, KERB - 14, 19):
        for column in np.arange(left + 9, left + wide - 5, 13):
            glass = np.exp(rng.uniform(np.log(0.04), np.log(0.4))) if rng.random() < 0.3 else 0.002
            window = (top + row) * px, column * px
            paint(picture, window, 6.2 * px, 0.0, box(0.72), 1.5 * tone, reach=1.4)
            paint(picture, window, 5.4 * px, 0.0, box(0.68), lambda v, u, glass=glass: glass * (1 - 0.3 * v), reach=1.4)
            for turn, side in ((0.0, 5.3), (np.pi / 2, 7.0)):
                paint(picture, window, 0.5 * px, turn, box(side), 0.3 * tone, reach=10.0)


def _lamp(picture: Canvas, px: float, top: float, column: float) -> None:
    """A street lamp, what it lights, and the haze about it."""
    head = (top + 46) * px, column * px
    paint(picture, ((top + 46 + 37) * px, column * px), 37 * px, 0.0, box(0.015), 0.003, reach=1.1)
    v, u = (np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32) - np.array(head)[:, None, None]) / px
    ground = np.exp(-(((v - 76) / 9) ** 2) - (u / 26) ** 2)
    picture += 0.012 * np.exp(-np.hypot(u, v) / 14) + 0.02 * ground
    paint(picture, head, 3.2 * px, 0.0, disc, 4.0, soft=1.5 * px)
