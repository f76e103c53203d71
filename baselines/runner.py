"""A network over the windows of a recording: events to grids, grids to pictures, the state carried from each to the next."""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Float64

from baselines.checkpoints import Model
from baselines.method import Method, Network, State, Variables
from baselines.padding import Padding, crop, pad, padding
from baselines.voxel_grid import normalised
from baselines.windows import Windows
from evinr.events import Events

CHUNK = 8
"""Windows of a compiled call, if there are as many: enough that its start costs nothing, few enough that their grids fit
anywhere."""


def pictures(model: Model, events: Events, windows: Windows) -> Iterator[Float32[np.ndarray, "k h w *c"]]:
    """What the network makes of each window that has a picture (`pictured`), some windows at a time: neither clipped nor
    finished (`Method.finish`)."""
    by = padding(events.height, events.width, model.method.multiple)
    state, normal = zeros(model.network, events.height, events.width, by), model.method.normalised
    early = 2 * model.method.delay
    represent = partial(model.method.represent, model.network, model.variables)
    for count, grids in grids_of(events, windows, model.network.bins, represent):
        state, made = run(model.variables, state, grids, network=model.network, normal=normal, by=by)
        yield np.asarray(made)[early:count]
        early = max(early - count, 0)


def pictured(method: Method, windows: Windows) -> Float64[np.ndarray, " m"]:
    """The times of the pictures: of all windows but those that have none for the network's delay."""
    return windows.times[method.delay : len(windows.times) - method.delay]


def grids_of(
    events: Events, windows: Windows, bins: int, represent: Callable[[Events], Float[np.ndarray, "h w {bins}"]]
) -> Iterator[tuple[int, Float32[np.ndarray, "n h w {bins}"]]]:
    """What the network is given of `CHUNK` windows at a time, or all; zeros at the end to make them as many, and how many are
    not those."""
    size = min(CHUNK, len(windows.times))
    for start in range(0, len(windows.times), size):
        grids = np.zeros((size, events.height, events.width, bins), np.float32)
        count = min(size, len(windows.times) - start)
        for place in range(count):
            grids[place] = represent(events.part(windows.first[start + place], windows.end[start + place]))
        yield count, grids


def zeros(network: Network, height: int, width: int, by: Padding) -> State:
    """The network's state before the first window, of the padded size."""
    return network.initial(height + by.top + by.bottom, width + by.left + by.right, jnp.dtype(jnp.float32))


@partial(jax.jit, static_argnames=("network", "normal", "by"))
def run(
    variables: Variables, state: State, grids: Float[Array, "n h w b"], *, network: Network, normal: bool, by: Padding
) -> tuple[State, Float[Array, "n h w *c"]]:
    """The state after the last window, and the picture of each."""

    def step(state: State, grid: Float[Array, "h w b"]) -> tuple[State, Float[Array, "h w *c"]]:
        return one(network, variables, by, state, normalised(grid) if normal else grid)

    return jax.lax.scan(step, state, grids)


def one(
    network: Network, variables: Variables, by: Padding, state: State, grid: Float[Array, "h w b"]
) -> tuple[State, Float[Array, "h w *c"]]:
    """The state after a window, and its picture, with zeros around while the network sees it."""
    state, picture = network.apply(variables, pad(grid, by), state)
    return state, crop(picture, by)
