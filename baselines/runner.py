"""A network over the windows of a recording: events to grids, grids to pictures, the state carried from each to the next."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from baselines.checkpoints import Model
from baselines.method import Network, State, Variables
from baselines.padding import Padding, crop, pad, padding
from baselines.voxel_grid import normalised, voxel_grid
from baselines.windows import Windows
from evinr.events import Events

CHUNK = 8
"""Windows of a compiled call: enough that its start costs nothing, few enough that their grids fit anywhere."""


def pictures(model: Model, events: Events, windows: Windows) -> Iterator[Float32[np.ndarray, "k h w"]]:
    """What the network makes of each window, some windows at a time: neither clipped nor finished (`Method.finish`)."""
    by = padding(events.height, events.width, model.method.multiple)
    state, normal = zeros(model.network, events.height, events.width, by), model.method.normalised
    for count, grids in grids_of(events, windows, model.network.bins):
        state, made = run(model.variables, state, grids, network=model.network, normal=normal, by=by)
        yield np.asarray(made)[:count]


def grids_of(
    events: Events, windows: Windows, bins: int
) -> Iterator[tuple[int, Float32[np.ndarray, "{CHUNK} h w {bins}"]]]:
    """Voxel grids of `CHUNK` windows at a time, empty ones at the end to make them as many, and how many are not those."""
    for start in range(0, len(windows.times), CHUNK):
        grids = np.zeros((CHUNK, events.height, events.width, bins), np.float32)
        count = min(CHUNK, len(windows.times) - start)
        for place in range(count):
            part = slice(windows.first[start + place], windows.end[start + place])
            since = (events.t[part] - events.t[part][:1]).astype(np.float32)
            where = events.x[part], events.y[part]
            grids[place] = voxel_grid(*where, since, events.p[part], bins, events.height, events.width)
        yield count, grids


def zeros(network: Network, height: int, width: int, by: Padding) -> State:
    """The network's state before the first window, of the padded size."""
    return network.initial(height + by.top + by.bottom, width + by.left + by.right, jnp.dtype(jnp.float32))


@partial(jax.jit, static_argnames=("network", "normal", "by"))
def run(
    variables: Variables, state: State, grids: Float[Array, "n h w b"], *, network: Network, normal: bool, by: Padding
) -> tuple[State, Float[Array, "n h w"]]:
    """The state after the last window, and the picture of each."""

    def step(state: State, grid: Float[Array, "h w b"]) -> tuple[State, Float[Array, "h w"]]:
        return one(network, variables, by, state, normalised(grid) if normal else grid)

    return jax.lax.scan(step, state, grids)


def one(
    network: Network, variables: Variables, by: Padding, state: State, grid: Float[Array, "h w b"]
) -> tuple[State, Float[Array, "h w"]]:
    """The state after a window, and its picture, with zeros around while the network sees it."""
    state, picture = network.apply(variables, pad(grid, by), state)
    return state, crop(picture, by)
