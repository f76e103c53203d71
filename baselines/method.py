"""What a published method is, as data: a network, where it comes from, and what is done to events before and pictures after."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from baselines.voxel_grid import of_window
from evinr.events import Events
from evinr.weights.torch_tensors import Plain as Plain

State = Any
"""What a network carries from one window to the next: a tree of arrays."""
Variables = Any
"""Weights and running statistics of a network, as linen has them: collections `params` and `batch_stats`."""
Shapes = Mapping[str, tuple[int, ...]]
"""The entries of a checkpoint, by their names in PyTorch, in PyTorch's layout."""


def members(shapes: Shapes, prefix: str) -> int:
    """How many modules of a list have entries."""
    return len({name.removeprefix(f"{prefix}.").split(".")[0] for name in shapes if name.startswith(f"{prefix}.")})


@runtime_checkable
class Network(Protocol):
    """A recurrent network: a frozen record of its options (a linen module), hashable, hence static under `jax.jit`."""

    @property
    def bins(self) -> int:
        """Channels of what it is given: of the voxel grid, for most."""
        ...

    def initial(self, height: int, width: int, dtype: jnp.dtype) -> State:
        """The state before the first window of so many rows and columns."""
        ...

    def init(self, rngs: Any, grid: Float[Array, "h w bins"], state: State) -> Any:
        """Random weights (linen)."""
        ...

    def apply(self, variables: Variables, grid: Float[Array, "h w bins"], state: State) -> Any:
        """The new state and the picture (h, w) or (h, w, 3), from the grid of one window and the state before it (linen)."""
        ...


Represent = Callable[[Network, Variables, Events], Float[np.ndarray, "h w bins"]]
"""From the events of one window to what the network is given, float32; some learn how."""


def signed(network: Network, variables: Variables, window: Events) -> Float[np.ndarray, "h w bins"]:
    """EVREAL's voxel grid of polarities; its times are since the window's first event, in single precision."""
    return of_window(window, network.bins)


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
    finish: Literal["none", "robust", "exprobust", "light"]
    """What is done to a picture, EVREAL's `post_process_norm`: nothing, a stretch from its 1st to its 99th percentile, or
    the exponential and then that stretch. `light`: it is linear light of high range; all pictures together are stretched
    from their 1st to their 99th percentile, and nothing is cut off."""
    smallest: int = 1
    """Rows and columns that it takes at least."""
    represent: Represent = signed
    """What becomes of the events of a window."""
    delay: int = 0
    """The picture of a window comes so many windows later, as those are looked at, too; so many windows at each end of a
    recording have none."""
    windows: Literal["evreal", "stored"] = "evreal"
    """How recordings are cut between frames: as EVREAL does, the first window empty; or, `stored`, as the loaders of
    event_cnn_minimal and its kin do, by the numbers of events that the recording gives for its frames, and where it gives
    none, by times, the first window holding all events before the first frame."""
    unused: tuple[str, ...] = ()
    """Beginnings of the names of entries that its published file has and that the network does without."""
