"""The deformable convolution gives the numbers of the authors' kernel, and its gradients are those of what it computes."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.make_eventhdr import operator
from jax.test_util import check_grads

from baselines import deformable as module
from baselines.alignment import DeformablePack
from baselines.convolution import convolve
from baselines.deformable import deformable

EXACT = 1e-9
"""In double precision."""
ROUNDING = 20
"""Times the error of the authors' code in single precision."""

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Picture, offsets, mask and kernel."""


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "golden/parity/dcnv2_op.npz") as arrays:
        return dict(arrays)


def inputs(seed: int, height: int, width: int, groups: int, *, size: int = 3, stride: int = 1) -> Arrays:
    """Offsets to anywhere, also far outside."""
    rng = np.random.default_rng(seed)
    h2, w2, taps = -(-height // stride), -(-width // stride), groups * size**2
    offsets = rng.normal(0, 3, (h2, w2, 2 * taps))
    mask = rng.uniform(0, 1, (h2, w2, taps))
    return rng.normal(size=(height, width, 2 * groups)), offsets, mask, rng.normal(size=(size, size, 2 * groups, 3))


def one_by_one(x: np.ndarray, offsets: np.ndarray, mask: np.ndarray, kernel: np.ndarray, stride: int = 1) -> np.ndarray:
    """Equation 1 of the paper, sample by sample."""
    size = len(kernel)
    groups = mask.shape[-1] // size**2
    of_group = x.shape[-1] // groups
    out = np.zeros((*mask.shape[:2], kernel.shape[-1]))
    for row, column in np.ndindex(*mask.shape[:2]):
        for group, i, j in np.ndindex(groups, size, size):
            lane = (group * size + i) * size + j
            down, right = offsets[row, column, 2 * lane : 2 * lane + 2]
            y, z = row * stride + i - size // 2 + down, column * stride + j - size // 2 + right
            if not (-1 < y < x.shape[0] and -1 < z < x.shape[1]):
                continue
            for a, b in np.ndindex(2, 2):
                at = int(np.floor(y)) + a, int(np.floor(z)) + b
                if 0 <= at[0] < x.shape[0] and 0 <= at[1] < x.shape[1]:
                    weight = (1 - abs(y - at[0])) * (1 - abs(z - at[1])) * mask[row, column, lane]
                    channels = slice(group * of_group, (group + 1) * of_group)
                    out[row, column] += weight * x[at][channels] @ kernel[i, j, channels]
    return out


@pytest.mark.parametrize("case", [0, 1])
def test_values_are_those_of_the_original_kernel(golden: dict[str, np.ndarray], case: int):
    about = json.loads(str(golden["cases"]))[case]
    x, offsets, mask = (golden[f"in/case{case}/{name}"].transpose(0, 2, 3, 1) for name in ("x", "offset", "mask"))
    weight, bias = golden[f"in/case{case}/weight"].transpose(2, 3, 1, 0), golden[f"in/case{case}/bias"]
    outputs = weight.shape[-1] // about["groups"]
    kernel = np.zeros((3, 3, x.shape[-1], weight.shape[-1]), np.float32)  # groups of channels: zeros between them
    for group in range(about["groups"]):
        rows, columns = (slice(group * n, (group + 1) * n) for n in (weight.shape[2], outputs))
        kernel[:, :, rows, columns] = weight[..., columns]
    for dtype, most in ((np.float64, EXACT), (np.float32, ROUNDING * about["max_abs_f32_vs_f64"])):
        with jax.enable_x64(dtype is np.float64):
            many = jax.jit(jax.vmap(lambda *of: deformable(*of, stride=about["stride"]), (0, 0, 0, None)))
            out = many(*(jnp.asarray(array, dtype) for array in (x, offsets, mask, kernel)))
            assert out.dtype == dtype
        assert np.abs((np.asarray(out) + bias).transpose(0, 3, 1, 2) - golden[f"out/case{case}"]).max() < most


def test_the_golden_file_is_the_fixture(golden: dict[str, np.ndarray], shared: Path):
    whole = operator(shared / "parity/fixtures")
    assert whole.keys() == golden.keys() and all(np.array_equal(whole[key], golden[key]) for key in whole)


@pytest.mark.parametrize(
    "options",
    [
        {"height": 5, "width": 7, "groups": 1},
        {"height": 6, "width": 5, "groups": 3},
        {"height": 7, "width": 6, "groups": 2, "stride": 2},
        {"height": 4, "width": 6, "groups": 2, "size": 5},
        {"height": 4, "width": 3, "groups": 4, "size": 1},
    ],
)
def test_values_are_those_of_the_definition(options: dict[str, Any]):
    arrays = inputs(0, **options)
    arrays[1].flat[::3] = np.round(arrays[1].flat[::3])  # whole pixels, and -1 and h exactly
    with jax.enable_x64(True):
        ours = deformable(*map(jnp.asarray, arrays), stride=options.get("stride", 1))
    np.testing.assert_allclose(ours, one_by_one(*arrays, options.get("stride", 1)), atol=1e-12)


def test_without_offsets_and_mask_it_is_a_convolution():
    x, offsets, mask, kernel = (jnp.asarray(array, jnp.float32) for array in inputs(1, 9, 8, 2))
    ours = deformable(x, jnp.zeros_like(offsets), jnp.ones_like(mask), kernel)
    np.testing.assert_allclose(ours, convolve(x, kernel, [(1, 1)] * 2), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch, stride: int):
    arrays = inputs(2, 12, 10, 2, stride=stride)
    expected = one_by_one(*arrays, stride)
    for block in (1, 35, 1000):  # of one row, of three or six, of all
        monkeypatch.setattr(module, "BLOCK", block)
        made = deformable(*(jnp.asarray(array, jnp.float32) for array in arrays), stride=stride)
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-4)


def test_gradients_are_those_of_finite_differences():
    arrays = inputs(3, 4, 5, 2)
    whole = arrays[1] - np.floor(arrays[1])
    arrays[1][(whole < 0.01) | (whole > 0.99)] += 0.3  # a difference across a whole pixel has no one slope
    with jax.enable_x64(True):
        check_grads(
            jax.jit(deformable), tuple(map(jnp.asarray, arrays)), order=1, modes=("fwd", "rev"), atol=1e-6, rtol=1e-6
        )
        rows = jax.jit(jax.vmap(lambda *of: deformable(*of).sum(), (0, 0, 0, None)))
        batch = [jnp.stack([jnp.asarray(array)] * 2) for array in arrays[:3]]
        check_grads(rows, (*batch, jnp.asarray(arrays[3])), order=1, modes=("rev",), atol=1e-6, rtol=1e-6)


def test_gradients_of_a_layer_are_those_of_finite_differences():
    rng = np.random.default_rng(4)
    with jax.enable_x64(True):
        x, guide = (jnp.asarray(rng.normal(size=(4, 5, 4))) for _ in range(2))
        layer = DeformablePack(2)
        weights = jax.tree.map(
            lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), layer.init(jax.random.key(0), x, guide)
        )
        assert {"/".join(key.key for key in path[1:]) for path, _ in jax.tree_util.tree_leaves_with_path(weights)} == {
            "kernel",
            "bias",
            "conv_offset/kernel",
            "conv_offset/bias",
        }
        check_grads(jax.jit(layer.apply), (weights, x, guide), order=1, modes=("rev",), atol=1e-5, rtol=1e-5, eps=1e-6)


def test_on_the_border_and_outside_there_is_nothing_and_no_gradient():
    x = jnp.asarray(np.random.default_rng(5).normal(size=(4, 5, 1)))
    kernel, mask = jnp.ones((1, 1, 1, 1)), jnp.ones((4, 5, 1))
    here = jnp.asarray(np.stack(np.meshgrid(np.arange(4.0), np.arange(5.0), indexing="ij"), -1), x.dtype)

    @jax.jit
    def differentiated(x: jax.Array, offsets: jax.Array, mask: jax.Array) -> Any:
        return jax.value_and_grad(lambda *of: deformable(*of, kernel=kernel).sum(), (0, 1, 2))(x, offsets, mask)

    for place in ((-1.0, 2.5), (4.0, 2.5), (1.5, -1.0), (1.5, 5.0), (-7.2, 2.5), (1.5, 1e6), (np.nan, 2.0)):
        offsets = jnp.asarray(np.broadcast_to(place, here.shape), x.dtype) - here
        value, gradients = differentiated(x, offsets, mask)
        assert value == 0 and not any(np.asarray(gradient).any() for gradient in gradients), place


def test_at_a_whole_pixel_the_gradient_is_that_towards_larger_rows_and_columns():
    x = jnp.asarray(np.random.default_rng(6).normal(size=(4, 5, 1)))
    kernel, mask, offsets = jnp.ones((1, 1, 1, 1)), jnp.ones((4, 5, 1)), jnp.zeros((4, 5, 2))
    slopes = np.asarray(jax.grad(lambda offsets: deformable(x, offsets, mask, kernel).sum())(offsets))
    after = np.pad(np.asarray(x)[..., 0], ((0, 1), (0, 1)))
    np.testing.assert_allclose(slopes[..., 0], (after[1:] - after[:-1])[:, :-1], atol=1e-6)
    np.testing.assert_allclose(slopes[..., 1], (after[:, 1:] - after[:, :-1])[:-1], atol=1e-6)
