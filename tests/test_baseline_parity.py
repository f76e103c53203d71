"""Every network gives the numbers of its authors' PyTorch code: pictures of three windows in a row, and the states after.

`golden/make_parity.py` says where the numbers come from. With weights by a rule and small voxel grids; FireNet and FireNet+
also with their published weights on a real recording, where contributors have these beside the checkout.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.make_parity import kept
from golden.parity_rule import rule

from baselines.e2vid import E2VID, E2VID_PLUS, SSL_E2VID
from baselines.et_net import ET_NET
from baselines.firenet import FIRENET, FIRENET_PLUS, FireState
from baselines.fourier_bessel import multiscale
from baselines.hypere2vid import HYPERE2VID
from baselines.layers import Cell
from baselines.method import Method, Network, Variables
from baselines.padding import Padding, padding
from baselines.runner import run
from baselines.spade_e2vid import SPADE_E2VID, SpadeState
from baselines.unet import UNetRecurrent, UNetState, computed
from baselines.voxel_grid import voxel_grid
from baselines.weights import entries, to_entries, variables

EXACT = 1e-9
"""In double precision."""
ROUNDING = 20
"""Times the error of the authors' code in single precision."""
STORED = 2.0**-23
"""Of itself, of a state, which is stored in single precision."""
SWAPS = 4
"""Entries of each network in which two weights change places."""

UNETS = {"e2vid", "e2vid+", "ssl-e2vid"}
"""One architecture."""

Named = dict[str, Any]


def cells(state: tuple[Cell, ...]) -> Named:
    named = [(f"enc{scale}", cell) for scale, cell in enumerate(state, 1)]
    return {f"{name}_h": cell.hidden for name, cell in named} | {f"{name}_c": cell.cell for name, cell in named}


def unet(state: UNetState) -> Named:
    return cells(state.encoders)


def hyper(state: UNetState) -> Named:
    return {**cells(state.encoders), "prev_recs": state.picture[..., None]}


def firenet(state: FireState) -> Named:
    return {"G1_h": state.first, "G2_h": state.second}


def legacy(state: FireState) -> Named:
    return {"head_h": state.first, "res0_h": state.second}


def spade(state: SpadeState) -> Named:
    named = list(zip(("rec0", "rec1", "rec2", "up2"), state.cells, strict=True))
    hidden, cell = {f"{name}_h": at.hidden for name, at in named}, {f"{name}_c": at.cell for name, at in named}
    return {**hidden, **cell, "prev_recs": state.picture}


class Case(NamedTuple):
    """A method, and what the fixture calls its states, channels last."""

    method: Method
    states: Callable[[Any], Named]


CASES = {
    "e2vid": Case(E2VID, unet),
    "e2vid_plus": Case(E2VID_PLUS, unet),
    "ssl_e2vid": Case(SSL_E2VID, unet),
    "firenet_legacy": Case(FIRENET, legacy),
    "firenet": Case(FIRENET_PLUS, firenet),
    "hypere2vid": Case(HYPERE2VID, hyper),
    "spade_e2vid": Case(SPADE_E2VID, spade),
    "etnet": Case(ET_NET, cells),
}


class Answer(NamedTuple):
    """Of a network, from the windows of a fixture."""

    pictures: np.ndarray
    states: Named


class Parity:
    """A golden file, our network for its entries, and our answers."""

    def __init__(self, name: str):
        self.name = name
        self.method, self.states = CASES[name]
        with np.load(Path(__file__).parent / f"golden/parity/{name}.npz") as arrays:
            self.golden = dict(arrays)
        self.entries = {name: tuple(shape) for name, shape in json.loads(str(self.golden["entries"]))}
        options = json.loads(str(self.golden["constructor"])).get("unet_kwargs", {})
        network = self.method.network(self.entries, options)
        assert network is not None
        self.network: Network = network

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """By the rule, but for what the network computes itself."""
        stored = {key.removeprefix("buffer/"): at for key, at in self.golden.items() if key.startswith("buffer/")}
        return {n: stored[n] if n in stored else rule(n, s, float(self.golden["g"])) for n, s in self.entries.items()}

    @cached_property
    def variables(self) -> Variables:
        """In single precision."""
        return variables(self.network, self.weights)

    def answer(self, weights: Variables, dtype: type) -> Answer:
        """From weights and the stored windows, in this precision."""
        with jax.enable_x64(dtype is np.float64):
            grids = jnp.asarray(self.golden["in/voxel"][:, 0].transpose(0, 2, 3, 1), dtype)
            weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), weights)
            state = self.network.initial(grids.shape[1], grids.shape[2], jnp.dtype(dtype))
            none = Padding(0, 0, 0, 0)
            state, pictures = run(weights, state, grids, network=self.network, normal=False, by=none)
            assert pictures.dtype == dtype
            return Answer(np.asarray(pictures), {name: np.asarray(at) for name, at in self.states(state).items()})

    @cached_property
    def double(self) -> Answer:
        return self.answer(self.variables, np.float64)

    @cached_property
    def single(self) -> Answer:
        return self.answer(self.variables, np.float32)

    def state_errors(self, answer: Answer, golden: Named, every: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Names, differences and sizes of stored states, which are of the first channels."""
        named = {key.removeprefix("state/"): at for key, at in golden.items() if key.startswith("state/")}
        assert named.keys() == answer.states.keys()
        for name, stored in named.items():
            ours = answer.states[name].transpose(2, 0, 1)[: stored.shape[1], ::every, ::every]
            assert ours.shape == stored.shape[1:]
            yield name, np.abs(ours - stored[0]), np.abs(stored[0])


@pytest.fixture(scope="module", params=CASES)
def parity(request: pytest.FixtureRequest) -> Parity:
    return Parity(request.param)


def test_the_network_has_the_entries_of_the_original(parity: Parity):
    ours = entries(parity.network)
    own = computed(parity.network) if isinstance(parity.network, UNetRecurrent) else {}
    assert {**ours, **{name: at.shape for name, at in own.items()}} == parity.entries
    trained = jax.tree.leaves(parity.variables["params"])
    assert sum(leaf.size for leaf in trained) == parity.method.parameters == parity.golden["parameters"]


def test_the_weights_are_those_of_the_original(parity: Parity):
    joined = b"".join(np.ascontiguousarray(at, "<f4").tobytes() for at in parity.weights.values())
    assert hashlib.sha256(joined).hexdigest() == str(parity.golden["weights_sha256"])


def test_in_double_precision_pictures_and_states_are_the_originals(parity: Parity):
    assert np.abs(parity.double.pictures - parity.golden["out/image"][:, 0, 0]).max() < EXACT
    for name, error, size in parity.state_errors(parity.double, parity.golden, 3):
        assert (error < EXACT + STORED * size).all(), name


def test_in_single_precision_errors_are_those_of_rounding(parity: Parity):
    reference = float(parity.golden["f32_error"])
    assert np.abs(parity.single.pictures - parity.golden["out/image"][:, 0, 0]).max() < ROUNDING * reference
    for name, error, _ in parity.state_errors(parity.single, parity.golden, 3):
        assert error.max() < ROUNDING * float(parity.golden[f"f32_error/state/{name}"]), name


def test_two_weights_that_change_places_are_seen(parity: Parity):
    leaves, tree = jax.tree.flatten(parity.variables)
    large = [place for place, leaf in enumerate(leaves) if leaf.size > 1]
    for place in large[:: -(-len(large) // SWAPS)]:
        leaf = leaves[place].copy()
        highest, lowest = leaf.argmax(), leaf.argmin()
        leaf.flat[[highest, lowest]] = leaf.flat[[lowest, highest]]
        swapped = jax.tree.unflatten(tree, [*leaves[:place], leaf, *leaves[place + 1 :]])
        pictures = parity.answer(swapped, np.float64).pictures
        assert np.abs(pictures - parity.golden["out/image"][:, 0, 0]).max() > 100 * EXACT, place


def test_states_and_golden_files_are_those_of_the_whole_fixtures(parity: Parity, shared: Path):
    folder = shared / "parity/fixtures"
    whole, trimmed = kept(folder, parity.name, 1), kept(folder, parity.name, 3)
    assert trimmed.keys() == parity.golden.keys()
    assert all(np.array_equal(trimmed[key], parity.golden[key]) for key in trimmed)
    for name, error, size in parity.state_errors(parity.double, whole, 1):
        assert (error < EXACT + STORED * size).all(), name


def test_variables_and_entries_are_each_others_inverse(parity: Parity):
    back = to_entries(parity.variables)
    assert all(np.array_equal(back[name], parity.weights[name]) for name in back)


def test_a_network_is_found_by_methods_of_its_kind_alone(parity: Parity):
    found = {method.name for method, _ in CASES.values() if method.network(parity.entries, {}) is not None}
    assert found == (UNETS if parity.method.name in UNETS else {parity.method.name})


def test_fourier_bessel_functions_are_those_of_the_original():
    (stored,) = [at for key, at in Parity("hypere2vid").golden.items() if key.startswith("buffer/")]
    np.testing.assert_allclose(multiscale(5), stored, rtol=0, atol=2.0**-23)


@pytest.mark.parametrize("name, method", [("firenet", FIRENET), ("firenet_plus", FIRENET_PLUS)])
def test_published_weights_on_a_real_recording(name: str, method: Method, shared: Path):
    folder = shared / "parity/fixtures"
    with np.load(folder / f"weights_{name}.npz") as weights, np.load(folder / f"real_{name}.npz") as arrays:
        stored, golden = dict(weights), dict(arrays)
    network = method.network({entry: at.shape for entry, at in stored.items()}, {})
    assert network is not None and entries(network).keys() == stored.keys()
    by = padding(180, 240, method.multiple)
    answers = dict[type, tuple[FireState, np.ndarray]]()
    for dtype in (np.float64, np.float32):
        with jax.enable_x64(dtype is np.float64):
            weights = jax.tree.map(lambda leaf, dtype=dtype: leaf.astype(dtype), variables(network, stored))
            state = network.initial(180 + by.top + by.bottom, 240 + by.left + by.right, jnp.dtype(dtype))
            answers[dtype] = run(
                weights, state, slider_grids(folder, dtype), network=network, normal=method.normalised, by=by
            )
    state, pictures = answers[np.float64]
    np.testing.assert_allclose(pictures, golden["out/image"], rtol=STORED, atol=EXACT)
    np.testing.assert_allclose(pictures[:, 90], golden["out/image_row_90_f64"], rtol=0, atol=EXACT)
    for place, at in enumerate(state):
        patch = np.asarray(at)[88:92, 100:140].transpose(2, 0, 1)
        np.testing.assert_allclose(patch, golden[f"state/{place}_rows88_92_cols100_140"], rtol=STORED, atol=EXACT)
    reference = json.loads((folder / f"real_{name}.json").read_text())["reference_f32_vs_f64"]["out/image"]["max_abs"]
    assert np.abs(answers[np.float32][1] - np.asarray(pictures)).max() < ROUNDING * reference


def slider_grids(folder: Path, dtype: type) -> np.ndarray:
    """Of the four windows of the recording; times in single precision, as EVREAL has them, whatever the grid's type."""
    grids = list[np.ndarray]()
    with np.load(folder / "real_slider_events.npz") as events:
        for first, end in events["window_index_ranges"]:
            x, y, t, p = (events[key][first:end] for key in "xytp")
            since = (t - t[0]).astype(np.float32).astype(dtype)
            grids.append(voxel_grid(x, y, since, p.astype(np.int8), 5, 180, 240))
    return np.stack(grids)
