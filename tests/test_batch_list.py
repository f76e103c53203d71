"""Which recordings a batch has, what their runs are called, and which of them a shard takes."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evinr.cli import batch_list
from evinr.cli.batch_list import Entry, found, names, shard
from evinr.events import InputError

EVENTS = np.array([[0.0, 1, 2, 1], [0.1, 3, 4, 0]])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A dataset: recordings in folders of the same names, a list, and what is no recording."""
    for name in ("day/one.npy", "day/two.npy", "night/one.npy", "night/deep/three.npy"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "data" / name, EVENTS)
    (tmp_path / "data/ijrr/boxes").mkdir(parents=True)
    (tmp_path / "data/ijrr/boxes/events.txt").write_text("0.0 1 2 1\n0.1 3 4 0\n")
    np.save(tmp_path / "data/poses.npy", np.zeros((4, 7)))
    return tmp_path / "data"


def sources(entries: list[Entry], data: Path) -> list[str]:
    return [os.path.relpath(entry.source, data) for entry in entries]


ALL = ["day/one.npy", "day/two.npy", "ijrr/boxes", "night/deep/three.npy", "night/one.npy"]
NAMES = ["day-one", "two", "boxes", "three", "night-one"]


def test_a_folder_a_pattern_and_a_list_find_the_same(data: Path, tmp_path: Path):
    listing = data.parent / "list.txt"
    listing.write_text(
        "# the dataset\n\ndata/night\n  data/ijrr/boxes \n" + f"{data / 'day/two.npy'}\ndata/day/one.npy\n"
    )
    whole = found([str(data)], tmp_path / "out")
    assert sources(whole.entries, data) == ALL and [entry.name for entry in whole.entries] == NAMES
    assert [path.name for path in whole.passed_over] == ["poses.npy"]
    assert found([str(data / "*")[:-1] + "[dni]*"], tmp_path / "out").entries == whole.entries
    assert [Path(entry.source).resolve() for entry in found([str(listing)], tmp_path / "out").entries] == [
        data / name for name in ALL
    ]


def test_a_folder_that_is_a_recording_counts_as_one(data: Path, tmp_path: Path):
    assert found([str(data / "ijrr/boxes")], tmp_path / "out").entries == [Entry("boxes", str(data / "ijrr/boxes"))]
    inside = str(data / "ijrr/boxes/events.txt")
    assert found([inside], tmp_path / "out").entries == [Entry("boxes", inside)]  # text of numbers is no list
    named = data.parent / "named.txt"
    named.write_text("timestamp x y polarity\n0.1 3 4 1\n")
    assert found([str(named)], tmp_path / "out").entries == [Entry("named", str(named))]


def test_what_a_list_names_and_is_not_there_stays_in(data: Path, tmp_path: Path):
    (data / "list.txt").write_text("day/one.npy\nday/gone.npy\n")
    assert sources(found([str(data / "list.txt")], tmp_path / "out").entries, data) == ["day/gone.npy", "day/one.npy"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data/gone.bag"], "no such file or folder"),
        (["data/*.bag"], "nothing has such a name"),
        (["empty"], "without a recording"),
        (["empty.txt"], "is empty"),
        (["data", "data/day/one.npy"], "given twice"),
        (["link.npy", "data/day/one.npy"], "given twice"),
        (["."], "which is looked through"),
        (["runs/one.npy"], "where the runs go"),
    ],
)
def test_one_line_says_what_is_wrong(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("empty.txt").write_text("# nothing\n")
    Path("link.npy").symlink_to(data / "day/one.npy")
    Path("runs").mkdir()
    np.save("runs/one.npy", EVENTS)
    with pytest.raises(InputError, match=said) as error:
        found(words, Path("runs"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/d/a.bag", "/d/b.bag"], ["a", "b"]),
        (["/d/a.bag", "/d/a.npy"], ["a.bag", "a.npy"]),
        (["/d/x/a.bag", "/d/y/a.bag", "/d/y/b.bag"], ["x-a", "y-a", "b"]),
        (["/d/x/events.txt", "/d/y/events.txt"], ["x", "y"]),
        (["/d/x/events.txt", "/d/x/events.npy"], ["events.txt", "events.npy"]),
        (["/d/a[1]*?.bag"], ["a_1___"]),
        (["/d/a 1.bag", "/d/a_1.bag"], ["d-a_1", "d-a_1_"]),
        (["/d/logs.bag", "/d/results.csv.bag"], ["d-logs", "d-results.csv"]),
        (["/d/A.bag", "/e/a.bag"], ["d-A", "e-a"]),
        (["/x/a-b/c.bag", "/x/a/b-c.bag", "/x/y/c.bag"], ["a-b-c", "b-c", "y-c"]),
        (["/d/.hidden.bag"], ["hidden"]),
        (["/d/nacht\udcfc.bag"], ["nacht_"]),
    ],
)
def test_names_are_short_and_unlike(paths: list[str], expected: list[str]):
    assert names(paths) == expected


PART = st.sampled_from(["a", "b", "A", "a-b", "logs", "events", "a?", "a_"])


@given(st.lists(st.lists(PART, min_size=1, max_size=3), min_size=1, max_size=8, unique_by=tuple), st.randoms())
def test_names_are_unlike_whatever_the_paths(parts: list[list[str]], chance: random.Random):
    """Also where capitals do not count; Orbax can take them; and their order does not matter."""
    paths = ["/" + "/".join(part) + ".bag" for part in parts]
    given = names(paths)
    assert len({name.casefold() for name in given}) == len(paths)
    assert not any(set("[]*?/ ") & set(name) or name in batch_list.TAKEN for name in given)
    shuffled = chance.sample(paths, len(paths))
    assert dict(zip(shuffled, names(shuffled), strict=True)) == dict(zip(paths, given, strict=True))


@given(st.integers(0, 40), st.integers(1, 12))
def test_shards_are_the_whole_once_each(count: int, machines: int):
    entries = [Entry(str(number), str(number)) for number in range(count)]
    parts = [shard(entries, f"{number}/{machines}") for number in range(1, machines + 1)]
    assert sorted(entry for part in parts for entry in part) == sorted(entries)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert shard(entries, None) == entries


@pytest.mark.parametrize("part", ["0/8", "9/8", "1/0", "1", "a/b", "-1/8", "1/8/2", ""])
def test_no_such_shard(part: str):
    with pytest.raises(InputError, match="--shard .*counted from 1"):
        shard([Entry("a", "a")], part)
