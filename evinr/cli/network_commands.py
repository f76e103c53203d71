"""What the commands about published networks can be told. Imports no flax, so that `--help` answers at once."""

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import tyro

from converters import ReadOptions
from evinr.config import Bayer

MethodName = Literal[
    "e2vid",
    "e2vid+",
    "firenet",
    "firenet+",
    "ssl-e2vid",
    "spade-e2vid",
    "et-net",
    "hypere2vid",
    "pie-net",
    "pie-net-lite",
    "eventhdr",
    "ner-net",
]
"""The names of `baselines.methods.METHODS`, which cannot be imported here: they bring flax."""


def method_name(text: str) -> MethodName:
    """The network of that name, in capitals or not. Raises ValueError where there is none."""
    names = get_args(MethodName)
    if text.lower() not in names:
        alike = difflib.get_close_matches(text.lower(), names, 1)
        raise ValueError(f"{text}: no such network{f', did you mean {alike[0]}?' if alike else ''}; --list has all")
    return cast(MethodName, text.lower())


@dataclass(frozen=True)
class Cutting:
    """How a recording is cut into windows, for the networks that make one picture of each."""

    windows: Literal["between-frames", "stored", "k-events", "t-seconds"] | None = None
    """From each camera frame to the next, those that the recording itself gives to its frames (HDF5), of as many events, or of
    as many seconds. Unset: what the next two say; else between frames where the recording has any (stored where it has
    such, for EventHDR and NER-Net), and 0.04 s where it has none."""
    window_events: int | None = None
    """Events of a window, for k-events; unset, 10,000."""
    window_seconds: float | None = None
    """Seconds of a window, for t-seconds; unset, 0.04."""

    def __post_init__(self) -> None:
        if self.window_events is not None and self.window_events < 1:
            raise ValueError(f"window-events is {self.window_events}, and must be above 0")
        if self.window_seconds is not None and not 0 < self.window_seconds < float("inf"):
            raise ValueError(f"window-seconds is {self.window_seconds}, and must be above 0")
        for kind, value in (("k-events", self.window_events), ("t-seconds", self.window_seconds)):
            if value is not None and self.windows not in (None, kind):
                raise ValueError(f"windows {self.windows} has no such size; leave it out, or give --windows {kind}")
        if self.window_events is not None and self.window_seconds is not None:
            raise ValueError("a window is of as many events or of as many seconds; give one of the two")


@dataclass(frozen=True)
class Baseline:
    """Run a published network over a recording, with the weights that its authors published."""

    method: Annotated[
        str,
        tyro.conf.Positional,
        tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="NETWORK",
            instance_from_str=lambda words: method_name(words[0]),
            is_instance=lambda value: isinstance(value, str),
            str_from_instance=lambda value: [value],
        ),
    ] = ""
    """The network: e2vid, e2vid+, firenet, firenet+, ssl-e2vid, spade-e2vid, et-net, hypere2vid, pie-net, pie-net-lite,
    eventhdr or ner-net."""
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")] = ""
    """Recording: a file or folder of any known format; or `demo`."""
    list: bool = False
    """Tell of each network its paper, its parameters, and where its authors publish the weights; and do nothing else."""
    weights: Path | None = None
    """The published checkpoint, or a .safetensors that `evinr weights convert` made of it. Unset, for the PIE-Nets: those in
    the package event-pienet (pip install --no-deps event-pienet)."""
    out: Path = Path("runs")
    """Folder of the runs."""
    name: str | None = None
    """Folder of this run inside it; unset, named after the source and the network."""
    overwrite: bool = False
    """Replace the run if it exists."""
    bayer: Bayer | None = None
    """Colours of the sensor's 2 x 2 cells: reconstruct in colour, as EVREAL does, merged as rpg_e2vid merges. Unset: gray."""
    fps: float | None = None
    """Frames per second at which video.mp4 is played; unset, 30, or as few as make it last 4 s."""
    precision: Literal["float32", "tensorfloat32", "bfloat16"] = "float32"
    """Of products on GPU and TPU. float32 gives what the published code gives on a CPU; PyTorch's own default on a GPU is
    tensorfloat32. A CPU always takes float32."""
    seed: int = 0
    """Of the demo's scene and noise."""
    cutting: Cutting = field(default_factory=Cutting)
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        if not self.list and not (self.method and self.source):
            raise ValueError("give a network and a recording, or --list (see `evinr baseline --help`)")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ValueError(f"fps is {self.fps}, and must be above 0")


@dataclass(frozen=True)
class Deblur:
    """Make blurred camera frames sharp, with the events of their exposures, by a published network."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Recording with blurred frames and events of the same pixels: GoPro or REBlur h5 (those with raw events), HighREV, or any
    other with frames."""
    method: Literal["efnet"] = "efnet"
    """The network."""
    weights: Path | None = None
    """The published checkpoint, or a .safetensors that `evinr weights convert` made of it."""
    recipe: Literal["gopro", "highrev"] | None = None
    """How the weights were trained: on cumulative events (SCER) with their mask, as for GoPro and REBlur; or on a voxel grid,
    as for HighREV. Unset: highrev for a HighREV folder, else gopro."""
    exposure: float | None = None
    """Seconds that each frame is exposed, about its time (before it in RLED and NER-Net's folders, whose times are the ends of
    exposures), which counts whatever the recording tells. Unset: what it tells; where
    it does not, but has sharp pictures (EFNet's GoPro), from halfway to the frame before to halfway to the next."""
    out: Path = Path("runs")
    """Folder of the runs."""
    name: str | None = None
    """Folder of this run inside it; unset, named after the source and the network."""
    overwrite: bool = False
    """Replace the run if it exists."""
    fps: float | None = None
    """Frames per second at which video.mp4 is played, in which the blurred frames are at the left; unset, 30, or as few as make
    it last 4 s."""
    precision: Literal["float32", "tensorfloat32", "bfloat16"] = "float32"
    """Of products on GPU and TPU; a CPU always takes float32."""
    read: ReadOptions = field(default_factory=ReadOptions)

    def __post_init__(self) -> None:
        for option, value in (("fps", self.fps), ("exposure", self.exposure)):
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{option} is {value}, and must be above 0")
        if self.read.skip_frames:
            raise ValueError("the frames are what is made sharp; leave out --skip-frames")
