"""What each command can be told. Imports neither JAX nor imageio, so that `--help` answers at once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from converters import ReadOptions
from evinr import config, tonemap
from evinr.config import FitConfig
from evinr.tonemap import ToneMap


def seconds(text: str) -> float:
    """`10`, `10s`, `1.5m` or `1h` in seconds."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    unit = text[-1:] if text[-1:] in units else ""
    value = float(text.removesuffix(unit)) * units.get(unit, 1.0)
    if not 0 < value < float("inf"):
        raise ValueError(f"{text} is no positive time")
    return value


Seconds = Annotated[
    float,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="SECONDS",
        instance_from_str=lambda words: seconds(words[0]),
        is_instance=lambda value: isinstance(value, float),
        str_from_instance=lambda value: [f"{value:g}s"],
    ),
]


@dataclass(frozen=True)
class Fit:
    """Turn a recording into a continuous-time intensity video."""

    source: Annotated[str, tyro.conf.Positional] = tyro.MISSING
    """Recording: a file or folder of any known format; or `demo`: a simulated scene with known truth."""
    preset: Literal["default", "paper"] = "default"
    """Defaults of the options below: ours, or those of the original EvINR."""
    out: Path = Path("runs")
    """Folder of the runs."""
    name: str | None = None
    """Folder of this run inside it; unset, named after the source."""
    resume: bool = False
    """Go on from the run's last checkpoint, to the same result."""
    overwrite: bool = False
    """Replace the run if it exists."""
    budget: Seconds | None = None
    """End the schedule within this time (`10s`, `2m`), compilation included, with fewer steps if need be."""
    wandb: bool = False
    """Log to Weights & Biases, in the mode it is set up for (WANDB_MODE=offline works without an account)."""
    frames: int = 120
    """Frames of video.mp4, evenly over the span."""
    fps: float = 30.0
    """Frames per second at which video.mp4 is played."""
    read: ReadOptions = field(default_factory=ReadOptions)
    fit: FitConfig = config.DEFAULT
    tone: ToneMap = field(default_factory=ToneMap)

    def __post_init__(self) -> None:
        if self.frames < 1 or not 0 < self.fps < float("inf"):
            raise ValueError(f"frames is {self.frames} and fps {self.fps}: both must be above 0")


@dataclass(frozen=True)
class Convert:
    """Turn a recording of any format, or a folder of them, into plain files: N x 4 events, PNGs, metadata."""

    source: Annotated[str, tyro.conf.Positional]
    """Recording, or a folder with recordings in it and below."""
    out: Annotated[Path, tyro.conf.Positional]
    """Folder to make (for h5: file to make); for a folder of recordings, where theirs go."""
    to: Literal["npy", "evreal", "h5"] = "npy"
    """A folder of our own (events.npy, frames, metadata.json), one for EVREAL, or one compressed HDF5 file."""
    jobs: int = 1
    """Recordings of a folder converted at once."""
    overwrite: bool = False
    """Replace what an earlier conversion left there."""
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"jobs is {self.jobs}, and must be above 0")


@dataclass(frozen=True)
class Info:
    """Tell how sound a recording is, and what a fit of it needs."""

    source: Annotated[str, tyro.conf.Positional]
    """Recording: a file or folder of any known format."""
    html: Path | None = None
    """Page to write: the same with pictures, in one file that needs no network."""
    overwrite: bool = False
    """Replace the page if it exists."""
    read: ReadOptions = field(default_factory=ReadOptions)


PRESETS = {
    "default": Fit(),
    "paper": Fit(preset="paper", fit=config.PAPER, tone=tonemap.PAPER),
}


@dataclass(frozen=True)
class Render:
    """Ask a fitted run for pictures at any times."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder that `evinr fit` or `Reconstruction.save` wrote."""
    times: tuple[float, ...] = ()
    """Timestamps, in seconds of the recording's clock."""
    times_file: Path | None = None
    """Text file with one timestamp a line (what follows it on the line is ignored, as in IJRR's images.txt)."""
    fps: float | None = None
    """Frames per second of recording, over the whole span."""
    count: int | None = None
    """Frames evenly over the whole span, both ends included."""
    out: Path | None = None
    """Where to: a folder for PNG frames, a name ending in .mp4 for a video, in .npy for raw numbers (float32: log
    intensity, or its rate). Unset: the folder `frames` (or `rate`) in the run."""
    what: Literal["intensity", "rate"] = "intensity"
    """Intensity, or the time derivative of log intensity (red rises, blue falls)."""
    extrapolate: bool = False
    """Allow times outside the fitted span."""
    overwrite: bool = False
    """Replace the output if it exists."""
    play: float = 30.0
    """Frames per second at which an .mp4 is played."""
    tone: Literal["log", "linear", "reinhard"] | None = None
    """What is shown (see `evinr fit --help`); this and the next two, unset: as in the run's own video."""
    gamma: float | None = None
    """The picture is raised to 1 / gamma."""
    percentiles: tuple[float, float] | None = None
    """What becomes black and white, for log and linear."""

    def __post_init__(self) -> None:
        if not 0 < self.play < float("inf"):
            raise ValueError(f"play is {self.play}, and must be above 0")
        ToneMap(self.tone or "log", 1.0 if self.gamma is None else self.gamma, self.percentiles or (1.0, 99.0))
