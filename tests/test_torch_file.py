"""The reader of PyTorch's files: the same numbers as torch.load, nothing executed, and bounded memory whatever they say."""

import io
import pickle
import struct
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from evinr.events import InputError
from evinr.weights import inert_pickle, torch_file, torch_tensors

GOLDEN = Path(__file__).parent / "golden/torch_files.npz"
FILES = ["zip 2", "zip 4", "stream 2", "stream 4"]
MAGIC = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))


def golden(name: str) -> tuple[bytes, dict[str, np.ndarray]]:
    """A file of PyTorch's own, and what torch.load reads of its `state_dict`."""
    with np.load(GOLDEN) as kept:
        entries = {key.removeprefix(f"{name}/"): kept[key] for key in kept.files if key.startswith(name)}
    return entries.pop("file").tobytes(), entries


def read(folder: Path, content: bytes) -> torch_file.Checkpoint:
    """What the reader makes of these bytes."""
    path = folder / "model.pth"
    path.write_bytes(content)
    return torch_file.read(path)


def refused(folder: Path, content: bytes) -> str:
    """The one line with which it refuses."""
    with pytest.raises(InputError) as caught:
        read(folder, content)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'model.pth'}: ") and "\n" not in message and len(message) < 500
    return message


def zipped(
    program: bytes, storages: dict[str, bytes] | None = None, order: bytes = b"little", packed: bool = False
) -> bytes:
    """A file of the new format around a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.writestr("model/data.pkl", program)
        archive.writestr("model/byteorder", order)
        for key, numbers in (storages or {}).items():
            archive.writestr(f"model/data/{key}", numbers)
    return buffer.getvalue()


def streamed(program: bytes, storages: dict[str, bytes] | None = None, itemsize: int = 4) -> bytes:
    """A file of the old format around a pickle."""
    keys = pickle.dumps(list(storages or {}), 2)
    data = b"".join(struct.pack("<q", len(raw) // itemsize) + raw for raw in (storages or {}).values())
    return MAGIC + program + keys + data


def text(value: str) -> bytes:
    """The instruction that puts a string on the stack."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """The instruction that puts an integer on the stack."""
    raw = value.to_bytes(9, "little", signed=True)
    return b"\x8a\x09" + raw


def tensor(
    size: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int = 0,
    length: int = 6,
    kind: str = "Float",
    key: str = "0",
) -> bytes:
    """Instructions that make a tensor of a storage."""
    label = (
        b"(" + text("storage") + f"ctorch\n{kind}Storage\n".encode() + text(key) + text("cpu") + number(length) + b"tQ"
    )
    axes = [b"(" + b"".join(map(number, axis)) + b"t" for axis in (size, stride)]
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + label + number(offset) + b"".join(axes) + b"\x89}tR"


def entry(value: bytes) -> bytes:
    """A whole pickle of a dictionary with one entry, `w`."""
    return b"\x80\x02}" + text("w") + value + b"s."


NUMBERS = np.arange(6, dtype="<f4").tobytes()


# What PyTorch wrote.


@pytest.mark.parametrize("name", FILES)
def test_every_tensor_equals_that_of_torch_load(name: str, tmp_path: Path):
    content, expected = golden(name)
    found = read(tmp_path, content)
    arrays = {key.removeprefix("state_dict."): array for key, array in found.arrays.items() if key != "tagged"}
    assert list(arrays) == list(expected)
    for key, array in arrays.items():
        same = expected[key].view(ml_dtypes.bfloat16) if key == "bfloat16" else expected[key]
        assert array.dtype == same.dtype and array.shape == same.shape, key
        np.testing.assert_array_equal(array, same, key)
    np.testing.assert_array_equal(found.arrays["tagged"], [1, 1])
    assert found.stubs == ()


@pytest.mark.parametrize("name", FILES)
def test_plain_values_are_there_by_their_names(name: str, tmp_path: Path):
    config = {
        "bins": 5,
        "name": "net",
        "rate": 1e-3,
        "norm": None,
        "skip": True,
        "sizes.0": 3,
        "sizes.1.0": 4,
        "sizes.1.1": 5,
    }
    shape = {"shape.0": 2, "shape.1": 3, "shape.2": 4}
    found = read(tmp_path, golden(name)[0])
    assert found.values == {f"config.{key}": value for key, value in config.items()} | shape


def test_the_file_is_read_as_it_lies_and_not_written(tmp_path: Path):
    content, _ = golden("stream 2")
    array = read(tmp_path, content).arrays["state_dict.float32"]
    assert not array.flags.writeable and (tmp_path / "model.pth").read_bytes() == content


@pytest.mark.parametrize("name", ["zip 2", "stream 2"])
def test_a_file_cut_anywhere_is_refused(name: str, tmp_path: Path):
    content, _ = golden(name)
    for length in range(0, len(content), 97):
        refused(tmp_path, content[:length])
    refused(tmp_path, content[:-1])


def test_a_changed_storage_of_a_zip_is_noticed(tmp_path: Path):
    content = zipped(entry(tensor((6,), (1,))), {"0": NUMBERS})
    at = content.index(NUMBERS)
    assert "CRC" in refused(tmp_path, content[:at] + b"\1" + content[at + 1 :])


def test_numbers_lie_in_the_byte_order_that_the_zip_names(tmp_path: Path):
    program = b"\x80\x02}(" + text("f") + tensor((6,), (1,)) + text("c") + tensor((3,), (1,), 0, 3, "ComplexFloat", "1")
    program += text("b") + tensor((12,), (1,), 0, 12, "BFloat16", "2") + b"u."
    small = np.arange(12).astype(ml_dtypes.bfloat16)
    storages = {"0": NUMBERS, "1": NUMBERS, "2": small.tobytes()}
    big = {"0": np.arange(6, dtype=">f4").tobytes(), "1": np.arange(6, dtype=">f4").tobytes()}
    big["2"] = small.view(np.uint16).byteswap().tobytes()
    for content in (zipped(program, storages), zipped(program, big, b"big")):
        arrays = read(tmp_path, content).arrays
        np.testing.assert_array_equal(arrays["f"], np.arange(6))
        np.testing.assert_array_equal(arrays["c"], [1j, 2 + 3j, 4 + 5j])
        np.testing.assert_array_equal(arrays["b"].astype(np.float32), np.arange(12))
    assert "middle" in refused(tmp_path, zipped(program, storages, b"middle"))


def test_views_of_the_oldest_files_begin_where_they_say(tmp_path: Path):
    view = b"(" + text("v") + number(2) + number(3) + b"t"
    label = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(6) + view + b"tQ"
    program = b"ctorch._utils\n_rebuild_tensor\n(" + label + number(1) + b"(" + number(2) + b"t(" + number(1) + b"ttR"
    np.testing.assert_array_equal(read(tmp_path, streamed(entry(program), {"0": NUMBERS})).arrays["w"], [3, 4])


def test_a_dictionary_as_python_2_wrote_it(tmp_path: Path):
    pairs = b"(]](" + text("n") + number(7) + b"eatR"
    found = read(tmp_path, streamed(b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"."))
    assert found.values == {"n": 7} and found.stubs == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "version https:"),
        (b"PK\3\4 and nothing more", "not a zip file"),
        (zipped(b"")[:-30], "not a zip file"),
        (zipped(entry(b"N"), packed=True), "packed records"),
        (b"\0" * 257 + b"ustar" + b"\0" * 250, "tar archive"),
        (pickle.dumps({"weights": 1}), "neither of its formats"),
    ],
)
def test_what_is_no_checkpoint_is_refused_and_named(content: bytes, said: str, tmp_path: Path):
    assert said in refused(tmp_path, content)


def test_a_zip_of_other_things_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "0 records data.pkl" in refused(tmp_path, (tmp_path / "other.zip").read_bytes())


def test_a_path_without_a_file_is_refused(tmp_path: Path):
    for path, said in ((tmp_path, "is a folder"), (tmp_path / "absent.pth", "no such file")):
        with pytest.raises(InputError, match=said):
            torch_file.read(path)


# Nothing is executed.


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that must never appear: a module beside it makes it when imported, and so do the programs below."""
    marker = tmp_path / "executed"
    (tmp_path / "evil_module.py").write_text(f"open({str(marker)!r}, 'w')\nclass Net: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield marker
    assert not marker.exists() and "evil_module" not in sys.modules


def attacks(marker: Path) -> dict[str, bytes]:
    """Programs that make the marker when `pickle.load` runs them."""
    shell, python = text(f"touch {marker}"), text(f"open({str(marker)!r}, 'w')")
    stated = f"__import__('os').system('touch {marker}')"
    return {
        "os.system": b"cos\nsystem\n(" + shell + b"tR.",
        "posix.system, by its other spelling": text("posix") + text("system") + b"\x93(" + shell + b"tR.",
        "builtins.eval": b"cbuiltins\neval\n(" + python + b"tR.",
        "Python 2's exec": b"c__builtin__\nexec\n(" + python + b"tR.",
        "dotted name": text("builtins") + text("eval.__call__") + b"\x93(" + python + b"tR.",
        "instance of old": b"(" + shell + b"ios\nsystem\n.",
        "object of old": b"(cos\nsystem\n" + shell + b"o.",
        "new object": b"csubprocess\nPopen\n(" + text("touch") + text(str(marker)) + b"l\x85\x81.",
        "getattr": b"cbuiltins\ngetattr\n(cos\nO\n" + text("system") + b"tR(" + shell + b"tR.",
        "import": b"cevil_module\nNet\n)\x81.",
        "state of an allowed type": b"ccollections\nOrderedDict\n)R}"
        + text("__setstate__")
        + b"cos\nsystem\nsb"
        + shell
        + b"b.",
        "allowed function": b"ctorch._utils\n_rebuild_parameter\n(cbuiltins\neval\n(" + text(stated) + b"tR\x89}tR.",
        "wrapper": b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nctorch\nTensor\n(" + shell + b"tNtR.",
        "name of a storage": b"(" + text("storage") + b"cos\nsystem\n" + text("0") + text("cpu") + number(1) + b"tQ.",
        "key": b"}cos\nsystem\n(" + shell + b"tRNs.",
    }


@pytest.mark.parametrize("name", attacks(Path("x")))
@pytest.mark.parametrize("place", ["zip", "stream", "magic", "version", "keys"])
def test_nothing_is_executed(name: str, place: str, marker: Path, tmp_path: Path):
    program = b"\x80\x02" + attacks(marker)[name]
    plain = entry(b"N")
    content = {
        "zip": zipped(program, {"0": NUMBERS}),
        "stream": streamed(program, {"0": NUMBERS}),
        "magic": program + plain,
        "version": MAGIC[: MAGIC.index(pickle.dumps(1001, 2))] + program + program + plain + pickle.dumps([], 2),
        "keys": MAGIC + plain + program,
    }[place]
    try:
        found = read(tmp_path, content)
        assert not found.arrays
    except InputError:
        pass


def test_the_attacks_are_real(tmp_path: Path):
    marker = tmp_path / "executed"
    pickle.loads(b"\x80\x02" + attacks(marker)["os.system"])
    assert marker.exists()


def test_unknown_classes_are_listed_and_their_attributes_read(marker: Path, tmp_path: Path):
    state = b"}(" + text("bins") + number(5) + text("w") + tensor((2, 3), (3, 1)) + b"ub"
    path = b"cpathlib\nPosixPath\n(" + text("/") + text("home") + b"tR"
    program = b"\x80\x02}(" + text("config") + b"cevil_module\nNet\n)\x81" + state + text("where") + path + b"u."
    found = read(tmp_path, zipped(program, {"0": NUMBERS}))
    assert found.stubs == ("evil_module.Net", "pathlib.PosixPath")
    assert found.values == {"config.bins": 5}
    np.testing.assert_array_equal(found.arrays["config.w"], np.arange(6).reshape(2, 3))


def test_names_out_of_the_file_cannot_play_with_the_terminal(tmp_path: Path):
    found = read(tmp_path, zipped(b"\x80\x02c\x1b[2Jevil\n" + b"N" * 5000 + b"\n."))
    assert found.stubs[0].startswith("\\x1b[2Jevil.NNN") and len(found.stubs[0]) < 200


def test_no_pickle_of_python_is_loaded_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("pickle was asked to load")

    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    assert read(tmp_path, golden("stream 2")[0]).arrays


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_containers_are_what_pickle_makes_of_them(protocol: int):
    ring: list[Any] = [1]
    ring.append((ring,))
    content = [1, -(2**70), 2.5, "text é", None, True, (1,), (1, 2), (1, 2, 3), tuple(range(9)), [[]], ring, "text é"]
    found = inert_pickle.load(io.BytesIO(pickle.dumps(content, protocol)))
    assert found.names == frozenset() and repr(found.value) == repr(content)
    found = inert_pickle.load(io.BytesIO(pickle.dumps({"a": OrderedDict(b=1), "c": {}}, protocol)))
    (first, ordered), (second, empty) = found.value.items
    assert (first, second) == ("a", "c") and ordered.of.name == "collections.OrderedDict" and empty.items == []


# Memory and time are bounded.


def bombs() -> dict[str, bytes]:
    """Files that say little and mean much."""
    huge = 2**60
    rings = b"\x80\x02]q\0(h\0h\0e."
    doubled = b"\x80\x02]" + b"".join(b"q\0](h\0h\0e" for _ in range(64)) + b"."
    deep = b"\x80\x02" + b"]" * 2000 + b"a" * 1999 + b"."
    tuples = b"\x80\x02}" + b")" + b"\x85" * 4000 + b"Ns."
    shared = b"\x80\x02" + text("k" * 5000) + b"q\x000}" + b"".join(b"q\1}h\0h\1s" for _ in range(300)) + b"."
    return {
        "storage beyond the zip": zipped(entry(tensor((huge,), (1,), length=huge)), {"0": NUMBERS}),
        "storage beyond the stream": streamed(entry(tensor((huge,), (1,), length=huge)), {"0": NUMBERS}),
        "length in the stream": MAGIC
        + entry(tensor((huge,), (1,), length=huge))
        + pickle.dumps(["0"])
        + struct.pack("<q", huge),
        "tensor beyond its storage": zipped(entry(tensor((7,), (1,))), {"0": NUMBERS}),
        "stride beyond its storage": zipped(entry(tensor((2, 2), (5, 1))), {"0": NUMBERS}),
        "offset beyond its storage": zipped(entry(tensor((1,), (1,), 6)), {"0": NUMBERS}),
        "negative offset": zipped(entry(tensor((1,), (1,), -1)), {"0": NUMBERS}),
        "negative stride": zipped(entry(tensor((2,), (-1,), 5)), {"0": NUMBERS}),
        "negative size": zipped(entry(tensor((-1,), (1,))), {"0": NUMBERS}),
        "too many axes": zipped(entry(tensor((1,) * 70, (1,) * 70)), {"0": NUMBERS}),
        "empty and huge": zipped(entry(tensor((0, huge, huge), (1, 1, 1))), {"0": NUMBERS}),
        "string": zipped(b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x."),
        "bytes": streamed(b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x."),
        "integer": streamed(b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x."),
        "digits": zipped(b"I" + b"9" * 100_000 + b"\n."),
        "memo": zipped(b"\x80\x02]r" + struct.pack("<I", 2**32 - 1) + b"\x94."),
        "frame": zipped(b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N"),
        "extension": zipped(b"\x80\x02\x82\x01."),
        "ring": zipped(rings),
        "doubling": zipped(doubled),
        "nameless ring": zipped(b"\x80\x02}q\0" + text("") + b"h\0s."),
        "deep lists": zipped(deep),
        "deep key": zipped(tuples),
        "long names": zipped(shared),
        "many objects": zipped(b"\x80\x02(" + b"}" * 6000 + b"t."),
        "two of a name": zipped(b"\x80\x02}(" + text("a") + b"}" + text("b") + b"Ns" + text("a.b") + b"Nu."),
        "stack too short": zipped(b"\x80\x02ssRRbQ."),
        "no end": zipped(b"\x80\x02}"),
    }


HARMLESS = {"memo", "deep key"}
"""Those that may be read, as long as it takes no memory."""


@pytest.mark.parametrize("name", bombs())
def test_bombs_are_refused_within_memory_and_time(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inert_pickle, "MOST_OPCODES", 5_000)
    monkeypatch.setattr(torch_tensors, "MOST_NAMES", 20_000)
    content = bombs()[name]
    tracemalloc.start()
    try:
        if name in HARMLESS:
            try:
                read(tmp_path, content)
            except InputError:
                pass
        else:
            refused(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_an_expanded_tensor_takes_no_memory_until_it_is_copied(tmp_path: Path):
    found = read(tmp_path, zipped(entry(tensor((2**40, 6), (0, 1))), {"0": NUMBERS}))
    assert found.arrays["w"].shape == (2**40, 6)
    np.testing.assert_array_equal(found.arrays["w"][2**39], np.arange(6))


def test_records_of_a_zip_that_overlap_are_refused(tmp_path: Path):
    """Many directory entries of one large record: each would be read anew (a zip bomb without compression)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", entry(b"N"))
        archive.writestr("model/data/0", bytes(10_000))
        record = archive.getinfo("model/data/0")
        for key in range(1, 50):
            copy = zipfile.ZipInfo(f"model/data/{key}")
            for name in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(copy, name, getattr(record, name))
            archive.filelist.append(copy)
    assert "larger than itself" in refused(tmp_path, buffer.getvalue())
