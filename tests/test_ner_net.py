"""NER-Net and its learned representation give the numbers of their authors' PyTorch code, from raw events on.

`golden/make_ner_net.py` says where the numbers come from. The representation is also run with its published weights on a real
recording, where contributors have these beside the checkout.
"""

import hashlib
import json
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.make_ner_net import direction
from golden.make_parity import kept
from golden.parity_rule import rule
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads
from published import publish

from baselines import letc, runner
from baselines.checkpoints import Model, load
from baselines.e2vid import E2VID_PLUS
from baselines.letc import BLOCK, CONVOLUTIONS, VALUES, Letc, ValueLayer, cells_of, representation, times_in_bins
from baselines.method import Variables
from baselines.ner_net import LEARNED, NER_NET, NerNet
from baselines.non_stationary import ContextBlock
from baselines.padding import Padding, pad, padding
from baselines.runner import pictures, run
from baselines.unet import UNetRecurrent
from baselines.weights import entries, to_entries, variables
from baselines.windows import Windows
from evinr.events import Events
from evinr.weights.torch_tensors import Plain

EXACT = 1e-9
"""In double precision."""
ROUNDING = 20
"""Times the error of the authors' code in single precision."""
STORED = 2.0**-23
"""Of itself, of what is stored in single precision."""
EVERY = 3
HEIGHT, WIDTH = 37, 51
NONE = Padding(0, 0, 0, 0)
SMALL = NerNet(bins=6, channels=4, encoders=2, blocks=1, kernel=3, hidden=(7, 6), features=3)

Named = dict[str, np.ndarray]


def golden(name: str) -> Named:
    with np.load(Path(__file__).parent / f"golden/parity/{name}.npz") as arrays:
        return dict(arrays)


def shapes(arrays: Named) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in json.loads(str(arrays["entries"]))}


def columns(events: np.ndarray, kind: Any, bins: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Times in bins, and cells, of events as the original is given them."""
    x, y, t, p, _ = events.T
    cells = cells_of(x.astype(np.uint16), y.astype(np.uint16), p.astype(np.int8), width)
    return jnp.asarray(times_in_bins(t.astype(kind), bins)), jnp.asarray(cells)


def letc_of(arrays: Named) -> tuple[Letc, Variables]:
    """The representation that has these entries, and its weights."""
    layers = [arrays[f"{VALUES}.mlp.{place}.weight"] for place in range(4)]
    values = {f"mlp.{k}": {"kernel": w.T, "bias": arrays[f"{VALUES}.mlp.{k}.bias"]} for k, w in enumerate(layers)}
    kernels = {f"cnn.{k}": arrays[f"{CONVOLUTIONS}.cnn.{k}.weight"].transpose(2, 3, 1, 0) for k in (0, 2)}
    convolutions = {name: {"kernel": kernel} for name, kernel in kernels.items()}
    bins = kernels["cnn.0"].shape[2] // 2
    found = Letc(bins, tuple(len(w) for w in layers[:-1]), kernels["cnn.0"].shape[3])
    return found, {VALUES: values, CONVOLUTIONS: convolutions}


def as_kind(tree: Any, kind: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, kind), tree)


@jax.jit(static_argnums=0)
def applied(module: Any, weights: Variables, values: jax.Array) -> jax.Array:
    return module.apply({"params": weights}, values)


@jax.jit(static_argnums=(0, 4, 5))
def represented(of: Letc, weights: Variables, times: jax.Array, cells: jax.Array, height: int, width: int) -> jax.Array:
    return cast(jax.Array, of.apply({"params": weights}, times, cells, height, width))


# The whole network, with weights by the rule.


class Parity:
    """The golden file, our network for its entries, and our answers."""

    def __init__(self) -> None:
        self.golden = golden("nernet")
        self.entries = shapes(self.golden)
        self.weights = {name: rule(name, shape, float(self.golden["g"])) for name, shape in self.entries.items()}
        network = NER_NET.network(self.entries, {})
        assert network is not None
        self.network = cast(NerNet, network)
        self.by = padding(HEIGHT, WIDTH, NER_NET.multiple)

    @cached_property
    def variables(self) -> Variables:
        return variables(self.network, self.weights)

    def answer(self, weights: Variables, kind: Any, by: Padding = NONE) -> Named:
        """From the stored events, in this precision, as the golden file has it; padded before or by the runner."""
        with jax.enable_x64(kind is np.float64):
            tree = as_kind(weights, kind)
            steps = [columns(self.golden[f"in/events_step{step}"], kind, 5, WIDTH) for step in range(3)]
            learned = tree["params"][LEARNED]
            grids = jnp.stack([represented(self.network.letc, learned, *events, HEIGHT, WIDTH) for events in steps])
            padded = jax.vmap(partial(pad, by=self.by))(grids)
            state = self.network.initial(40, 56, jnp.dtype(kind))
            state, images = run(tree, state, padded if by == NONE else grids, network=self.network, normal=False, by=by)
            assert images.dtype == padded.dtype == state.memory.dtype == kind
            cells = [(f"state/enc{scale}", cell) for scale, cell in enumerate(state.encoders, 1)]
            states = {f"{name}_h": cell.hidden for name, cell in cells} | {f"{n}_c": cell.cell for n, cell in cells}
            states = {name: first(at)[None] for name, at in {**states, "state/m": state.memory}.items()}
            return {
                "out/image": np.asarray(images)[:, None, None],
                "out/voxel_padded": first(padded)[:, None],
                **states,
            }

    @cached_property
    def double(self) -> Named:
        return self.answer(self.variables, np.float64)

    @cached_property
    def single(self) -> Named:
        """Pictures without what was padded."""
        return self.answer(self.variables, np.float32, self.by)

    @cached_property
    def cropped(self) -> Named:
        """The golden file, its pictures without what was padded, which the original does not crop."""
        rows, columns = slice(self.by.top, self.by.top + HEIGHT), slice(self.by.left, self.by.left + WIDTH)
        return {**self.golden, "out/image": self.golden["out/image"][..., rows, columns]}


def first(channels_last: jax.Array) -> np.ndarray:
    """Channels before rows and columns."""
    return np.moveaxis(np.asarray(channels_last), -1, -3)


@pytest.fixture(scope="module")
def parity() -> Parity:
    return Parity()


def differences(answer: Named, stored: Named, every: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Differences and sizes of all that is stored: of states the first channels, some rows and columns."""
    found = dict[str, tuple[np.ndarray, np.ndarray]]()
    for name in answer:
        ours = answer[name]
        if name.startswith("state/"):
            ours = ours[:, : stored[name].shape[1], ::every, ::every]
        assert ours.shape == stored[name].shape
        found[name] = np.abs(ours - stored[name]), np.abs(stored[name])
    return found


def test_the_network_has_the_entries_of_the_original(parity: Parity):
    assert entries(parity.network) == parity.entries
    assert len(parity.entries) == 97
    assert sum(leaf.size for leaf in jax.tree.leaves(parity.variables)) == NER_NET.parameters
    assert NER_NET.parameters == parity.golden["parameters"]


def test_the_weights_are_those_of_the_original(parity: Parity):
    joined = b"".join(np.ascontiguousarray(at, "<f4").tobytes() for at in parity.weights.values())
    assert hashlib.sha256(joined).hexdigest() == str(parity.golden["weights_sha256"])


def test_in_double_precision_pictures_and_states_are_the_originals(parity: Parity):
    assert {f"state/{name}" for name in ("enc1_h", "enc2_c", "enc3_h", "m")} < parity.double.keys()
    for name, (error, size) in differences(parity.double, parity.golden, EVERY).items():
        stored = 0 if name == "out/image" else STORED * size
        assert (error < EXACT + stored).all(), name


def test_in_single_precision_errors_are_those_of_rounding(parity: Parity):
    for name, (error, _) in differences(parity.single, parity.cropped, EVERY).items():
        kind = {"out/image": "", "out/voxel_padded": "/voxel_padded"}.get(name, f"/{name}")
        assert error.max() < ROUNDING * float(parity.golden[f"f32_error{kind}"]), name


def test_two_weights_that_change_places_are_seen(parity: Parity):
    large = [name for name, shape in parity.entries.items() if np.prod(shape) > 1]
    for name in large[::19]:
        swapped = parity.weights[name].copy()
        swapped.flat[[swapped.argmax(), swapped.argmin()]] = swapped.min(), swapped.max()
        answer = parity.answer(variables(parity.network, {**parity.weights, name: swapped}), np.float64)
        assert np.abs(answer["out/image"] - parity.golden["out/image"]).max() > 100 * EXACT, name


def test_golden_files_are_those_of_the_whole_fixture(parity: Parity, shared: Path):
    folder = shared / "parity/fixtures"
    trimmed = kept(folder, "nernet", EVERY)
    assert trimmed.keys() | {"f32_error/voxel_padded"} == parity.golden.keys()
    assert all(np.array_equal(trimmed[key], parity.golden[key]) for key in trimmed)
    for name, (error, size) in differences(parity.double, kept(folder, "nernet", 1), 1).items():
        assert (error < EXACT + STORED * size).all(), name


def test_variables_and_entries_are_each_others_inverse(parity: Parity):
    back = to_entries(parity.variables)
    assert back.keys() == parity.weights.keys()
    assert all(np.array_equal(back[name], parity.weights[name]) for name in back)


def test_the_runner_makes_the_originals_pictures_of_raw_events(parity: Parity, monkeypatch: pytest.MonkeyPatch):
    """By the method alone: representation, zeros around, the state carried on, cropping."""
    monkeypatch.setattr(runner, "CHUNK", 3)  # as many as there are
    steps = [parity.golden[f"in/events_step{step}"] for step in range(3)]
    x, y, _, p, _ = np.concatenate(steps).T
    t = np.concatenate([step[:, 2].astype(np.float64) + 5 * place for place, step in enumerate(steps)])
    events = Events(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.int8), HEIGHT, WIDTH)
    ends = np.cumsum([len(step) for step in steps])
    windows = Windows(np.concatenate([[0], ends[:-1]]), ends, t[ends - 1])
    (made,) = pictures(Model(NER_NET, parity.network, parity.variables, "", "", ()), events, windows)
    assert np.abs(made - parity.cropped["out/image"][:, 0, 0]).max() < ROUNDING * float(parity.golden["f32_error"])


# The representation alone.


@pytest.fixture(scope="module")
def stored() -> Named:
    return golden("letc")


def ruled(stored: Named) -> tuple[Letc, Variables]:
    return letc_of({name: rule(name, shape, float(stored["g"])) for name, shape in shapes(stored).items()})


def limit(stored: Named, name: str, kind: Any) -> float:
    return EXACT if kind is np.float64 else ROUNDING * float(stored[f"f32_error/{name}"])


@jax.jit(static_argnums=(0, 4, 5))
def voxels(of: Letc, weights: Variables, times: jax.Array, cells: jax.Array, height: int, width: int) -> jax.Array:
    """Before the convolutions."""
    grid = jnp.zeros((2 * height * width, of.bins), times.dtype)
    grid = letc.added(grid, times, cells, ValueLayer(of.hidden).bind({"params": weights[VALUES]}))
    return grid.reshape(height, width, -1)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["many", "crowded", "two", "one", "of_one_time"])
def test_voxels_and_representation_are_the_originals(stored: Named, name: str, kind: Any):
    of, weights = ruled(stored)
    height, width = stored[f"out/{name}/voxels"].shape[-2:]
    with jax.enable_x64(kind is np.float64):
        tree, events = as_kind(weights, kind), stored[f"in/{name}"]
        for part, make in (("voxels", voxels), ("representation", represented)):
            ours = make(of, tree, *columns(events, kind, of.bins, width), height, width)
            assert ours.dtype == kind
            error = np.abs(first(ours) - stored[f"out/{name}/{part}"][0]).max()
            assert error < limit(stored, f"{name}/{part}", kind), part


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_the_kernel_is_the_originals(stored: Named, kind: Any):
    of, weights = ruled(stored)
    with jax.enable_x64(kind is np.float64):
        table = applied(ValueLayer(of.hidden), as_kind(weights[VALUES], kind), jnp.asarray(stored["in/table"], kind))
        assert np.abs(table - stored["out/table"]).max() < limit(stored, "table", kind)


def test_gradients_of_its_weights_are_the_originals(stored: Named):
    of, weights = ruled(stored)
    wanted = {name.removeprefix("out/gradient/"): at for name, at in stored.items() if name.startswith("out/gradient/")}
    towards = direction()
    with jax.enable_x64(True):
        events = columns(stored["in/many"], np.float64, of.bins, towards.shape[2])

        def along(tree: Variables) -> jax.Array:
            return (represented(of, tree, *events, *towards.shape[1:]) * towards.transpose(1, 2, 0)).sum()

        ours = jax.grad(along)(as_kind(weights, np.float64))
    _, theirs = letc_of(wanted)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for our, their in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.abs(their).max() > 1
        np.testing.assert_allclose(our, their, rtol=0, atol=EXACT)


def test_gradients_are_finite_differences(stored: Named):
    of, weights = ruled(stored)
    with jax.enable_x64(True):
        events, tree = columns(stored["in/two"], np.float64, of.bins, 18), as_kind(weights, np.float64)
        check_grads(lambda tree: represented(of, tree, *events, 13, 18), (tree,), order=1, modes=["rev"], rtol=1e-6)


def test_published_weights_on_a_real_recording(shared: Path):
    folder = shared / "parity/fixtures"
    with np.load(folder / "weights_letc.npz") as arrays, np.load(folder / "real_letc.npz") as found:
        (of, weights), known = letc_of(dict(arrays)), dict(found)
    assert sum(leaf.size for leaf in jax.tree.leaves(weights)) == 16_771
    times = known["out/mlp_table_t"]
    reference = json.loads((folder / "real_letc.json").read_text())["reference_f32_vs_f64"]
    for kind in (np.float64, np.float32):
        with jax.enable_x64(kind is np.float64):
            tree = as_kind(weights, kind)
            events = columns(known["in/events"], kind, of.bins, 240)
            ours = {
                "out/voxel_raw": first(voxels(of, tree, *events, 180, 240)),
                "out/representation": first(represented(of, tree, *events, 180, 240)),
                "out/mlp_table": np.asarray(applied(ValueLayer(of.hidden), tree[VALUES], jnp.asarray(times, kind))),
            }
        for name, values in ours.items():
            stored = known[name].squeeze()
            size = 0 if name == "out/mlp_table" else np.abs(stored)
            allowed = EXACT + STORED * size if kind is np.float64 else ROUNDING * reference[name]["max_abs"]
            assert (np.abs(values - stored) < allowed).all(), name


# Windows of a recording, in blocks.


def window(count: int, seed: int = 0, start: float = 0.0, height: int = 13, width: int = 18) -> Events:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(width, size=count), rng.integers(height, size=count)
    t, p = start + np.sort(rng.random(count)), rng.choice([-1, 1], count)
    return Events(t, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.int8), height, width)


def naive(of: Letc, weights: Variables, events: Events) -> np.ndarray:
    """One event and bin after the other, in double precision; then all at once through the convolutions."""
    with jax.enable_x64(True):
        grid = np.zeros((events.height, events.width, 2, of.bins))
        tree = as_kind(weights, np.float64)
        times = times_in_bins(events.t - events.t[0], of.bins)
        kernel = applied(ValueLayer(of.hidden), tree[VALUES], jnp.asarray(times[:, None] - np.arange(of.bins)))
        for x, y, p, time, row in zip(events.x, events.y, events.p, times, np.asarray(kernel), strict=True):
            grid[y, x, 0 if p > 0 else 1] += time * row
        flat = jnp.asarray(grid.reshape(events.height, events.width, -1))
        return np.asarray(applied(letc.Convolutions(of.features), tree[CONVOLUTIONS], flat))


@pytest.mark.parametrize("count", [2, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 77])
def test_blocks_are_all_events_once(stored: Named, count: int):
    of, weights = ruled(stored)
    events = window(count)
    made, wanted = representation(of, weights, events), naive(of, weights, events)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


@settings(max_examples=15)
@given(st.integers(2, 60), st.integers(0, 99), st.booleans())
def test_a_window_does_not_depend_on_when_the_recording_began(count: int, seed: int, late: bool):
    """Of whole microseconds, as cameras count them."""
    of, weights = ruled(golden("letc"))
    events = window(count, seed, 1.0)
    events = events._replace(t=np.round(events.t, 6))
    later = events._replace(t=events.t + (86_400 if late else -1))
    made = representation(of, weights, events)
    np.testing.assert_allclose(made, representation(of, weights, later), rtol=0, atol=1e-5 * (1 + np.abs(made).max()))


def test_rises_come_before_falls_and_all_bins_hear_of_an_event():
    """With the convolutions passing everything on: positive numbers go through both unchanged."""
    of = Letc(bins=3, hidden=(2,), features=6)
    one = np.zeros((3, 3, 6, 6), np.float32)
    one[1, 1] = np.eye(6)
    values = {"mlp.0": {"kernel": np.ones((1, 2), np.float32), "bias": np.full(2, 3, np.float32)}}
    values["mlp.1"] = {"kernel": np.full((2, 1), 0.5, np.float32), "bias": np.zeros(1, np.float32)}  # t + 3
    weights = {VALUES: values, CONVOLUTIONS: {name: {"kernel": one} for name in ("cnn.0", "cnn.2")}}
    x, y = np.array([0, 4, 2], np.uint16), np.array([0, 1, 3], np.uint16)
    events = Events(np.array([7.0, 7.5, 8.0]), x, y, np.array([1, 1, -1], np.int8), 4, 5)
    made = representation(of, weights, events)
    wanted = np.zeros((4, 5, 6))
    wanted[1, 4, :3] = 1 * np.array([1 + 3, 0 + 3, -1 + 3])  # the first event is of time 0 and adds nothing
    wanted[3, 2, 3:] = 2 * np.array([2 + 3, 1 + 3, 0 + 3])
    np.testing.assert_allclose(made, wanted, atol=1e-6)


def test_no_events_and_events_of_one_time_give_zeros(stored: Named):
    of, weights = ruled(stored)
    events = window(9)
    for empty in (window(0), events._replace(t=np.full(9, 4.0)), window(1)):
        made = representation(of, weights, empty)
        assert made.shape == (13, 18, 10) and made.dtype == np.float32 and not made.any()


def test_windows_of_all_sizes_are_one_compilation(stored: Named, monkeypatch: pytest.MonkeyPatch):
    of, weights = ruled(stored)
    traced, added = [], letc.added
    monkeypatch.setattr(letc, "added", lambda *given: traced.append(1) or added(*given))
    for count in (1, 40, BLOCK + 5, 3 * BLOCK):
        representation(of, weights, window(count, height=9, width=11))  # of a size that no other test has
    assert len(traced) == 1


def test_many_cells_are_told_apart():
    """From 2^24 on, 1448 x 1158 pixels of ten, single precision, in which the original counts, knows only every other."""
    x, y = np.array([8191, 8190], np.uint16), np.array([8191, 8191], np.uint16)
    cells = cells_of(x, y, np.array([-1, 1], np.int8), 8192)
    assert cells.tolist() == [2 * 8192**2 - 1, 2 * 8192**2 - 4]


# What the network is.


def test_sizes_are_read_off_the_shapes():
    assert NER_NET.network(entries(SMALL), {}) == SMALL
    assert NER_NET.network(entries(SMALL), {"final_activation": ""}) == SMALL
    assert NER_NET.network({}, {}) is None and NER_NET.network({"unetrecurrent.head.conv2d.weight": (4,)}, {}) is None
    with pytest.raises(ValueError, match="sigmoid"):
        NER_NET.network(entries(SMALL), {"final_activation": "sigmoid"})
    unet = UNetRecurrent(5, 4, 2, 1, 3, False, True, False, "none")
    assert NER_NET.network(entries(unet), {}) is None
    assert E2VID_PLUS.network(entries(unet), {}) == unet


def random(network: NerNet) -> Named:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape, np.float32) / 2 for name, shape in entries(network).items()}


def test_a_checkpoint_as_published(tmp_path: Path):
    arrays = random(SMALL)
    config: dict[str, Plain | dict] = {"num_bins": 3, "norm": "", "final_activation": "", "mlp_layers": "1 7 6 1"}
    content = {"config": {"_config": {"arch": {"args": {"unet_kwargs": config}}}}, "state_dict": arrays, "epoch": 3}
    model = load("ner-net", publish(tmp_path / "ner.pth", content))
    assert model.network == SMALL and model.method == NER_NET
    found = to_entries(model.variables)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
    assert any("the published NER-Net 19,364,754" in note for note in model.notes)


def test_global_context_is_the_same_for_every_pixel_and_counts_what_is_looked_at():
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.standard_normal((4, 5, 8)), np.float32)
    tree = jax.jit(ContextBlock().init)(jax.random.key(0), x)["params"]
    tree["conv_mask"]["kernel"] = jnp.zeros((1, 1, 8, 1)).at[0, 0, 3].set(50.0)  # looks where channel 3 is largest
    added = np.asarray(applied(ContextBlock(), tree, x) - x)
    np.testing.assert_allclose(added, np.broadcast_to(added[:1, :1], added.shape), atol=1e-5)
    at = np.unravel_index(np.asarray(x)[..., 3].argmax(), x.shape[:2])
    alone = np.asarray(applied(ContextBlock(), tree, x[at][None, None]))[0, 0] - x[at]
    np.testing.assert_allclose(added[0, 0], alone, atol=1e-3)
