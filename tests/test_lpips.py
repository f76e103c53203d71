"""LPIPS equals the PyTorch package on weights made by rule, and weights get from published files to it unchanged."""

import json
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from golden.lpips_rule import SIZES, pictures, weights
from published import publish

from evinr.__main__ import main
from evinr.events import InputError
from evinr.metrics import lpips
from evinr.weights import safetensors_file
from evinr.weights.architectures import ARCHITECTURES

GOLDEN = json.loads((Path(__file__).parent / "golden/lpips.json").read_text())["scores"]
CASES = [(trunk, *size) for trunk, sizes in SIZES.items() for size in sizes]


@cache
def by_rule(trunk: str) -> dict[str, np.ndarray]:
    """Entries of the published files, with numbers by rule."""
    return weights(lpips.shapes(trunk))


def network(trunk: Any, kind: type = np.float32) -> lpips.Lpips:
    """The network with weights by rule."""
    return lpips.Lpips(trunk, lpips.of_entries({k: v.astype(kind) for k, v in by_rule(trunk).items()}), "")


# The numbers of the package.


@pytest.mark.parametrize(("trunk", "height", "width"), CASES)
def test_every_layer_equals_the_package_in_float64(trunk: str, height: int, width: int):
    with jax.enable_x64(True):
        found = np.asarray(lpips.layers(trunk, network(trunk, np.float64).params, *pictures(height, width)))
    np.testing.assert_allclose(found, GOLDEN[f"{trunk} {height}x{width}"]["layers"], rtol=1e-9, atol=0)


@pytest.mark.parametrize("trunk", SIZES)
def test_float32_is_as_close_as_the_packages_own(trunk: str):
    """Scores of 0.004 to 0.03: within 1e-8, where the package's own float32 is off by up to 2e-9."""
    exact = np.sum(GOLDEN[f"{trunk} 65x97"]["layers"], 1)
    np.testing.assert_allclose(lpips.distance(network(trunk), *pictures(65, 97)), exact, rtol=0, atol=1e-8)


def test_every_weight_counts():
    """Two numbers of any entry swapped, and the score is no longer the package's."""
    (a, b), entries = pictures(65, 97), by_rule("alex")
    exact = np.array(GOLDEN["alex 65x97"]["layers"])
    for name, values in entries.items():
        swapped = values.copy().reshape(-1)
        first, second = swapped.argmin(), swapped.argmax()
        swapped[[first, second]] = swapped[[second, first]]
        other = {**entries, name: swapped.reshape(values.shape)}
        with jax.enable_x64(True):
            params = lpips.of_entries({name: values.astype(np.float64) for name, values in other.items()})
            assert np.abs(np.asarray(lpips.layers("alex", params, a, b)) / exact - 1).max() > 1e-6, name


# What a distance is.


def test_it_is_zero_of_like_pictures_symmetric_and_positive():
    net, (a, b) = network("alex"), pictures(40, 37)
    np.testing.assert_allclose(lpips.distance(net, a, a), 0, atol=1e-15)
    np.testing.assert_allclose(lpips.distance(net, a, b), lpips.distance(net, b, a), rtol=1e-6)
    assert (lpips.distance(net, a, b) > 1e-3).all()


def test_gray_is_colour_with_equal_channels():
    net, (a, b) = network("alex"), pictures(40, 37)
    gray = lpips.distance(net, a[..., 0], b[..., 0])
    colour = [np.repeat(pictures[..., :1], 3, -1) for pictures in (a, b)]
    np.testing.assert_allclose(gray, lpips.distance(net, *colour), rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 8, 19])
def test_batches_change_nothing(count: int, monkeypatch: pytest.MonkeyPatch):
    net = network("alex")
    rng = np.random.default_rng(3)
    a, b = rng.random((2, count, 32, 31), np.float32)
    found = lpips.distance(net, a, b)
    alone = [lpips.distance(net, a[[i]], b[[i]])[0] for i in range(count)]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, alone, rtol=1e-5)


@pytest.mark.parametrize(("trunk", "least"), [("alex", 31), ("vgg", 16)])
def test_pictures_too_small_for_the_trunk_are_refused(trunk: str, least: int):
    for shape in ((1, least - 1, 64), (1, 64, least - 1)):
        with pytest.raises(InputError, match=f"{shape[2]} x {shape[1]}.*needs {least} x {least}"):
            lpips.distance(network(trunk), np.zeros(shape), np.zeros(shape))


@jax.jit
def score(a: jax.Array, b: jax.Array, params: Any) -> jax.Array:
    return lpips.layers("alex", params, a, b).sum()


slope = jax.jit(jax.grad(score))


def test_its_gradient_is_that_of_finite_differences():
    with jax.enable_x64(True):
        params, (a, b) = network("alex", np.float64).params, map(jnp.asarray, pictures(32, 34))
        towards, step = jnp.asarray(np.random.default_rng(0).standard_normal(a.shape)), 1e-6
        exact = float((slope(a, b, params) * towards).sum())
        differences = float(score(a + step * towards, b, params) - score(a - step * towards, b, params)) / (2 * step)
    assert abs(exact - differences) < 1e-5 * abs(exact)


def test_the_gradient_is_finite_where_features_vanish():
    """Where no unit of a layer fires, the length is 0, whose root has no slope: rectifiers must stop what comes of it."""
    with jax.enable_x64(True):
        params, (a, b) = network("alex", np.float64).params, map(jnp.asarray, pictures(32, 34))
        assert np.isfinite(slope(a, b, jax.tree.map(np.zeros_like, params))).all()


# From published files to the network.


class Published:
    """A trunk with its classifier, and heads, as files."""

    def __init__(self, folder: Path, **changes: np.ndarray | None):
        entries = {**by_rule("alex"), **{name.replace("__", "."): values for name, values in changes.items()}}
        kept = {name: values for name, values in entries.items() if values is not None}
        trunk = {name: values for name, values in kept.items() if not name.startswith("lin")}
        classifier = {f"classifier.{i}.weight": np.zeros((2, 3), np.float32) for i in range(6)}
        self.trunk = publish(folder / "alexnet.pth", OrderedDict(trunk | classifier))
        self.heads = publish(folder / "alex.pth", {name: kept[name] for name in kept if name.startswith("lin")})
        self.out = folder / "lpips-alex.safetensors"

    def convert(self, *more: str) -> int:
        return main(["weights", "convert", str(self.trunk), str(self.out), "--heads", str(self.heads), *more])


def test_published_files_become_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = Published(tmp_path)
    assert files.convert() == 0
    said = capsys.readouterr().out
    assert f"written: {files.out}" in said and "lpips-alex" in said
    assert "left out, as not needed: classifier.0.weight" in said and "and 1 more" in said
    assert "is not torchvision's alexnet-owt-7be5be79.pth" in said
    net = lpips.load(files.out)
    assert net.trunk == "alex" and len(net.sha256) == 64
    a, b = pictures(40, 37)
    np.testing.assert_array_equal(lpips.distance(net, a, b), lpips.distance(network("alex"), a, b))


def test_the_same_files_give_the_same_file(tmp_path: Path):
    files = Published(tmp_path)
    assert files.convert() == 0
    first = files.out.read_bytes()
    for _ in range(3):  # safetensors alone would order its metadata at random
        assert files.convert("--overwrite") == 0 and files.out.read_bytes() == first


def test_the_file_says_where_it_came_from(tmp_path: Path):
    from safetensors import safe_open

    from evinr.weights import torch_file

    files = Published(tmp_path)
    files.convert()
    with safe_open(files.out, framework="numpy") as stored:
        about = json.loads(stored.metadata()[safetensors_file.KEY])
    hashes = {"source": torch_file.read(files.trunk).sha256, "heads": torch_file.read(files.heads).sha256}
    assert about == {"architecture": "lpips-alex", "sha256": hashes, "version": 1}


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_half_numbers_are_taken_and_told(kind: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bias = by_rule("alex")["features.3.bias"].astype(kind)
    files = Published(tmp_path, features__3__bias=bias)
    assert files.convert() == 0
    assert f"{np.dtype(kind)} was made float32" in capsys.readouterr().out
    params = lpips.load(files.out).params
    np.testing.assert_array_equal(params["trunk"]["features_3"]["bias"], bias.astype(np.float32))


REFUSALS = {
    "without features.3.bias, which lpips-alex needs": {"features__3__bias": None},
    "without lin2.model.1.weight": {"lin2__model__1__weight": None},
    "features.4.weight left over": {"features__4__weight": np.zeros(3, np.float32)},
    "lin5.model.1.weight left over": {"lin5__model__1__weight": np.zeros(3, np.float32)},
    "features.0.weight is (64, 3, 3, 3), not (64, 3, 11, 11)": {
        "features__0__weight": np.zeros((64, 3, 3, 3), np.float32)
    },
    "features.8.bias holds numbers that are not finite": {"features__8__bias": np.full(256, np.nan, np.float32)},
}


@pytest.mark.parametrize("said", REFUSALS)
def test_entries_that_do_not_fit_are_refused_by_name(said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = Published(tmp_path, **REFUSALS[said])
    before = sorted(tmp_path.iterdir())
    assert files.convert() == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_heads_that_are_missing_or_given_twice_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = Published(tmp_path)
    assert main(["weights", "convert", str(files.trunk), str(files.out)]) == 1
    assert "without lin0.model.1.weight" in (error := capsys.readouterr().err) and "--heads" in error
    assert main(["weights", "convert", str(files.trunk), str(files.out), "--heads", str(files.trunk)]) == 1
    assert "--heads" in capsys.readouterr().err


def test_a_checkpoint_of_something_else_is_named_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = publish(tmp_path / "other.pth", {"conv.weight": np.zeros((2, 2), np.float32)})
    assert main(["weights", "convert", str(other), str(tmp_path / "o.safetensors")]) == 1
    assert "no weights of any network known here, but conv.weight" in capsys.readouterr().err


def test_the_place_is_checked_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = Published(tmp_path)
    files.out.write_bytes(b"mine")
    assert files.convert() == 1 and "exists already" in capsys.readouterr().err
    assert files.out.read_bytes() == b"mine"
    absent = str(tmp_path / "absent.pth")
    for out, said in ((tmp_path, "safetensors"), (tmp_path / "x.pth", "safetensors"), (files.out, "exists already")):
        assert main(["weights", "convert", absent, str(out)]) == 1
        assert said in capsys.readouterr().err
    assert main(["weights", "convert", absent, str(tmp_path / "new.safetensors")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path):
    from safetensors.numpy import save_file

    files = Published(tmp_path)
    files.convert()
    whole = files.out.read_bytes()
    foreign, cut = tmp_path / "foreign.safetensors", tmp_path / "cut.safetensors"
    save_file({"a": np.zeros(2, np.float32)}, foreign, {"format": "pt"})
    cut.write_bytes(whole[:-5])
    for path in (foreign, cut, files.trunk):
        with pytest.raises(InputError, match="evinr weights convert"):
            lpips.load(path)
    with pytest.raises(InputError, match="no such file"):
        lpips.load(tmp_path / "absent")
    entries = by_rule("alex")
    for changed, said in (
        ({**entries, "more": np.zeros(1, np.float32)}, "entry more is float32 .1,., not absent"),
        ({name: entries[name] for name in list(entries)[1:]}, "features.0.weight is absent"),
        (
            {**entries, "features.0.bias": np.zeros(63, np.float32)},
            "features.0.bias is float32 .63,., not float32 .64,.",
        ),
    ):
        safetensors_file.write(foreign, "lpips-alex", changed, {})
        with pytest.raises(InputError, match=said):
            lpips.load(foreign)
    safetensors_file.write(foreign, "e2vid", entries, {})
    with pytest.raises(InputError, match="'e2vid', not lpips-alex or lpips-vgg"):
        lpips.load(foreign)


@pytest.mark.parametrize("words", [[], ["convert"], ["list"]])
def test_help_of_every_level(words: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main(["weights", *words, "--help"])
    assert caught.value.code == 0 and "usage: evinr weights" in capsys.readouterr().out


def test_list_tells_what_a_checkpoint_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = Published(tmp_path)
    assert main(["weights", "list", str(files.heads)]) == 0
    said = capsys.readouterr().out
    assert "lin4.model.1.weight: float32 (1, 256, 1, 1)" in said and "sha256 " in said


def test_every_architecture_has_entries_of_its_own():
    shapes = [tuple(sorted(architecture.shapes.items())) for architecture in ARCHITECTURES.values()]
    assert len(set(shapes)) == len(shapes)
