"""`evinr filter`: a recording without what its sensor put there, written as `evinr convert` writes one."""

from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import converters
from converters.checks import Passage, collect
from converters.convert import write_stream
from converters.job import place, require_apart
from converters.stream import BLOCK, Columns, Frame, FrameSet, SensorSize, Stream, Window
from evinr import report
from evinr.cli.commands import Filter
from evinr.events import Events, InputError
from evinr.files import resolved
from evinr.trails import suppress

COLUMNS = 5
"""Times of the preview."""


def run(command: Filter) -> int:
    """Filter, write, and say what was moved."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    source, out = resolved(Path(command.source)), resolved(command.out)
    require_apart(source, command.out)
    if command.preview is not None:
        _require_place(command.preview, source, out, command.overwrite)
    name = converters.recording_name(command.source)
    stream = converters.open_stream(command.source, command.read)

    def write(folder: Path) -> dict[str, Any]:
        with console.status(f"reading {name}"):
            passage = Passage(stream, command.read, name)
            before, assumptions, origin = collect(passage)
        with console.status(f"looking for trails in {before.count:,} events"):
            after, moved = suppress(before, command.on, command.off, command.tolerance)
        said = (
            f"{moved:,} of {before.count:,} events ({moved / before.count:.1%}) were moved to where their trail began"
        )
        filtered = _stream(stream, after, passage.conclusion()[0], origin, [*assumptions, said])
        made = {"filter": command.what, **{part: asdict(command)[part] for part in ("on", "off", "tolerance", "read")}}
        with report.progress(console, "writing", 100, report.PERCENT) as advance:
            done = 0

            def told(part: float) -> None:
                nonlocal done
                advance(round(100 * part) - done)
                done = round(100 * part)

            about = write_stream(filtered, name, folder, command.read, version("evinr"), made, told)
        if command.preview is not None:
            _preview(command.preview, before, after)
        return about

    about = place(command.out, command.to, command.overwrite, write)
    console.print(f"{command.source}: {about['format']}")
    for assumption in about["assumptions"]:
        console.print(f"  {assumption}")
    console.print(f"events   {command.out}" + (f"\npreview  {command.preview}" if command.preview else ""))
    return 0


def _require_place(preview: Path, source: Path, out: Path, overwrite: bool) -> None:
    """Raises InputError where the preview cannot be written, or is no file of its own."""
    path = resolved(preview.parent) / preview.name  # a link there is replaced, not followed
    if path.is_relative_to(source):
        raise InputError(f"{preview}: lies in the source; give another --preview")
    if path.is_relative_to(out) or out.is_relative_to(path):
        raise InputError(f"{preview}: the preview and the output lie inside each other; give another --preview")
    if not preview.parent.is_dir():
        raise InputError(f"{preview}: its folder does not exist; make it, or give another --preview")
    if path.is_dir():
        raise InputError(f"{preview}: is a folder; give another --preview")
    if path.exists() and not overwrite:
        raise InputError(f"{preview}: exists already; pass --overwrite, or another --preview")


def _stream(stream: Stream, events: Events, size: SensorSize, origin: int, notes: list[str]) -> Stream:
    """The recording with other events, all times from its time 0 on."""

    def blocks(window: Window) -> Iterator[Columns]:
        for first in range(0, events.count, BLOCK):
            part = slice(first, first + BLOCK)
            done = min(1.0, (first + BLOCK) / events.count)
            yield Columns(events.t[part], events.x[part], events.y[part], events.p[part], first, done)

    frames = tuple(_shifted(kind, origin) for kind in stream.frames)
    return Stream(
        stream.format, stream.files, "s", blocks, size, frames, events.count, settled=True, zero=origin + stream.zero,
        passed=True, notes=notes,
    )  # fmt: skip


def _shifted(kind: FrameSet, origin: int) -> FrameSet:
    """The pictures with `origin` as their time 0."""

    def read(window: Window) -> Iterator[Frame]:
        for frame in kind.read(Window(window.first + origin, window.last + origin)):
            exposure = frame.exposure and (frame.exposure[0] - origin, frame.exposure[1] - origin)
            yield frame._replace(time=frame.time - origin, exposure=exposure)

    return kind._replace(start=kind.start - origin, read=read)


def _preview(path: Path, before: Events, after: Events) -> None:
    """Events of the same short times, as recorded and as filtered, one above the other."""
    window = report.short(before)
    times = np.linspace(before.t[0], before.t[-1], COLUMNS + 2)[1:-1].tolist()
    rows = [
        report.Row(f"{title}, {window * 1e3:.2g} ms", [report.event_picture(events, time, window) for time in times])
        for title, events in (("recorded", before), ("filtered", after))
    ]
    report.contact_sheet(path, times, rows)
