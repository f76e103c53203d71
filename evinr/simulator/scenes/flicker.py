"""A wall in steady light, with a lamp on the mains and a sign of diodes that are switched."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from evinr.simulator.scenes.layers import PER_PIXEL, camera, canvas, texels
from evinr.simulator.scenes.motions import corners_speed, sway
from evinr.simulator.scenes.shapes import Canvas, disc, paint
from evinr.simulator.scenes.textures import Texture, cards
from evinr.simulator.scenes.world import World, dense

MAINS = 50.0
"""Hz; a lamp's light has twice that."""
DIMMED = 120.0
"""Hz at which the diodes are switched, on half of the time."""


def flicker(rng: np.random.Generator, height: int, width: int, texture: Texture = cards) -> World:
    """The lamp lights part of the wall and wavers by a quarter; the sign goes on and off; the camera sways."""
    motion = sway(rng, height, width)
    wall = canvas(texture, rng, height, width, (1.2, 1.3))
    rows, columns = (np.arange(side)[:, None] - (side - 1) / 2 for side in wall.shape)
    down, right = rng.uniform(-0.05, 0.15) * height, -rng.uniform(0.15, 0.25) * width
    spread = 0.17 * height * PER_PIXEL
    pool = np.exp(-(((rows - down * PER_PIXEL) / spread) ** 2) - (((columns - right * PER_PIXEL) / spread) ** 2).T)
    sides = [
        camera(part.astype(np.float32), motion, height, width)
        for part in (0.75 * wall, 0.9 * wall * pool, _sign(wall.shape, texels(height)))
    ]

    def light(t: float) -> np.ndarray:
        steady, lamp, sign = (side(t) for side in sides)
        mains = 1 + 0.25 * np.cos(2 * np.pi * 2 * MAINS * t)
        switched = 0.5 + 0.5 * np.tanh(3 * np.sin(2 * np.pi * DIMMED * t))  # phosphor takes its time
        return np.log(steady + mains * lamp + switched * sign)

    return World(light, dense(lambda t: corners_speed(motion, height, width, t), DIMMED))


def _sign(shape: tuple[int, ...], px: float) -> Canvas:
    """The light of a panel of diodes that spells a word."""
    sign = np.zeros(shape, np.float32)
    text = Image.new("1", (33, 9))
    ImageDraw.Draw(text).text((1, -1), "OPEN", 1, ImageFont.load_default(10))
    top, left = shape[0] / 2 - 58 * px, shape[1] / 2 + 5 * px
    for row, column in np.argwhere(np.asarray(text)):
        paint(sign, (top + 3 * px * row, left + 3 * px * column), 1.2 * px, 0.0, disc, 1.2, soft=1.2 * px)
    return sign
