"""Two processes that are given the same run: one refuses, the other finishes, and nothing is lost."""

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from experiments.benchmarks import machine
from experiments.faults import dying
from experiments.faults.comparison import contents, differences, leftovers
from experiments.faults.kill import undisturbed
from experiments.faults.lives import Moment, Place, began, live
from experiments.faults.targets import Given, made, targets

PAIRS = {
    "fresh, fresh": ((), ()),
    "fresh, resume": ((), ("--resume",)),
    "overwrite, overwrite": (("--overwrite",), ("--overwrite",)),
    "overwrite, resume": (("--overwrite",), ("--resume",)),
    "resume, resume": (("--resume",), ("--resume",)),
}
"""How either is told to begin."""
REFUSALS = ("another process is writing it", "another process has made it", "exists already", "no such run to resume")


@dataclass(frozen=True)
class Config:
    """How often."""

    rounds: int = 6
    """Of every pair."""
    spread: float = 2.0
    """Seconds that the second begins later, at most."""
    seed: int = 0
    out: Path = Path("experiments/faults/results/twice.json")


def rounds(name: str, given: Given, scratch: Path, config: Config, chance: random.Random) -> dict[str, Any]:
    """Begin two processes again and again."""
    target = targets()["sequential"]
    expected = undisturbed(target, given, scratch, 1).contents
    wrong: list[str] = []
    said: Counter[str] = Counter()
    for number in range(config.rounds):
        out = scratch / f"round_{number}"
        out.mkdir()
        place = Place(scratch, out)
        plain = target.words(given, out, chance)
        if name.startswith("overwrite"):
            shutil.copytree(given.earlier, out / "run")
        if name.startswith("resume"):
            live(plain, place, Moment(change=12))
        processes = []
        for which, options in enumerate(PAIRS[name]):
            time.sleep(which * chance.uniform(0, config.spread))
            fault = dying.Fault(str(out), str(scratch / "notes"))
            processes.append(began([*plain, *options], place, fault, f"said_{which}"))
        codes = [process.wait(300) for process in processes]
        where = f"round {number}"
        wrong += [f"{where}: codes {codes}"] if 0 not in codes or not set(codes) <= {0, 1} else []
        for which, code in enumerate(codes):
            errors = (scratch / f"said_{which}.errors").read_text()
            reasons = [reason for reason in REFUSALS if reason in errors]
            said[reasons[0] if code and reasons else "finished" if code == 0 else errors] += 1
            if code and (not reasons or errors.count("\n") != 1):
                wrong.append(f"{where}: {errors}")
        wrong += [f"{where}: {one}" for one in differences(expected, contents(out))]
        wrong += [f"{where}: {one} is left" for one in leftovers(out)]
        shutil.rmtree(out)
    return {"rounds": config.rounds, "said": dict(said), "wrong": wrong}


def main(config: Config) -> int:
    """All pairs; 1 if anything was wrong."""
    results: dict[str, Any] = {}
    chance = random.Random(config.seed)
    with tempfile.TemporaryDirectory(prefix="evinr-faults-") as folder:
        scratch = Path(folder).resolve()
        (scratch / "given").mkdir()
        given = made(scratch / "given")
        for name in PAIRS:
            results[name] = rounds(name, given, scratch, config, chance)
            shutil.rmtree(scratch / "undisturbed_0")
            print({name: results[name]})
    machine.save(config.out, config, results)
    return 1 if any(result["wrong"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config, config=(tyro.conf.OmitArgPrefixes,))))
