"""What is killed: commands on small recordings, how each is begun and gone on with, and what must hold whenever it died."""

import io
import json
import random
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

import evinr
from evinr import heads
from evinr.__main__ import main
from evinr.cli import run_folder
from evinr.events import InputError
from evinr.simulator import demo
from evinr.simulator.simulate import Sensor
from experiments.faults.comparison import Contents, contents

HEIGHT, WIDTH = 20, 24
SIZE = ("--height", str(HEIGHT), "--width", str(WIDTH))
CUT = ("--intervals", "8", "--overlap", "2", "--batch", "3")
TABLES = "results.json", "results.csv", "results.jsonl"
PICTURES = "video.mp4", "preview.png", "loss.png"


class Given(NamedTuple):
    """What the commands are given, made once."""

    recording: Path
    """Text of a simulated scene."""
    several: Path
    """A folder with recordings, camera frames among them."""
    earlier: Path
    """A finished run of other settings."""


class Target(NamedTuple):
    """A command that is killed until it is through. `out` is its folder, which it has for itself."""

    words: Callable[[Given, Path, random.Random], list[str]]
    """How it is begun, and gone on with after it died."""
    broken: Callable[[Path, Contents, Contents], list[str]]
    """What is wrong with what is there when it has died, given what was there before and what the undisturbed one made."""
    prepare: Callable[[Given, Path], None] = lambda given, out: None
    """Puts there what is there before."""
    done: Callable[[Path], float] = lambda out: 0.0
    """How far it is: never less than before."""
    victim: Literal["driver", "worker"] = "driver"
    save_every: float | None = None


def recording(path: Path, seconds: float, seed: int) -> None:
    """Text of a simulated scene."""
    events, _ = demo.recording(HEIGHT, WIDTH, seconds, Sensor(), seed)
    path.write_text("".join(f"{t:.9f} {x} {y} {p}\n" for t, x, y, p in zip(*events[:4], strict=True)))


def made(folder: Path) -> Given:
    """What the targets are given, in an empty folder."""
    given = Given(folder / "scene.txt", folder / "several", folder / "earlier")
    recording(given.recording, 1.2, 1)
    given.several.mkdir()
    for number in range(2):
        recording(given.several / f"scene_{number}.txt", 0.3, number)
    do("simulate", "demo", given.several / "camera", "--seconds", "0.3", *SIZE)
    options = ("--windows", "sequential", *CUT, "--seed", "1", "--iterations", "4", "--frames", "12")
    do("fit", given.recording, "--out", folder, "--name", given.earlier.name, *SIZE, *options)
    return given


def do(*words: str | Path) -> None:
    """Run a command of evinr. Raises RuntimeError unless it did its work."""
    with redirect_stdout(io.StringIO()):
        code = main([str(word) for word in words])
    if code:
        raise RuntimeError(f"{words[0]} ended with code {code}")


def fit(options: tuple[str, ...], given: Given, out: Path, _: random.Random) -> list[str]:
    """Begun, or gone on with, as `run` in `out`."""
    words = ["fit", str(given.recording), "--out", str(out), "--name", "run", *SIZE, "--frames", "12", *options]
    return [*words, *["--resume"] * run_folder.begun(out / "run")]


def half_fit(out: Path, before: Contents, expected: Contents) -> list[str]:
    """Of a fit in windows or as a whole: what is wrong with it."""
    return _half_run(out / "run", {name.removeprefix("run/"): bits for name, bits in expected.items()})


def _half_run(folder: Path, expected: Contents) -> list[str]:
    if not run_folder.begun(folder):
        return []
    found = contents(folder)
    wrong = [
        f"{name} is there, and is not whole" for name in PICTURES if name in found and found[name] != expected[name]
    ]
    try:
        result = evinr.load(folder)
        picture = result.log_intensity(result.span.end)
    except InputError as error:
        if "\n" in str(error):
            wrong.append(f"more than a line: {error}")
        if run_folder.has_numbers(folder):
            wrong.append(f"cannot be asked, though there is something: {error}")
        return wrong
    if not np.isfinite(picture).all():
        wrong.append("a picture is not finite")
    # The last window that is there may yet be revised.
    final = [f"{heads.FOLDER}/{number:06d}{end}.npz" for number in range(len(result.heads) - 1) for end in ("", "r")]
    return wrong + [f"{name} differs" for name in final if name in expected and found.get(name) != expected[name]]


def _half_of_many(out: Path, before: Contents, expected: Contents) -> list[str]:
    """Of fits of a batch or a sweep: of each what is wrong with it; and tables are whole, but for rows yet to come."""
    runs = sorted({path.removesuffix("/metrics.jsonl") for path in expected if path.endswith("/metrics.jsonl")})
    wrong = []
    for run in runs:
        own = {name.removeprefix(f"{run}/"): bits for name, bits in expected.items() if name.startswith(f"{run}/")}
        wrong += [f"{run}: {one}" for one in _half_run(out / run, own)]
    found = contents(out)
    for name in expected.keys() & found.keys():
        rows = found[name] if isinstance(found[name], list) else [{}]  # of a file that cannot be read
        # Of a line that was cut, at the end of a table that grows, nothing is made.
        if name.endswith(TABLES) and not all(isinstance(row, str) or row in expected[name] for row in rows):
            wrong.append(f"{name} is there, and has other rows")
    return wrong


def _fits(out: Path) -> float:
    return len(list(out.rglob("preview.png")))


def _batch(given: Given, out: Path, _: random.Random) -> list[str]:
    words = ["batch", str(given.several), "--out", str(out / "made"), "--jobs", "2", "--score", *SIZE, *CUT]
    return [*words, "--frames", "12", "--iterations", "60"]


SWEEP = """method: bayes
metric: {name: replay}
parameters:
  smooth: {min: 0.3, max: 3.0}
  iterations: {value: 60}
  frames: {value: 12}
  intervals: {value: 8}
  overlap: {value: 2}
  batch: {value: 3}
  height: {value: HEIGHT}
  width: {value: WIDTH}
"""


def _sweep(given: Given, out: Path, _: random.Random) -> list[str]:
    return [
        "sweep",
        str(out / "faults.yaml"),
        str(given.recording),
        "--out",
        str(out / "made"),
        "--count",
        "4",
        "--local",
    ]


def windows(out: Path) -> float:
    """How many are whole."""
    return heads.done(out / "run" / heads.FOLDER)


def _step(out: Path) -> float:
    for name in ("checkpoint", "checkpoint.old"):
        if (manifest := out / "run" / name / "manifest.json").is_file():
            return json.loads(manifest.read_text())["step"]
    return 0


def _overwriting(options: tuple[str, ...], given: Given, out: Path, chance: random.Random) -> list[str]:
    """As people would: the same command again or, where the new run has begun, --resume."""
    words = [word for word in fit(options, given, out, chance) if word != "--resume"]
    config = out / "run" / "config.json"
    new = config.is_file() and json.loads(config.read_text())["config"]["seed"] == 0
    return [*words, "--resume" if new and chance.random() < 0.5 else "--overwrite"]


def _half_overwritten(out: Path, before: Contents, expected: Contents) -> list[str]:
    """Either run stands whole, perhaps aside, until the new one has something of its own."""
    if _stands(out, "run", "run", before, expected) or _stands(out, ".replaced-run", "run", before, expected):
        return []
    if not run_folder.has_numbers(out / "run"):
        return ["neither the earlier run is there, nor anything of the new one"]
    return half_fit(out, before, expected)


def _stands(out: Path, place: str, name: str, *versions: Contents) -> bool:
    """Whether one of the versions of `name` lies at `place`, whole."""
    if not (out / place).exists():
        return False
    found = contents(out / place)
    wanted = [
        {path.removeprefix(f"{name}/"): bits for path, bits in version.items() if path.startswith(f"{name}/")}
        for version in versions
    ]
    return any(version and version == found for version in wanted)


def _convert(options: tuple[str, ...], given: Given, out: Path, _: random.Random) -> list[str]:
    return ["convert", str(given.several), str(out / "made"), *SIZE, *options]


def _half_converted(out: Path, before: Contents, expected: Contents) -> list[str]:
    """What has its final name is whole."""
    found = {name: bits for name, bits in contents(out).items() if "/.partial-" not in f"/{name}"}
    return [f"{name} is there, and is not whole" for name, bits in found.items() if expected.get(name) != bits]


def _recordings(out: Path) -> float:
    return sum(1 for path in (out / "made").glob("*") if not path.name.startswith("."))


def _reconvert(given: Given, out: Path, _: random.Random) -> list[str]:
    return ["convert", str(given.several / "camera"), str(out / "made"), "--overwrite"]


def _render(given: Given, out: Path, _: random.Random) -> list[str]:
    return ["render", str(given.earlier), "--count", "40", "--out", str(out / "made"), "--overwrite"]


def _half_replaced(out: Path, before: Contents, expected: Contents) -> list[str]:
    """What is replaced stands whole, before or after; for a moment aside."""
    if any(_stands(out, place, "made", before, expected) for place in ("made", ".partial-made.old")):
        return [] if not (out / "made").exists() or _stands(out, "made", "made", before, expected) else ["made is half"]
    return ["neither the earlier one stands, nor the new one"]


def targets() -> dict[str, Target]:
    """All of them, by name."""
    sequential = (*CUT, "--windows", "sequential", "--iterations", "150", "--warm-iterations", "60")
    parallel = (*CUT, "--windows", "parallel", "--iterations", "120")
    whole = ("--windows", "whole", "--steps", "1200", "--knots", "16")
    small = (*CUT, "--windows", "sequential", "--iterations", "20")
    return {
        "sequential": Target(partial(fit, sequential), half_fit, done=windows),
        "parallel": Target(partial(fit, parallel), half_fit, done=windows),
        "whole": Target(partial(fit, whole), half_fit, done=_step, save_every=0.3),
        "overwrite": Target(partial(_overwriting, small), _half_overwritten, _with_earlier),
        "convert": Target(partial(_convert, ()), _half_converted, done=_recordings),
        "convert-h5": Target(partial(_convert, ("--to", "h5")), _half_converted, done=_recordings),
        "convert-worker": Target(partial(_convert, ("--jobs", "2")), _half_converted, victim="worker"),
        "batch": Target(_batch, _half_of_many, done=_fits),
        "batch-worker": Target(_batch, _half_of_many, victim="worker"),
        "sweep": Target(_sweep, _half_of_many, _with_plan, done=_fits),
        "reconvert": Target(_reconvert, _half_replaced, _with_conversion),
        "render": Target(_render, _half_replaced, _with_pictures),
    }


def _with_plan(given: Given, out: Path) -> None:
    (out / "faults.yaml").write_text(SWEEP.replace("HEIGHT", str(HEIGHT)).replace("WIDTH", str(WIDTH)))


def _with_earlier(given: Given, out: Path) -> None:
    shutil.copytree(given.earlier, out / "run")


def _with_conversion(given: Given, out: Path) -> None:
    do("convert", given.several / "camera", out / "made", "--t-end", "0.2")


def _with_pictures(given: Given, out: Path) -> None:
    do("render", given.earlier, "--count", "10", "--out", out / "made")
