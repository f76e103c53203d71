"""One conversion, from a source to a target that appears whole or not at all."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py

from converters.convert import LAYOUT, Advance, write_folder
from converters.h5_access import numbers_at
from converters.options import ReadOptions
from converters.targets import write_evreal, write_h5
from evinr.events import InputError
from evinr.files import parents, resolved, scratch_folder, whole, whole_folder

Target = Literal["npy", "evreal", "h5"]
EVREAL = {"events_ts.npy", "events_xy.npy", "events_p.npy", "images.npy", "images_ts.npy", "image_event_indices.npy"}
"""Files of a folder for EVREAL."""


class Job(NamedTuple):
    """What is to be converted into what."""

    source: Path
    out: Path
    to: Target
    options: ReadOptions
    overwrite: bool = False


def convert(job: Job, advance: Advance) -> dict[str, Any]:
    """Do it, and give the metadata.

    Raises InputError where the source is no sound recording, and where `out` exists and may not be overwritten: without
    `overwrite`, or because it is nothing that this function wrote, or has to do with the source. OSError names its file.
    """
    require_apart(job.source, job.out)
    return place(job.out, job.to, job.overwrite, lambda folder: _write(job, folder, advance))


def require_apart(source: Path, out: Path) -> None:
    """Raises InputError where a recording and what is made of it lie inside each other."""
    named, source, out = out, resolved(source), resolved(out)
    if source.is_relative_to(out) or (source.is_dir() and out.is_relative_to(source)):
        raise InputError(f"{named}: the source and the output lie inside each other; give another output")


def place(out: Path, to: Target, overwrite: bool, write: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Put at `out` what `write` writes into an empty folder, in the layout of a target, and give its metadata.

    Raises InputError where `out` exists and may not be overwritten.
    """
    named, out = out, resolved(out)
    if out.exists():
        if written(out) is None:
            raise InputError(f"{named}: exists, and is no conversion of evinr; give another output")
        if not overwrite:
            raise InputError(f"{named}: exists already; pass --overwrite, or give another output")
        if out.is_dir() and (others := _others(out)):
            listed = ", ".join(others[:3]) + ", ..." * (len(others) > 3)
            raise InputError(f"{named}: holds {listed}, no part of the conversion; move it, or give another output")
    if to == "h5":
        with parents(out), scratch_folder(out) as between, whole(out) as file:
            about = write(between)
            write_h5(between, file)
            if out.is_dir():
                shutil.rmtree(out)
        return about
    with whole_folder(out, overwrite) as folder:
        if to == "npy":
            return write(folder)
        between = folder / "between"
        between.mkdir()
        write(between)
        about = write_evreal(between, folder)
        shutil.rmtree(between)
    return about


def is_done(job: Job) -> bool:
    """Whether the output stands whole, from the same state of the source, with the same options and version."""
    about = written(job.out)
    return about is not None and about["to"] == job.to and about["made"] == _made(job) and _is_whole(job.out, about)


def written(out: Path) -> dict[str, Any] | None:
    """The metadata of a conversion that stands at `out`, with its kind as `to`; None for anything else."""
    try:
        if (out / "events.npy").is_file():
            kind, about = "npy", json.loads((out / "metadata.json").read_text())
        elif (out / "events_ts.npy").is_file():
            kind, about = "evreal", json.loads((out / "metadata.json").read_text())["evinr"]
        elif out.is_file():
            with h5py.File(out, "r") as file:
                kind, about = "h5", json.loads(numbers_at(file, out.name, "evinr")[:].tobytes())
        else:
            return None
        counts = [about["events"]["count"], *(frames["count"] for frames in about["frames"].values())]
        ours = {"evinr", "source_sha256", "layout", "made"} <= about.keys() and all(type(n) is int for n in counts)
        return about | {"to": kind} if ours else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        return None


def _others(out: Path) -> list[str]:
    """What lies in the folder of a conversion and is none of its files."""
    kinds = (written(out) or {"frames": {}})["frames"]
    ours = {"metadata.json", "events.npy", "frames.h5", *kinds, *EVREAL}
    lists = {f"{what}{end}.txt" for what in ("images", "exposures") for end in ("", *(f"_{kind}" for kind in kinds))}
    found = [entry.name for entry in out.iterdir() if entry.name not in ours | lists]
    for kind in kinds:
        pictures = (out / kind).iterdir() if (out / kind).is_dir() else ()
        found += [f"{kind}/{entry.name}" for entry in pictures if not re.fullmatch(r"frame_\d{8,}\.png", entry.name)]
    return sorted(name for name in found if not Path(name).name.startswith("."))  # .DS_Store and its like


def _write(job: Job, folder: Path, advance: Advance) -> dict[str, Any]:
    return write_folder(job.source, folder, job.options, version("evinr"), _made(job), advance)


def _made(job: Job) -> dict[str, Any]:
    """What a conversion depends on: options, version, and names, sizes and times of change of the source's files."""
    source = resolved(job.source)
    files = [source]
    if source.is_dir():
        files = sorted(Path(folder) / name for folder, _, names in os.walk(source) for name in names)
    digest = hashlib.sha256()
    for path in files:
        try:
            status = path.stat()
        except OSError as error:
            if path == source:
                raise InputError(f"{path.name}: cannot be opened: {error.strerror}; check the path") from error
            continue  # a link to nothing, which the reader will miss if it needs it
        line = f"{path.relative_to(source.parent)} {status.st_size} {status.st_mtime_ns}\n"
        digest.update(line.encode(errors="replace"))
    options = json.loads(json.dumps(asdict(job.options)))
    return {"layout": LAYOUT, "version": version("evinr"), "options": options, "state": digest.hexdigest()}


def _is_whole(out: Path, about: dict[str, Any]) -> bool:
    """Whether the events are there, and pictures that somebody may have deleted to save space."""
    events = about["events"]["count"]
    match about["to"]:
        case "npy" if os.path.getsize(out / "events.npy") <= 32 * events:
            return False
        case "evreal" if os.path.getsize(out / "events_ts.npy") <= 8 * events:
            return False
        case "npy":
            there = {name: len(os.listdir(out / name)) for name in about["frames"] if (out / name).is_dir()}
            missing = {name for name, kind in about["frames"].items() if there.get(name) != kind["count"]}
            # Those that never were PNGs have no list either.
            listed = any(list(out.glob(f"images_{name}.txt")) for name in missing) or (
                next(iter(about["frames"]), None) in missing and (out / "images.txt").exists()
            )
            return not missing or (not listed and (out / "frames.h5").exists())
        case "evreal":
            return not about["frames"] or (out / "images.npy").exists()
        case _:
            return True
