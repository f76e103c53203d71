"""Scenes that need no data: seeded, of any size, drawn as a camera would see them, known at every time."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from evinr.simulator import demo as _demo
from evinr.simulator.scenes.flicker import flicker
from evinr.simulator.scenes.layers import camera, canvas
from evinr.simulator.scenes.motions import Motion, corners_speed, pan, rotation, shake, zoom
from evinr.simulator.scenes.posters import posters
from evinr.simulator.scenes.room import room
from evinr.simulator.scenes.street import street
from evinr.simulator.scenes.textures import Texture, bricks, cards, clouds, leaves, pebbles
from evinr.simulator.scenes.things import objects
from evinr.simulator.scenes.world import World as World
from evinr.simulator.scenes.world import dense


class _Moving(NamedTuple):
    """A camera that moves before a flat world."""

    motion: Callable[[np.random.Generator, int, int], Motion]
    texture: Texture
    margin: tuple[float, float]
    """Size of the world, in those of the picture."""


MOVING = {
    "pan": _Moving(pan, posters, (1.3, 2.2)),
    "shake": _Moving(shake, leaves, (1.3, 1.3)),
    "rotation": _Moving(rotation, pebbles, (1.6, 1.4)),
    "zoom": _Moving(zoom, cards, (1.8, 1.8)),
}
TEXTURES = {texture.__name__: texture for texture in (cards, posters, leaves, pebbles, bricks, clouds)}
SCENES = ("demo", *MOVING, "objects", "flicker", "hdr", "night")
TEXTURED = (*MOVING, "objects", "flicker")
"""Those whose texture may be chosen."""


def build(name: str, height: int, width: int, seed: int, texture: str | None = None) -> World:
    """One of `SCENES`, at least 16 pixels high and wide; `texture` is one of `TEXTURES`, for those of `TEXTURED`."""
    rng = np.random.default_rng(seed)
    chosen = () if texture is None else (TEXTURES[texture],)
    match name:
        case "demo":
            pace = _demo.FASTEST * max(height / 180, width / 240)
            return World(_demo.scene(height, width, seed), dense(lambda t: pace + 0 * t))
        case "objects":
            return objects(rng, height, width, *chosen)
        case "flicker":
            return flicker(rng, height, width, *chosen)
        case "hdr":
            return room(rng, height, width)
        case "night":
            return street(rng, height, width)
    motion, usual, margin = MOVING[name]
    path, kind = motion(rng, height, width), chosen[0] if chosen else usual
    picture = camera(canvas(kind, rng, height, width, margin), path, height, width)
    return World(lambda t: np.log(picture(t)), dense(lambda t: corners_speed(path, height, width, t)))
