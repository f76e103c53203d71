"""One blurred picture and the events of its exposure to a sharp picture, with EFNet as its authors run it on each data set."""

from typing import Literal, NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, UInt8

from baselines.checkpoints import Model
from baselines.cumulative import cumulative_of, mask, scaled, voxel_grid_of
from baselines.efnet import COLOURS, EFNet
from baselines.padding import Padding
from baselines.runner import run
from baselines.voxel_grid import normalised
from evinr.events import Events


class Recipe(NamedTuple):
    """What weights were trained to be given."""

    name: str
    representation: Literal["scer", "voxel"]
    """Of the events: SCER, divided by its number furthest from 0, or a voxel grid, its non-zero cells brought to mean 0 and
    deviation 1."""
    masked: bool
    """Whether the network is given the mask of events."""
    bgr: bool
    """Whether the picture's colours are given blue first."""


GOPRO = Recipe("gopro", "scer", masked=True, bgr=True)
"""GoPro and REBlur: their files hold pictures as OpenCV reads them, and the network sees them so.

To GoPro's SCER files the authors' make_voxels_esim.py adds noise and hot pixels before mask and scaling, unless told not to;
here nothing is added.
"""
HIGHREV = Recipe("highrev", "voxel", masked=False, bgr=False)
"""HighREV (npz_image_dataset.py), the data of the NTIRE 2025 challenge."""
RECIPES = {recipe.name: recipe for recipe in (GOPRO, HIGHREV)}


def deblurred(
    model: Model, image: UInt8[np.ndarray, "h w 3"], window: Events, recipe: Recipe
) -> UInt8[np.ndarray, "h w 3"]:
    """The sharp picture (RGB) of a blurred one (RGB) and the events of its exposure.

    The picture is of all the sensor's columns, and of its rows or the upper ones of them. Where rows or columns are no
    multiple of 4 its edge is repeated below and to the right, with no events there, and cut off again. The authors' code takes
    no such sizes, and leaves the last rows of REBlur away (262 to 260, and to 256 when it tests): whoever compares with its
    numbers gives pictures cut so.
    """
    network = cast(EFNet, model.network).clone(masked=recipe.masked)
    given = seen(image, window, recipe, network.bins - COLOURS - 1)
    height, width = image.shape[:2]
    below, right = (0, -height % model.method.multiple), (0, -width % model.method.multiple)
    padded = np.concatenate(
        [
            np.pad(given[..., :COLOURS], (below, right, (0, 0)), mode="edge"),
            np.pad(given[..., COLOURS:], (below, right, (0, 0))),
        ],
        -1,
    )
    _, made = run(model.variables, (), jnp.asarray(padded[None]), network=network, normal=False, by=Padding(0, 0, 0, 0))
    sharp = np.asarray(made)[0, :height, :width]
    levels = np.round(np.clip(sharp, 0, 1) * 255).astype(np.uint8)
    return levels[..., ::-1].copy() if recipe.bgr else levels


def seen(
    image: UInt8[np.ndarray, "h w 3"], window: Events, recipe: Recipe, channels: int
) -> Float32[np.ndarray, "h w {channels}+4"]:
    """What the network is given: colours in [0, 1], the events in so many channels, and their mask.

    Events below the picture count for when the window begins and ends, as in make_voxels_real.py, and for nothing else.
    """
    colours = image[..., ::-1] if recipe.bgr else image
    if recipe.representation == "scer":
        raw = cumulative_of(window, channels)[: len(image)]
        events = scaled(raw)
    else:
        raw = voxel_grid_of(window, channels)[: len(image)]
        events = np.asarray(normalised(jnp.asarray(raw)))
    return np.concatenate([colours.astype(np.float32) / 255, events, mask(raw)], -1)
