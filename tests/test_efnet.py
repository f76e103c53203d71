"""EFNet gives the numbers of its authors' PyTorch code (golden/make_efnet.py), in little memory; and what is done to pictures
before and after it.
"""

import hashlib
import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.make_efnet import network as kept
from golden.parity_rule import rule
from jaxtyping import Array

from baselines import deblurring, weights
from baselines.checkpoints import Model, find
from baselines.cross_modal import BLOCK, CrossModalAttention
from baselines.cumulative import cumulative_of, mask, scaled, voxel_grid_of
from baselines.deblurring import GOPRO, HIGHREV, Recipe, deblurred, seen
from baselines.efnet import EFNET, EFNet
from baselines.et_net import ETNet
from baselines.method import Variables
from baselines.methods import METHODS
from baselines.padding import Padding
from baselines.runner import run
from baselines.voxel_grid import normalised
from evinr.events import Events
from evinr.weights.torch_file import Checkpoint

EXACT = 1e-9
ROUNDING = 20
"""Times the error of the authors' code in single precision."""
SWAPS = 4
"""Entries in which two weights change places."""
MOST = 3_000
"""MB besides weights and pictures. Measured: 2480, and 3020 for the whole process."""
SMALL = EFNet(10, 4, (1, 2))
GRAY = np.random.default_rng(2).integers(0, 256, (15, 22, 3), dtype=np.uint8)


class Parity:
    """The golden file, our network for its entries, and our answers."""

    def __init__(self):
        with np.load(Path(__file__).parent / "golden/parity/efnet.npz") as arrays:
            self.golden = dict(arrays)
        self.entries = {name: tuple(shape) for name, shape in json.loads(str(self.golden["entries"]))}
        self.network = cast(EFNet, EFNET.network(self.entries, {}))
        self.weights = {n: rule(n, s, float(self.golden["g"])) for n, s in self.entries.items()}
        self.variables = weights.variables(self.network, self.weights)
        given = np.concatenate([self.golden[f"in/{part}"][0] for part in ("image", "event", "mask")])
        self.given = given.transpose(1, 2, 0)

    def answer(self, variables: Variables, dtype: type) -> dict[str, np.ndarray]:
        """The first stage's picture, and the second's without the mask and with it, channels first."""
        with jax.enable_x64(dtype is np.float64):
            pictures = self.pictures(
                jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), variables), jnp.asarray(self.given, dtype)
            )
            assert all(picture.dtype == dtype for picture in pictures)
            names = ("first", "without", "with")
            return {name: np.asarray(at).transpose(2, 0, 1) for name, at in zip(names, pictures, strict=True)}

    @cached_property
    def pictures(self) -> Callable[[Variables, Array], list[Array]]:
        def pictures(variables: Variables, x: Array) -> list[Array]:
            stages = [
                cast(tuple[Array, Array], self.network.clone(masked=masked).apply(variables, x, method="stages"))
                for masked in (False, True)
            ]
            return [stages[0][0], *(second for _, second in stages)]

        # Compiled in a quarter of the time, and fast enough for a picture of this size.
        return jax.jit(pictures, compiler_options={"xla_backend_optimization_level": 0})

    @cached_property
    def truth(self) -> dict[str, np.ndarray]:
        without, with_mask = self.golden["out/out_2"][:, 0]
        return {"first": self.golden["out/out_1"][0], "without": without, "with": with_mask}


@pytest.fixture(scope="module")
def parity() -> Parity:
    return Parity()


def test_the_network_has_the_entries_of_the_original(parity: Parity):
    """With and without the mask."""
    assert weights.entries(parity.network) == parity.entries
    assert weights.entries(parity.network.clone(masked=False)) == parity.entries
    assert sum(at.size for at in parity.weights.values()) == EFNET.parameters == parity.golden["parameters"]
    back = weights.to_entries(parity.variables)
    assert all(np.array_equal(back[name], parity.weights[name]) for name in parity.entries)


def test_the_weights_are_those_of_the_original(parity: Parity):
    joined = b"".join(np.ascontiguousarray(at, "<f4").tobytes() for at in parity.weights.values())
    assert hashlib.sha256(joined).hexdigest() == str(parity.golden["weights_sha256"])


def test_in_double_precision_pictures_are_the_original_s(parity: Parity):
    """Of both stages, with the mask and without."""
    for name, picture in parity.answer(parity.variables, np.float64).items():
        assert np.abs(picture - parity.truth[name]).max() < EXACT, name


def test_in_single_precision_errors_are_those_of_rounding(parity: Parity):
    for name, picture in parity.answer(parity.variables, np.float32).items():
        reference = float(parity.golden["f32_error/out_1" if name == "first" else "f32_error/out_2"])
        assert np.abs(picture - parity.truth[name]).max() < ROUNDING * reference, name


def test_two_weights_that_change_places_are_seen(parity: Parity):
    leaves, tree = jax.tree.flatten(parity.variables)
    large = [place for place, leaf in enumerate(leaves) if leaf.size > 1]
    for place in large[:: -(-len(large) // SWAPS)]:
        leaf = leaves[place].copy()
        highest, lowest = leaf.argmax(), leaf.argmin()
        leaf.flat[[highest, lowest]] = leaf.flat[[lowest, highest]]
        swapped = jax.tree.unflatten(tree, [*leaves[:place], leaf, *leaves[place + 1 :]])
        made = parity.answer(swapped, np.float64)["with"]
        assert np.abs(made - parity.truth["with"]).max() > 100 * EXACT, place


def test_golden_numbers_are_those_of_the_fixture(parity: Parity, shared: Path):
    whole = kept(shared / "parity/fixtures")
    assert whole.keys() == parity.golden.keys()
    assert all(np.array_equal(whole[key], parity.golden[key]) for key in whole)


@pytest.mark.parametrize(("height", "width", "block"), [(12, 20, 100), (7, 11, 10), (13, 1, 5)])
def test_attention_by_blocks_is_attention(height: int, width: int, block: int):
    with jax.enable_x64(True):
        rng = np.random.default_rng(height)
        image, events = (jnp.asarray(rng.normal(size=(height, width, 8))) for _ in range(2))
        whole = CrossModalAttention(4)
        assert height * width <= BLOCK
        leaves, tree = jax.tree.flatten(jax.eval_shape(whole.init, jax.random.key(0), image, events))
        variables = jax.tree.unflatten(tree, [jnp.asarray(rng.normal(size=leaf.shape)) for leaf in leaves])
        one, many = (
            np.asarray(cast(Array, jax.jit(network.apply)(variables, image, events)))
            for network in (whole, whole.clone(block=block))
        )
        assert np.abs(one - many).max() < 1e-12 * np.abs(one).max()
        assert np.abs(one - np.asarray(image)).max() > 0.1


def test_a_picture_of_1280_x_720_fits():
    """What is in memory at one time, by XLA's own plan."""
    network = EFNet(10, 64, (1, 2, 4))
    grid = jax.ShapeDtypeStruct((1, 720, 1280, 10), jnp.float32)
    variables = jax.eval_shape(network.init, jax.random.key(0), grid.update(shape=grid.shape[1:]), ())
    plan = run.lower(variables, (), grid, network=network, normal=False, by=Padding(0, 0, 0, 0)).compile()
    memory = plan.memory_analysis()
    assert memory is not None and memory.temp_size_in_bytes < MOST * 1e6


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_type_is_that_of_what_goes_in(kind: str):
    with jax.enable_x64(True):
        grid = jax.ShapeDtypeStruct((12, 20, 10), jnp.dtype(kind))
        variables = jax.eval_shape(SMALL.init, jax.random.key(0), grid, ())
        state, picture = jax.eval_shape(SMALL.apply, variables, grid, ())
        assert state == () and picture.shape == (12, 20, 3) and picture.dtype == kind


def test_options_are_read_off_the_entries():
    for network in (EFNet(11, 4, (1, 2, 4)), EFNet(10, 4, (2, 1))):
        assert EFNET.network(weights.entries(network), {}) == network
        assert not [name for name, method in METHODS.items() if method.network(weights.entries(network), {})]
    assert EFNET.network(weights.entries(ETNet(5, 8, norm=False)), {}) is None


def test_entries_are_found_where_basicsr_keeps_them(parity: Parity):
    arrays = {f"params.{name}": at for name, at in parity.weights.items()}
    found = find(Path("EFNet-GoPro.pth"), Checkpoint(arrays, {}, (), ""))
    assert found.network == parity.network


def events(count: int = 60, height: int = 15, width: int = 22) -> Events:
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, width, count).astype(np.uint16), rng.integers(0, height, count).astype(np.uint16)
    p = rng.choice([-1, 1], count).astype(np.int8)
    return Events(np.sort(rng.random(count)) / 20 + 3, x, y, p, height, width)


def model(scale: float, last: float = 0.0) -> Model:
    """Small random weights; all zeros but the last bias give the picture itself and so much more."""
    rng = np.random.default_rng(5)
    arrays = {n: (scale * rng.standard_normal(s)).astype(np.float32) for n, s in weights.entries(SMALL).items()}
    if not scale:
        arrays["last.bias"] += np.float32(last)
    return Model(EFNET, SMALL, weights.variables(SMALL, arrays), "", "", ())


@pytest.mark.parametrize("recipe", deblurring.RECIPES.values(), ids=deblurring.RECIPES)
def test_what_the_network_adds_is_clipped_and_rounded(recipe: Recipe):
    for levels in (0.0, 0.4, 0.6, -0.4, -0.6, 3.0, -300.0):
        expected = np.clip(np.round(GRAY + levels), 0, 255).astype(np.uint8)
        made = deblurred(model(0, levels / 255), GRAY, events(), recipe)
        assert made.dtype == np.uint8 and np.array_equal(made, expected)


def by_hand(of: Model, recipe: Recipe, channels: np.ndarray) -> np.ndarray:
    """The result before it is rounded, of these channels of the events and of their mask."""
    colours = np.pad(GRAY[..., ::-1] if recipe.bgr else GRAY, ((0, 1), (0, 2), (0, 0)), mode="edge") / 255
    given = np.concatenate([colours, np.pad(channels, ((0, 1), (0, 2), (0, 0)))], -1, dtype=np.float32)
    network = SMALL.clone(masked=recipe.masked)
    _, made = run(of.variables, (), jnp.asarray(given[None]), network=network, normal=False, by=Padding(0, 0, 0, 0))
    made = np.asarray(made)[0, :15, :22]
    return np.clip(made[..., ::-1] if recipe.bgr else made, 0, 1) * 255


def test_gopro_is_given_scaled_sums_and_their_mask_and_blue_first():
    of, sums = model(0.3), cumulative_of(events(), 6)
    expected = by_hand(of, GOPRO, np.concatenate([scaled(sums), mask(sums)], -1))
    made = deblurred(of, GRAY, events(), GOPRO)
    assert np.abs(made - expected).max() < 0.51
    assert np.abs(made - GRAY.astype(float)).max() > 20
    for other in (GOPRO._replace(masked=False), GOPRO._replace(bgr=False), GOPRO._replace(representation="voxel")):
        assert np.abs(deblurred(of, GRAY, events(), other) - expected).max() > 1, other


def test_recipes_are_those_of_the_authors():
    """GoPro's of make_voxels_esim.py and h5_image_dataset.py, HighREV's of npz_image_dataset.py."""
    assert deblurring.RECIPES == {
        "gopro": Recipe("gopro", "scer", masked=True, bgr=True),
        "highrev": Recipe("highrev", "voxel", masked=False, bgr=False),
    }


@pytest.mark.parametrize("recipe, channels", [(GOPRO, (2, 1, 0)), (HIGHREV, (0, 1, 2))])
def test_a_colour_is_given_where_weights_expect_it(recipe: Recipe, channels: tuple[int, int, int]):
    for colour, channel in enumerate(channels):
        image = np.zeros_like(GRAY)
        image[..., colour] = 51
        colours = seen(image, events(), recipe, 6)[..., :3]
        np.testing.assert_array_equal(colours.max((0, 1)), np.float32(0.2) * (np.arange(3) == channel))


@pytest.mark.parametrize("recipe", deblurring.RECIPES.values(), ids=deblurring.RECIPES)
def test_events_below_the_picture_tell_when_the_window_begins_and_ends(recipe: Recipe):
    """The representation is of all rows; then it is cut, and mask and scale are of what is left."""
    whole, rows = events(), 12
    below = np.r_[:5, 52:60]  # at both ends, unlike many
    whole.y[below], whole.x[below] = 13, 3
    whole.y[5:52] %= rows
    whole.p[below] = 1  # many in one pixel, which would be the largest number
    representation = cumulative_of if recipe == GOPRO else voxel_grid_of
    cut = representation(whole, 6)[:rows]
    known = scaled(cut) if recipe == GOPRO else np.asarray(normalised(jnp.asarray(cut)))
    expected = np.concatenate([known, mask(cut)], -1)
    given = seen(GRAY[:rows], whole, recipe, 6)[..., 3:]
    np.testing.assert_array_equal(given, expected)
    upper = whole._replace(**{part: getattr(whole, part)[5:52] for part in "txyp"})
    assert np.abs(given - seen(GRAY[:rows], upper, recipe, 6)[..., 3:]).max() > 0.1
    assert deblurred(model(0.3), GRAY[:rows], whole, recipe).shape == (rows, 22, 3)


def test_highrev_is_given_a_normalised_voxel_grid_and_red_first():
    of, grid = model(0.3), voxel_grid_of(events(), 6)
    known = np.asarray(normalised(jnp.asarray(grid)))
    expected = by_hand(of, HIGHREV, np.concatenate([known, np.zeros((15, 22, 1))], -1))
    assert np.abs(deblurred(of, GRAY, events(), HIGHREV) - expected).max() < 0.51


@pytest.mark.parametrize("recipe", deblurring.RECIPES.values(), ids=deblurring.RECIPES)
def test_no_events_are_no_trouble(recipe: Recipe):
    made = deblurred(model(0.3), GRAY, events(0), recipe)
    assert made.shape == GRAY.shape and np.isfinite(made).all()
