"""What a batch leaves beside its runs: its options, what failed, and one table of all runs, by whichever machine."""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from evinr.cli.batch_list import Entry
from evinr.events import InputError
from evinr.executors import record
from evinr.files import parents, whole, write_json
from evinr.scores import METRICS

MARK, LOGS, LOCK = "batch.json", "logs", ".lock"
NUMBERS = (
    "events",
    "seconds_of_recording",
    "width",
    "height",
    "windows",
    "loss",
    "seconds",
    "peak_mb",
    "evinr",
    "protocol",
)
"""Columns of the table, before the scores."""


def begin(out: Path, options: Mapping[str, Any], overwrite: bool) -> None:
    """Make the folder of a batch, or go on in it.

    Raises InputError where it is something else, or the batch in it has other options and these may not replace them.
    """
    beside = {LOCK, f".partial-{MARK}"}  # what a process leaves that is killed at once
    there = out.is_dir() and not {entry.name for entry in out.iterdir()} <= beside
    if out.exists() and (not out.is_dir() or (there and not (out / MARK).is_file())):
        raise InputError(f"{out}: exists, and is no batch of evinr; pass another --out")
    with parents(out / MARK), _alone(out):
        before = _before(out / MARK)
        for name, value in options.items():
            if before and not overwrite and (old := before["options"].get(name)) != value:
                raise InputError(
                    f"{out}: {name} was {old} and is now {value}; give the same options, pass another --out, or replace its"
                    " runs with --overwrite"
                )
        if not before or before["options"] != options:
            write_json(out / MARK, {"names": {}} | before | {"evinr": version("evinr"), "options": options})
        (out / LOGS).mkdir(exist_ok=True)


def names(out: Path, entries: Sequence[Entry]) -> dict[str, str]:
    """What the run of each source is called: as it was before, as a dataset may grow by recordings that are called alike."""
    with _alone(out):
        mark = _before(out / MARK)
        paths = [os.path.abspath(entry.source) for entry in entries]
        found = {path: name for path, name in mark["names"].items() if path in paths or os.path.lexists(path)}
        taken = {name.casefold() for name in found.values()}
        for path, entry in zip(paths, entries, strict=True):
            if path not in found:
                name = entry.name
                while name.casefold() in taken:
                    name += "_"
                found[path] = name
                taken.add(name.casefold())
        if found != mark["names"]:
            write_json(out / MARK, mark | {"names": found})
    return {entry.source: found[path] for path, entry in zip(paths, entries, strict=True)}


def failed(out: Path, name: str, source: str, error: str) -> None:
    """Keep that a recording could not be fitted, and why, for the table."""
    write_json(_failure(out, name), {"source": source, "error": error})


def succeeded(out: Path, name: str) -> None:
    """Forget an earlier failure."""
    _failure(out, name).unlink(missing_ok=True)


def write(out: Path) -> list[dict[str, Any]]:
    """Write results.csv and results.json of all runs that are there, those that failed at the end; the rows."""
    with _alone(out):
        rows = list(gathered(out))
        scores = [name for name in METRICS if any(name in row["scores"] for row in rows)]
        write_json(out / "results.json", rows)
        with (
            whole(out / "results.csv") as partial,
            partial.open("w", newline="", errors="surrogateescape") as file,
        ):
            table = csv.writer(file)
            table.writerow(["name", "state", "source", *NUMBERS, *scores, "error"])
            for row in rows:
                numbers = [row.get(name) for name in NUMBERS]
                table.writerow(
                    [row["name"], row["state"], row["source"], *numbers]
                    + [row["scores"].get(name) for name in scores]
                    + [row["error"]]
                )
    return rows


def gathered(out: Path) -> Iterator[dict[str, Any]]:
    """A row for every run that is done, and then one for every recording that failed, both by name."""
    failures = {}
    for path in sorted((out / LOGS).glob("[!.]*.failed")):
        with suppress(FileNotFoundError):  # another shard has just done it
            failures[path.stem] = json.loads(path.read_text())
    for path in sorted(out.glob(f"[!.]*/{record.RESULT}")):  # a killed process may leave .replaced-NAME
        found = record.read(path.parent)
        if found is not None and path.parent.name not in failures:
            error = found.about.get("unscored")
            yield {"name": path.parent.name, "state": "done", "scores": {}, "error": error} | found.about
    for name, told in failures.items():
        yield {"name": name, "state": "failed", "scores": {}} | told


def _failure(out: Path, name: str) -> Path:
    return out / LOGS / f"{name}.failed"


def _before(mark: Path) -> dict[str, Any]:
    try:
        before = json.loads(mark.read_text())
        return before | {"options": dict(before["options"]), "names": dict(before["names"])}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{mark}: cannot be understood ({error}); it is damaged: remove it, or pass another --out"
        ) from None


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """The files beside the runs, for one of the processes that work in the folder: shards begin and end together."""
    with FileLock(out / LOCK):
        yield
