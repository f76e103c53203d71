"""Milliseconds per window of the supervised networks beside their authors' PyTorch code, batch 1, in turns.

The originals are no part of this repository: a checkout of EVREAL (github.com/ercanburak/EVREAL, `model` and `utils`)
and the package event-pienet run in a process of their own, with random weights: the time does not depend on them.
PyTorch runs twice, in its own order of axes, as all published code does, and with channels last, which it offers.
Both sides get the same grids, padded already, one window after another with the state of the one before.
"""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from baselines import runner
from baselines.method import Method, Network
from baselines.methods import METHODS
from baselines.padding import Padding, padding
from experiments.benchmarks.machine import RESULTS, answer, cores, save

DRIVER = """
import json, sys, time, types

evreal, package, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.path[:0] = [evreal, package]
for name in ("cv2", "torchvision"):  # EVREAL needs them for colour pictures only
    sys.modules[name] = types.ModuleType(name)
sys.modules["torchvision"].transforms = None
import torch

torch.set_num_threads(threads)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None


def unet(**options):
    from model import E2VIDRecurrent

    basic = dict(num_bins=5, skip_type="sum", recurrent_block_type="convlstm", num_encoders=3, base_num_channels=32)
    return E2VIDRecurrent({**basic, "num_residual_blocks": 2, **options})


def firenet():
    from model import FireNet_legacy

    return FireNet_legacy(dict(num_bins=5, skip_type="no_skip", recurrent_block_type="convgru", base_num_channels=16,
        num_residual_blocks=2, recurrent_blocks={"resblock": [0]}, kernel_size=3, final_activation="none", norm="none"))


def other(name, *arguments):
    import model

    return getattr(model, name)(*arguments)


def pie(variant):
    import pie_net

    return pie_net.PIENet(variant)


plain = dict(use_upsample_conv=True, final_activation="", norm="none")
NETWORKS = {
    "e2vid": lambda: unet(use_upsample_conv=False, final_activation="sigmoid", norm="BN"),
    "e2vid+": lambda: unet(**plain),
    "firenet": firenet,
    "firenet+": lambda: other("FireNet"),
    "hypere2vid": lambda: unet(use_dynamic_decoder=True, **plain),
    "spade-e2vid": lambda: other("SpadeE2vid"),
    "et-net": lambda: other("EITR", dict(num_bins=5, norm="none")),
    "pie-net": lambda: pie("pie-net"),
    "pie-net-lite": lambda: pie("pie-net-lite"),
}
LAYOUTS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}

print(json.dumps({"torch": torch.__version__, "device": name, "threads": torch.get_num_threads()}), flush=True)
for line in sys.stdin:
    name, height, width = json.loads(line)
    sides = {layout: NETWORKS[name]().eval().to(device, memory_format=form) for layout, form in LAYOUTS.items()}
    grids = torch.randn(4, 1, 5, height, width, device=device)
    print(json.dumps({k: list(v.shape) for k, v in sides["default"].state_dict().items()}), flush=True)
    for line in sys.stdin:
        if line == "null\\n":
            break
        layout, windows = json.loads(line)
        inputs = [grid.to(memory_format=LAYOUTS[layout]) for grid in grids]
        with torch.no_grad():
            start = time.perf_counter()
            for window in range(windows):
                sides[layout](inputs[window % len(inputs)])
            wait()
        print(json.dumps(time.perf_counter() - start), flush=True)
"""
"""Asked for a network and a size it answers with the entries of its checkpoint; then for a layout and a number of windows
with the seconds they took, until null comes."""

NAMES = ("e2vid", "e2vid+", "firenet", "firenet+", "spade-e2vid", "et-net", "hypere2vid", "pie-net", "pie-net-lite")
"""Those that EVREAL or event-pienet has. SSL-E2VID is E2VID+ with other weights."""
NONE = Padding(0, 0, 0, 0)


@dataclass(frozen=True)
class BaselineSpeed:
    """Milliseconds per window of the supervised networks beside their authors' PyTorch code, in turns."""

    evreal: Path
    """Checkout of github.com/ercanburak/EVREAL."""
    torch_python: Path
    """A Python that has PyTorch, scipy and einops."""
    pie_net: Path
    """The folder that has the package of event-pienet, pie_net, in it."""
    names: tuple[str, ...] = NAMES
    """Which networks."""
    sizes: tuple[tuple[int, int], ...] = ((180, 240), (260, 346))
    """Rows and columns of the sensors."""
    rounds: int = 15
    """Timed rounds of each side, after one that is not counted."""
    seconds: float = 0.5
    """Of a round, about."""
    out: Path = RESULTS / "baseline_speed.json"
    """Where the results go; a table goes beside it."""


def main(cfg: BaselineSpeed) -> None:
    # -B: nothing is written into the checkout.
    command = [str(cfg.torch_python), "-B", "-c", DRIVER, str(cfg.evreal), str(cfg.pie_net), str(cores())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        original = answer(process.stdout)
        print(f"original: {original}\n{HEAD}")
        pairs = [(METHODS[name], size) for name in cfg.names for size in cfg.sizes]
        results = [compare(cfg, method, *size, process.stdin, process.stdout) for method, size in pairs]
        process.stdin.close()
    save(cfg.out, cfg, {"original": original, "networks": results})
    cfg.out.with_suffix(".md").write_text("\n".join([HEAD, *map(row, results)]) + "\n")


def compare(cfg: BaselineSpeed, method: Method, height: int, width: int, ask: IO[str], told: IO[str]) -> dict[str, Any]:
    """Rounds of the three sides in turns: medians in ms per window, and of the ratios within a round."""

    def theirs(*words: Any) -> Any:
        print(json.dumps(words), file=ask, flush=True)
        return answer(told)

    by = padding(height, width, method.multiple)
    size = height + by.top + by.bottom, width + by.left + by.right
    shapes = {name: tuple(shape) for name, shape in theirs(method.name, *size).items()}
    network = method.network(shapes, {})
    assert network is not None, method.name
    run = ours(network, *size)
    theirs("default", runner.CHUNK)
    chunks = max(1, round(cfg.seconds / theirs("default", runner.CHUNK)))
    rounds = [
        [run(chunks), theirs("default", chunks * runner.CHUNK), theirs("channels_last", chunks * runner.CHUNK)]
        for _ in range(1 + cfg.rounds)
    ]
    print("null", file=ask, flush=True)
    times = 1e3 * np.array(rounds[1:]) / (chunks * runner.CHUNK)
    medians, ratios = np.median(times, axis=0), np.median(times[:, 1:] / times[:, :1], axis=0)
    result = {
        "network": method.name,
        "size": f"{width} x {height}",
        "ms_per_window": dict(zip(SIDES, medians.tolist(), strict=True)),
        "times_as_fast_as": dict(zip(SIDES[1:], ratios.tolist(), strict=True)),
        "rounds": times.tolist(),
    }
    print(row(result), flush=True)
    return result


def ours(network: Network, height: int, width: int) -> Callable[[int], float]:
    """A function that runs so many chunks of windows and gives the seconds they took."""
    grids = jnp.asarray(
        np.random.default_rng(0).standard_normal((runner.CHUNK, height, width, network.bins), np.float32)
    )
    state = network.initial(height, width, jnp.dtype(jnp.float32))
    variables = jax.jit(network.init)(jax.random.key(0), grids[0], state)

    def run(chunks: int) -> float:
        now, start = state, time.perf_counter()
        for _ in range(chunks):
            now, _ = jax.block_until_ready(runner.run(variables, now, grids, network=network, normal=False, by=NONE))
        return time.perf_counter() - start

    return run


SIDES = ("ours", "default", "channels_last")
HEAD = """\
| network | sensor | ours, ms | PyTorch, ms | PyTorch, channels last, ms | PyTorch / ours | channels last / ours |
|---|---|--:|--:|--:|--:|--:|"""


def row(result: dict[str, Any]) -> str:
    """One line of the table."""
    figures = [*(f"{ms:.2f}" for ms in result["ms_per_window"].values())]
    figures += [f"{ratio:.2f}" for ratio in result["times_as_fast_as"].values()]
    return f"| {' | '.join([result['network'], result['size'], *figures])} |"


if __name__ == "__main__":
    main(tyro.cli(BaselineSpeed))
