"""What a fit runs on: compiled programs kept between runs, and windows and their pixels laid over the devices.

A batch of windows is a tree of arrays whose first axis counts windows. Arrays of four axes and more are pictures: their
last two axes are rows and columns.
"""

import math
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

KEPT = 1_000_000_000
"""Bytes of compiled programs at most; those used longest ago go first."""

LARGE = 900_000
"""Pixels of a window from which on a device may take a part of it; those of fewer are exchanged too often for their work."""


class Layout(NamedTuple):
    """Over how many devices each axis goes."""

    windows: int
    pixels: int


def compilation_cache() -> None:
    """Keep compiled programs in $EVINR_CACHE, else $XDG_CACHE_HOME/evinr, else ~/.cache/evinr.

    Nothing is kept where EVINR_CACHE is empty or the folder cannot be written; what JAX was told elsewhere, as by
    JAX_COMPILATION_CACHE_DIR, stays. JAX's keys hold its version, the device and the features of the CPU. Its own limit of
    size (jax_compilation_cache_max_size) needs a package that is not its dependency.
    """
    folder = _cache_folder()
    if folder is None or jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # who can write there has his code run
        _trim(folder)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    # A full disk, or an entry that was cut short: the program is compiled, as without a cache.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _cache_folder() -> Path | None:
    if (told := os.environ.get("EVINR_CACHE")) is not None:
        return Path(told).absolute() if told else None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "evinr" if os.path.isabs(home) else None


def _trim(folder: Path) -> None:
    """Take away the compiled programs that were used longest ago, down to KEPT bytes; whatever else is there stays."""
    known = [(file, file.stat()) for file in folder.glob("*-cache") if file.is_file()]
    total = sum(about.st_size for _, about in known)
    for file, about in sorted(known, key=lambda entry: max(entry[1].st_atime, entry[1].st_mtime)):
        if total <= KEPT:
            return
        file.unlink(missing_ok=True)
        total -= about.st_size


def layout(windows: int, pixels: int, devices: int, hosts: int = 1) -> Layout:
    """Over how many devices to lay a batch of `windows` windows of `pixels` pixels each.

    Windows go first, as they need nothing of each other, and evenly. Left-over devices take parts of LARGE windows; of
    smaller ones too where there are several hosts, as each of these must have a part.
    """
    if pixels >= LARGE or hosts > 1:
        each = math.gcd(windows, devices)
        return Layout(each, devices // each)
    return Layout(max(count for count in range(1, devices + 1) if windows % count == 0), 1)


def mesh(layout: Layout) -> Mesh:
    """The devices of all hosts, in their order, as the axes `windows` and `pixels`."""
    return Mesh(np.array(jax.devices()[: layout.windows * layout.pixels]).reshape(layout), Layout._fields)


def place(batch: Any, mesh: Mesh) -> Any:
    """The batch, of numpy arrays, on the devices: every one gets its windows, and its rows of them where they divide evenly.

    Every host gives the same batch, whole.
    """

    def placed(array: np.ndarray) -> jax.Array:
        specification = _specification(array.ndim)
        if array.ndim > 3 and array.shape[-2] % mesh.shape["pixels"]:
            specification = PartitionSpec("windows")
        return jax.make_array_from_callback(array.shape, NamedSharding(mesh, specification), lambda part: array[part])

    return jax.tree.map(placed, batch)


def spread(batch: Any, mesh: Mesh) -> Any:
    """Inside jit: have the work on this batch done where its rows are, even where the devices do not divide their number.

    Say it of what a compiled function is given. XLA carries it on from there, and exchanges rows at the borders.
    """
    return jax.tree.map(
        lambda array: jax.lax.with_sharding_constraint(array, NamedSharding(mesh, _specification(array.ndim))), batch
    )


def gather(batch: Any) -> Any:
    """The batch as numpy arrays, whole on every host. All hosts must ask."""
    return multihost_utils.process_allgather(batch, tiled=True)


def _specification(axes: int) -> PartitionSpec:
    if axes > 3:
        return PartitionSpec("windows", *[None] * (axes - 3), "pixels", None)
    return PartitionSpec(*["windows"] * (axes > 0))
