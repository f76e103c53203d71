"""Colour from a mosaic sensor (Scheerlinck et al., "CED: Color Event Camera Dataset", CVPRW 2019): a network sees
each of the four half-resolution planes, and the whole mosaic as if it were gray; the planes give the colour, the whole
gives the lightness. As EVREAL's ColorNet, which merges as rpg_e2vid does; rpg_e2vid itself pads by reflection, and sharpens
each picture (an unsharp mask of 0.3) before it merges.
"""

from collections.abc import Iterator
from functools import partial

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from baselines.checkpoints import Model
from baselines.method import Network, State, Variables
from baselines.padding import Padding, padding
from baselines.runner import grids_of, one, zeros
from baselines.voxel_grid import normalised
from baselines.windows import Windows
from evinr.config import Bayer
from evinr.events import Events

PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of each plane in a cell of the mosaic."""


def colour_pictures(
    model: Model, events: Events, windows: Windows, order: Bayer
) -> Iterator[UInt8[np.ndarray, "k h w 3"]]:
    """RGB pictures, some windows at a time. The sides of the sensor must be even."""
    height, width, multiple = events.height, events.width, model.method.multiple
    whole, half = padding(height, width, multiple), padding(height // 2, width // 2, multiple)
    lightness = zeros(model.network, height, width, whole)
    plane = zeros(model.network, height // 2, width // 2, half)
    state = lightness, jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), plane)
    represent = partial(model.method.represent, model.network, model.variables)
    for count, grids in grids_of(events, windows, model.network.bins, represent):
        state, (gray, planes) = _run(
            model.variables, state, grids, network=model.network, normal=model.method.normalised, whole=whole, half=half
        )
        gray, planes = _bytes(np.asarray(gray)), _bytes(np.asarray(planes))
        yield np.stack([merged(gray[place], planes[place], order) for place in range(count)])


def merged(
    lightness: UInt8[np.ndarray, "h w"], planes: UInt8[np.ndarray, "4 h/2 w/2"], order: Bayer
) -> UInt8[np.ndarray, "h w 3"]:
    """One RGB picture: planes enlarged to where they lie in the mosaic, the two green ones averaged, and the lightness (L of
    CIE Lab) of the result replaced (rpg_e2vid, utils/inference_utils.py, merge_channels_into_color_image)."""
    large = [_placed(cv2.resize(plane, None, fx=2, fy=2), *place) for plane, place in zip(planes, PLACES, strict=True)]
    green = cv2.addWeighted(large[order.index("g")], 0.5, large[order.rindex("g")], 0.5, 0.0)
    rgb = np.dstack([large[order.index("r")], green, large[order.index("b")]])
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    lab[..., 0] = lightness
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _placed(image: UInt8[np.ndarray, "h w"], down: int, right: int) -> UInt8[np.ndarray, "h w"]:
    """The image moved by a pixel, what comes in repeated."""
    height, width = image.shape
    return np.pad(image, ((down, 0), (right, 0)), mode="edge")[:height, :width]


def _bytes(pictures: Float[np.ndarray, "*n h w"]) -> UInt8[np.ndarray, "*n h w"]:
    return np.clip(pictures * 255, 0, 255).astype(np.uint8)


@partial(jax.jit, static_argnames=("network", "normal", "whole", "half"))
def _run(
    variables: Variables,
    states: tuple[State, State],
    grids: Float[Array, "n h w b"],
    *,
    network: Network,
    normal: bool,
    whole: Padding,
    half: Padding,
) -> tuple[tuple[State, State], tuple[Float[Array, "n h w"], Float[Array, "n 4 h/2 w/2"]]]:
    def step(states: tuple[State, State], grid: Float[Array, "h w b"]):
        grid = normalised(grid) if normal else grid
        planes = jnp.stack([grid[row::2, column::2] for row, column in PLACES])
        first, gray = one(network, variables, whole, states[0], grid)
        second, pictures = jax.vmap(partial(one, network, variables, half))(states[1], planes)
        return (first, second), (gray, pictures)

    return jax.lax.scan(step, states, grids)
