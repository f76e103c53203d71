"""Parameters and optimiser state to and from a folder. The only importer of Orbax (2 s, hence not before it is needed).

A run folder holds `config.json` (what the numbers mean) and the numbers: `windows/` (see `heads`), or, where one network
has the whole span, `checkpoint/`, which is replaced as a whole. There `orbax` is Orbax's, and `manifest.json` has the step
and the size of every file, so that a checkpoint that was cut short is known as such before anything reads it.
"""

import errno
import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from evinr import heads
from evinr.config import FitConfig
from evinr.events import InputError
from evinr.files import write_json
from evinr.fitting import FitState, Snapshot
from evinr.losses import Terms
from evinr.reconstruction import Reconstruction, Span, joined


def meaning(reconstruction: Reconstruction) -> dict[str, Any]:
    """The part of `config.json` that says what the parameters are."""
    return {
        "config": asdict(reconstruction.config),
        "height": reconstruction.height,
        "width": reconstruction.width,
        "span": list(reconstruction.span),
    }


def save_reconstruction(folder: Path, reconstruction: Reconstruction) -> None:
    """Write a reconstruction to a new folder; values of windows are rounded to float16.

    Raises:
        InputError: the folder exists; a value is beyond float16.
        OSError: it cannot be written.
    """
    if folder.exists():
        raise InputError(f"{folder}: exists already; choose another folder or remove it")
    folder.mkdir(parents=True)
    try:
        write_json(folder / "config.json", meaning(reconstruction))
        if len(reconstruction.heads):
            _copy_windows(folder / heads.FOLDER, reconstruction)
        else:
            _write(folder, {"params": reconstruction.params}, 0, 1.0)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _copy_windows(folder: Path, reconstruction: Reconstruction) -> None:
    windows = reconstruction.heads
    for number in range(len(windows)):
        heads.save(folder, number, [windows[number]], reconstruction.config.overlap)


def load(folder: Path | str) -> Reconstruction:
    """Read what `Reconstruction.save` or `evinr fit` wrote; of a fit that goes on or was stopped, the windows that are there.

    Raises:
        InputError: no such folder, no run in it, or a checkpoint or windows that are cut short.
    """
    folder = Path(folder)
    about = read_meaning(folder)
    if (folder / heads.FOLDER).is_dir():
        return joined(heads.Stored(folder / heads.FOLDER), about["config"], about["height"], about["width"])
    tree, _ = _read(folder, ["params"])
    return Reconstruction(tree["params"], about["config"], about["height"], about["width"], about["span"])


def save_state(folder: Path, snapshot: Snapshot) -> None:
    """Replace the checkpoint of a run folder by one from which the fit can go on."""
    state = jax.tree.map(np.asarray, snapshot.state)
    adam = {"count": state.adam.count, "mu": state.adam.mu, "nu": state.adam.nu}
    _write(folder, {"params": state.params, "adam": adam}, snapshot.step, snapshot.progress)


def load_state(folder: Path) -> Snapshot:
    """The snapshot that `save_state` wrote, without terms.

    Raises:
        InputError: as `load`; or there is no optimiser state to go on from.
    """
    tree, manifest = _read(folder, ["params", "adam"])
    state = FitState(tree["params"], optax.ScaleByAdamState(**tree["adam"]))
    nothing = Terms(*[jax.numpy.zeros(0)] * len(Terms._fields))
    return Snapshot(state, manifest["step"], manifest["progress"], nothing)


def exists(folder: Path) -> bool:
    """Whether a run folder has a checkpoint, be it one that was about to be replaced."""
    return any((folder / name).exists() for name in ("checkpoint", "checkpoint.old"))


def tidy(folder: Path) -> None:
    """Take away what a process that was killed while it replaced the checkpoint left beside it."""
    shutil.rmtree(folder / "checkpoint.new", ignore_errors=True)
    if (folder / "checkpoint").exists():
        shutil.rmtree(folder / "checkpoint.old", ignore_errors=True)


def read_meaning(folder: Path) -> dict[str, Any]:
    """`config.json` of a run folder, with its records as records.

    Raises:
        InputError: it is missing or not one of ours.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of a run, as `evinr fit` printed it")
    try:
        about = json.loads((folder / "config.json").read_text())
        if "method" in about:  # baselines' runs, see evinr/cli/baseline_run.py
            raise InputError(f"{folder}: is a run of {about['method']}, which has no other pictures than its frames/")
        config = FitConfig(**{"windows": "whole"} | about["config"])  # runs of before there were windows do not say
        return about | {"config": config, "span": Span(*about["span"])}
    except FileNotFoundError:
        raise InputError(f"{folder}: not a run folder, it has no config.json; give one that `evinr fit` made") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / 'config.json'}: cannot be understood ({error}); it is damaged or of another version: fit again"
        ) from None


def _write(folder: Path, trees: dict[str, Any], step: int, progress: float) -> None:
    from orbax.checkpoint import v1 as ocp

    new, current, old = folder / "checkpoint.new", folder / "checkpoint", folder / "checkpoint.old"
    shutil.rmtree(new, ignore_errors=True)
    # Orbax's threads tell of a full disk in tracebacks, so it is looked for first; 4 MB are for what it adds.
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(trees)) + 4_000_000
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, f"No space left for a checkpoint of {needed / 1e6:.0f} MB", str(current))
    new.mkdir()
    try:
        with _quiet():
            ocp.save_checkpointables(str((new / "orbax").absolute()), trees)
    except Exception as error:  # tensorstore's errors have no common base
        raise OSError(f"{current}: cannot be written ({_first_line(error)})") from None
    write_json(new / "manifest.json", {"step": step, "progress": progress, "files": _sizes(new / "orbax")})
    shutil.rmtree(old, ignore_errors=True)
    if current.exists():
        current.rename(old)
    new.rename(current)
    shutil.rmtree(old, ignore_errors=True)


def _read(folder: Path, names: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    current = folder / "checkpoint"
    if not current.exists() and (folder / "checkpoint.old").exists():  # died between the two renames
        current = folder / "checkpoint.old"
    try:
        manifest = json.loads((current / "manifest.json").read_text())
        expected = manifest["files"]
    except (OSError, ValueError, KeyError):
        raise InputError(
            f"{current}: missing or cut short, it has no whole manifest.json; fit again with --overwrite"
        ) from None
    found = _sizes(current / "orbax")
    for name, size in expected.items():
        if found.get(name) != size:
            what = f"{name} has {found.get(name, 0)} of {size} bytes"
            raise InputError(f"{current}: cut short or changed, {what}; copy it again, or fit again with --overwrite")
    if missing := [name for name in names if not any(file.startswith(name) for file in expected)]:
        raise InputError(f"{current}: holds no {missing[0]} to go on from; fit again with --overwrite")
    from orbax.checkpoint import v1 as ocp

    try:
        with _quiet():
            tree = ocp.load_checkpointables(str((current / "orbax").absolute()), dict.fromkeys(names))
    except Exception as error:  # tensorstore's errors have no common base
        raise InputError(f"{current}: damaged ({_first_line(error)}); fit again with --overwrite") from None
    return tree, manifest


def _sizes(folder: Path) -> dict[str, int]:
    return {str(file.relative_to(folder)): file.stat().st_size for file in sorted(folder.rglob("*")) if file.is_file()}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class _quiet:
    """Orbax logs what it also raises; here only the latter is wanted."""

    def __enter__(self) -> None:
        self.before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.disable(self.before)
