"""A batch on a Ray cluster of two nodes, of which again and again one is killed with all its processes, or a worker in it.

Another node takes its place, and the batch ends as it does undisturbed.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from experiments.benchmarks import machine
from experiments.faults import dying, processes
from experiments.faults.comparison import contents, differences, leftovers
from experiments.faults.lives import Place, began
from experiments.faults.targets import Given, made, targets


@dataclass(frozen=True)
class Config:
    """How often."""

    kills: int = 12
    """Half of them of a node, half of a worker."""
    longest: float = 8.0
    """Seconds between two of them at most."""
    seed: int = 0
    out: Path = Path("experiments/faults/results/ray_nodes.json")


def actors() -> list[int]:
    """Workers of Ray that wait for a fit or are at it."""
    return [one.number for one in processes.everyone() if one.words.startswith("ray::Worker")]


def batch(given: Given, place: Place, address: str, name: str) -> subprocess.Popen[bytes]:
    """Begin it."""
    words = targets()["batch"].words(given, place.out, random.Random(0))
    at = words.index("--jobs")
    del words[at : at + 2]
    fault = dying.Fault(f"{place.out}{os.sep}", str(place.scratch / "notes"))
    return began([*words, "--executor", "ray", "--address", address], place, fault, name)


def tortured(cluster: Any, given: Given, scratch: Path, config: Config) -> dict[str, Any]:
    """Batches, until there were so many kills."""
    chance = random.Random(config.seed)
    wrong: list[str] = []
    moments: list[dict[str, Any]] = []
    nodes = [cluster.add_node(num_cpus=2) for _ in range(2)]

    def ended(place: Place, process: subprocess.Popen[bytes], name: str) -> list[str]:
        code, errors = process.wait(300), (place.scratch / f"{name}.errors").read_text()
        return [f"{name}: ended with code {code}: {errors}"] if code else []

    place = Place(scratch, scratch / "undisturbed")
    place.out.mkdir()
    wrong += ended(place, batch(given, place, cluster.address, "said"), "said")
    expected = contents(place.out)
    runs = 0
    while len(moments) < config.kills and not wrong:
        place = Place(scratch, scratch / f"run_{runs}")
        place.out.mkdir()
        begin, process = time.monotonic(), batch(given, place, cluster.address, f"said_{runs}")
        lost = 0
        while process.poll() is None and len(moments) < config.kills:
            time.sleep(chance.uniform(0, config.longest))
            if process.poll() is not None or lost == 2:  # a third one in a batch may be one too many for a job
                break
            what = "worker" if len(moments) % 2 else "node"
            if what == "node":
                cluster.remove_node(nodes.pop(chance.randrange(2)), allow_graceful=False)
                nodes.append(cluster.add_node(num_cpus=2))
            elif found := actors():
                os.kill(chance.choice(found), signal.SIGKILL)
            else:
                continue
            lost += 1
            moments.append({"what": what, "run": runs, "seconds": round(time.monotonic() - begin, 3)})
        wrong += ended(place, process, f"said_{runs}")
        wrong += [f"run {runs}: {one}" for one in differences(expected, contents(place.out))]
        wrong += [f"run {runs}: {one} is left" for one in leftovers(place.out)]
        shutil.rmtree(place.out)
        runs += 1
    return {"kills": len(moments), "runs": runs, "wrong": wrong, "moments": moments}


def main(config: Config) -> int:
    """1 if anything was wrong."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "JAX_PLATFORMS": "cpu"}
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="evinr-faults-") as folder:
        scratch = Path(folder).resolve()
        os.environ |= {"EVINR_CACHE": str(scratch / "cache")}
        (scratch / "given").mkdir()
        given = made(scratch / "given")
        cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            results = tortured(cluster, given, scratch, config)
        finally:
            cluster.shutdown()
    print(json.dumps({name: value for name, value in results.items() if name != "moments"}))
    machine.save(config.out, config, results)
    return 1 if results["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config, config=(tyro.conf.OmitArgPrefixes,))))
