"""What EFNet is given of events equals what its authors' code makes of them (golden/make_efnet.py)."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from golden.make_efnet import COUNTS, HEIGHT, WIDTH, representations
from hypothesis import given
from hypothesis import strategies as st

from baselines.cumulative import cumulative, cumulative_of, mask, scaled, voxel_grid, voxel_grid_of
from baselines.voxel_grid import normalised
from evinr.events import Events

with np.load(Path(__file__).parent / "golden/parity/representations.npz") as stored:
    GOLDEN = dict(stored)
HIGH, WIDE = GOLDEN["mask"].shape
Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
WHOLE = (GOLDEN["x"], GOLDEN["y"], GOLDEN["t_absolute"], GOLDEN["p"])


def few(place: int) -> Columns:
    x, y, t, p = (GOLDEN[f"few/{place}/{name}"] for name in "xytp")
    return x, y, t, p


def first(plane: np.ndarray) -> np.ndarray:
    """Channels first, as the originals have them."""
    return plane.transpose(2, 0, 1)


def window(t: np.ndarray, seed: int = 0) -> Events:
    """Events at random places of 6 x 8 pixels."""
    rng, n = np.random.default_rng(seed), len(t)
    x, y = rng.integers(0, 8, n).astype(np.uint16), rng.integers(0, 6, n).astype(np.uint16)
    return Events(np.asarray(t, np.float64), x, y, rng.choice([-1, 1], n).astype(np.int8), 6, 8)


@pytest.mark.parametrize("channels", [6, 7])
def test_cumulative_is_the_original_s(channels: int):
    ours = first(cumulative(*WHOLE, channels, HIGH, WIDE))
    assert np.array_equal(ours, GOLDEN[f"scer{channels}"])
    assert np.abs(ours).max() > 1


@pytest.mark.parametrize("channels", [6, 7])
@pytest.mark.parametrize("place", range(len(COUNTS)))
def test_cumulative_of_few_events_and_of_equal_times_is_the_original_s(place: int, channels: int):
    ours = cumulative(*few(place), channels, HEIGHT, WIDTH)
    assert np.array_equal(ours, GOLDEN[f"few/{place}/scer{channels}"])


def test_voxel_grid_is_the_original_s():
    x, y, _, p = WHOLE
    # The fixture's was made of times in double precision.
    ours = first(voxel_grid(x, y, GOLDEN["t"].astype(np.float64), p, 6, HIGH, WIDE))
    assert np.array_equal(ours, GOLDEN["voxel"].astype(np.float32))


@pytest.mark.parametrize("place", [place for place, count in enumerate(COUNTS) if count])
def test_voxel_grid_of_few_events_and_of_equal_times_is_the_original_s(place: int):
    assert np.array_equal(voxel_grid(*few(place), 6, HEIGHT, WIDTH), GOLDEN[f"few/{place}/voxel"])


def test_scaling_and_mask_are_the_original_s():
    sums = cumulative(*WHOLE, 6, HIGH, WIDE)
    assert np.array_equal(first(scaled(sums)), GOLDEN["scaled"])
    assert np.array_equal(first(mask(sums))[0] * 255, GOLDEN["mask"])


def test_normalisation_is_the_one_that_evreal_has():
    """It is EFNet's `voxel_norm`, but for one number alone, which that divides by 0."""
    grid = GOLDEN["voxel"].astype(np.float32).transpose(1, 2, 0)
    np.testing.assert_allclose(normalised(jnp.asarray(grid)), GOLDEN["normalised"].transpose(1, 2, 0), atol=2e-6)
    alone = np.zeros((4, 4, 6), np.float32)
    alone[1, 2, 3] = 1
    assert not np.asarray(normalised(jnp.asarray(alone))).any()


def test_channels_by_hand():
    """Seven events of one pixel, a second apart: steps of a second, the middle is the fourth event, and sums end before the
    event at their end, so that the last is in none."""
    t, p = np.arange(7, dtype=np.float32), np.array([1, 1, -1, 1, 1, 1, -1], np.int8)
    x = np.zeros(7, np.uint16)
    assert cumulative(x, x, t, p, 6, 1, 1).ravel().tolist() == [-1, 0, 1, 1, 2, 3]
    assert cumulative(x, x, t, p, 7, 1, 1).ravel().tolist() == [-1, 0, 1, 0, 1, 2, 3]


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(0, 9))
def test_events_turned_about_turn_the_grids(ticks: list[int], seed: int):
    """Other signs of events, other signs of the grids; later windows of the same events, the same grids."""
    events = window(np.sort(ticks) / 1024, seed)
    for made in (cumulative_of, voxel_grid_of):
        grid = made(events, 6)
        assert grid.dtype == np.float32 and grid.shape == (6, 8, 6)
        assert np.array_equal(made(events._replace(p=-events.p), 6), -grid)
        assert np.array_equal(made(events._replace(t=events.t + 1_000_000), 6), grid)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=60))
def test_voxel_grid_shares_each_event_out_whole(ticks: list[int]):
    events = window(np.sort(ticks) / 1024)
    assert voxel_grid_of(events, 6).sum() == pytest.approx(events.p.sum(), abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 8)), max_size=40))
def test_mask_fills_small_gaps_alone(places: list[tuple[int, int]]):
    """Closing by a square: a pixel is seen if and only if every 3 x 3 square around it, as far as it lies within the
    picture, touches one that is."""
    grid = np.zeros((12, 9, 2), np.float32)
    for place in places:
        grid[(*place, place[0] % 2)] = -0.5
    seen = (grid != 0).any(-1)
    near = np.array([[seen[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].any() for c in range(9)] for r in range(12)])
    expected = [[near[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].all() for c in range(9)] for r in range(12)]
    assert np.array_equal(mask(grid)[..., 0], expected)


@pytest.mark.parametrize("made", [cumulative_of, voxel_grid_of])
def test_no_events_give_zeros(made):
    grid = made(window(np.zeros(0)), 6)
    assert grid.shape == (6, 8, 6) and not grid.any()
    assert not scaled(grid).any() and not mask(grid).any() and not np.asarray(normalised(jnp.asarray(grid))).any()


def test_golden_numbers_are_those_of_the_fixture(shared: Path):
    whole = representations(shared / "parity/fixtures")
    assert all(np.array_equal(whole[key], GOLDEN[key]) for key in whole)
    assert {key for key in GOLDEN if not key.startswith("few/")} == whole.keys()
