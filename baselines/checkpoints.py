"""Published checkpoints, to networks with their weights. What the files hold is never run (evinr/weights)."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from baselines.method import Method, Network, Plain, Shapes, Variables
from baselines.methods import DEBLURRING, every
from baselines.unet import UNetRecurrent, computed
from baselines.weights import entries, variables
from evinr.events import InputError
from evinr.weights import safetensors_file, torch_file
from evinr.weights.architectures import Architecture, Matched, listed, matched
from evinr.weights.torch_file import Checkpoint

SETTINGS = (
    "config._config.arch.args.unet_kwargs.",
    "config._config.arch.args.eitr_kwargs.",
    "config._config.arch.args.",
    "config.model.",
    "model.",
)
"""Where checkpoints keep the options of their network: ConfigParser's of event_cnn_minimal and its kin, FireNet's, E2VID's."""
HOLDS = ("state_dict.", "params.")
"""Where they keep the network: most, and BasicSR (EFNet)."""
COUNTER = "num_batches_tracked"
"""End of the names of entries that no network reads: batches that a normalisation has seen."""
READ = ("final_activation",)
"""The options that shapes do not tell."""
MOST_ENTRIES = 1000
"""Of a network; ET-Net has 254. Each takes time before it can be compared."""
MOST_NUMBERS = 500_000_000
"""ET-Net has 22 million."""
LARGEST_KERNEL = 32
"""Pixels a side; the largest here has 5."""


class Model(NamedTuple):
    """A method with its weights."""

    method: Method
    network: Network
    variables: Variables
    sha256: str
    """Of the file of weights."""
    numbers: str
    """The sha256 of the weights themselves, whether the file was converted or not."""
    notes: tuple[str, ...]
    """What was assumed of it."""


class Found(NamedTuple):
    """What network a checkpoint holds, complete."""

    network: Network
    options: Mapping[str, Plain]
    matched: Matched


def load(name: str, path: Path | str) -> Model:
    """The method of that name with the weights of that file: a published checkpoint, or a .safetensors made of one.

    Raises InputError where there is no such file, or it is damaged, or of another network, or has not all entries.
    """
    method, path = every()[name], Path(path)
    if path.suffix == ".safetensors":
        stored = safetensors_file.read(path)
        checkpoint = Checkpoint(
            stored.entries, {f"model.{key}": v for key, v in stored.options.items()}, (), stored.sha256
        )
    else:
        checkpoint = torch_file.read(path)
    network, _, complete = find(path, checkpoint, method)
    notes = [*complete.notes]
    if complete.unused:
        notes.append(f"{path}: {listed(complete.unused)} not used, as {method.title}'s own code does not use them")
    if checkpoint.stubs:
        notes.append(f"{path}: its pickle names {', '.join(checkpoint.stubs)}; nothing of that was looked up or run")
    numbers = hashlib.sha256()
    for entry in sorted(complete.entries):
        numbers.update(entry.encode() + complete.entries[entry].tobytes())
    parameters = sum(v.size for entry, v in complete.entries.items() if not entry.endswith(("_mean", "_var")))
    if parameters != method.parameters:
        notes.append(f"{path}: has {parameters:,} parameters, the published {method.title} {method.parameters:,}")
    return Model(
        method, network, variables(network, complete.entries), checkpoint.sha256, numbers.hexdigest(), tuple(notes)
    )


def find(path: Path, checkpoint: Checkpoint, method: Method | None = None) -> Found:
    """The network of a checkpoint, that of `method` if it is given. Raises InputError as `load` does."""
    arrays = next(filter(None, (_below(checkpoint, start) for start in HOLDS)), checkpoint.arrays)
    arrays = {name: array for name, array in arrays.items() if not name.endswith(COUNTER)}
    shapes, options = {name: array.shape for name, array in arrays.items()}, _options(checkpoint.values)
    fitting = {other.name: found for other in every().values() if (found := _fitting(other, shapes, options))}
    name = method.name if method else next(iter(fitting), None)
    if name not in fitting:
        if fitting and method:
            held, commands = every()[next(iter(fitting))].title, DEBLURRING.keys() & fitting.keys()
            other = "`evinr deblur`" if commands else " or ".join(fitting)
            raise InputError(
                f"{path}: holds {held}, not {method.title}; run {other}, or give the file of {method.title}"
            )
        wanted = method.title if method else "any network known here"
        raise InputError(
            f"{path}: no weights of {wanted}, but {listed(sorted(arrays)) or 'no tensors at all'}; give the published file"
        )
    network = fitting[name]
    known = computed(network) if isinstance(network, UNetRecurrent) else {}
    for entry, values in known.items():
        if entry in arrays and not (
            arrays[entry].shape == values.shape and np.allclose(arrays[entry], values, atol=1e-6)
        ):
            raise InputError(f"{path}: {entry} is not what {name} computes; it is of another version of the network")
    only = {path: checkpoint._replace(arrays={entry: array for entry, array in arrays.items() if entry not in known})}
    complete = matched(
        name if method else " or ".join(fitting),
        Architecture(entries(network), every()[name].unused, {}),
        only,
    )
    return Found(network, options, complete)


def _below(checkpoint: Checkpoint, start: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(start): array for name, array in checkpoint.arrays.items() if name.startswith(start)}


def _fitting(method: Method, shapes: Shapes, options: Mapping[str, Plain]) -> Network | None:
    """The method's network, if it can be made of these sizes, which may be a stranger's."""
    kernels = [side for shape in shapes.values() if len(shape) == 4 for side in shape[2:]]
    numbers = sum(map(math.prod, shapes.values()))  # of an expanded tensor more than the file has
    if len(shapes) > MOST_ENTRIES or max(kernels, default=0) > LARGEST_KERNEL or numbers > MOST_NUMBERS:
        return None
    try:
        network = method.network(shapes, options)
        if network is not None:
            entries(network)
        return network
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _options(values: Mapping[str, Plain]) -> dict[str, Plain]:
    """The options of its network that a checkpoint states."""
    for start in SETTINGS:
        found = {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}
        if found:
            return {name: value for name, value in found.items() if name in READ and isinstance(value, str)}
    return {}
