"""From a checkpoint's entries to the variables of a network, by one rule, with nothing missing and nothing left over.

The rule: a parameter's path, joined by dots, is the entry's name, but for the last part, which linen calls otherwise;
and PyTorch has output channels first where linen has them last.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Float

from baselines.method import Network, Variables

LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
"""PyTorch's names for linen's."""


def entries(network: Network) -> dict[str, tuple[int, ...]]:
    """The entries of a checkpoint that this network needs, by name, with their shapes in PyTorch's layout."""
    return {_name(path): _torch_shape(leaf.shape) for path, leaf in _flat(network).items()}


def variables(network: Network, arrays: Mapping[str, Float[np.ndarray, "..."]]) -> Variables:
    """The network's variables from all its entries, which `entries` names; their type is kept."""
    return unflatten_dict({path: _to_linen(arrays[_name(path)]) for path in _flat(network)})


def to_entries(variables: Variables) -> dict[str, Float[np.ndarray, "..."]]:
    """Variables as the entries of a checkpoint: the inverse of `variables`."""
    return {_name(path): _to_torch(np.asarray(leaf)) for path, leaf in flatten_dict(variables).items()}


@lru_cache(maxsize=16)  # a second for a large network, asked for more than once when weights are read
def _flat(network: Network) -> dict[tuple[str, ...], Any]:
    """Shapes of the variables by path; 32 pixels a side are enough for any network here."""
    grid = jax.ShapeDtypeStruct((32, 32, network.bins), jnp.float32)  # no memory, whatever sizes a file states
    state = jax.eval_shape(lambda: network.initial(32, 32, jnp.dtype(jnp.float32)))
    return cast(dict[tuple[str, ...], Any], flatten_dict(jax.eval_shape(network.init, jax.random.key(0), grid, state)))


def _name(path: tuple[str, ...]) -> str:
    return ".".join((*path[1:-1], LEAVES.get(path[-1], path[-1])))


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return {2: shape[::-1], 4: (*shape[:1:-1], *shape[:2])}.get(len(shape), shape)


def _to_linen(array: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """(out, in, rows, columns) to (rows, columns, in, out), which takes a transposed convolution's (in, out, ..) to linen's
    (rows, columns, out, in), too; (out, in) to (in, out)."""
    axes = {2: (1, 0), 4: (2, 3, 1, 0)}.get(array.ndim)
    return array if axes is None else np.ascontiguousarray(array.transpose(axes))


def _to_torch(array: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    axes = {2: (1, 0), 4: (3, 2, 0, 1)}.get(array.ndim)
    return array if axes is None else np.ascontiguousarray(array.transpose(axes))
