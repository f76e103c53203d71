"""Printed paper on a wall: text, a chequered target, a resolution chart, bars."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from evinr.simulator.scenes.shapes import Canvas, Coordinates, box, paint
from evinr.simulator.scenes.textures import lit

WORDS = (
    "light time edge pixel night lamp glass river stone cloud field train paper bridge window garden shadow mirror "
    "silver letter wheel spring number signal event camera motion contrast"
).split()
PAPER, INK = 0.75, 0.09


def posters(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    """Posters side by side, hung by hand."""
    wall = np.full((height, width), 0.33, np.float32)
    tall, wide = 78 * px, 58 * px
    rows, columns = int(np.ceil(height / (tall + 12 * px))), int(np.ceil(width / (wide + 12 * px)))
    kinds = [_page, _chart, _page, _chequers, _page, _bars]
    for row in range(rows):
        for column in range(columns):
            sheet = kinds[(2 * row + column + rng.integers(0, 2)) % 6](rng, int(tall), int(wide), px)
            place = (row + 0.5) * height / rows + rng.normal(0, 2 * px), (column + 0.5) * width / columns
            angle, stretch = rng.normal(0, 0.04), wide / tall

            def printed(v: Coordinates, u: Coordinates, sheet=sheet, stretch=stretch) -> Coordinates:
                at_row = np.clip((v + 1) / 2 * sheet.shape[0], 0, sheet.shape[0] - 1).astype(int)
                at_column = np.clip((u / stretch + 1) / 2 * sheet.shape[1], 0, sheet.shape[1] - 1).astype(int)
                return sheet[at_row, at_column]

            shadow = place[0] + 1.5 * px, place[1] + 1.5 * px
            paint(wall, shadow, tall / 2, angle, box(stretch), 0.02, soft=4 * px, opacity=0.5, reach=1.5)
            paint(wall, place, tall / 2, angle, box(stretch), printed, reach=1.5)
    return lit(rng, wall, px)


def _page(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    """A headline and lines of text."""
    page = Image.new("L", (width, height), 255)
    pen, margin, down = ImageDraw.Draw(page), 4 * px, 3 * px
    for size in (12, 9, *(4.5 + 2.5 * rng.random() for _ in range(20))):
        font = ImageFont.load_default(size * px)
        line = ""
        while pen.textlength(line, font) < width:
            line += str(rng.choice(WORDS)).upper() + " " if size > 8 else str(rng.choice(WORDS)) + " "
        pen.text((margin, down), _fitting(pen, line, font, width - 2 * margin), 0, font)
        down += 1.25 * size * px
        if down + size * px > height:
            break
    return INK + (PAPER - INK) * np.asarray(page, np.float32) / 255


def _fitting(
    pen: ImageDraw.ImageDraw, line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> str:
    """The words of a line that fit; a piece of the first where none does."""
    words = line.split()
    while len(words) > 1 and pen.textlength(" ".join(words), font) > width:
        words.pop()
    return " ".join(words)


def _chequers(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    """As for calibration."""
    side = rng.choice([7, 10, 14]) * px
    v, u = np.mgrid[:height, :width] // side
    board = np.where((v + u) % 2 > 0, PAPER, INK).astype(np.float32)
    edge = int(4 * px)
    board[:edge] = board[-edge:] = PAPER
    board[:, :edge] = board[:, -edge:] = PAPER
    return board


def _chart(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    """A star of narrowing spokes over steps of gray."""
    v, u = np.mgrid[:height, :width].astype(np.float32)
    v, u = v - 0.4 * height, u - 0.5 * width
    radius = np.hypot(v, u)
    spokes = np.clip(0.5 + 0.5 * np.sin(18 * np.arctan2(v, u)) * radius / (2.5 * px), 0, 1)
    chart = np.where(radius < 0.42 * width, INK + (PAPER - INK) * spokes, PAPER).astype(np.float32)
    steps = np.geomspace(INK, PAPER, 8)
    chart[int(0.8 * height) : int(0.94 * height)] = steps[np.arange(width) * 8 // width]
    return chart


def _bars(rng: np.random.Generator, height: int, width: int, px: float) -> Canvas:
    """Bars, thinner from top to bottom."""
    v, u = np.mgrid[:height, :width].astype(np.float32) / px
    period = 16 * 0.5 ** np.floor(v / (height / px) * 4)
    upright = np.clip(0.5 + 1.5 * np.sin(2 * np.pi * u / period), 0, 1)
    level = np.clip(0.5 + 1.5 * np.sin(2 * np.pi * v / period), 0, 1)
    return (INK + (PAPER - INK) * np.where(u < width / px / 2, upright, level)).astype(np.float32)
