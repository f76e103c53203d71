"""`latest.png`: the newest picture of a recording that comes in live, for people to watch."""

import time
from collections.abc import Callable
from pathlib import Path

from evinr.cli.commands import Fit
from evinr.cli.frame_files import write_png
from evinr.files import whole
from evinr.heads import Head
from evinr.reconstruction import joined
from evinr.report import bytes_of
from evinr.tonemap import expose, picture

EVERY = 0.5
"""Seconds between two of them at least: one of 640 x 480 takes about 0.05 s."""


def shown(path: Path, command: Fit, height: int, width: int) -> Callable[[Head], None]:
    """Writes the last picture of each window that it is given, in an exposure of its own, unless the last was just now."""
    before = -EVERY

    def show(head: Head) -> None:
        nonlocal before
        if time.monotonic() - before < EVERY:
            return
        alone = joined((head._replace(shared=0),), command.fit, height, width)
        light = alone.intensity([alone.span.end])
        shown = picture(light, expose(light, command.fit.bayer is not None, command.tone), command.tone)
        with whole(path) as partial:
            write_png(partial, bytes_of(shown[0]))
        before = time.monotonic()

    return show
