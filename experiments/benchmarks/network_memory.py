"""Peak memory and seconds per picture of the networks that do more than plain reconstruction, on a large sensor.

Every network is a new process that makes its pictures as the commands do (`baselines.runner.pictures`,
`baselines.deblurring.deblurred`), of random weights and events: neither depends on them. The peak is that of the whole
process, with the recording.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from baselines.checkpoints import Model
from baselines.deblurring import GOPRO, deblurred
from baselines.efnet import EFNet
from baselines.eventhdr import EventHDR
from baselines.method import Network
from baselines.methods import METHODS, every
from baselines.ner_net import NerNet
from baselines.runner import CHUNK, pictures
from baselines.windows import Windows
from evinr.events import Events
from experiments.benchmarks.fresh import fresh, start_backend
from experiments.benchmarks.machine import RESULTS, save
from experiments.benchmarks.memory import peak_mb

NETWORKS: dict[str, Network] = {
    "ner-net": NerNet(bins=10, channels=32, encoders=3, blocks=2, kernel=5, hidden=(50, 50, 50), features=64),
    "eventhdr": EventHDR(bins=10, channels=64, groups=8, extract=5, reconstruct=10),
    "efnet": EFNet(bins=10, channels=64, heads=(1, 2, 4)),
}
"""As they are published."""


@dataclass(frozen=True)
class NetworkMemory:
    """Peak memory and seconds per picture of networks on a large sensor."""

    names: tuple[str, ...] = tuple(NETWORKS)
    """Which networks."""
    height: int = 720
    width: int = 1280
    windows: int = 2 * CHUNK
    """In chunks as the runner takes them, of which the first has the compilation and is not timed."""
    events: int = 1_000_000
    """Of each window."""
    out: Path = RESULTS / "network_memory.json"
    """Where the results go; a table goes beside it."""


HEAD = """\
| network | sensor | events per window | peak, GB | s per picture |
|---|---|--:|--:|--:|"""


def main(cfg: NetworkMemory) -> None:
    print(HEAD)
    results = []
    for name in cfg.names:
        results.append({"network": name, **fresh(measure, name, cfg)})
        print(row(cfg, results[-1]), flush=True)
    save(cfg.out, cfg, results)
    cfg.out.with_suffix(".md").write_text("\n".join([HEAD, *(row(cfg, result) for result in results)]) + "\n")


def measure(name: str, cfg: NetworkMemory) -> dict[str, float]:
    """Runs in a new process."""
    start_backend()
    events, windows = recording(cfg)
    counts, times = list[int](), [time.perf_counter()]
    for made in groups(name, events, windows):
        counts.append(len(made))
        times.append(time.perf_counter())
    each = (times[-1] - times[1]) / sum(counts[1:])
    return {"peak_gb": peak_mb() / 1000, "seconds_per_picture": each, "seconds_of_first_group": times[1] - times[0]}


def groups(name: str, events: Events, windows: Windows) -> Iterator[np.ndarray]:
    """Pictures, some at a time."""
    if name in METHODS:
        yield from pictures(model(name), events, windows)
        return
    image = np.random.default_rng(1).integers(256, size=(events.height, events.width, 3), dtype=np.uint8)
    of = model(name)
    for first, end in zip(windows.first, windows.end, strict=True):
        yield deblurred(of, image, events.part(first, end), GOPRO)[None]


def model(name: str) -> Model:
    """A network with small random weights."""
    network, rng = NETWORKS[name], np.random.default_rng(2)
    state, grid = network.initial(64, 64, jnp.dtype(jnp.float32)), jnp.zeros((64, 64, network.bins))
    shapes = jax.eval_shape(network.init, jax.random.key(0), grid, state)
    weights = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape, np.float32) / 50, shapes)
    return Model(every()[name], network, weights, "", "", ())


def recording(cfg: NetworkMemory) -> tuple[Events, Windows]:
    """Events at random pixels, as many in each window."""
    rng, count = np.random.default_rng(0), cfg.windows * cfg.events
    x = rng.integers(cfg.width, size=count, dtype=np.uint16)
    y = rng.integers(cfg.height, size=count, dtype=np.uint16)
    p = rng.integers(2, size=count, dtype=np.int8)
    p += p - 1
    ends = cfg.events * np.arange(1, cfg.windows + 1)
    t = np.arange(count) / 25 / cfg.events
    return Events(t, x, y, p, cfg.height, cfg.width), Windows(ends - cfg.events, ends, t[ends - 1])


def row(cfg: NetworkMemory, result: dict[str, Any]) -> str:
    """One line of the table."""
    figures = f"{cfg.events:,} | {result['peak_gb']:.2f} | {result['seconds_per_picture']:.2f}"
    return f"| {result['network']} | {cfg.width} x {cfg.height} | {figures} |"


if __name__ == "__main__":
    main(tyro.cli(NetworkMemory))
