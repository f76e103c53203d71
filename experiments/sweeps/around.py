"""One default changed at a time, over the benchmark suite: what a sweep found on a few recordings must hold for all.

python -m experiments.sweeps.around
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro

import evinr
from evinr.config import DEFAULT, FitConfig
from evinr.evaluation import evaluate
from evinr.prediction import of_reconstruction
from evinr.protocols import ALIGNED
from experiments.benchmarks.machine import save
from experiments.suite.__main__ import recorded, simulated

WHOLE = replace(DEFAULT, windows="whole")
CHANGES: dict[str, Mapping[str, Any]] = {
    "windows": {"smooth": (0.6,), "still": (2.5,), "outlier": (0.5, 2.0), "warm_iterations": (6,)},
    "whole": {"basis": (64,), "warmup": (0.4,)},
}
"""Values beside the default that a sweep of some recordings preferred; in windows, and of the whole span."""
METRICS = ("corr", "ssim", "mse", "replay")


@dataclass(frozen=True)
class Around:
    """Where results go, and what is fitted."""

    windows: tuple[str, ...] = tuple(CHANGES)
    recordings: Path = Path("../shared/data")
    """Real recordings; only those with camera frames count."""
    seconds: float = 0.5
    """Of each."""
    out: Path = Path("experiments/sweeps/results/around.json")


def main(around: Around) -> None:
    """Fit, score, print a row for each change: the mean, and on how many sequences it is the better one."""
    scores: dict[str, dict[str, dict[str, float]]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for case in [*simulated(), *recorded(around.recordings, around.seconds)]:
        events, truth = case.get()
        if truth is None:
            continue
        for name, config in configs(around.windows):
            prediction = of_reconstruction(evinr.fit(events, config))
            means = evaluate(prediction, truth, events, ALIGNED).means
            scores.setdefault(name, {})[case.name] = {
                metric: round(value, 5) for metric in METRICS if (value := means[metric].value) is not None
            }
        print(case.name, flush=True)
        rows = {name: row(scores, name) for name in scores}
        save(around.out, around, {"rows": rows, "scores": scores}, quiet=True)
    for name, found in rows.items():
        print(f"{name:32} {json.dumps(found)}")


def configs(windows: tuple[str, ...]) -> list[tuple[str, FitConfig]]:
    """The defaults, and those with one setting changed."""
    found = []
    for kind in windows:
        base = WHOLE if kind == "whole" else DEFAULT
        changed = [(name, value) for name, values in CHANGES[kind].items() for value in values]
        found += [
            (kind, base),
            *((f"{kind}, {name} {value}", replace(base, **{name: value})) for name, value in changed),
        ]
    return found


def row(scores: Mapping[str, Mapping[str, Mapping[str, float]]], name: str) -> dict[str, Any]:
    """Means over the sequences, and the share of them on which the correlation is above that of the defaults."""
    base, own = scores[name.partition(",")[0]], scores[name]
    means = {metric: round(float(np.mean([one[metric] for one in own.values()])), 4) for metric in METRICS}
    better = sum(own[case]["corr"] > base[case]["corr"] for case in own)
    return means | {"better": f"{better} of {len(own)}"}


if __name__ == "__main__":
    main(tyro.cli(Around, description=__doc__))
