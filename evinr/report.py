"""What people look at: the contact sheet, the loss curve, the video."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from evinr.encoder import encoder
from evinr.events import Events
from evinr.files import whole


def bar(console: Console, text: str) -> Progress:
    """A live line: description, bar, `text`, time left."""
    columns = (TextColumn("  {task.description:>9}"), BarColumn(), TextColumn(text), TimeRemainingColumn())
    return Progress(*columns, console=console)


FRAMES, PERCENT = "{task.completed} of {task.total} frames, left", "{task.percentage:3.0f} %, left"


@contextmanager
def progress(console: Console, what: str, count: int, text: str = FRAMES) -> Iterator[Callable[[int], None]]:
    """Shows a bar over `count` frames, or what `text` tells, while the function it gives is told of those done."""
    with bar(console, text) as shown:
        task = shown.add_task(what, total=count)
        yield lambda done: shown.advance(task, done)


class Row(NamedTuple):
    """A row of a contact sheet: one picture per time, (H, W) or (H, W, 3) in [0, 1]."""

    title: str
    pictures: Sequence[np.ndarray] | np.ndarray


def contact_sheet(path: Path, times: Sequence[float], rows: Sequence[Row]) -> None:
    """Write a PNG with the pictures of `rows` below each other, a column per time in seconds."""
    height, width = rows[0].pictures[0].shape[:2]
    column = 2.6
    figure = Figure((column * len(times) + 0.5, (column * height / width + 0.12) * len(rows) + 0.4), dpi=150)
    axes = figure.subplots(len(rows), len(times), squeeze=False)
    for row, line in zip(rows, axes, strict=True):
        for picture, axis in zip(row.pictures, line, strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(row.title, fontsize=9)
    for time, axis in zip(times, axes[0], strict=True):
        axis.set_title(f"{time:.4f} s", fontsize=9)
    figure.subplots_adjust(
        left=0.4 / figure.get_figwidth(),
        right=0.995,
        bottom=0.01,
        top=1 - 0.3 / figure.get_figheight(),
        wspace=0.03,
        hspace=0.05,
    )
    with whole(path) as partial:
        figure.savefig(partial, format="png")


def loss_curve(path: Path, steps: Sequence[int], terms: Mapping[str, Sequence[float]]) -> None:
    """Write a PNG of every term over the steps."""
    figure = Figure((6, 3.6), dpi=150, layout="constrained")
    axis = figure.subplots()
    floor = max(map(max, terms.values())) * 1e-4  # terms that start at zero must not flatten the rest
    for name, values in terms.items():
        axis.semilogy(steps, np.maximum(values, floor), label=name, linewidth=2.2 if name == "total" else 1.1)
    axis.set(xlabel="step", ylabel="terms, and their weighted total")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    with whole(path) as partial:
        figure.savefig(partial, format="png")


def event_picture(events: Events, time: float, window: float) -> Float[np.ndarray, "h w 3"]:
    """The events of `window` seconds around a time, on white: red where intensity rose, blue where it fell."""
    near = events.between(time - window / 2, time + window / 2)
    balance = np.zeros((events.height, events.width))
    np.add.at(balance, (near.y, near.x), near.p)
    return diverging(balance / 2)


def short(events: Events) -> float:
    """Seconds of a picture of events in which shapes are seen, and seen sharp: 0.1 events a pixel, on average."""
    seconds = max(float(events.t[-1] - events.t[0]), 1e-6)
    return 0.1 * events.height * events.width / events.count * seconds


def diverging(signed: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s 3"]:
    """Numbers in [-1, 1] as blue, white and red."""
    rise, fall = np.clip(signed, 0, 1), np.clip(-signed, 0, 1)
    return np.stack([1 - fall, 1 - 0.85 * (rise + fall), 1 - rise], axis=-1)


def bytes_of(pictures: Float[np.ndarray, "*s"]) -> UInt8[np.ndarray, "*s"]:
    """[0, 1] to 0..255."""
    return np.round(np.clip(pictures, 0, 1) * 255).astype(np.uint8)


def video(path: Path, batches: Iterator[np.ndarray], fps: float, done: Callable[[int], None]) -> None:
    """Write an H.264 mp4 of batches of pictures (n, H, W) or (n, H, W, 3) in [0, 1].

    H.264 wants even sides: an odd one is repeated once, rather than resized as imageio would.
    """
    with whole(path) as partial, ExitStack() as opened:
        try:
            stream = None
            for batch in batches:
                odd = [(0, 0), (0, batch.shape[1] % 2), (0, batch.shape[2] % 2)] + [(0, 0)] * (batch.ndim - 3)
                frames = bytes_of(np.pad(batch, odd, mode="edge"))
                if stream is None:
                    height, width = frames.shape[1:3]
                    stream = opened.enter_context(encoder(partial, height, width, frames.ndim == 4, fps))
                stream.write(frames.tobytes())
                done(len(batch))
            opened.close()
        except OSError:
            raise OSError(f"{path}: the video could not be written whole") from None
