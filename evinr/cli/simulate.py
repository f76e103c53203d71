"""`evinr simulate`: a built-in scene, or footage, as an event camera and a camera beside it would record it."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from converters.convert import write_stream
from converters.job import place
from converters.options import AS_STORED
from converters.stream import Columns, Frame, FrameSet, SensorSize, Stream, Window
from evinr.cli.commands import Simulate
from evinr.cli.footage import Footage, open_footage
from evinr.events import InputError
from evinr.files import resolved
from evinr.simulator import camera, scenes
from evinr.simulator.camera import Shutter
from evinr.simulator.pixels import draw_pixels
from evinr.simulator.scenes import World
from evinr.simulator.simulate import blocks

SMALLEST = 16
"""Rows and columns of a sensor, at least."""
LONGEST = 3600.0
"""Seconds of a simulation, at most."""


class Scenery(NamedTuple):
    """What is simulated."""

    world: World
    height: int
    width: int
    seconds: float
    footage: Footage | None


def run(command: Simulate) -> int:
    """Simulate, and say what was assumed and where things are."""
    _require_sound(command)
    source, out = resolved(Path(command.source)), resolved(command.out)
    if command.source not in scenes.SCENES and (out.is_relative_to(source) or source.is_relative_to(out)):
        raise InputError(f"{command.out}: the footage and the output lie inside each other; give another output")
    console = Console(highlight=False, soft_wrap=True, markup=False)
    with console.status(f"looking at {command.source}"):
        scenery = _scenery(command)
    shutter = camera.shutter(0.0, scenery.seconds, command.fps, command.exposure)
    if not len(shutter.times):
        raise InputError(
            f"{command.source}: {scenery.seconds:g} s hold no exposure of {command.exposure:g} s; shorten it"
        )
    times = scenery.world.times(0.0, scenery.seconds)
    within = sum(
        len(scenery.world.times(t - command.exposure / 2, t + command.exposure / 2)) - 1 for t in shutter.times
    )
    columns = (TextColumn("  {task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(command.source, total=len(times) + within + 2 * len(shutter.times))
        scenery = scenery._replace(world=_counted(scenery.world, lambda: bar.advance(task)))
        stream = _stream(command, scenery, times, shutter)

        def write(folder: Path) -> dict[str, Any]:
            name = Path(command.source).name
            made = _made(command, scenery)
            return write_stream(stream, name, folder, AS_STORED, version("evinr"), made, lambda done: None)

        about = place(command.out, command.to, command.overwrite, write)
    console.print(f"{command.source}: {about['format']}")
    for assumption in about["assumptions"]:
        console.print(f"  {assumption}")
    console.print(
        f"{about['events']['count']} events of {scenery.seconds:g} s ({scenery.width} x {scenery.height}) and "
        f"{len(shutter.times)} pictures in {command.out}"
    )
    return 0


def _require_sound(command: Simulate) -> None:
    """Raise InputError for what no camera does."""
    source = command.source
    if (command.height is None) != (command.width is None):
        raise InputError(f"{source}: --height and --width belong together; give both or none")
    if command.height is not None and command.width is not None:
        if not (SMALLEST <= command.height <= 65536 and SMALLEST <= command.width <= 65536):
            raise InputError(
                f"{source}: --width {command.width} --height {command.height} is no sensor; give {SMALLEST} or more of each"
            )
    if command.seconds is not None and not 0 < command.seconds <= LONGEST:
        raise InputError(f"{source}: --seconds {command.seconds:g}; give more than 0, and {LONGEST:g} at most")
    if not 0 < command.fps < np.inf:
        raise InputError(f"{source}: --fps {command.fps:g}; give pictures a second, more than 0")
    if not 0 < command.exposure <= 1 / command.fps:
        raise InputError(
            f"{source}: --exposure {command.exposure:g} s; give more than 0, and at most the {1 / command.fps:g} s that "
            f"--fps {command.fps:g} leaves"
        )
    for option, value in (("source-fps", command.source_fps), ("gamma", command.gamma)):
        if value is not None and not 0 < value < np.inf:
            raise InputError(f"{source}: --{option} {value:g}; give more than 0")
    if command.seed < 0:
        raise InputError(f"{source}: --seed {command.seed}; give 0 or more")


def _scenery(command: Simulate) -> Scenery:
    """The built-in scene of that name, or the footage at that path."""
    source, size = command.source, None
    if command.height is not None and command.width is not None:
        size = command.height, command.width
    if source not in scenes.SCENES:
        return _filmed(command, size)
    for option, value in (("source-fps", command.source_fps), ("gamma", command.gamma)):
        if value is not None:
            raise InputError(f"{source}: a built-in scene, of no use to which is --{option}; leave it out")
    if command.texture is not None and source not in scenes.TEXTURED:
        raise InputError(f"{source}: has no --texture to choose; {', '.join(scenes.TEXTURED)} have")
    height, width = size or (180, 240)
    world = scenes.build(source, height, width, command.seed, command.texture)
    return Scenery(world, height, width, command.seconds or 1.0, None)


def _filmed(command: Simulate, size: tuple[int, int] | None) -> Scenery:
    path = Path(command.source)
    if not path.exists():
        raise InputError(
            f"{command.source}: no built-in scene ({', '.join(scenes.SCENES)}), and no video or folder of pictures; "
            "give one of those (./pan for a folder of such a name)"
        )
    if command.texture is not None:
        raise InputError(f"{command.source}: footage, of no use to which is --texture; leave it out")
    footage = open_footage(path, command.source_fps, command.gamma, size)
    if min(footage.height, footage.width) < SMALLEST:
        raise InputError(
            f"{path.name}: pictures of {footage.width} x {footage.height}, expected {SMALLEST} or more of each; "
            "pass --height and --width"
        )
    seconds = footage.seconds if command.seconds is None else command.seconds
    if seconds > footage.seconds * (1 + 1e-9):
        raise InputError(f"{path.name}: lasts {footage.seconds:g} s, --seconds {seconds:g}; ask for fewer")
    return Scenery(footage.world, footage.height, footage.width, min(seconds, footage.seconds), footage)


def _counted(world: World, looked: Callable[[], None]) -> World:
    """The same, telling each time it is looked at."""

    def light(t: float) -> np.ndarray:
        looked()
        return world.light(t)

    return world._replace(light=light)


def _stream(command: Simulate, scenery: Scenery, times: np.ndarray, shutter: Shutter) -> Stream:
    """The simulation, as what a reader of a file returns."""
    world, height, width, seconds, footage = scenery

    def columns(window: Window) -> Iterator[Columns]:
        first = 0
        for block in blocks(world.light, times, command.sensor, command.seed):
            if block.count:
                yield Columns(block.t, block.x, block.y, block.p, first, block.t[-1] / seconds)
                first += block.count

    def pictures(take: Callable[[World, float], np.ndarray], open_for: float | None) -> Callable:
        def read(window: Window) -> Iterator[Frame]:
            for t in shutter.times.tolist():
                exposure = None if open_for is None else (_ns(t - open_for / 2), _ns(t + open_for / 2))
                yield Frame(_ns(t), take(world, t), exposure)

        return read

    kinds = {
        "frames": pictures(lambda world, t: camera.exposed(world, t, shutter.exposure), shutter.exposure),
        "sharp": pictures(camera.sharp, None),
        "hdr": pictures(camera.radiance, None),
    }
    notes = [
        f"simulated: {seconds:g} s, {width} x {height}, contrast thresholds {command.sensor.thresholds[0]:g} and "
        f"{command.sensor.thresholds[1]:g} +- {command.sensor.mismatch:g}",
        f"frames are exposures of {shutter.exposure:g} s about their times, sharp is without blur, both are in proportion "
        f"to intensity with {world.white:g} as white; hdr is the intensity",
        *(footage.assumptions if footage else ()),
    ]
    return Stream(
        format=f"simulation of {'a ' + footage.format if footage else 'a built-in scene'}",
        files=footage.files if footage else (),
        unit="s",
        blocks=columns,
        size=SensorSize(height, width, "the simulation"),
        frames=tuple(FrameSet(n, _ns(shutter.times[0]), read, "gray", height, width) for n, read in kinds.items()),
        settled=True,
        notes=notes,
    )


def _ns(seconds: float) -> int:
    return round(float(seconds) * 1e9)


def _made(command: Simulate, scenery: Scenery) -> dict[str, Any]:
    """All that a simulation depends on, and the thresholds that the seed gave."""
    pixels = draw_pixels(command.sensor, scenery.height * scenery.width, np.random.default_rng(command.seed))
    sides = zip(("on", "off"), command.sensor.thresholds, (pixels.on, pixels.off), strict=True)
    return {
        "simulation": Path(command.source).name,
        "texture": command.texture,
        "seed": command.seed,
        "seconds": scenery.seconds,
        "sensor": asdict(command.sensor),
        "thresholds": {
            side: {"nominal": nominal, "mean": float(actual.mean()), "deviation": float(actual.std())}
            for side, nominal, actual in sides
        },
        "camera": {"fps": command.fps, "exposure": command.exposure, "white": scenery.world.white},
        "footage": {"fps": command.source_fps, "gamma": command.gamma} if scenery.footage else None,
    }
