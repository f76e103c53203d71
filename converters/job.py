"""One conversion, from a source to a target that appears whole or not at all."""

import json
import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py

from converters.convert import LAYOUT, Advance, source_state, write_folder
from converters.door import open_stream
from converters.options import ReadOptions
from converters.targets import write_evreal, write_h5
from evinr.events import InputError
from evinr.files import parents, scratch_folder, whole, whole_folder

Target = Literal["npy", "evreal", "h5"]


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
    source, out = job.source.resolve(), job.out.resolve()
    if source.is_relative_to(out) or (source.is_dir() and out.is_relative_to(source)):
        raise InputError(f"{job.out}: the source and the output lie inside each other; give another output")
    if out.exists() or out.is_symlink():
        if written(out) is None:
            raise InputError(f"{job.out}: exists, and is no conversion of evinr; give another output")
        if not job.overwrite:
            raise InputError(f"{job.out}: exists already; pass --overwrite, or give another output")
    made_by = version("evinr")
    if job.to == "h5":
        with parents(job.out), scratch_folder(job.out) as between, whole(job.out) as file:
            about = write_folder(job.source, between, job.options, made_by, advance)
            write_h5(between, file)
            if job.out.is_dir():
                shutil.rmtree(job.out)
        return about
    with whole_folder(job.out, job.overwrite) as folder:
        if job.to == "npy":
            return write_folder(job.source, folder, job.options, made_by, advance)
        between = folder / "between"
        between.mkdir()
        about = write_folder(job.source, between, job.options, made_by, advance)
        write_evreal(between, folder)
        shutil.rmtree(between)
    return about


def is_done(job: Job) -> bool:
    """Whether the output stands, from the same state of the source and with the same options."""
    about = written(job.out)
    if about is None or about["to"] != job.to:
        return False
    now = {"layout": LAYOUT, "options": json.loads(json.dumps(asdict(job.options)))}
    if any(about.get(key) != value for key, value in now.items()):
        return False
    return about.get("source_state") == source_state(open_stream(job.source, job.options))


def written(out: Path) -> dict[str, Any] | None:
    """The metadata of a conversion that stands at `out`, with its kind as `to`; None for anything else."""
    try:
        if out.is_dir():
            about = json.loads((out / "metadata.json").read_text())
            kind = "npy" if (out / "events.npy").exists() else "evreal"
            about = about if kind == "npy" else about["evinr"]
        else:
            with h5py.File(out, "r") as file:
                kind, about = "h5", json.loads(str(file.attrs["evinr"]))
        return about | {"to": kind} if "layout" in about else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
