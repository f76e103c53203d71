"""Laws of the network and of its weights."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from evinr import siren
from evinr.config import DEFAULT, FitConfig

WHOLE = replace(DEFAULT, windows="whole")
SMALL = replace(WHOLE, hidden=8, depth=2, basis=5, omega=3.0, zero_head=False, precision="float64")
TIMES = np.linspace(-1, 1, 7)


def weights(config: FitConfig, planes: int, height: int, width: int) -> dict[str, np.ndarray]:
    """The weights before the first step."""
    with jax.enable_x64(config.precision == "float64"):
        return siren.init(siren.network(config, planes, height, width), config)


def answer(
    config: FitConfig, planes: int, height: int, width: int, times: np.ndarray = TIMES, params=None
) -> np.ndarray:
    """What a network says, with its weights before the first step or with others."""
    net = siren.network(config, planes, height, width)
    params = params or weights(config, planes, height, width)
    kind = params["sine_0"].dtype
    with jax.enable_x64(config.precision == "float64"):
        return np.asarray(siren.log_intensity(net, params, jax.numpy.asarray(times, kind)))


def naive_upsample(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation, a pixel at a time, between the centres of pixels four times as large."""
    rows, columns = image.shape
    fine = np.empty((height, width))
    for row, column in np.ndindex(height, width):
        y = min(max((row + 0.5) / 4 - 0.5, 0), rows - 1)
        x = min(max((column + 0.5) / 4 - 0.5, 0), columns - 1)
        top, left = int(y), int(x)
        bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
        upper = (1 - x + left) * image[top, left] + (x - left) * image[top, right]
        lower = (1 - x + left) * image[bottom, left] + (x - left) * image[bottom, right]
        fine[row, column] = (1 - y + top) * upper + (y - top) * lower
    return fine


@pytest.mark.parametrize(
    ("planes", "sizes"),
    [(1, [(6, 9)]), (3, [(6, 9)]), (2, [(18, 23), (5, 6)]), (1, [(70, 66), (18, 17), (5, 5)])],
    ids=["gray", "planes", "two levels", "three levels"],
)
def test_the_network_agrees_with_loops(planes: int, sizes: list[tuple[int, int]]):
    params = weights(SMALL, planes, *sizes[0])
    expected = np.zeros((len(TIMES), planes, *sizes[0]))
    for frame, time in enumerate(TIMES):
        features = np.array([time])
        for layer in range(SMALL.depth + 2):
            matrix = params[f"sine_{layer}"]
            features = np.sin(SMALL.omega * (matrix[:-1].T @ features + matrix[-1]))
        for level, (height, width) in enumerate(sizes):
            head = params[f"head_{level}"]
            images = SMALL.omega * (head[:-1].T @ features + head[-1]).reshape(planes, height, width)
            for plane, image in enumerate(images):
                for size in reversed(sizes[:level]):
                    image = naive_upsample(image, *size)
                expected[frame, plane] += image
    assert len([name for name in params if name.startswith("head")]) == len(sizes)
    np.testing.assert_allclose(answer(SMALL, planes, *sizes[0]), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("size", [(1, 1), (4, 8), (5, 3), (18, 23)])
def test_upsampling_agrees_with_a_loop_and_keeps_a_constant(size: tuple[int, int]):
    coarse = np.random.default_rng(0).standard_normal((2, 3, -(-size[0] // 4), -(-size[1] // 4))).astype(np.float32)
    coarse[0, 0] = -3.7
    fine = siren.upsample(jax.numpy.asarray(coarse), *size)
    assert fine.shape == (2, 3, *size)
    np.testing.assert_allclose(fine[0, 0], -3.7, rtol=1e-6)
    for image in np.ndindex(2, 3):
        np.testing.assert_allclose(fine[image], naive_upsample(coarse[image], *size), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("down", "right"), [(1.0, 0.0), (0.0, 1.0), (2.0, -3.0)])
def test_upsampling_keeps_a_ramp_between_the_outermost_centres(down: float, right: float):
    height, width = 18, 23
    coarse = down * 4 * np.arange(5.0)[:, None] + right * 4 * np.arange(6.0)
    fine = np.asarray(siren.upsample(jax.numpy.asarray(coarse), height, width))
    ramp = down * (np.arange(height)[:, None] - 1.5) + right * (np.arange(width) - 1.5)
    np.testing.assert_allclose(fine[2:18, 2:22], ramp[2:18, 2:22], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("config", [WHOLE, replace(WHOLE, levels=1)])
def test_a_zero_head_gives_a_flat_zero_image(config: FitConfig):
    assert not answer(replace(config, hidden=8, zero_head=True), 2, 20, 17).any()
    assert answer(replace(config, hidden=8, zero_head=False), 2, 20, 17).std() > 0


def test_the_seed_determines_the_weights():
    first, again, other = (weights(replace(SMALL, seed=seed), 1, 20, 20) for seed in (0, 0, 1))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        assert (first[name] != other[name]).all(), name
    flat = [array.ravel() for array in first.values()]
    assert all(len(np.unique(array)) == len(array) for array in flat), "a weight drawn twice"


def test_weights_are_within_siren_s_bounds_and_fill_them():
    config = replace(SMALL, omega=10.0)
    for name, values in weights(config, 1, 40, 50).items():
        inputs = len(values) - 1
        bounds = [1.0 if name == "sine_0" else (6 / inputs) ** 0.5 / config.omega, inputs**-0.5]
        for part, bound in zip([values[:-1], values[-1:]], bounds, strict=True):
            assert 0.5 * bound < np.abs(part).max() <= bound, name
            assert part.min() < 0 < part.max(), name


@pytest.mark.parametrize(
    ("levels", "size", "sizes"),
    [
        (6, (12, 16), [(12, 16)]),
        (6, (16, 400), [(16, 400)]),
        (6, (17, 400), [(17, 400), (5, 100)]),
        (6, (180, 240), [(180, 240), (45, 60), (12, 15)]),
        (6, (65, 257), [(65, 257), (17, 65), (5, 17)]),
        (2, (180, 240), [(180, 240), (45, 60)]),
        (1, (180, 240), [(180, 240)]),
    ],
)
def test_levels_shrink_by_four_until_a_side_is_short(levels: int, size: tuple[int, int], sizes: list[tuple[int, int]]):
    config = replace(SMALL, levels=levels)
    heads = {name: matrix.shape for name, matrix in weights(config, 3, *size).items() if name.startswith("head")}
    assert heads == {f"head_{level}": (config.basis + 1, 3 * h * w) for level, (h, w) in enumerate(sizes)}
    assert all(min(coarse) > siren.COARSEST for coarse in sizes[:-1])


def test_layers_have_the_sizes_asked_for():
    sines = {name: matrix.shape for name, matrix in weights(SMALL, 1, 4, 4).items() if name.startswith("sine")}
    assert sines == {"sine_0": (2, 8), "sine_1": (9, 8), "sine_2": (9, 8), "sine_3": (9, 5)}


@pytest.mark.parametrize("some", [[3], [6, 0], [1, 1, 5], list(range(len(TIMES)))[::-1]])
def test_a_frame_depends_on_its_own_time_only(some: list[int]):
    np.testing.assert_allclose(
        answer(SMALL, 1, 5, 6, TIMES[some]), answer(SMALL, 1, 5, 6)[some], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_precisions_give_close_answers(precision, tolerance: float):
    exact = answer(SMALL, 2, 20, 24)
    single = {name: matrix.astype(np.float32) for name, matrix in weights(SMALL, 2, 20, 24).items()}
    rounded = answer(replace(SMALL, precision=precision), 2, 20, 24, params=single)
    assert exact.dtype == np.float64 and rounded.dtype == np.float32
    error = np.abs(rounded - exact).max() / np.abs(exact).max()
    assert 0 < error < tolerance
    if precision == "bfloat16":
        assert error > 1e-4, "nothing was rounded"


WINDOW = replace(DEFAULT, hidden=128, depth=1, basis=128, omega=10.0)


@pytest.mark.parametrize("knots", [9, 17, 25, 33])
def test_cardinal_functions_are_one_at_their_knot_and_together_everywhere(knots: int):
    window = siren.cardinal(WINDOW, knots)
    at_knots = siren.cardinal_functions(window, np.arange(float(knots)))
    np.testing.assert_allclose(at_knots, np.eye(knots), rtol=0, atol=1e-9)
    between = siren.cardinal_functions(window, np.linspace(0, knots - 1, 500))
    np.testing.assert_allclose(between.sum(1), 1, rtol=0, atol=1e-9)
    assert np.abs(between).sum(1).max() < 4, "what noise at the knots becomes between them at most"


def test_cardinal_functions_are_heads_on_the_sine_layers():
    window = siren.cardinal(SMALL, 5)
    params = weights(SMALL, 1, 1, 1)
    u = np.array([0.0, 1.3, 4.0])
    features = (u[:, None] - 2) / 12
    for layer in range(SMALL.depth + 2):
        matrix = params[f"sine_{layer}"]
        features = np.sin(SMALL.omega * (features @ matrix[:-1] + matrix[-1]))
    expected = np.concatenate([features, np.ones((3, 1))], 1) @ window.mix
    np.testing.assert_allclose(
        siren.cardinal_functions(window, u), expected, rtol=0, atol=1e-12 * abs(window.mix).max()
    )


def test_cardinal_slopes_are_derivatives():
    window, u, step = siren.cardinal(WINDOW, 17), np.linspace(0, 16, 2 * siren.POINTS + 3), 1e-6
    differences = siren.cardinal_functions(window, u + step) - siren.cardinal_functions(window, u - step)
    np.testing.assert_allclose(siren.cardinal_slopes(window, u), differences / (2 * step), rtol=0, atol=1e-7)


def test_cardinal_functions_are_made_once_for_the_same_sine_layers():
    first = siren.cardinal(WINDOW, 9)
    assert siren.cardinal(replace(WINDOW, precision="float64", smooth=2.0, bayer="rggb"), 9) is first
    changes = ({"seed": 1}, {"omega": 9.0}, {"hidden": 100}, {"depth": 2}, {"basis": 100})
    for change in changes:
        other = siren.cardinal(replace(WINDOW, **change), 9)
        u = np.array([0.5])
        assert abs(siren.cardinal_functions(other, u) - siren.cardinal_functions(first, u)).max() > 1e-3, change
