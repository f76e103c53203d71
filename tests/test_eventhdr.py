"""EventHDR gives the numbers of its authors' PyTorch code, with one new window of events at a time instead of three.

`golden/make_eventhdr.py` says where the numbers come from.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.make_eventhdr import network
from golden.parity_rule import rule
from published import publish

from baselines.checkpoints import Model, load
from baselines.eventhdr import EVENTHDR, EventHDR, represent
from baselines.method import Variables
from baselines.methods import DEBLURRING, METHODS
from baselines.padding import Padding, crop, pad, padding
from baselines.runner import pictured, pictures, run
from baselines.voxel_grid import positive_negative, voxel_grid
from baselines.weights import entries, to_entries, variables
from baselines.windows import Windows
from evinr.events import Events

EXACT = 1e-9
"""In double precision."""
ROUNDING = 20
"""Times the error of the authors' code in single precision."""
STORED = 2.0**-23
"""Of itself, of a state, which is stored in single precision."""
EVERY = 3
NONE = Padding(0, 0, 0, 0)
SMALL = EventHDR(bins=4, channels=6, groups=2, extract=1, reconstruct=2)
APPLY = jax.jit(SMALL.apply)

Named = dict[str, np.ndarray]


class Parity:
    """The golden file, our network for its entries, and our answers."""

    def __init__(self) -> None:
        with np.load(Path(__file__).parent / "golden/parity/eventhdr.npz") as arrays:
            self.golden = dict(arrays)
        self.entries = {name: tuple(shape) for name, shape in json.loads(str(self.golden["entries"]))}
        made = EVENTHDR.network(self.entries, {})
        assert isinstance(made, EventHDR)
        self.network = made
        self.weights = {name: rule(name, shape, float(self.golden["g"])) for name, shape in self.entries.items()}
        self.variables = variables(made, self.weights)

    def answer(self, weights: Variables, dtype: type) -> tuple[np.ndarray, Named]:
        """Pictures, and the memory after the last of them, from all five windows, one at a time."""
        with jax.enable_x64(dtype is np.float64):
            grids = jnp.asarray(self.golden["in/voxel_frames"].transpose(0, 2, 3, 1), dtype)
            weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), weights)
            state = self.network.initial(grids.shape[1], grids.shape[2], jnp.dtype(dtype))
            state, made = run(weights, state, grids, network=self.network, normal=False, by=NONE)
            assert made.dtype == state.before[0].full.dtype == state.cell.cell.dtype == dtype
            return np.asarray(made)[2:], {"h": np.asarray(state.cell.hidden), "c": np.asarray(state.cell.cell)}

    @cached_property
    def double(self) -> tuple[np.ndarray, Named]:
        return self.answer(self.variables, np.float64)

    def state_errors(self, states: Named, golden: Named, every: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Names, differences and sizes of stored states, which are of the first channels."""
        for name, ours in states.items():
            stored = golden[f"state/{name}"]
            ours = ours.transpose(2, 0, 1)[: stored.shape[1], ::every, ::every]
            assert ours.shape == stored.shape[1:]
            yield name, np.abs(ours - stored[0]), np.abs(stored[0])


@pytest.fixture(scope="module")
def parity() -> Parity:
    return Parity()


def test_entries_and_weights_are_those_of_the_original(parity: Parity):
    assert entries(parity.network) == parity.entries
    count = sum(leaf.size for leaf in jax.tree.leaves(parity.variables))
    assert count == EVENTHDR.parameters == parity.golden["parameters"]
    joined = b"".join(np.ascontiguousarray(at, "<f4").tobytes() for at in parity.weights.values())
    assert hashlib.sha256(joined).hexdigest() == str(parity.golden["weights_sha256"])
    back = to_entries(parity.variables)
    assert all(np.array_equal(back[name], parity.weights[name]) for name in parity.weights)
    options = json.loads(str(parity.golden["constructor"]))["kwargs"]
    assert parity.network == EventHDR(
        *(options[name] for name in ("num_in_ch", "num_feat", "deformable_groups")),
        *(options[name] for name in ("num_extract_block", "num_reconstruct_block")),
    )


def test_in_double_precision_pictures_and_states_are_the_originals(parity: Parity):
    made, states = parity.double
    assert np.abs(made - parity.golden["out/image"][:, 0, 0]).max() < EXACT
    for name, error, size in parity.state_errors(states, parity.golden, EVERY):
        assert (error < EXACT + STORED * size).all(), name


def test_in_single_precision_errors_are_those_of_rounding(parity: Parity):
    made, states = parity.answer(parity.variables, np.float32)
    assert np.abs(made - parity.golden["out/image"][:, 0, 0]).max() < ROUNDING * float(parity.golden["f32_error"])
    for name, error, _ in parity.state_errors(states, parity.golden, EVERY):
        assert error.max() < ROUNDING * float(parity.golden[f"f32_error/state/{name}"]), name


def test_two_weights_that_change_places_are_seen(parity: Parity):
    leaves, tree = jax.tree.flatten(parity.variables)
    large = [place for place, leaf in enumerate(leaves) if leaf.size > 1]
    for place in large[:: -(-len(large) // 6)]:
        leaf = leaves[place].copy()
        highest, lowest = leaf.argmax(), leaf.argmin()
        leaf.flat[[highest, lowest]] = leaf.flat[[lowest, highest]]
        made, _ = parity.answer(jax.tree.unflatten(tree, [*leaves[:place], leaf, *leaves[place + 1 :]]), np.float64)
        assert np.abs(made - parity.golden["out/image"][:, 0, 0]).max() > 100 * EXACT, place


def test_states_and_golden_file_are_those_of_the_whole_fixture(parity: Parity, shared: Path):
    folder = shared / "parity/fixtures"
    trimmed = network(folder)
    assert trimmed.keys() == parity.golden.keys()
    assert all(np.array_equal(trimmed[key], parity.golden[key]) for key in trimmed)
    with np.load(folder / "eventhdr.npz") as whole:
        for name, error, size in parity.state_errors(parity.double[1], dict(whole), 1):
            assert (error < EXACT + STORED * size).all(), name


def test_the_network_is_found_by_its_own_method_alone(parity: Parity):
    methods = (METHODS | DEBLURRING).items()
    assert [name for name, method in methods if method.network(parity.entries, {})] == ["eventhdr"]
    five = {name: shape if "feat_fusion" not in name else (64, 5 * 64, 1, 1) for name, shape in parity.entries.items()}
    assert EVENTHDR.network(five, {}) is None  # it would see five windows


def test_a_published_checkpoint_is_read(tmp_path: Path):
    weights = random_weights()
    path = publish(tmp_path / "model.pth", {"epoch": 7, "state_dict": to_entries(weights)})
    model = load("eventhdr", path)
    assert model.network == SMALL
    assert all(map(np.array_equal, jax.tree.leaves(model.variables), jax.tree.leaves(weights)))


@cache
def random_weights() -> Variables:
    grid, state = jnp.zeros((16, 16, SMALL.bins)), SMALL.initial(16, 16, jnp.dtype(jnp.float32))
    shapes = jax.eval_shape(SMALL.init, jax.random.key(0), grid, state)
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.2, leaf.shape).astype(np.float32), shapes)


def recording(count: int, height: int, width: int) -> Events:
    rng = np.random.default_rng(0)
    x, y = rng.integers(width, size=count), rng.integers(height, size=count)
    p = rng.choice([-1, 1], count).astype(np.int8)
    return Events(
        np.sort(rng.uniform(50, 51, count)), x.astype(np.uint16), y.astype(np.uint16), p, height=height, width=width
    )


@pytest.mark.parametrize("count", [2, 3, 11])
def test_a_recording_gives_what_threes_of_windows_give(count: int):
    events = recording(900, 20, 26)
    cuts = np.linspace(0, events.count, count + 1).astype(int)
    windows = Windows(cuts[:-1], cuts[1:], np.linspace(50, 51, count))
    model = Model(EVENTHDR, SMALL, random_weights(), "", "", ())
    made = np.concatenate(list(pictures(model, events, windows)))
    assert len(made) == count - 2
    np.testing.assert_array_equal(pictured(EVENTHDR, windows), windows.times[1:-1])
    by = padding(20, 26, 16)
    parts = [slice(*ends) for ends in zip(cuts[:-1], cuts[1:], strict=True)]
    seen = [Events(*(column[part] for column in events[:4]), height=20, width=26) for part in parts]
    grids = [pad(jnp.asarray(represent(SMALL, model.variables, window)), by) for window in seen]
    start = SMALL.initial(32, 32, jnp.dtype(jnp.float32))
    cell = start.cell
    for place, picture in enumerate(made):
        state: Any = start._replace(cell=cell)  # features of all three windows anew
        first, middle, last = grids[place : place + 3]
        for grid in (first, middle):
            state, _ = APPLY(model.variables, grid, state)
            assert all(map(np.array_equal, state.cell, cell))  # the memory moves with the third alone
        state, whole = APPLY(model.variables, last, state)
        np.testing.assert_allclose(picture, crop(whole, by), rtol=0, atol=1e-5 * np.abs(made).max())
        assert not np.array_equal(state.cell.hidden, cell.hidden)
        cell = state.cell


def test_positive_and_negative_events_are_counted_as_the_original_counts_them(parity: Parity):
    t, x, y, p, counts = (parity.golden[f"grid/{name}"] for name in ("t", "x", "y", "p", "counts"))
    window = Events(t, x.astype(np.uint16), y.astype(np.uint16), p, height=48, width=64)
    ours = positive_negative(window, 5)
    assert ours.dtype == np.float32
    most = float(
        parity.golden["f32_error/grid"]
    )  # of the authors' code in single precision; the stored grid is of double
    assert np.abs(ours.transpose(2, 0, 1) - counts).max() <= most
    np.testing.assert_array_equal(represent(parity.network, parity.variables, window), ours)


def test_positive_less_negative_events_are_the_signed_grid():
    window = recording(300, 6, 7)
    grid, since = positive_negative(window, 4), (window.t - window.t[0]).astype(np.float32)
    signed = voxel_grid(window.x, window.y, since, window.p, 4, 6, 7)
    assert (grid >= 0).all() and grid.shape == (6, 7, 8)
    np.testing.assert_allclose(grid[..., :4] - grid[..., 4:], signed, atol=1e-5)
    positive = positive_negative(window._replace(p=np.ones_like(window.p)), 4)
    np.testing.assert_allclose(grid[..., :4] + grid[..., 4:], positive[..., :4], atol=1e-5)
    assert not positive[..., 4:].any()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_less_than_three_events_are_none(count: int):
    grid = positive_negative(recording(count, 6, 7), 5)
    assert grid.shape == (6, 7, 10) and grid.dtype == np.float32 and not grid.any()


def test_events_of_one_time_are_spread_evenly():
    x, p = np.arange(5, dtype=np.uint16), np.array([1, -1, 1, -1, -1], np.int8)
    window = Events(np.full(5, 3.0), x, np.zeros(5, np.uint16), p, height=6, width=7)
    grid = positive_negative(window, 5)
    np.testing.assert_allclose(grid[0, :5, :5], np.diag(p == 1))
    np.testing.assert_allclose(grid[0, :5, 5:], np.diag(p == -1))
