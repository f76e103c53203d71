"""Laws of the colour filter, each against a loop over pixels."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evinr import bayer
from evinr.config import Bayer

ORDERS = get_args(Bayer)


def colour_at(order: Bayer, row: int, column: int) -> str:
    """The filter's colour, read as a person reads `rggb`: the upper row, then the lower one."""
    return order[2 * (row % 2) + column % 2]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@given(
    hnp.arrays(
        np.int16,
        st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)).map(lambda s: (s[0], 2 * s[1], 2 * s[2])),
    )
)
def test_phases_and_mosaic_are_inverse(whole: np.ndarray):
    planes = bayer.phases(whole)
    np.testing.assert_array_equal(bayer.mosaic(planes), whole)
    np.testing.assert_array_equal(bayer.phases(bayer.mosaic(planes)), planes)
    np.testing.assert_array_equal(bayer.phases(whole[0]), planes[0])


def test_phases_are_the_sites_of_the_filter_in_reading_order():
    whole = random(6, 10)
    planes = bayer.phases(whole)
    for row in range(6):
        for column in range(10):
            assert planes[2 * (row % 2) + column % 2, row // 2, column // 2] == whole[row, column]


@pytest.mark.parametrize("order", ORDERS)
def test_rgb_planes_are_the_means_of_each_colour_in_a_cell(order: Bayer):
    whole = random(2, 6, 10)
    planes = bayer.rgb_planes(whole, order)
    assert planes.shape == (2, 3, 6, 10) and planes.dtype == whole.dtype
    for image, row, column in np.ndindex(whole.shape):
        cell = [(row // 2 * 2 + i, column // 2 * 2 + j) for i in (0, 1) for j in (0, 1)]
        for plane, colour in enumerate("rgb"):
            values = [whole[image, r, c] for r, c in cell if colour_at(order, r, c) == colour]
            np.testing.assert_allclose(planes[image, plane, row, column], np.mean(values), rtol=1e-6)


@pytest.mark.parametrize("size", [(6, 8), (5, 8), (6, 7), (5, 7), (2, 2), (3, 2)])
@pytest.mark.parametrize("order", ORDERS)
def test_demosaic_is_the_mean_of_the_nearest_of_each_colour(order: Bayer, size: tuple[int, int]):
    whole = random(2, *size)
    colours = bayer.demosaic(whole, order)
    assert colours.shape == (2, *size, 3) and colours.dtype == whole.dtype
    height, width = size
    for row, column in np.ndindex(size):
        around = [(r, c) for r in range(row - 1, row + 2) for c in range(column - 1, column + 2)]
        around = [(r, c) for r, c in around if 0 <= r < height and 0 <= c < width]
        for channel, colour in enumerate("rgb"):
            same = [(r, c) for r, c in around if colour_at(order, r, c) == colour]
            distance = {site: abs(site[0] - row) + abs(site[1] - column) for site in same}
            nearest = [site for site in same if distance[site] == min(distance.values())]
            expected = np.mean([whole[:, r, c] for r, c in nearest], axis=0)
            np.testing.assert_allclose(colours[:, row, column, channel], expected, rtol=1e-5, atol=1e-6)
            if nearest == [(row, column)]:  # measured, hence kept to the last bit
                np.testing.assert_array_equal(colours[:, row, column, channel], whole[:, row, column])


@given(
    st.sampled_from(ORDERS),
    st.tuples(st.integers(2, 7), st.integers(2, 7)),
    hnp.arrays(np.float32, 3, elements=st.floats(-100, 100, width=32)),
)
def test_demosaic_reproduces_one_colour_to_the_last_bit(order: Bayer, size: tuple[int, int], rgb: np.ndarray):
    whole = np.array([[[rgb["rgb".index(colour_at(order, r, c))] for c in range(size[1])] for r in range(size[0])]])
    # One bit, because three greens meet at a border, and a third of the sum of three is not always one of them.
    np.testing.assert_array_max_ulp(bayer.demosaic(whole, order), np.broadcast_to(rgb, (1, *size, 3)).copy(), maxulp=1)
