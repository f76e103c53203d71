"""A disk that fills up while a command writes, at many places, and one that cannot be written.

Each time: one line that names a file, earlier results untouched; and when there is space, the command goes on to what an
undisturbed one makes. Needs mounts, in a namespace of its own (`unshare`, Linux; as any user where the system allows it).
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from experiments.benchmarks import machine
from experiments.faults.comparison import contents, differences, leftovers
from experiments.faults.kill import undisturbed
from experiments.faults.lives import Place, live, refusal
from experiments.faults.targets import Given, Target, made, targets

APART = "EVINR_APART"
"""Variable of the environment, set in the namespace."""
BALLAST = "ballast"
PAGE = 4096


@dataclass(frozen=True)
class Config:
    """How often, and what."""

    places: int = 10
    """At which the disk is full, evenly over what a command writes; the first is before anything."""
    targets: tuple[str, ...] = tuple(name for name, target in targets().items() if target.victim == "driver")
    out: Path = Path("experiments/faults/results/disk.json")


def mount(place: Path, megabytes: int) -> None:
    """An empty disk of that size, in memory."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "evinr-faults", place], check=True)


def fill(place: Path, left: int) -> None:
    """Leave so many bytes free."""
    with (place / BALLAST).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(place).free - left, 0) // PAGE * PAGE or PAGE)


def writable(place: Path, yes: bool) -> None:
    """Whether the disk can be written."""
    subprocess.run(["mount", "-o", f"remount,{'rw' if yes else 'ro'}", place], check=True)


def filled(target: Target, given: Given, scratch: Path, disk: Path, places: int) -> dict[str, Any]:
    """Let the disk be full at several places of what a command writes."""
    expected = undisturbed(target, given, scratch, 1).contents
    out, earlier, chance = disk / "out", disk / "earlier", random.Random(0)
    shutil.copytree(given.earlier, earlier)
    kept, wrong, refused = contents(earlier), [], 0
    out.mkdir()
    target.prepare(given, out)
    begin = shutil.disk_usage(disk).used
    life = live(target.words(given, out, chance), Place(scratch, out), save_every=target.save_every)
    own = sum(path.stat().st_blocks * 512 for path in out.rglob("*"))  # what it replaces may have been larger
    written = max(shutil.disk_usage(disk).used - begin, own)
    wrong += [f"with space: {life.errors}"] if life.code else []
    for number in range(places):
        shutil.rmtree(out)
        out.mkdir()
        target.prepare(given, out)
        before = contents(out)
        left = written * number // places
        fill(disk, left)
        life = live(target.words(given, out, chance), Place(scratch, out), save_every=target.save_every)
        where = f"with {left} of {written} bytes"
        if life.code:
            refused += 1
            wrong += [f"{where}: {one}" for one in refusal(life, disk)]
            wrong += [f"{where}: left {one}" for one in leftovers(out)]
            wrong += [f"{where}: {one}" for one in target.broken(out, before, expected)]
        wrong += [f"{where}: an earlier run: {one}" for one in differences(kept, contents(earlier))]
        (disk / BALLAST).unlink()
        life = live(target.words(given, out, chance), Place(scratch, out), save_every=target.save_every)
        wrong += [f"{where}, then with space: ended with {life.code}: {life.errors}"] if life.code else []
        wrong += [f"{where}, then with space: {one}" for one in differences(expected, contents(out))]
        wrong += [f"{where}, then with space: left {one}" for one in leftovers(out)]
    shutil.rmtree(earlier)
    shutil.rmtree(out)
    return {"places": places, "refused": refused, "bytes": written, "wrong": wrong}


def forbidden(target: Target, given: Given, scratch: Path, disk: Path) -> dict[str, Any]:
    """A disk that cannot be written: with nothing there, and with what a killed process left."""
    wrong: list[str] = []
    out, chance = disk / "out", random.Random(0)
    out.mkdir()
    target.prepare(given, out)
    for stage in ("at first", "half done"):
        words, before = target.words(given, out, chance), sorted(disk.rglob("*"))
        writable(disk, False)
        life = live(words, Place(scratch, out), save_every=target.save_every)
        writable(disk, True)
        wrong += [f"{stage}: {one}" for one in refusal(life, disk)]
        wrong += [f"{stage}: files changed"] if sorted(disk.rglob("*")) != before else []
        if stage == "at first":
            fill(disk, shutil.disk_usage(disk).free // 1000)
            live(words, Place(scratch, out), save_every=target.save_every)
            (disk / BALLAST).unlink()
    shutil.rmtree(out)
    return {"wrong": wrong}


def main(config: Config) -> int:
    """Fill and forbid; 1 if anything was wrong, 2 where nothing can be mounted."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="evinr-faults-") as folder:
        scratch = Path(folder).resolve()
        (scratch / "given").mkdir()
        given = made(scratch / "given")
        disk = scratch / "disk"
        mount(disk, 64)
        try:
            for name in config.targets:
                (scratch / name).mkdir()
                full = filled(targets()[name], given, scratch / name, disk, config.places)
                results[name] = {"full": full, "read_only": forbidden(targets()[name], given, scratch / name, disk)}
                print({name: results[name]})
        finally:
            subprocess.run(["umount", disk], check=True)
    machine.save(config.out, config, results)
    return 1 if any(part["wrong"] for result in results.values() for part in result.values()) else 0


def apart() -> bool:
    """Whether this process may mount what nobody else sees; makes it so by starting again, where that can be."""
    if APART in os.environ:
        return True
    words = ["unshare", "--mount", *["--map-root-user"] * bool(os.geteuid())]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True).returncode:
        return False
    os.environ[APART] = "1"
    os.execvp("unshare", [*words, sys.executable, "-m", "experiments.faults.disk", *sys.argv[1:]])


if __name__ == "__main__":
    config = tyro.cli(Config, config=(tyro.conf.OmitArgPrefixes,))
    if not apart():
        print("nothing can be mounted here: no unshare, or the system does not allow it", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(config))
