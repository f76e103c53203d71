"""Several things that move before a wall, and before each other."""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from evinr.simulator.scenes.layers import PER_PIXEL, Thing, camera, canvas, put, texels
from evinr.simulator.scenes.motions import corners_speed, sway
from evinr.simulator.scenes.posters import posters
from evinr.simulator.scenes.shapes import Coordinates, Shape, box, disc, leaf, star
from evinr.simulator.scenes.textures import Texture, bricks, cards, pebbles
from evinr.simulator.scenes.world import World, dense


def objects(rng: np.random.Generator, height: int, width: int, texture: Texture = bricks) -> World:
    """A ball, a box, a poster, a star, a leaf and a stick in flight, with shadows; the camera sways."""
    motion = sway(rng, height, width)
    wall = camera(canvas(texture, rng, height, width, (1.2, 1.3)), motion, height, width)
    size = height / 180
    kinds: list[tuple[float, Shape, Callable[[Coordinates, Coordinates], Coordinates] | Texture]] = [
        (34, box(0.75), posters),
        (26, disc, _ball),
        (22, box(1.3), cards),
        (24, star(5), _tin),
        (30, leaf(0.4), _rib),
        (46, box(0.09), _stick),
        (15, disc, pebbles),
    ]
    things = [_thing(rng, radius * size, shape, shade, height, width) for radius, shape, shade in kinds]

    def light(t: float) -> np.ndarray:
        picture = wall(t)
        for thing in things:
            put(thing, t, picture, shadow=5 * size)
            put(thing, t, picture)
        return np.log(picture)

    def speed(t: np.ndarray) -> np.ndarray:
        fastest = corners_speed(motion, height, width, t)
        for thing in things:
            gap = 1e-4
            (down, right, turn), (down2, right2, turn2) = thing.motion(t), thing.motion(t + gap)
            rim = thing.reach * np.abs(turn2 - turn)
            fastest = np.maximum(fastest, (np.hypot(down2 - down, right2 - right) + rim) / gap)
        return fastest

    return World(light, dense(speed))


def _thing(
    rng: np.random.Generator,
    radius: float,
    shape: Shape,
    shade: Callable[[Coordinates, Coordinates], Coordinates] | Texture,
    height: int,
    width: int,
) -> Thing:
    """A shape of such a radius in pixels, on its way."""
    texel = PER_PIXEL * radius
    side = int(2 * 1.35 * texel) + 8
    v, u = ((np.mgrid[:side, :side] - (side - 1) / 2) / texel).astype(np.float32)
    cover = gaussian_filter(np.clip(0.5 - shape(v, u) * texel, 0, 1), 0.7).astype(np.float32)
    if shade in (posters, cards, pebbles):
        inside = np.asarray(shade(rng, side, side, texels(height)))  # pyright: ignore[reportCallIssue]
    else:
        inside = shade(v, u)  # pyright: ignore[reportCallIssue]
    reach = float(np.hypot(v, u)[cover > 0].max()) * radius
    return Thing(inside.astype(np.float32), cover, reach, _flight(rng, height, width))


def _flight(rng: np.random.Generator, height: int, width: int) -> Callable:
    """Up and down, to and fro, and turning, each at its own pace."""
    paces, phases = rng.uniform(1.5, 3.8, 3), rng.uniform(0, 2 * np.pi, 3)
    reach = rng.uniform(0.2, 0.36) * height, rng.uniform(0.28, 0.42) * width
    middle, turns = (rng.uniform(-0.12, 0.12) * height, rng.uniform(-0.12, 0.12) * width), rng.uniform(-1.4, 1.4)

    def at(t: float | np.ndarray) -> tuple:
        down, right = (
            at + far * np.sin(pace * t + phase)
            for at, far, pace, phase in zip(middle, reach, paces, phases, strict=False)
        )
        return down, right, turns * np.sin(paces[2] * t + phases[2]) + phases[2]

    return at


def _ball(v: Coordinates, u: Coordinates) -> Coordinates:
    """A ball with stripes, lit from the upper left."""
    depth = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    stripes = 0.3 + 0.5 * np.clip(0.5 + 4 * np.sin(9 * np.arctan2(u, depth + 0.4)), 0, 1)
    shine = np.clip(0.55 * depth - 0.45 * u - 0.5 * v, 0, 1)
    return np.clip(stripes * (0.12 + 1.0 * shine) + 0.6 * shine**12, 0.02, 1)


def _tin(v: Coordinates, u: Coordinates) -> Coordinates:
    """Brushed metal."""
    return np.clip(0.5 + 0.3 * np.cos(3 * np.arctan2(v, u)) + 0.06 * np.sin(60 * np.hypot(u, v)), 0.05, 1)


def _rib(v: Coordinates, u: Coordinates) -> Coordinates:
    """A leaf's ribs."""
    rib = np.exp(-((v / 0.03) ** 2)) + 0.3 * np.cos(20 * (u + 0.8 * np.abs(v)))
    return np.clip(0.12 * (1 + 0.5 * np.tanh(6 * v) + 0.8 * rib), 0.02, 1)


def _stick(v: Coordinates, u: Coordinates) -> Coordinates:
    """A measuring rod."""
    return np.where(np.sin(16 * v) > 0, 0.8, 0.06) * (1 - 4 * np.abs(u))
