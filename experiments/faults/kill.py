"""Commands that are killed again and again, at random moments and around their changes of files, until they are through.

Each time what is there is asked whether anything half is taken for whole; at the end it must equal what an undisturbed process
makes. `python -m experiments.faults.kill --help`.
"""

import json
import random
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from experiments.benchmarks import machine
from experiments.faults.comparison import Contents, contents, differences, leftovers
from experiments.faults.lives import Life, Moment, Place, live
from experiments.faults.targets import Given, Target, made, targets

SOON = 0.003
"""Seconds that a process lives on at most after a change that it dies of: meets files that are half written."""


@dataclass(frozen=True)
class Config:
    """How often, and what."""

    kills: int = 60
    """Of all targets together."""
    targets: tuple[str, ...] = tuple(targets())
    aimed: float = 0.5
    """Share of the kills that come from within, at one of the process' changes of files; the others come from outside, at
    a moment that is uniform over the time that the undisturbed command takes."""
    seed: int = 0
    out: Path = Path("experiments/faults/results/kill.json")


class Reference(NamedTuple):
    """What an undisturbed command makes."""

    contents: Contents
    seconds: float
    changes: int


def undisturbed(target: Target, given: Given, scratch: Path, times: int = 2) -> Reference:
    """What it makes; made twice, to know that it is reproducible, and how long it takes with programs compiled.

    Raises RuntimeError where it is not.
    """
    found = []
    for number in range(times):
        out = scratch / f"undisturbed_{number}"
        life = _lived(target, given, Place(scratch, out), Moment(), random.Random(number))
        if life.code:
            raise RuntimeError(f"the undisturbed command ended with code {life.code}: {life.errors}")
        if left := leftovers(out):
            raise RuntimeError(f"the undisturbed command left {left}")
        found.append(Reference(contents(out), life.seconds, len(life.changes)))
    if different := differences(found[0].contents, found[-1].contents):
        raise RuntimeError(f"the undisturbed command is not reproducible: {different}")
    return found[-1]


def _lived(target: Target, given: Given, place: Place, moment: Moment, chance: random.Random) -> Life:
    if not place.out.exists():
        place.out.mkdir()
        target.prepare(given, place.out)
    words = target.words(given, place.out, chance)
    return live(words, place, moment, target.victim, target.save_every, chance)


def tortured(
    target: Target, given: Given, scratch: Path, reference: Reference, kills: int, aimed: float, chance: random.Random
) -> dict[str, Any]:
    """Kill it so often, beginning anew whenever it is through; what was wrong, if anything, is in `wrong`."""
    moments: list[dict[str, Any]] = []
    wrong: list[str] = []
    runs = restarts = 0
    while len(moments) < kills:
        out, done = scratch / f"run_{runs}", 0.0
        out.mkdir()
        target.prepare(given, out)
        before = contents(out)
        life, lives = None, 0
        while life is None or life.code == -signal.SIGKILL:
            moment = _drawn(reference, aimed, chance) if len(moments) < kills else Moment()
            life = _lived(target, given, Place(scratch, out), moment, chance)
            lives += 1
            where = f"run {runs}, life {lives}, {moment}"
            wrong += [f"{where}: {one} lives on" for one in life.survivors]
            if life.killed:
                now = target.done(out)
                before_it = life.changes[-1] if moment.change is not None else None
                moments.append(
                    {"seconds": round(life.seconds, 3), "change": before_it, "delay": moment.delay, "done": now}
                )
                wrong += [f"{where}, at {before_it}: {one}" for one in target.broken(out, before, reference.contents)]
                if now < done:
                    wrong.append(f"{where}: was at {done}, and is at {now}")
                done = now
        restarts += lives - 1
        if life.code == 0:
            wrong += [f"run {runs}: {one}" for one in differences(reference.contents, contents(out))]
            wrong += [f"run {runs}: {one} is left" for one in leftovers(out)]
        else:
            wrong.append(f"run {runs}, life {lives}: ended with code {life.code}: {life.errors}")
        runs += 1
        shutil.rmtree(out)
    about = {"kills": len(moments), "at_changes": sum(moment["change"] is not None for moment in moments)}
    about |= {"restarts": restarts, "runs": runs, "seconds_undisturbed": round(reference.seconds, 2)}
    return about | {"changes_undisturbed": reference.changes, "wrong": wrong, "moments": moments}


def _drawn(reference: Reference, aimed: float, chance: random.Random) -> Moment:
    if chance.random() >= aimed:
        return Moment(seconds=chance.uniform(0, reference.seconds))
    delay = chance.uniform(0, SOON) if chance.random() < 0.5 else 0.0
    return Moment(change=int(chance.random() * reference.changes), delay=delay)


def main(config: Config) -> int:
    """Kill all targets; 1 if anything was wrong."""
    results: dict[str, Any] = {}
    chance = random.Random(config.seed)
    with tempfile.TemporaryDirectory(prefix="evinr-faults-") as folder:
        scratch = Path(folder).resolve()
        (scratch / "given").mkdir()
        given = made(scratch / "given")
        for number, name in enumerate(config.targets):
            kills = config.kills * (number + 1) // len(config.targets) - config.kills * number // len(config.targets)
            (scratch / name).mkdir()
            target, place = targets()[name], scratch / name
            reference = undisturbed(target, given, place)
            results[name] = tortured(target, given, place, reference, kills, config.aimed, chance)
            shutil.rmtree(scratch / name)
            print(
                json.dumps({name: {key: value for key, value in results[name].items() if key != "moments"}}), flush=True
            )
            machine.save(config.out, config, results, quiet=True)
    return 1 if any(result["wrong"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config, config=(tyro.conf.OmitArgPrefixes,))))
