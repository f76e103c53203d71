"""A network over the windows of a recording: events to grids, grids to pictures, the state carried from each to the next."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from baselines.method import Method, Network, State, Variables
from baselines.padding import Padding, crop, pad, padding
from baselines.voxel_grid import normalised, voxel_grid
from baselines.windows import Windows
from evinr.events import Events

CHUNK = 8
"""Windows of a compiled call: enough that its start costs nothing, few enough that their grids fit anywhere."""


def pictures(
    method: Method, network: Network, variables: Variables, events: Events, windows: Windows
) -> Iterator[Float32[np.ndarray, "k h w"]]:
    """What the network makes of each window, some windows at a time: neither clipped nor finished (`Method.finish`)."""
    by = padding(events.height, events.width, method.multiple)
    state = network.initial(
        events.height + by.top + by.bottom, events.width + by.left + by.right, jnp.dtype(jnp.float32)
    )
    for start in range(0, len(windows.times), CHUNK):
        some = range(start, min(start + CHUNK, len(windows.times)))
        grids = np.zeros((CHUNK, events.height, events.width, network.bins), np.float32)
        for place, window in enumerate(some):
            grids[place] = grid_of(events, windows, window, network.bins)
        state, made = run(variables, state, grids, network=network, normal=method.normalised, by=by)
        yield np.asarray(made)[: len(some)]


def grid_of(events: Events, windows: Windows, window: int, bins: int) -> Float32[np.ndarray, "h w b"]:
    """The voxel grid of one window, its times counted from its first event."""
    part = slice(windows.first[window], windows.end[window])
    t = events.t[part]
    since = (t - t[:1]).astype(np.float32)
    return voxel_grid(events.x[part], events.y[part], since, events.p[part], bins, events.height, events.width)


@partial(jax.jit, static_argnames=("network", "normal", "by"))
def run(
    variables: Variables, state: State, grids: Float[Array, "n h w b"], *, network: Network, normal: bool, by: Padding
) -> tuple[State, Float[Array, "n h w"]]:
    """The state after the last window, and the picture of each."""

    def step(state: State, grid: Float[Array, "h w b"]) -> tuple[State, Float[Array, "h w"]]:
        state, picture = network.apply(variables, pad(normalised(grid) if normal else grid, by), state)
        return state, crop(picture, by)

    return jax.lax.scan(step, state, grids)
