"""Voxel grids equal EVREAL's, windows are cut as EVREAL cuts them, and padding comes off as it went on."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.padding import crop, pad, padding
from baselines.voxel_grid import normalised, voxel_grid
from baselines.windows import between_frames, of_count, of_seconds

KINDS = (np.float32, np.float64)


def events(count: int, seed: int = 0, height: int = 6, width: int = 7):
    """Columns, rows, rising times from 0 and polarities."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.random(count))
    return rng.integers(0, width, count), rng.integers(0, height, count), t - t[:1], rng.choice([-1, 1], count)


@pytest.mark.parametrize("bins", [1, 2, 5, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_each_event_is_shared_by_the_two_bins_nearest_in_time(bins: int, kind: type):
    x, y, t, p = events(200)
    expected = np.zeros((6, 7, bins))
    place = t / t[-1] * (bins - 1)
    for bin in range(bins):
        np.add.at(expected[..., bin], (y, x), p * np.maximum(0, 1 - abs(place - bin)))
    grid = voxel_grid(x, y, t.astype(kind), p, bins, 6, 7)
    assert grid.dtype == kind
    np.testing.assert_allclose(grid, expected, atol=1e-5 if kind == np.float32 else 1e-12)


def test_no_events_give_zeros_and_one_event_the_first_bin():
    x, y, t, p = events(1)
    nothing = voxel_grid(x[:0], y[:0], t[:0], p[:0], 5, 6, 7)
    assert nothing.shape == (6, 7, 5) and not nothing.any()
    grid = voxel_grid(x, y, t, p, 5, 6, 7)
    assert grid[y[0], x[0], 0] == p[0] and np.count_nonzero(grid) == 1


def test_events_of_one_time_are_spread_evenly():
    grid = voxel_grid(np.arange(5), np.zeros(5, int), np.zeros(5), np.ones(5, int), 5, 6, 7)
    np.testing.assert_allclose(grid[0, :5], np.eye(5))


@pytest.mark.parametrize("kind", KINDS)
def test_non_zero_cells_are_brought_to_mean_0_and_deviation_1(kind: type):
    with jax.enable_x64(kind == np.float64):
        x, y, t, p = events(60)
        grid = voxel_grid(x, y, t, p, 5, 6, 7).astype(kind)
        after = np.asarray(normalised(jnp.asarray(grid)))
        assert after.dtype == kind and not after[grid == 0].any()
        np.testing.assert_allclose([after[grid != 0].mean(), after[grid != 0].std()], [0, 1], atol=1e-5)
        zeros = jnp.zeros((3, 4, 5), kind)
        assert not np.asarray(normalised(zeros)).any()
        assert not np.asarray(normalised(zeros.at[1, 2, 3].set(2))).any()  # one number has no deviation


def test_grids_are_those_of_evreal_to_the_bit(shared: Path):
    about = json.loads((shared / "parity/fixtures/voxel_grids.json").read_text())["reference_f32_vs_f64"]
    with np.load(shared / "parity/fixtures/voxel_grids.npz") as numbers:
        x, y, p = (numbers[f"in/{name}"] for name in "xyp")
        for bins in (5, 8):
            name = f"out/evreal_voxel_{bins}bins"
            for kind in KINDS:
                grid = voxel_grid(x, y, numbers["in/t_float32"].astype(kind), p, bins, 48, 64).transpose(2, 0, 1)
                # In float32 the distance from the float64 run is that of EVREAL's own float32 run, to the last digit.
                expected = about[name]["max_abs"] if kind == np.float32 else 0.0
                assert np.abs(grid - numbers[name]).max() == expected
        with jax.enable_x64(True):
            grid = voxel_grid(x, y, numbers["in/t_float32"].astype(np.float64), p, 5, 48, 64)
            after = np.asarray(normalised(jnp.asarray(grid))).transpose(2, 0, 1)
        np.testing.assert_allclose(after, numbers["out/evreal_voxel_5bins_normalised"], atol=1e-12)
        same = voxel_grid(x[:40], y[:40], np.zeros(40), p[:40], 5, 48, 64).transpose(2, 0, 1)
        np.testing.assert_allclose(same, numbers["out/evreal_voxel_5bins_same_time_first40"], atol=1e-12)


T = np.array([0.0, 0.1, 0.2, 0.2, 0.3, 0.5, 0.9])


def test_windows_between_frames_are_evreals():
    windows = between_frames(T, np.array([-1.0, 0.1, 0.2, 0.25, 0.4, 2.0]))
    assert windows.end.tolist() == [0, 1, 3, 3, 4, 6]  # the last event at or before each frame
    assert windows.first.tolist() == [0, 0, 1, 3, 3, 4]  # the first window is empty
    assert windows.times.tolist() == [-1.0, 0.1, 0.2, 0.25, 0.4, 2.0]


def test_windows_of_as_many_events():
    windows = of_count(T, 3)
    assert windows.first.tolist() == [0, 3] and windows.end.tolist() == [3, 6]
    assert windows.times.tolist() == [0.2, 0.5]
    assert of_count(T, 8).times.size == of_count(T, 10**30).times.size == 0
    one = of_count(T, 1)  # the two events of one time are one window
    assert one.times.tolist() == [0.0, 0.1, 0.2, 0.3, 0.5, 0.9] and one.first.tolist() == [0, 1, 2, 4, 5, 6]


def test_windows_of_as_many_seconds():
    windows = of_seconds(T + 7, 0.2)
    np.testing.assert_allclose(windows.times, 7 + np.array([0.2, 0.4, 0.6, 0.8]))
    assert windows.first.tolist() == [0, 2, 5, 6] and windows.end.tolist() == [2, 5, 6, 6]
    assert of_seconds(T, 1.0).times.size == of_seconds(T[:1], 0.1).times.size == 0


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 2, 8, 16]))
def test_padding_goes_on_and_comes_off(height: int, width: int, multiple: int):
    by = padding(height, width, multiple)
    assert (height + by.top + by.bottom) % multiple == (width + by.left + by.right) % multiple == 0
    assert by.top + by.bottom < multiple and 0 <= by.top - by.bottom <= 1 and 0 <= by.left - by.right <= 1
    grid = np.ones((height, width, 2))
    padded = pad(jnp.asarray(grid), by)
    assert padded.sum() == grid.sum()
    assert crop(padded, by).shape == grid.shape and np.asarray(crop(padded, by)).all()


def test_padding_is_evreals(shared: Path):
    for row in json.loads((shared / "parity/fixtures/evreal_pre_post.json").read_text())["crop_table"]:
        by = padding(row["height"], row["width"], 2 ** row["num_encoders"])
        assert [by.left, by.right, by.top, by.bottom] == row["pad_left_right_top_bottom"]
        assert [by.left, by.top] == [row["ix0"], row["iy0"]]
