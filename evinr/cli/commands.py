"""What each command can be told. Imports neither JAX nor imageio, so that `--help` answers at once."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from converters import ReadOptions
from evinr import config, tonemap
from evinr.cli.network_commands import Cutting, MethodName
from evinr.config import FitConfig
from evinr.simulator.sensor import SENSORS, Sensor
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
class Hosts:
    """One fit on several hosts: the same command on each, `--process` aside. The first of them writes the run."""

    coordinator: str | None = None
    """HOST:PORT at which the first process can be reached; `auto`: the cluster tells all three (SLURM, Open MPI, TPU)."""
    processes: int | None = None
    """How many there are."""
    process: int | None = None
    """Which of them this is, counted from 0."""

    def __post_init__(self) -> None:
        if self.coordinator is None and (self.processes, self.process) != (None, None):
            raise ValueError("processes and process say nothing without a coordinator: pass it, too")


@dataclass(frozen=True)
class Fit:
    """Turn a recording into a continuous-time intensity video."""

    source: Annotated[str, tyro.conf.Positional] = tyro.MISSING
    """Recording: a file or folder of any known format; or `demo`: a simulated scene with known truth; or `-`: what comes
    through a pipe (with --format text, npy, evt2, evt21, evt3 or dat)."""
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
    window_budget: Seconds | None = None
    """The same for every window (`0.05s`), or batch of them in parallel, for live use: the picture is better the longer."""
    follow: Seconds | None = None
    """Read a file that grows, until nothing came for this long."""
    when_late: Literal["wait", "drop"] = "wait"
    """With `-` or --follow, when fitting does not keep up: let the writer wait, or drop the oldest events and say so."""
    wandb: bool = False
    """Log to Weights & Biases, in the mode it is set up for (WANDB_MODE=offline works without an account)."""
    frames: int | None = None
    """Frames of video.mp4, evenly over the span; unset, 120, or as many as make it play at the recording's own pace."""
    fps: float = 30.0
    """Frames per second at which video.mp4 is played."""
    read: ReadOptions = field(default_factory=ReadOptions)
    fit: FitConfig = config.DEFAULT
    tone: ToneMap = field(default_factory=ToneMap)
    hosts: Hosts = field(default_factory=Hosts)

    def __post_init__(self) -> None:
        if (self.frames is not None and self.frames < 1) or not 0 < self.fps < float("inf"):
            raise ValueError(f"frames is {self.frames} and fps {self.fps}: both must be above 0")
        if self.budget is not None and self.window_budget is not None:
            raise ValueError("budget and window_budget: give one of them")
        if self.fit.windows == "whole" and (self.is_live or self.window_budget is not None):
            raise ValueError(
                "windows whole needs all of a recording, and knows no window_budget: pass windows sequential"
            )
        if not self.is_live and self.when_late != "wait":
            raise ValueError("when-late is for what comes in live: pass it with - or with --follow")
        if self.is_live and (self.budget is not None or self.resume):
            raise ValueError("what comes in live has no known end, and does not come again: no budget, no resume")

        timed = self.budget is not None or self.window_budget is not None
        if self.hosts.coordinator and (self.fit.windows != "parallel" or timed or self.is_live or self.resume):
            raise ValueError(
                "several hosts fit windows in parallel, of a recording that is there, without budget; to resume, leave out"
                " the coordinator"
            )

    @property
    def is_live(self) -> bool:
        """Whether the recording is still coming."""
        return self.source == "-" or self.follow is not None


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
class Filter:
    """Take out of a recording what its sensor put there, and write it as `evinr convert` does.

    `trails`: what slow pixels still fire at night after an edge has passed gets times right after the edge (NER-Net).
    """

    what: Annotated[Literal["trails"], tyro.conf.Positional]
    """Which filter."""
    source: Annotated[str, tyro.conf.Positional]
    """Recording: a file or folder of any known format. All of its events are held in memory, some 100 bytes each."""
    out: Annotated[Path, tyro.conf.Positional]
    """Folder to make (for h5: file to make)."""
    on: float = 1.0
    """Seconds between rising events of a trail, at most."""
    off: float = 1.0
    """The same of falling events."""
    tolerance: float = 0.0
    """Seconds by which the intervals of a trail, which grow, may be shorter than the one before."""
    to: Literal["npy", "evreal", "h5"] = "npy"
    """As for `evinr convert`."""
    preview: Path | None = None
    """Picture to write (.png): events of short times before and after."""
    overwrite: bool = False
    """Replace what an earlier filter or conversion left there, and the preview."""
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        for option, value in (("on", self.on), ("off", self.off)):
            if not 0 < value < float("inf"):
                raise ValueError(f"{option} is {value}, and must be above 0")
        if not 0 <= self.tolerance < float("inf"):
            raise ValueError(f"tolerance is {self.tolerance}, and must not be below 0")
        if self.preview is not None and self.preview.suffix != ".png":
            raise ValueError(f"preview is {self.preview}, and its name must end in .png")


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


@dataclass(frozen=True)
class Simulate:
    """Record a known scene with a simulated event camera: events, blurred and sharp pictures, the true light."""

    source: Annotated[str, tyro.conf.Positional] = tyro.MISSING
    """Scene: demo, pan, shake, rotation, zoom, objects, flicker, hdr or night; or a video file, or a folder of pictures
    (with their times in images.txt, or with --source-fps)."""
    out: Annotated[Path, tyro.conf.Positional] = tyro.MISSING
    """Folder to make (for h5: file to make)."""
    to: Literal["npy", "evreal", "h5"] = "npy"
    """As for `evinr convert`."""
    seconds: float | None = None
    """How long; unset, 1 s of a scene, and all of footage."""
    height: int | None = None
    """Rows of the sensor; unset, 180, and those of footage."""
    width: int | None = None
    """Columns of the sensor; unset, 240, and those of footage."""
    seed: int = 0
    """Of the scene, the sensor and its noise: the same gives the same files."""
    texture: Literal["cards", "posters", "leaves", "pebbles", "bricks", "clouds"] | None = None
    """What pan, shake, rotation, zoom, objects and flicker have on the wall; unset, each its own."""
    fps: float = 25.0
    """Pictures a second of the camera."""
    exposure: float = 0.02
    """Seconds that each is exposed; its time is the middle."""
    source_fps: float | None = None
    """Pictures a second of footage, where its own are unknown or wrong."""
    gamma: float | None = None
    """Of footage, where it is not sRGB; 1 where it is linear."""
    preset: Literal["day", "clean", "noisy", "night"] = "day"
    """Defaults of the sensor's options below: a good one in daylight, one without faults, one like v2e's `noisy`, one
    that trails in the dark."""
    overwrite: bool = False
    """Replace what an earlier simulation left there."""
    sensor: Sensor = SENSORS["day"]


@dataclass(frozen=True)
class Scoring:
    """How predictions are scored."""

    protocol: Literal["evreal-2024", "evreal-2023", "legacy-etnet", "aligned", "hdr"] = "evreal-2024"
    """How pictures are compared, or (hdr) linear light of high range; printed beside the scores."""
    sequence: str | None = None
    """Name by which the protocol's cuts know the recording; unset, the name of its file or folder."""
    whole: bool = False
    """Score all of the recording, whatever the protocol cuts."""
    equalisation: Literal["none", "global", "local", "clahe"] | None = None
    """Histogram equalisation of both pictures, as EVREAL offers; unset, the protocol's, which is none."""
    lpips: Path | None = None
    """LPIPS weights (.safetensors, see `evinr weights convert`); unset, the file that EVINR_LPIPS_WEIGHTS names, or none."""


LPIPS_WEIGHTS = "EVINR_LPIPS_WEIGHTS"
"""Variable of the environment: the weights where none are named."""


def complete(scoring: Scoring) -> Scoring:
    """With the environment's weights of LPIPS where it names none and compares pictures: part of what makes scores the same."""
    weights = os.environ.get(LPIPS_WEIGHTS)
    if scoring.lpips is not None or scoring.protocol == "hdr" or not weights:
        return scoring
    return replace(scoring, lpips=Path(weights))


@dataclass(frozen=True)
class Evaluate:
    """Score a reconstruction, of any method, against a recording."""

    prediction: Annotated[Path, tyro.conf.Positional]
    """A run folder, a folder of pictures with a timestamps file (linear light where they are .exr), or an .npy of frames with
    its times in a .txt beside it."""
    truth: Annotated[str, tyro.conf.arg(metavar="SOURCE")]
    """Recording with the camera's frames, of any known format; or `demo`."""
    timestamps: Path | None = None
    """Times of the pictures in seconds: a line (or .npy entry) each, alone, with the picture's name or after its number."""
    values: Literal["auto", "picture", "intensity", "light", "log"] = "auto"
    """What the numbers of an .npy are: a picture in [0, 1] or integers; linear intensity, all above 0, of which the logarithm
    is taken; that logarithm; or linear light of high range, whose black is 0 (as frames.npy of a run of EventHDR)."""
    offset: float = 0.0
    """Seconds to add to the prediction's times."""
    normalisation: Literal["none", "standard", "robust", "exprobust"] | None = None
    """Of each predicted picture, for the protocols that leave it to the method: nothing, min-max, percentiles 1 to 99, or
    those of the exponential. Unset: exprobust for log intensity, none for pictures; light is stretched and tone-mapped."""
    out: Path | None = None
    """Folder for scores.json and frames.csv; unset, evaluations/NAME-PROTOCOL."""
    overwrite: bool = False
    """Replace what an earlier evaluation left there."""
    scoring: Scoring = field(default_factory=Scoring)
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        if not abs(self.offset) < float("inf"):
            raise ValueError(f"offset is {self.offset}, and must be finite")


@dataclass(frozen=True)
class Compare:
    """Put methods side by side on one recording: fit, score, one table and one page."""

    source: Annotated[str, tyro.conf.Positional]
    """Recording of any known format; or `demo`."""
    methods: tuple[Literal["evinr", "paper"] | MethodName, ...] = ("evinr", "paper")
    """What to run: our defaults; the original EvINR's settings (`evinr fit --preset paper`); or published networks."""
    weights: dict[MethodName, Path] = field(default_factory=dict)
    """Those of the networks, as for `evinr baseline`: --weights firenet FILE firenet+ FILE. With --windows of
    events or seconds their pictures can be held against no camera frames."""
    predictions: tuple[Path, ...] = ()
    """What others made of the recording: run folders, folders of pictures with timestamps, .npy with their times beside."""
    out: Path | None = None
    """Folder for the runs, report.html, scores.json and frames.csv; unset, comparisons/NAME. Finished runs in it
    are kept; the page and the scores are written anew."""
    overwrite: bool = False
    """Fit and write anew what is there."""
    pictures: int = 50
    """Times at which the page shows pictures, at most."""
    seed: int = 0
    """Seed of the networks' initial weights, and of the demo's scene and noise."""
    cutting: Cutting = field(default_factory=Cutting)
    scoring: Scoring = field(default_factory=Scoring)
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        if self.pictures < 1:
            raise ValueError(f"pictures is {self.pictures}, and must be above 0")
        if not self.methods and not self.predictions:
            raise ValueError("nothing to compare: give --methods or --predictions")


@dataclass(frozen=True)
class Report:
    """One page of finished runs, and of anything else that was made of the same recording."""

    predictions: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders; folders of pictures with timestamps; .npy with their times in a .txt beside."""
    truth: str | None = None
    """Recording to show and score against; unset, the one that the runs were fitted to."""
    out: Path = Path("report.html")
    """Page to write."""
    overwrite: bool = False
    """Replace the page if it exists."""
    pictures: int = 50
    """Times at which it shows pictures, at most."""
    scoring: Scoring = field(default_factory=Scoring)
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        if self.pictures < 1:
            raise ValueError(f"pictures is {self.pictures}, and must be above 0")
        if not self.predictions:
            raise ValueError("nothing to report on: give run folders")


@dataclass(frozen=True)
class ConvertWeights:
    """Turn published weights of PyTorch into a file for evinr. Nothing that the source holds is run.

    For LPIPS: torchvision's alexnet-owt-7be5be79.pth or vgg16-397923af.pth, with alex.pth or vgg.pth of the package `lpips`
    (folder weights/v0.1) as heads.
    """

    source: Annotated[Path, tyro.conf.Positional]
    """Checkpoint (.pth) as its authors publish it."""
    out: Annotated[Path, tyro.conf.Positional]
    """File to write, with a name that ends in .safetensors."""
    heads: Path | None = None
    """Checkpoint with the heads of LPIPS."""
    overwrite: bool = False
    """Replace the file if it exists."""


@dataclass(frozen=True)
class ListWeights:
    """Tell what a checkpoint of PyTorch holds, without running anything of it."""

    source: Annotated[Path, tyro.conf.Positional]
    """Checkpoint (.pth)."""


@dataclass(frozen=True)
class Weights:
    """Convert weights of networks that others trained, or list them."""

    action: (
        Annotated[ConvertWeights, tyro.conf.subcommand("convert")]
        | Annotated[ListWeights, tyro.conf.subcommand("list")]
    )


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
