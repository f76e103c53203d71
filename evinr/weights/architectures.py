"""Which network a checkpoint holds, and whether all of it is there: entries are matched by name, and nothing is left over."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Float32, Shaped

from evinr.events import InputError
from evinr.metrics import lpips
from evinr.weights.torch_file import Checkpoint
from evinr.weights.torch_tensors import shown


class Architecture(NamedTuple):
    """The published files of one network."""

    shapes: Mapping[str, tuple[int, ...]]
    """Every entry the network needs."""
    unused: tuple[str, ...]
    """Beginnings of the names of entries that its files have and that it does without."""
    published: Mapping[str, str]
    """What its files are called, by the beginning of their sha256."""


class Matched(NamedTuple):
    """The weights of a network, complete."""

    architecture: str
    entries: Mapping[str, Float32[np.ndarray, "..."]]
    unused: tuple[str, ...]
    """Entries that were left out."""
    notes: tuple[str, ...]
    """What was assumed."""


ARCHITECTURES = {
    "lpips-alex": Architecture(
        lpips.shapes("alex"),
        ("classifier.",),
        {"7be5be79": "torchvision's alexnet-owt-7be5be79.pth", "df73285e": "weights/v0.1/alex.pth of lpips 0.1.4"},
    ),
    "lpips-vgg": Architecture(
        lpips.shapes("vgg"),
        ("classifier.",),
        {"397923af": "torchvision's vgg16-397923af.pth", "a78928a0": "weights/v0.1/vgg.pth of lpips 0.1.4"},
    ),
}


def matched(name: str, architecture: Architecture, sources: Mapping[Path, Checkpoint]) -> Matched:
    """The weights in these checkpoints, which together must have what the architecture needs and nothing else.

    Raises InputError that names what is missing, left over, of another shape, or no finite number.
    """
    shapes, leave, published = architecture
    entries, unused, notes = dict[str, np.ndarray](), list[str](), list[str]()
    for path, checkpoint in sources.items():
        over = [entry for entry in checkpoint.arrays if entry not in shapes]
        if strange := [entry for entry in over if not entry.startswith(leave)]:
            raise InputError(
                f"{path}: {listed(strange)} left over, {name} has no such entries; give the published file"
            )
        needed = [entry for entry in checkpoint.arrays if entry in shapes]
        if twice := [entry for entry in needed if entry in entries]:
            raise InputError(f"{path}: {listed(twice)} is in both files; give each file once")
        entries |= {entry: _checked(path, entry, checkpoint.arrays[entry], shapes[entry]) for entry in needed}
        unused += over
        kinds = {str(checkpoint.arrays[entry].dtype) for entry in needed} - {"float32"}
        if kinds:
            notes.append(f"{path}: {' and '.join(sorted(kinds))} was made float32")
        if published:
            known = [f"is {title}" for start, title in published.items() if checkpoint.sha256.startswith(start)]
            notes.append(f"{path}: {known[0] if known else f'is not {_either(published.values())}'}, by its sha256")
    if missing := [entry for entry in shapes if entry not in entries]:
        hint = (
            "give its heads by --heads" if all(entry.startswith("lin") for entry in missing) else "give the whole file"
        )
        raise InputError(f"{' and '.join(map(str, sources))}: without {listed(missing)}, which {name} needs; {hint}")
    return Matched(name, entries, tuple(unused), tuple(notes))


def listed(names: Sequence[str]) -> str:
    """The first of these names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(shown, names[:_SHOWN])) + more


def nearest(sources: Mapping[Path, Checkpoint]) -> str | None:
    """The one of `ARCHITECTURES` that shares most of its entries with these, if any shares one."""
    found = {entry for checkpoint in sources.values() for entry in checkpoint.arrays}
    shared = {name: len(found & what.shapes.keys()) / len(what.shapes) for name, what in ARCHITECTURES.items()}
    name = max(shared, key=lambda name: shared[name])
    return name if shared[name] else None


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)


def _checked(
    path: Path, entry: str, values: Shaped[np.ndarray, "..."], shape: tuple[int, ...]
) -> Float32[np.ndarray, "..."]:
    if values.shape != shape:
        raise InputError(f"{path}: {entry} is {values.shape}, not {shape}; it is of another network")
    if values.dtype not in _FLOATING:
        raise InputError(f"{path}: {entry} holds {values.dtype}, no floating numbers; give the published file")
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise InputError(f"{path}: {entry} holds numbers that are not finite; the file is damaged: fetch it again")
    return numbers


_SHOWN = 5
_FLOATING = (np.float32, np.float16, ml_dtypes.bfloat16, np.float64)
