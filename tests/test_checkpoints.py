"""Published files become networks by names alone, whole or not at all."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published import publish

from baselines.checkpoints import find, load
from baselines.firenet import FIRENET_PLUS, PLUS, FireNet
from baselines.methods import METHODS
from baselines.unet import UNetRecurrent
from baselines.weights import entries, to_entries, variables
from evinr.__main__ import main
from evinr.cli.network_commands import MethodName
from evinr.events import InputError
from evinr.weights.torch_file import Checkpoint

SMALL_UNET = UNetRecurrent(
    bins=5, channels=2, encoders=2, blocks=1, kernel=3, norm=False, upsample=True, dynamic=False, final="none"
)


def random(network: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """All entries of a network."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in entries(network).items()}


FIRE = random(FireNet(5, 16, PLUS))


def refused(name: str, path: Path) -> str:
    """The one line with which weights are refused."""
    with pytest.raises(InputError) as error:
        load(name, path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def test_the_command_line_knows_every_method():
    assert set(get_args(MethodName)) == METHODS.keys()


def test_every_method_says_what_it_is():
    for name, method in METHODS.items():
        assert method.name == name and method.paper and method.weights and method.licence and method.parameters > 1e4


def test_before_and_after_are_evreals():
    """EVREAL's config/method/*.json and eval.py, and for the others what their own code does."""
    told = {name: (method.normalised, method.multiple, method.finish) for name, method in METHODS.items()}
    others = {name: (method.windows, method.delay) for name, method in METHODS.items()}
    assert {name: other for name, other in others.items() if other != ("evreal", 0)} == {
        "eventhdr": ("stored", 1),
        "ner-net": ("stored", 0),
    }
    assert told == {
        "e2vid": (True, 8, "robust"),
        "e2vid+": (False, 8, "none"),
        "firenet": (True, 16, "none"),
        "firenet+": (False, 1, "none"),
        "ssl-e2vid": (False, 8, "exprobust"),
        "spade-e2vid": (False, 8, "none"),
        "et-net": (False, 8, "none"),
        "hypere2vid": (False, 8, "none"),
        "pie-net": (False, 1, "none"),
        "pie-net-lite": (False, 1, "none"),
        "eventhdr": (False, 16, "light"),
        "ner-net": (False, 8, "none"),
    }


def test_variables_and_entries_are_inverse():
    network = FireNet(5, 16, PLUS)
    back = to_entries(variables(network, FIRE))
    assert back.keys() == FIRE.keys()
    assert all(np.array_equal(back[name], FIRE[name]) for name in FIRE)


@pytest.mark.parametrize("wrapping", ["bare", "state_dict", "trained"])
def test_every_way_of_publishing_gives_the_same_network(wrapping: str, tmp_path: Path):
    counters = {f"{name}.num_batches_tracked": np.zeros(1, np.float32) for name in ("a", "b")}
    content: Any = {
        "bare": {**FIRE, **counters},
        "state_dict": {"state_dict": FIRE},
        "trained": {"state_dict": FIRE, "optimizer": {"state": {3: {"exp_avg": np.zeros(4, np.float32)}}}, "epoch": 7},
    }[wrapping]
    model = load("firenet+", publish(tmp_path / "model.pth", content))
    assert model.network == FireNet(5, 16, PLUS) and model.method == FIRENET_PLUS and not model.notes
    found = to_entries(model.variables)
    assert all(np.array_equal(found[name], FIRE[name]) for name in FIRE)


def test_converted_weights_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source, out = publish(tmp_path / "model.pth", {"state_dict": FIRE}), tmp_path / "new" / "fire.safetensors"
    assert main(["weights", "convert", str(source), str(out)]) == 0
    assert "firenet+: 24 entries, 37777 numbers" in capsys.readouterr().out
    found = to_entries(load("firenet+", out).variables)
    assert all(np.array_equal(found[name], FIRE[name]) for name in FIRE)
    assert "holds FireNet+, not FireNet" in refused("firenet", out)


@pytest.mark.parametrize(
    "where",
    [("model",), ("config", "model"), ("config", "_config", "arch", "args", "unet_kwargs")],
)
def test_options_are_taken_from_the_checkpoint(where: tuple[str, ...], tmp_path: Path):
    options: Any = {"num_bins": 5, "final_activation": "sigmoid", "norm": None, "name": b"bytes"}
    for key in reversed(where):
        options = {key: options}
    path = publish(tmp_path / "model.pth", {"state_dict": random(SMALL_UNET), **options})
    model = load("e2vid+", path)
    assert model.network == SMALL_UNET.clone(final="sigmoid")
    assert any("parameters, the published E2VID+ 10,710,401" in note for note in model.notes)
    out = tmp_path / "model.safetensors"  # keeps the options
    assert main(["weights", "convert", str(path), str(out)]) == 0
    assert load("e2vid+", out).network == model.network
    bare = publish(tmp_path / "bare.pth", random(SMALL_UNET))
    assert load("ssl-e2vid", bare).network == SMALL_UNET
    assert load("e2vid", bare).network == SMALL_UNET.clone(final="sigmoid")  # which its code, not its file, has


def without(name: str) -> dict[str, np.ndarray]:
    return {entry: values for entry, values in FIRE.items() if entry != name}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (without("R1.conv2.bias"), "without R1.conv2.bias, which firenet+ needs"),
        ({**FIRE, "G3.more": np.zeros(1, np.float32)}, "G3.more left over"),
        ({**FIRE, "R1.conv1.bias": np.zeros(17, np.float32)}, "R1.conv1.bias is (17,), not (16,)"),
        ({**FIRE, "R1.conv1.bias": np.full(16, np.nan, np.float32)}, "not finite"),
        ({"weights": np.zeros((2, 3), np.float32)}, "no weights of FireNet+, but weights"),
        ({"epoch": 3}, "no tensors at all"),
        ({"head.conv2d.weight": np.zeros(3, np.float32), **without("head.conv2d.weight")}, "no weights of FireNet+"),
    ],
)
def test_what_is_missing_left_over_or_misshapen_is_named(content: Mapping[str, Any], said: str, tmp_path: Path):
    assert said in refused("firenet+", publish(tmp_path / "model.pth", dict(content)))


@settings(max_examples=20)
@given(st.data())
def test_odd_sizes_are_refused_in_one_line(data: st.DataObject):
    sizes = data.draw(
        st.dictionaries(st.sampled_from(sorted(FIRE)), st.lists(st.integers(0, 70), max_size=5), min_size=1)
    )
    arrays = {name: np.broadcast_to(np.float32(1), sizes.get(name, values.shape)) for name, values in FIRE.items()}
    if all(arrays[name].shape == FIRE[name].shape for name in FIRE):
        return
    with pytest.raises(InputError, match="model.pth: "):
        find(Path("model.pth"), Checkpoint(arrays, {}, (), ""))


def expanded(**sizes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Entries of FireNet+, some of other sizes, which take no memory."""
    sizes = {name.replace("__", "."): size for name, size in sizes.items()}
    return {name: np.broadcast_to(np.float32(1), sizes.get(name, values.shape)) for name, values in FIRE.items()}


@pytest.mark.parametrize(
    "arrays",
    [
        expanded(head__conv2d__weight=(16, 10**9, 3, 3)),
        expanded(head__conv2d__weight=(10**9, 5, 3, 3)),
        {f"unetrecurrent.resblocks.{place}.conv1.bias": np.zeros(1, np.float32) for place in range(20_000)}
        | {"unetrecurrent.head.conv2d.weight": np.zeros((2, 5, 3, 3), np.float32)},
        {
            "unetrecurrent.head.conv2d.weight": np.zeros((2, 5, 201, 201), np.float32),
            "unetrecurrent.decoders.0.dynamic_conv.bias": np.zeros(2, np.float32),
        },
    ],
)
def test_huge_sizes_are_refused_at_once(arrays: dict[str, np.ndarray]):
    with pytest.raises(InputError, match="model.pth: "):
        find(Path("model.pth"), Checkpoint(arrays, {}, (), ""))


def test_an_unknown_activation_is_refused(tmp_path: Path):
    path = publish(tmp_path / "model.pth", {"state_dict": random(SMALL_UNET), "model": {"final_activation": "tanh"}})
    assert "not E2VID+" in refused("e2vid+", path)


def test_weights_of_another_network_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = publish(tmp_path / "model.pth", FIRE)
    for name in METHODS.keys() - {"firenet+"}:
        assert "holds FireNet+, not" in refused(name, path)
    assert main(["weights", "convert", str(path), str(tmp_path / "o.safetensors"), "--heads", str(path)]) == 1
    assert "--heads" in capsys.readouterr().err


def test_half_numbers_are_taken_and_told(tmp_path: Path):
    half = {name: values.astype(np.float16) for name, values in FIRE.items()}
    model = load("firenet+", publish(tmp_path / "half.pth", half))
    assert any("float16 was made float32" in note for note in model.notes)
    found = to_entries(model.variables)
    assert all(np.array_equal(found[name], half[name].astype(np.float32)) for name in FIRE)


def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path):
    whole = publish(tmp_path / "model.pth", FIRE).read_bytes()
    cut, archive = tmp_path / "cut.pth", tmp_path / "archive.pth"
    cut.write_bytes(whole[:-100])
    assert "cut" in refused("firenet+", cut)
    import zipfile

    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("README.md", "no checkpoint")
    assert "data.pkl" in refused("firenet+", archive)
    assert "no such file" in refused("firenet+", tmp_path / "absent.pth")
    assert "no such file" in refused("firenet+", tmp_path / "absent.safetensors")
    cut.rename(tmp_path / "cut.safetensors")
    assert "evinr weights convert" in refused("firenet+", tmp_path / "cut.safetensors")


class Malicious:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def test_a_malicious_checkpoint_does_nothing(tmp_path: Path):
    mark = tmp_path / "mark"
    path = publish(tmp_path / "model.pth", {"state_dict": FIRE, "config": Malicious(mark)})
    model = load("firenet+", path)
    assert not mark.exists() and any("open; nothing of that was looked up or run" in note for note in model.notes)
    pickle.loads(pickle.dumps(Malicious(mark))).close()  # the attack is a real one
    assert mark.exists()
