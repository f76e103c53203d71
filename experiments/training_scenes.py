"""Simulated sequences to train networks on, and others to see what they have learned.

Trained on: a camera that moves before a flat world, as E2VID's own data (Rebecq et al., TPAMI 2019, section 4.1), so that
where everything was a window ago is known. Held out: other kinds of scenes, with things that move before each other.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Float64

from baselines.runner import grids_of
from baselines.training import Chunk
from baselines.voxel_grid import of_window
from baselines.windows import between_frames
from evinr.simulator import scenes
from evinr.simulator.scenes.motions import Motion
from evinr.simulator.simulate import Sensor, simulate

TRAINED = tuple(scenes.MOVING)
"""Kinds of scenes that are trained on; with any texture."""
HELD_OUT = ("demo", "objects", "flicker")
"""Kinds that are not."""
BINS = 5
LONGEST = 10.0
"""Seconds of a scene, until a training sequence begins: motions are not the same at all times."""


class Scene(NamedTuple):
    """What a sequence is made of."""

    kind: str
    texture: str | None
    seed: int
    start: float
    """Seconds."""
    sensor: Sensor


class Sequence(NamedTuple):
    """Windows between camera frames, and the frames at their ends."""

    scene: Scene
    grids: Float32[np.ndarray, "t h w b"]
    truth: Float32[np.ndarray, "t h w"]
    """In [0, 1]."""
    moved: Float64[np.ndarray, "t 2 3"]
    """From (row, column, 1) of a pixel to how far from there what it shows was a window before; zeros in scenes where
    that is no such function."""


def plan(count: int, held_out: bool, thresholds: tuple[float, float], seed: int) -> list[Scene]:
    """Scenes by rule: kinds in turn, all else at random.

    Sensors are those of Stoffregen et al. (ECCV 2020): a threshold for each sequence, uniform in a range, one for the other
    polarity at 1 +- 0.1 times that (scripts/generate_esim2d_scenes.py of github.com/TimoStoff/esim_config_generator), and
    noise of the simulator in place of what they add to voxel grids.
    """
    found, kinds = [], HELD_OUT if held_out else TRAINED
    for number in range(count):
        rng = np.random.default_rng([seed, number, held_out])
        first = rng.uniform(*thresholds)
        pair = [first, first * rng.normal(1, 0.1)]
        on, off = pair if number % 2 else pair[::-1]
        sensor = Sensor(
            contrast_threshold=on,
            off_threshold=off,
            mismatch=0.05 * first,
            shot_noise_rate=rng.uniform(0, 5),
            hot_pixels=rng.uniform(0, 1e-3),  # E2VID+'s max_hot_pixel_fraction
        )
        texture = None if held_out else str(rng.choice(list(scenes.TEXTURES)))
        start = 0.0 if held_out else rng.uniform(0, LONGEST)
        found.append(Scene(kinds[number % len(kinds)], texture, int(rng.integers(2**31)), start, sensor))
    return found


def sequences(planned: list[Scene], side: int, windows: int, fps: float) -> Iterator[Sequence]:
    """Each scene on a sensor of `side` x `side` pixels, over so many windows of 1 / fps seconds."""
    for scene in planned:
        yield sequence(scene, side, windows, fps)


def sequence(scene: Scene, side: int, windows: int, fps: float) -> Sequence:
    """A scene, simulated."""
    world = scenes.build(scene.kind, side, side, scene.seed, scene.texture)
    frames = scene.start + np.arange(windows + 1) / fps
    events = simulate(world.light, world.times(frames[0], frames[-1]), scene.sensor, scene.seed)
    cut = between_frames(events.t, frames)
    # The first window is the empty one before the first frame.
    grids = np.concatenate(
        [some[:count] for count, some in grids_of(events, cut, BINS, partial(of_window, bins=BINS))]
    )[1:]
    truth = np.stack([np.clip(np.exp(world.light(t)) / world.white, 0, 1) for t in frames[1:].tolist()])
    moved = np.zeros((windows, 2, 3))
    if scene.kind in TRAINED:
        # `scenes.build` draws the motion first.
        motion = scenes.MOVING[scene.kind].motion(np.random.default_rng(scene.seed), side, side)
        moved = displacement(motion, frames, side)
    return Sequence(scene, grids, truth.astype(np.float32), moved)


def displacement(motion: Motion, frames: Float64[np.ndarray, " n"], side: int) -> Float64[np.ndarray, "n-1 2 3"]:
    """`Sequence.moved` of a camera before a flat world.

    A pixel q from the middle looks at d + R q of the world (`motions.look`), hence at R0^-1 (d1 - d0 + R1 q) before.
    """
    pose = motion(frames)
    cos, sin = pose.zoom * np.cos(pose.roll), pose.zoom * np.sin(pose.roll)
    turn = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    place = np.stack([pose.down, pose.right], -1)[..., None]
    back = np.linalg.inv(turn[:-1])
    linear = back @ turn[1:] - np.eye(2)
    constant = back @ (place[1:] - place[:-1]) - linear @ np.full((2, 1), (side - 1) / 2)
    return np.concatenate([linear, constant], -1)


def draw(known: list[Sequence], rng: np.random.Generator, count: int, crop: int) -> Chunk:
    """So many of the sequences at random, whole in time, `crop` x `crop` pixels of each, turned over at random."""
    patches = [_patch(known[rng.integers(len(known))], rng, crop) for _ in range(count)]
    grids, truth, moved = (jnp.asarray(np.stack(part)) for part in zip(*patches, strict=True))
    return Chunk(grids, truth, moved)


def _patch(
    of: Sequence, rng: np.random.Generator, crop: int
) -> tuple[Float32[np.ndarray, "t c c b"], Float32[np.ndarray, "t c c"], Float32[np.ndarray, "t c c 2"]]:
    top, left = rng.integers(of.truth.shape[1] - crop + 1, size=2)
    part = np.s_[:, top : top + crop, left : left + crop]
    rows, columns = np.mgrid[top : top + crop, left : left + crop]
    places: Float[np.ndarray, "c c 3"] = np.stack([rows, columns, np.ones_like(rows)], -1).astype(np.float64)
    moved = np.einsum("tij,hwj->thwi", of.moved, places).astype(np.float32)
    down, across = (-1 if flip else 1 for flip in rng.random(2) < 0.5)
    over = np.s_[:, ::down, ::across]
    return of.grids[part][over], of.truth[part][over], moved[over] * np.array([down, across], np.float32)
