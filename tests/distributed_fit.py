"""What test_devices runs in processes of their own: `layouts OUT` or `windows OUT`, with eight virtual devices, or `host
COORDINATOR PROCESSES PROCESS START SILENCE OUT WAY`, one of the processes of a fit, where WAY says how it ends."""

import os
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from evinr import devices, hosts
from evinr.config import FitConfig
from evinr.devices import Layout
from evinr.events import Events, InputError
from evinr.joining import fitted
from evinr.windows import windows as windows_of

LAYOUTS = [
    (8, (16, 24), Layout(8, 1)),
    (1, (64, 48), Layout(1, 8)),
    (2, (64, 48), Layout(2, 4)),
    (1, (67, 51), Layout(1, 8)),
]
"""Windows, rows and columns, and devices over which they are laid; in the last one the devices do not divide the rows."""


class Problem(NamedTuple):
    """A batch of problems like those of a fit."""

    images: np.ndarray
    smooth: np.ndarray


def problem(windows: int, size: tuple[int, int]) -> Problem:
    """A random one, of four intervals."""
    rng = np.random.default_rng(0)
    return Problem(rng.poisson(1.0, (windows, 4, 1, *size)).astype(float), rng.uniform(0.5, 1, windows))


def solve(images: jax.Array, smooth: jax.Array) -> jax.Array:
    """Momentum steps on an objective like that of a fit, preconditioned by products along knots, rows and columns."""
    knots, _, rows, columns = np.add(images.shape, (1, 0, 0, 0))
    mixed = [jnp.asarray(np.exp(-0.1 * np.abs(np.subtract.outer(range(n), range(n))))) for n in (knots, rows, columns)]

    def objective(values: jax.Array) -> jax.Array:
        error = values[1:] - values[:-1] - images
        down, right = values[..., 1:, :] - values[..., :-1, :], values[..., 1:] - values[..., :-1]
        length = jnp.sqrt(jnp.square(down[..., :-1]) + jnp.square(right[..., :-1, :]) + 1e-3)
        return jnp.sqrt(1 + jnp.square(error)).sum() + smooth * length.sum() + jnp.var(values.mean((1, 2, 3)))

    def step(_: Any, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        values, speed = state
        gradient = jnp.einsum("jk,ab,cd,kpbd->jpac", *mixed, jax.grad(objective)(values))
        speed = 0.9 * speed + gradient
        return values - 1e-3 * speed, speed

    nothing = jnp.zeros((knots, *images.shape[1:]))
    return jax.lax.fori_loop(0, 20, step, (nothing, nothing))[0]


@partial(jax.jit, static_argnames="mesh")
def solved(given: Problem, mesh: Mesh) -> jax.Array:
    """All windows of a batch."""
    return jax.vmap(solve)(*devices.spread(given, mesh))


def layouts(out: Path) -> None:
    """Every layout's values, those of one device, and the working memory that a device needs."""
    found = {}
    for number, (windows, size, layout) in enumerate(LAYOUTS):
        for name, laid in (("one", Layout(1, 1)), ("all", layout)):
            mesh = devices.mesh(laid)
            placed = devices.place(problem(windows, size), mesh)
            program = solved.lower(placed, mesh).compile()
            memory = program.memory_analysis()
            assert memory is not None
            found |= {
                f"{name}_{number}": devices.gather(program(placed)),
                f"{name}_{number}_bytes": memory.temp_size_in_bytes,
            }
    np.savez(out, **found)


class Case(NamedTuple):
    """A fit of windows, and devices over which each batch or window is laid."""

    config: FitConfig
    size: tuple[int, int]
    layout: Layout


SHORT = FitConfig(intervals=8, overlap=3, iterations=12, warm_iterations=6, revisions=4)
DOUBLE = replace(SHORT, precision="float64")
CASES = {
    "windows": Case(SHORT, (12, 14), Layout(8, 1)),
    "windows and pixels": Case(replace(DOUBLE, batch=2), (19, 12), Layout(2, 4)),
    "sequential": Case(replace(DOUBLE, windows="sequential"), (16, 12), Layout(1, 8)),
}


def recording(size: tuple[int, int]) -> Events:
    """Random events, of some ten windows: in parallel a batch, part of one, and a window that slid back."""
    rng, count = np.random.default_rng(0), 1000
    y, x = (rng.integers(0, side, count).astype(np.uint16) for side in size)
    p = rng.choice([-1, 1], count).astype(np.int8)
    return Events(np.sort(rng.uniform(0, 1.1, count)), x, y, p, *size)


def windows_fitted(case: Case, mesh: Mesh | None) -> np.ndarray:
    """The values of all windows."""
    heads = {}
    cut = windows_of([recording(case.size)], case.config)
    # Sizes at which devices take parts of a window are too large for a test.
    for look in fitted(cut, case.config, mesh=mesh):
        heads |= {answer.window.number: answer.head.values for answer in look.answers}
    return np.stack([heads[number] for number in sorted(heads)])


def all_windows(out: Path) -> None:
    """Every case's values, and those of one device."""
    found = {}
    for name, case in CASES.items():
        devices.LARGE = 1 if case.layout.pixels > 1 else 900_000
        mesh = devices.mesh(case.layout)
        found |= {f"one {name}": windows_fitted(case, None), f"all {name}": windows_fitted(case, mesh)}
    np.savez(out, **found)


def host(coordinator: str, processes: int, process: int, start: int, silence: int, out: Path, way: str) -> None:
    """Solve, and write if that is this one's part; `die` at once then, or go on until another one does: `solve` or `sleep`."""
    with hosts.joined(coordinator, processes, process, start, silence):
        mesh = devices.mesh(devices.layout(4, 100, len(jax.devices()), jax.process_count()))
        values = devices.gather(solved(devices.place(problem(4, (16, 24)), mesh), mesh))
        if hosts.writes():
            np.save(out, values)
        if way == "die":
            os._exit(9)
        while way != "end":
            time.sleep(0.1)
            if way == "solve":
                devices.gather(solved(devices.place(problem(4, (16, 24)), mesh), mesh))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    try:
        match sys.argv[1:]:
            case ["layouts", out]:
                layouts(Path(out))
            case ["windows", out]:
                all_windows(Path(out))
            case ["host", coordinator, processes, process, start, silence, out, way]:
                host(coordinator, int(processes), int(process), int(start), int(silence), Path(out), way)
    except InputError as error:
        print(f"evinr: {error}", file=sys.stderr)
        sys.exit(1)
