"""The authors' PyTorch code (github.com/wzpscott/EvINR) in a process of its own, taken step by step and asked for pictures.

A checkout of it is no part of this repository. `EventData`, `EvINRModel` and the loss are its own; the loop is that of its
`train.py`, with its rate and its doubling of the event frames half-way, less the log and the video.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from evinr.events import Events
from experiments.benchmarks.machine import answer, cores

DRIVER = """
import contextlib, io, json, sys, time, types

checkout, data, end, height, width, iters, seed, cores = sys.argv[1:]
sys.path.insert(0, checkout)
sys.modules["cv2"] = types.ModuleType("cv2")  # the checkout needs it for colour pictures only
import numpy as np
import torch
from event_data import EventData
from model import EvINRModel

torch.set_num_threads(int(cores))
torch.manual_seed(int(seed))
iters = int(iters)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
told, done = sys.stdout, 0


def timed(work):
    start, busy = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return [time.perf_counter() - start, time.process_time() - busy]


def load():
    global events, model, optimizer
    events = EventData(data, 0.0, float(end), int(height), int(width), False, 1, device)
    model = EvINRModel(3, 512, H=events.H, W=events.W, recon_colors=False).to(device)
    optimizer = torch.optim.AdamW(params=model.net.parameters(), lr=3e-4)


def steps(count):
    global done
    for _ in range(count):
        optimizer.zero_grad()
        loss = model.get_losses(model(events.timestamps), events.event_frames)
        loss.backward()
        optimizer.step()
        done += 1
        if done == iters // 2:
            events.stack_event_frames(100)


timed(load)
first = timed(lambda: events.stack_event_frames(50))
about = {"torch": torch.__version__, "device": name, "threads": torch.get_num_threads()}
print(json.dumps([about, first]), file=told, flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    if "steps" in ask:
        print(json.dumps(timed(lambda: steps(ask["steps"]))), file=told, flush=True)
    else:
        times = torch.tensor(ask["times"], dtype=torch.float32, device=device)[:, None]
        with torch.no_grad():
            np.save(ask["out"], model(times)[..., 0].cpu().numpy())
        print("null", file=told, flush=True)
"""
"""Says what it is and how long the first event frames took; then takes steps, and tells wall and CPU seconds, or writes the
log intensity at times in [-1, 1]."""

STEPS = 1000
"""Of its defaults."""


@dataclass(frozen=True)
class Original:
    """The original at work on one recording."""

    about: dict[str, Any]
    """Version of PyTorch, device, threads."""
    stacking: float
    """Seconds for the first event frames."""
    process: "subprocess.Popen[str]"
    events: Events
    scratch: Path

    def steps(self, count: int) -> float:
        """Take so many steps; the seconds they took, with the second event frames where they come."""
        return self._ask({"steps": count})[0]

    def log_intensity(self, times: Float64[np.ndarray, " k"]) -> Float[np.ndarray, "k h w"]:
        """Its answer at `times` in seconds of the recording."""
        start, end = float(self.events.t[0]), float(self.events.t[-1])
        out = self.scratch / "original_pictures.npy"
        self._ask({"times": ((times - start) / (end - start) * 2 - 1).tolist(), "out": str(out)})
        return np.load(out)

    def _ask(self, what: dict[str, Any]) -> Any:
        assert self.process.stdin and self.process.stdout
        print(json.dumps(what), file=self.process.stdin, flush=True)
        return answer(self.process.stdout)


@contextmanager
def at_work(
    checkout: Path, python: Path, events: Events, iterations: int, seed: int, scratch: Path
) -> Iterator[Original]:
    """The original on all of a recording as one span, with `iterations` steps ahead of it, of which none are taken yet."""
    path = scratch / "original_events.npy"
    np.save(path, events.to_array())
    size = [str(events.t[-1] - events.t[0]), str(events.height), str(events.width)]
    size += [str(iterations), str(seed), str(cores())]
    # -B: nothing is written into the checkout.
    command = [str(python), "-B", "-c", DRIVER, str(checkout), str(path), *size]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            about, (stacking, _) = answer(process.stdout)
            yield Original(about, stacking, process, events, scratch)
        finally:
            process.terminate()
            path.unlink()
