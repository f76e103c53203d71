"""The simulated sequences: named, seeded, made on demand, none of them stored.

They differ in what moves, in what there is to see, in size, in contrast thresholds (0.1 to 0.4) and in the sensor's faults;
nothing was chosen by what a method makes of it.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from evinr.events import Events
from evinr.prediction import Truth
from evinr.simulator import camera, scenes
from evinr.simulator.sensor import Sensor
from evinr.simulator.simulate import simulate

Texture = Literal["cards", "posters", "leaves", "pebbles", "bricks", "clouds"]
DAVIS240, DAVIS346 = (180, 240), (260, 346)
"""Rows and columns of the sensors that most recordings of the field come from."""


@dataclass(frozen=True)
class Sequence:
    """All that one sequence depends on."""

    name: str
    scene: str
    """One of `scenes.SCENES`."""
    sensor: Sensor
    seed: int
    texture: Texture | None = None
    size: tuple[int, int] = DAVIS240
    """Rows and columns."""
    seconds: float = 0.75
    fps: float = 24.0
    """Pictures of the truth a second."""


class Simulated(NamedTuple):
    """A sequence, made."""

    events: Events
    truth: Truth


SEQUENCES = (
    Sequence("pan_posters_clean", "pan", Sensor(0.2, 0.0, 0.0, 0.0), 11),
    Sequence("pan_leaves", "pan", Sensor(0.25), 12, "leaves"),
    Sequence("shake_leaves", "shake", Sensor(0.2), 13),
    Sequence("shake_posters_346", "shake", Sensor(0.3, 0.04, bandwidth=300.0), 14, "posters", DAVIS346, seconds=0.6),
    Sequence("rotation_pebbles", "rotation", Sensor(0.25, refractory=1e-3), 15),
    Sequence("rotation_bricks_mismatch", "rotation", Sensor(0.2, 0.08), 16, "bricks"),
    Sequence("zoom_cards_fine", "zoom", Sensor(0.1, 0.015), 17),
    Sequence("zoom_clouds_uneven", "zoom", Sensor(0.15, off_threshold=0.25), 18, "clouds", seconds=1.0),
    Sequence("objects", "objects", Sensor(0.2), 19, seconds=1.0),
    Sequence("objects_pebbles_coarse_346", "objects", Sensor(0.4, 0.04, shot_noise_rate=3.0), 20, "pebbles", DAVIS346),
    Sequence("flicker", "flicker", Sensor(0.25), 21, seconds=0.5),
    Sequence("hdr_room", "hdr", Sensor(0.15, bandwidth=400.0), 22),
    Sequence("hdr_room_hot_346", "hdr", Sensor(0.2, hot_pixels=2e-3, leak_rate=0.5), 23, size=DAVIS346),
    Sequence("night_street", "night", Sensor(0.25, 0.04, shot_noise_rate=5.0, bandwidth=60.0, refractory=5e-4), 24),
    Sequence("night_street_noisy", "night", Sensor(0.3, 0.05, 0.3, 10.0, bandwidth=30.0, hot_pixels=1e-3), 25),
)


def make(sequence: Sequence) -> Simulated:
    """Simulate a sequence: its events, and sharp 8-bit pictures at times from its first event to its last."""
    height, width = sequence.size
    world = scenes.build(sequence.scene, height, width, sequence.seed, sequence.texture)
    events = simulate(world.light, world.times(0.0, sequence.seconds), sequence.sensor, sequence.seed)
    # Half a period from either end, where every event-only method is at its worst.
    times = (np.arange(int(sequence.seconds * sequence.fps + 1e-9)) + 0.5) / sequence.fps
    images = np.stack([camera.sharp(world, time) for time in times.tolist()])
    return Simulated(events, Truth(times, images, min(float(events.t[0]), float(times[0]))))
