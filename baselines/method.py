"""What a published method is, as data: a network, where it comes from, and what is done to events before and pictures after."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from evinr.weights.torch_tensors import Plain as Plain

State = Any
"""What a network carries from one window to the next: a tree of arrays."""
Variables = Any
"""Weights and running statistics of a network, as linen has them: collections `params` and `batch_stats`."""
Shapes = Mapping[str, tuple[int, ...]]
"""The entries of a checkpoint, by their names in PyTorch, in PyTorch's layout."""


@runtime_checkable
class Network(Protocol):
    """A recurrent network: a frozen record of its options (a linen module), hashable, hence static under `jax.jit`."""

    @property
    def bins(self) -> int:
        """Of the voxel grid."""
        ...

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> State:
        """The state before the first window of so many rows and columns."""
        ...

    def init(self, rngs: Any, grid: Float[Array, "h w bins"], state: State) -> Any:
        """Random weights (linen)."""
        ...

    def apply(self, variables: Variables, grid: Float[Array, "h w bins"], state: State) -> Any:
        """The new state and the picture (h, w), from the voxel grid of one window and the state before it (linen)."""
        ...


class Method(NamedTuple):
    """One published method."""

    name: str
    """As it is called on the command line."""
    title: str
    """As its authors call it."""
    paper: str
    weights: str
    """Where its authors publish them, and what the file is called."""
    licence: str
    """Of the weights, as far as their publishers say."""
    parameters: int
    """Trainable numbers of the published network."""
    network: Callable[[Shapes, Mapping[str, Plain]], Network | None]
    """The network that entries of these shapes belong to, with the options that the checkpoint states; None where they are
    of another network."""
    normalised: bool
    """Whether a voxel grid's non-zero cells are brought to mean 0 and deviation 1 first."""
    multiple: int
    """Rows and columns are padded with zeros to a multiple of this."""
    finish: Literal["none", "robust", "exprobust"]
    """What is done to a picture, EVREAL's `post_process_norm`: nothing, a stretch from its 1st to its 99th percentile, or
    the exponential and then that stretch."""
    smallest: int = 1
    """Rows and columns that it takes at least."""
    unused: tuple[str, ...] = ()
    """Beginnings of the names of entries that its published file has and that the network does without."""
