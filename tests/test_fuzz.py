"""A short version of `experiments/fuzz/readers.py`, on small recordings of its own: read, or refused in one line."""

import random
from collections import Counter
from pathlib import Path

import pytest

from converters.job import Job, convert
from converters.options import AS_STORED
from experiments.benchmarks import long_recordings as write
from experiments.fuzz.readers import changed, mutated, read

SEEDS = {
    "a.txt": write.text,
    "a.bag": write.bag(None),
    "lz4.bag": write.bag("lz4"),
    "a.h5": write.h5,
    "a.npy": write.npy,
    "evt3.raw": write.evt3,
    "rows.raw": write.evt3_rows,
    "evt2.raw": write.evt2,
}


@pytest.mark.parametrize("name", [*SEEDS, "folder", "evreal", "converted.h5"])
def test_damaged_recordings_are_read_or_refused_in_one_line(name, tmp_path):
    seed = tmp_path / name
    if name in SEEDS:
        SEEDS[name](seed, 400)
    else:
        source = write.npy(tmp_path / "a.npy", 400)
        to = "h5" if name.endswith("h5") else "evreal" if name == "evreal" else "npy"
        convert(Job(source, seed, to, AS_STORED), lambda done: None)
    assert read(seed) == "read"
    current = tmp_path / "current"
    current.mkdir()
    chance = random.Random(name)
    counts = Counter(read(mutated(seed, current, chance)) for _ in range(100))
    assert counts["refused"] > 0


def test_mutations_change_something():
    chance = random.Random(0)
    seed = bytes(range(256)) * 20
    assert sum(changed(bytearray(seed), chance) != seed for _ in range(200)) > 190


def test_what_names_no_file_is_a_finding(tmp_path: Path, monkeypatch):
    from evinr.events import InputError

    def refuse(path, options):
        raise InputError("it is broken somewhere")

    monkeypatch.setattr("experiments.fuzz.readers.open_stream", refuse)
    with pytest.raises(AssertionError, match="names no file"):
        read(tmp_path / "a.npy")
