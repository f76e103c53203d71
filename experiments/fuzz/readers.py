"""Mutated recordings for every reader: each must be read or refused in one line, soon and in bounded memory.

Seeds are sound recordings (files, or folders of which one file is mutated). What fails is kept with its traceback, and
belongs into the tests when it is mended.
"""

import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import tyro
from rosbags.typesys import Stores, get_typestore

from converters.checks import Passage
from converters.door import open_stream
from converters.door import read as read_recording
from converters.frames import checked_frames
from converters.job import Job, convert
from converters.options import AS_STORED, ReadOptions
from evinr.events import InputError
from experiments.benchmarks import machine

SAMPLES = Path("../shared/formats/samples")
FAMILIES: dict[str, list[str]] = {
    "text": ["v2e_events.txt", "e2vid_slider.zip", "ijrr_folder"],
    "npy": ["aed/aed_txyp.npy", "aed/aed_float32.npy"],
    "rosbag": ["hqf_none.bag", "hqf_lz4.bag", "hqf_bz2.bag", "ced_lz4.bag", "davis346_rgb8.bag"],
    "timostoff": ["timostoff_h5/slider_packager.h5", "rled_slider.h5", "eventhdr_readme.h5", "efnet/reblur_raw.h5"],
    "hdf5": ["e2calib_slider.h5", "v2e_events.h5", "mvsec_data.hdf5", "dsec"],
    "evt": ["prophesee/evt2_faery.raw", "prophesee/evt21_little.raw", "prophesee/evt3_faery.raw"],
    "dat": ["prophesee/dat_faery.dat", "prophesee/dat_openeb.dat"],
    "aedat4": ["aedat4/slider_none.aedat4", "aedat4/slider_lz4.aedat4", "aedat4/slider_zstd.aedat4"],
    "arrays": ["evreal_npy/slider_bag", "nernet_memmap/rled_slider", "rpg_memmap_raw"],
    "highrev": ["highrev"],
    "ros2": ["made/mcap", "made/sqlite", "made/mcap/mcap.mcap"],
    "npz": ["made/rows.npz", "made/columns.npz"],
    "converted": ["made/folder", "made/converted.h5"],
}
"""Sound recordings of each family of readers: among the shared samples, or `made` from them."""
BAG, HDR = "hqf_none.bag", "eventhdr_readme.h5"
"""Samples from which others are made."""
EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
"""Numbers at which lengths and offsets break."""


@dataclass(frozen=True)
class Config:
    """How long, and what counts as a failure."""

    minutes: float = 10.0
    """For each family."""
    families: tuple[str, ...] = tuple(FAMILIES)
    seeds: Path = SAMPLES
    """Folder with the seeds; of a family named `mine` any file or folder in it."""
    patience: int = 20
    """Seconds after which a reading counts as hanging."""
    memory: float = 1.0
    """GB of address space that reading may take above what the program has when it begins."""
    seed: int = 0
    jobs: int = 2
    """Families at once."""
    failures: Path = Path("fuzz-failures")
    """Folder for inputs that fail."""
    out: Path = machine.RESULTS / "fuzz.json"


class Hang(Exception):
    """A reading that took too long."""


def make_seeds(samples: Path, folder: Path) -> None:
    """Recordings in the formats that the samples lack."""
    from rosbags.convert import convert as convert_bag

    folder.mkdir(parents=True, exist_ok=True)
    for storage, path in (("mcap", folder / "mcap"), ("sqlite3", folder / "sqlite")):
        if not path.exists():
            store, everything = get_typestore(Stores.ROS2_HUMBLE), ((), (), (), ())
            convert_bag([samples / BAG], path, storage, 9, None, "none", None, store, *everything)
    rows = read_recording(samples / BAG).events.to_array()
    np.savez(folder / "rows.npz", rows)
    np.savez_compressed(folder / "columns.npz", t=rows[:, 0], x=rows[:, 1], y=rows[:, 2], p=rows[:, 3])
    jobs = (
        Job(samples / HDR, folder / "folder", "npy", AS_STORED),
        Job(samples / BAG, folder / "converted.h5", "h5", AS_STORED),
    )
    for job in jobs:
        if not job.out.exists():
            convert(job, lambda done: None)


def main(config: Config) -> None:
    make_seeds(config.seeds, config.failures / "made")
    with multiprocessing.get_context("spawn").Pool(config.jobs, maxtasksperchild=1) as pool:
        jobs = {family: pool.apply_async(fuzz, (family, config)) for family in config.families}
        limit = 60 * config.minutes * (len(jobs) / config.jobs + 1) + 600
        results = {}
        for family, job in jobs.items():
            try:
                results[family] = job.get(timeout=limit)
            except multiprocessing.TimeoutError:
                results[family] = {"died": f"see {config.failures / family / 'current'}"}
            print(family, results[family], flush=True)
    machine.save(config.out, config, results)


def fuzz(family: str, config: Config) -> dict[str, int]:
    """Mutate and read for the given time; counts of what came of it."""
    chance = random.Random(f"{config.seed} {family}")
    made = config.failures / "made"
    seeds = [made.parent / name if name.startswith("made/") else config.seeds / name for name in FAMILIES[family]]
    folder = config.failures / family
    current = folder / "current"
    shutil.rmtree(folder, ignore_errors=True)
    current.mkdir(parents=True)
    warnings.simplefilter("error")  # people would see them
    signal.signal(signal.SIGALRM, _hang)
    read(seeds[0])  # imports and allocations that every reading shares
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = used + int(config.memory * 1e9)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    counts: Counter[str] = Counter()
    end = time.monotonic() + 60 * config.minutes
    while time.monotonic() < end:
        path = mutated(chance.choice(seeds), current, chance)
        signal.alarm(config.patience)
        try:
            counts[read(path)] += 1
        except (Exception, Hang) as error:  # whatever it is, it is a finding
            counts["failed"] += 1
            kept = folder / f"{counts['failed']:04d}-{type(error).__name__}"
            shutil.copytree(current, kept)
            (kept / "traceback.txt").write_text(traceback.format_exc())
        finally:
            signal.alarm(0)
    return dict(counts)


def read(path: Path) -> str:
    """Read all of a recording, block by block, and its frames."""
    options = ReadOptions(sort=True)
    try:
        stream = open_stream(path, options)
        passage = Passage(stream, options, path.name)
        for _ in passage.blocks():
            pass
        passage.conclusion()
        for frames in stream.frames:
            for _ in checked_frames(frames, options, passage.origin, path.name):
                pass
    except InputError as error:
        if "\n" in str(error) or not str(error).startswith(path.name):
            raise AssertionError(f"message names no file, or takes more than a line: {error}") from error
        return "refused"
    return "read"


def mutated(seed: Path, folder: Path, chance: random.Random) -> Path:
    """A copy of the seed in `folder`, in place of what was there, with one file of it changed."""
    for old in folder.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    path = folder / seed.name
    if seed.is_dir():
        shutil.copytree(seed, path, copy_function=shutil.copyfile)
        for inside in (path, *path.rglob("*")):
            inside.chmod(0o755)
        victim = chance.choice(sorted(p for p in path.rglob("*") if p.is_file()))
    else:
        shutil.copyfile(seed, path)
        victim = path
    victim.write_bytes(changed(bytearray(victim.read_bytes()), chance))
    return path


def changed(data: bytearray, chance: random.Random) -> bytes:
    """Bytes with one to eight faults, half of them near the beginning, where headers are."""
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        size = len(data)
        if not size:
            return b""
        reach = chance.choice((64, 512, 4096, size, size, size))
        at = chance.randrange(min(reach, size))
        match chance.randrange(8):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at] = chance.randrange(256)
            case 2 | 3:
                width = chance.choice((2, 4, 8))
                number = (chance.choice(EXTREMES) + chance.choice((-1, 0, 1))) % 2 ** (8 * width)
                data[at : at + width] = number.to_bytes(width, chance.choice(("little", "big")))
            case 4:
                del data[at:]
            case 5:
                del data[at : at + chance.choice((1, 2, 4, 8, 100))]
            case 6:
                data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 8, 100)))
            case _:
                start, length = chance.randrange(size), chance.choice((4, 16, 100, 1000))
                data[at : at + length] = data[start : start + length]
    return bytes(data)


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang


if __name__ == "__main__":
    os.environ["PYTHONFAULTHANDLER"] = "1"
    main(tyro.cli(Config))
