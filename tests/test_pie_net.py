"""PIE-Net gives the numbers of its authors' package: pictures and variances of three windows, and the states after.

`golden/make_pie_net.py` says where the numbers come from. The sides are odd, so that rows fill no pool and skips are larger
than what is put beside them.
"""

import json
import sys
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.parity_rule import rule

from baselines.installed import PIE_NET_FILES, pie_net_weights
from baselines.method import Method
from baselines.pie_layers import centred, max_pool, resize
from baselines.pie_net import PIE_NET, PIE_NET_LITE, UNREAD, PieNet, PieState
from baselines.weights import entries, variables
from evinr.weights import torch_file

EXACT = 1e-9
"""In double precision."""
ROUNDING = 20
"""Times the error of the package in single precision."""
EVERY = 3

Named = dict[str, np.ndarray]


class Answer(NamedTuple):
    """From the windows of a golden file."""

    pictures: np.ndarray
    variances: np.ndarray
    state: PieState

    def named(self) -> Named:
        """As the golden files have it: steps, batch and channels first."""
        cells = [(f"state/down{scale}", cell) for scale, cell in enumerate(self.state.cells)]
        hidden = {f"{name}_h": cell.hidden for name, cell in cells}
        cell = {f"{name}_c": cell.cell for name, cell in cells}
        states = {name: np.asarray(at).transpose(2, 0, 1)[None] for name, at in (hidden | cell).items()}
        return {"out/image": self.pictures[:, None, None], "out/var": self.variances[:, None, None], **states}


class Parity:
    """A golden file, our network for its entries, and our answers."""

    def __init__(self, method: Method):
        self.method = method
        with np.load(Path(__file__).parent / f"golden/parity/{method.name.replace('-', '_')}.npz") as arrays:
            self.golden = dict(arrays)
        self.entries = {name: tuple(shape) for name, shape in json.loads(str(self.golden["entries"]))}
        self.file_entries = {name: tuple(shape) for name, shape in json.loads(str(self.golden["file_entries"]))}
        network = method.network(self.file_entries, {})
        assert isinstance(network, PieNet)
        self.network = network

    @cached_property
    def weights(self) -> Named:
        """By the rule, but for the last bias."""
        ruled = {name: rule(name, shape, float(self.golden["g"])) for name, shape in self.entries.items()}
        return {**ruled, "model.outc.bias": self.golden["last_bias"]}

    def answer(self, weights: Named, dtype: type) -> Answer:
        """From weights and the stored windows, in this precision."""
        with jax.enable_x64(dtype is np.float64):
            tree = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), variables(self.network, weights))
            grids = jnp.asarray(self.golden["in/voxel"][:, 0].transpose(0, 2, 3, 1), dtype)
            state = self.network.initial(grids.shape[1], grids.shape[2], jnp.dtype(dtype))
            pictures, variances = list[np.ndarray](), list[np.ndarray]()
            for grid in grids:
                state, picture = forward(self.network, tree, grid, state)
                assert picture.dtype == state.variance.dtype == dtype
                pictures.append(np.asarray(picture))
                variances.append(np.asarray(state.variance))
            return Answer(np.stack(pictures), np.stack(variances), state)


@jax.jit(static_argnums=0)
def forward(network: PieNet, tree: dict, grid: jax.Array, state: PieState) -> tuple[PieState, jax.Array]:
    return network.apply(tree, grid, state)  # pyright: ignore[reportReturnType]


@pytest.fixture(scope="module", params=(PIE_NET, PIE_NET_LITE), ids=lambda method: method.name)
def parity(request: pytest.FixtureRequest) -> Parity:
    return Parity(request.param)


# The numbers of the package.


def test_the_network_has_the_entries_of_the_original(parity: Parity):
    assert entries(parity.network) == parity.entries
    assert sum(int(np.prod(shape)) for shape in parity.entries.values()) == parity.method.parameters
    left = {name: shape for name, shape in parity.file_entries.items() if not name.startswith(UNREAD)}
    assert (parity.entries == parity.file_entries) == (parity.method is PIE_NET_LITE)
    assert parity.entries == (left if parity.method is PIE_NET else parity.file_entries)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_pictures_variances_and_states_are_the_originals(parity: Parity, dtype: type):
    found, golden = parity.answer(parity.weights, dtype).named(), parity.golden
    assert found.keys() == {name for name in golden if name.startswith(("out/", "state/"))}
    assert 0.1 < np.mean((golden["out/image"] > 0) & (golden["out/image"] < 1))
    for name, ours in found.items():
        error = float(golden["f32_error" if name == "out/image" else f"f32_error/{name}"])
        ours = ours if name == "out/image" else ours[..., ::EVERY, ::EVERY]
        assert ours.shape == golden[name].shape
        assert np.abs(ours - golden[name]).max() < (EXACT if dtype is np.float64 else ROUNDING * error), name


def test_two_weights_that_change_places_are_seen(parity: Parity):
    large = [name for name, shape in parity.entries.items() if np.prod(shape) > 1]
    for name in large[::12]:
        swapped = parity.weights[name].copy()
        swapped.flat[[swapped.argmax(), swapped.argmin()]] = swapped.min(), swapped.max()
        pictures = parity.answer({**parity.weights, name: swapped}, np.float64).pictures
        assert np.abs(pictures - parity.golden["out/image"][:, 0, 0]).max() > 1e-6, name


def test_published_weights(parity: Parity):
    """Where the package is installed."""
    file = pie_net_weights(parity.method.name)
    if file is None:
        pytest.skip("the package event-pienet is not installed: pip install --no-deps event-pienet")
    weights = dict(torch_file.read(file).arrays)
    assert {name: value.shape for name, value in weights.items()} == parity.file_entries
    golden, error = parity.golden["real/out/image"][:, 0, 0], float(parity.golden["real/f32_error"])
    assert np.abs(parity.answer(weights, np.float64).pictures - golden).max() < EXACT
    assert np.abs(parity.answer(weights, np.float32).pictures - golden).max() < ROUNDING * error


# What the network is.


def test_each_method_takes_its_own_network_alone():
    full, lite = Parity(PIE_NET), Parity(PIE_NET_LITE)
    assert full.network == PieNet(5, (8, 16, 24, 32), (2, 2, 5), 0)
    assert lite.network == PieNet(5, (12, 16, 24), (2, 2), 1)
    assert PIE_NET.network(lite.entries, {}) is None and PIE_NET_LITE.network(full.entries, {}) is None
    assert PIE_NET.network({}, {}) is None and PIE_NET_LITE.network({"head.weight": (3,)}, {}) is None


def test_a_state_that_was_seen_gates_and_a_new_one_does_not(parity: Parity):
    tree = variables(parity.network, parity.weights)
    grid, state = jnp.ones((31, 45, 5)), parity.network.initial(31, 45, jnp.dtype(np.float32))
    assert not state.seen
    after, first = forward(parity.network, tree, grid, state)
    _, gated = forward(parity.network, tree, grid, state._replace(seen=after.seen))
    _, other = forward(parity.network, tree, grid, state._replace(variance=after.variance))
    assert after.seen and np.abs(gated - first).max() > 1e-3
    np.testing.assert_array_equal(other, first)


# Its layers.


@pytest.mark.parametrize("size", [(1, 1, 5, 3), (2, 3, 10, 6), (7, 5, 4, 2), (4, 4, 4, 9), (5, 2, 1, 1)])
def test_resizing_is_interpolation_between_corners(size: tuple[int, int, int, int]):
    """A plane stays that plane: each corner has its value, and all between is linear."""
    height, width, new_height, new_width = size
    rows, columns = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    new_rows, new_columns = np.meshgrid(np.linspace(0, 1, new_height), np.linspace(0, 1, new_width), indexing="ij")
    plane = jnp.asarray(2 * rows - 3 * columns, np.float32)[..., None]
    found = resize(plane, new_height, new_width)[..., 0]
    # Of one row or column there is nothing to be between.
    np.testing.assert_allclose(found, 2 * new_rows * (height > 1) - 3 * new_columns * (width > 1), atol=1e-5)


def test_pools_and_margins():
    x = jnp.arange(35.0).reshape(5, 7, 1)
    np.testing.assert_array_equal(max_pool(x, 2)[..., 0], [[8, 10, 12], [22, 24, 26]])
    around = centred(jnp.ones((2, 1, 1)), 5, 3)[..., 0]
    np.testing.assert_array_equal(around, [[0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]])


# Where its weights are.


@pytest.mark.parametrize("name", PIE_NET_FILES)
def test_installed_weights_are_found_and_nothing_is_imported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    package = tmp_path / "pie_net"
    (package / "pretrained").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert pie_net_weights(name) is None
    file = package / "pretrained" / PIE_NET_FILES[name]
    file.touch()
    assert pie_net_weights(name) == file
    assert "pie_net" not in sys.modules


@pytest.mark.parametrize("name", PIE_NET_FILES)
def test_no_weights_are_found_where_the_package_is_not_installed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert pie_net_weights(name) is None
