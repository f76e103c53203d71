"""Steps per second of the paper preset beside the authors' PyTorch code, at the same sizes, in turns.

The authors' code (github.com/wzpscott/EvINR) is no part of this repository: a checkout of it runs in its own process.
Both sides take the same kind of step (forward, losses, backward, AdamW) on random event images held on their device.
"""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

import jax
import numpy as np
import tyro

from evinr import siren
from evinr.config import PAPER
from evinr.fitting import Target, initial, schedule, steps
from evinr.goal import goal
from evinr.losses import Weights
from experiments.benchmarks.machine import RESULTS, answer, cores, save

DRIVER = """
import json, sys, time, types

checkout, cores, height, width, layers, units, rate, steps = sys.argv[1], *map(float, sys.argv[2:])
sys.path.insert(0, checkout)
sys.modules["cv2"] = types.ModuleType("cv2")  # the checkout needs it for colour pictures only
import torch
from model import EvINRModel

torch.set_num_threads(int(cores))
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
print(json.dumps({"torch": torch.__version__, "device": name, "threads": torch.get_num_threads()}), flush=True)
sides = {}
for line in sys.stdin:
    frames = int(line)
    if frames not in sides:
        model = EvINRModel(int(layers), int(units), H=int(height), W=int(width), recon_colors=False).to(device)
        times = torch.linspace(-1, 1, frames, device=device)[:, None]
        images = torch.randn(frames, int(height), int(width), 1, device=device)
        sides[frames] = model, torch.optim.AdamW(model.net.parameters(), lr=rate), times, images
    model, optimizer, times, images = sides[frames]
    start, busy = time.perf_counter(), time.process_time()
    for _ in range(int(steps)):
        optimizer.zero_grad()
        model.get_losses(model(times), images).backward()
        optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    print(json.dumps([time.perf_counter() - start, time.process_time() - busy]), flush=True)
"""
"""Answers each number of frames on its input with the wall and CPU seconds of one round."""


@dataclass(frozen=True)
class PaperSpeed:
    """Steps per second of the paper preset beside the authors' PyTorch code, at the same sizes, in turns."""

    original: Path
    """Checkout of github.com/wzpscott/EvINR."""
    torch_python: Path
    """A Python that has PyTorch."""
    frames: tuple[int, ...] = (50, 100)
    """Event frames: before and after the original doubles them."""
    height: int = 180
    """Rows of the sensor."""
    width: int = 240
    """Columns of the sensor."""
    rounds: int = 7
    """Timed rounds of each side and number of frames, after one that is not counted."""
    steps: int = 10
    """Optimiser steps in a round."""
    out: Path = RESULTS / "paper_speed.json"
    """Where the results go."""


def main(cfg: PaperSpeed) -> None:
    sizes = (cores(), cfg.height, cfg.width, PAPER.depth, PAPER.hidden, PAPER.head_rate, cfg.steps)
    # -B: nothing is written into the checkout.
    command = [str(cfg.torch_python), "-B", "-c", DRIVER, str(cfg.original), *map(str, sizes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        original = answer(process.stdout)
        results = {str(frames): compare(cfg, frames, process.stdin, process.stdout) for frames in cfg.frames}
        process.stdin.close()
    ours = {"jax": jax.__version__, "device": jax.devices()[0].device_kind, "threads": cores()}
    print(f"original: {original}\nours: {ours}")
    save(cfg.out, cfg, {"original": original, "ours": ours, "frames": results})


def compare(cfg: PaperSpeed, frames: int, ask: IO[str], answers: IO[str]) -> dict[str, Any]:
    """Rounds of both sides in turns: medians in steps per second, cores kept busy, and every round's seconds."""
    rng = np.random.default_rng(0)
    net = siren.network(PAPER, 1, cfg.height, cfg.width)
    times = np.linspace(-1, 1, frames, dtype=np.float32)
    images = rng.standard_normal((frames - 1, 1, cfg.height, cfg.width), np.float32)
    aim, state = jax.device_put(Target(times, images, 1.0, Weights(PAPER.smooth, PAPER.still))), initial(net, PAPER)
    factors = schedule(np.zeros(cfg.steps), PAPER)
    rounds: dict[str, list[tuple[float, float]]] = {"ours": [], "original": []}
    for _ in range(1 + cfg.rounds):
        start, busy = time.perf_counter(), time.process_time()
        state, _ = jax.block_until_ready(steps(state, aim, factors, goal(PAPER), net=net))
        rounds["ours"].append((time.perf_counter() - start, time.process_time() - busy))
        print(frames, file=ask, flush=True)
        rounds["original"].append(answer(answers))
    sides: dict[str, Any] = {side: summary(pairs[1:], cfg.steps) for side, pairs in rounds.items()}
    for side, figures in sides.items():
        print(f"{frames} frames, {side}: {figures['steps_per_second']:.2f} steps/s, {figures['busy_cores']:.1f} cores")
    ratio = sides["ours"]["steps_per_second"] / sides["original"]["steps_per_second"]
    print(f"{frames} frames, ours / original: {ratio:.2f}", flush=True)
    return {**sides, "ratio": ratio}


def summary(rounds: list[tuple[float, float]], steps_per_round: int) -> dict[str, Any]:
    """Medians over rounds of (wall seconds, CPU seconds)."""
    return {
        "steps_per_second": steps_per_round / median(wall for wall, _ in rounds),
        "busy_cores": median(cpu / wall for wall, cpu in rounds),
        "round_seconds": [wall for wall, _ in rounds],
    }


if __name__ == "__main__":
    main(tyro.cli(PaperSpeed))
