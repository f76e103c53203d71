"""What the commands that make many fits can be told. Imports no JAX, so that `--help` answers at once."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from converters import ReadOptions
from evinr import config
from evinr.cli.commands import PRESETS, Fit, Scoring, Seconds
from evinr.config import FitConfig
from evinr.tonemap import ToneMap


@dataclass(frozen=True)
class Sweep:
    """Search for the settings of `evinr fit` that score best, as a W&B sweep file says: with a W&B account or without."""

    file: Annotated[Path, tyro.conf.Positional]
    """Sweep (YAML) as W&B has it: grid, random or bayes over options of `evinr fit`; see experiments/sweeps."""
    sources: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Recordings of any known format, or `demo`: every run fits all of them and has their mean score. Unset, the file's
    parameter `source`."""
    out: Path | None = None
    """Folder for the runs, results.jsonl and sweep.html; unset, sweeps/NAME after the file. A sweep that is there is gone
    on with."""
    count: int = 20
    """Runs in all, those that are there included; a grid ends when it is through."""
    local: bool = False
    """Search here, with W&B's own engine, also where there is a W&B login."""
    project: str | None = None
    """W&B project of the runs; unset, the file's `project`, else evinr."""
    scoring: Scoring = field(default_factory=lambda: Scoring(protocol="aligned"))

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count is {self.count}, and must be above 0")


@dataclass(frozen=True)
class Batch:
    """Fit every recording of a dataset, some at once. What is done is kept, what was begun is gone on with."""

    sources: Annotated[tuple[str, ...], tyro.conf.Positional] = tyro.MISSING
    """Recordings of any known format; folders with recordings in them and below; patterns, quoted ("data/*.bag"); and lists:
    .txt with such a path a line, relative to the list's folder."""
    out: Path = tyro.MISSING
    """Folder for the runs, one each, for results.csv, results.json, and logs/."""
    jobs: int | None = None
    """Fits at once; unset, one for every GPU, or where there is none for every CPU core, of 2.5 GB of memory each."""
    executor: Literal["processes", "ray"] = "processes"
    """Who does them: processes of this machine, or workers of a Ray cluster (pip install "evinr[ray]")."""
    address: str | None = None
    """HOST:PORT of the Ray cluster, or `auto`; unset, RAY_ADDRESS, else a cluster of this machine for as long as it takes."""
    shard: str | None = None
    """i/N: every N-th recording only, from the i-th on, counted from 1: for N machines that share the disk."""
    score: bool = False
    """Score each run: against the camera's frames where it has any, else by what needs none."""
    overwrite: bool = False
    """Replace runs that are of other settings or of another recording; without it they are told of, and left alone."""
    preset: Literal["default", "paper"] = "default"
    """Defaults of the options below: ours, or those of the original EvINR."""
    budget: Seconds | None = None
    """This and the next four: as for `evinr fit`, for every recording."""
    window_budget: Seconds | None = None
    """As for `evinr fit`."""
    wandb: bool = False
    """As for `evinr fit`."""
    frames: int | None = None
    """As for `evinr fit`."""
    fps: float = 30.0
    """As for `evinr fit`."""
    read: ReadOptions = field(default_factory=ReadOptions)
    fit: FitConfig = config.DEFAULT
    tone: ToneMap = field(default_factory=ToneMap)
    scoring: Scoring = field(default_factory=Scoring)

    def __post_init__(self) -> None:
        if self.sources == ():
            raise ValueError("no recordings are given; give files, folders, patterns or a list (.txt) of them")
        if self.jobs is not None and self.jobs < 1:
            raise ValueError(f"jobs is {self.jobs}, and must be above 0")
        if self.address is not None and self.executor != "ray":
            raise ValueError("address is that of a Ray cluster; give --executor ray, too")
        if self.scoring != Scoring() and not self.score:
            raise ValueError("options of scoring say nothing without --score; give it, too")
        if self.scoring.sequence is not None:
            raise ValueError("sequence is the name of one recording, and a batch has many, which go by their own names")
        self._fit("")

    def one(self, source: str, name: str) -> Fit:
        """The fit of one recording."""
        return replace(self._fit(source), out=self.out, name=name)

    def _fit(self, source: str) -> Fit:
        return Fit(
            source=source,
            preset=self.preset,
            overwrite=self.overwrite,
            budget=self.budget,
            window_budget=self.window_budget,
            wandb=self.wandb,
            frames=self.frames,
            fps=self.fps,
            read=self.read,
            fit=self.fit,
            tone=self.tone,
        )


BATCH_PRESETS = {name: Batch(preset=fit.preset, fit=fit.fit, tone=fit.tone) for name, fit in PRESETS.items()}
"""Defaults of `evinr batch` for each preset, as PRESETS of `evinr fit`."""
