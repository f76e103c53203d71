"""H.264 by the ffmpeg that imageio brings. imageio itself does not look at how ffmpeg ended, and kills one that is slow."""

import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import imageio_ffmpeg

QUALITY = 10
"""Constant rate factor; at 25, imageio's default, flat regions of a reconstruction show blocks."""


@contextmanager
def encoder(path: Path, height: int, width: int, colour: bool, fps: float) -> Iterator[IO[bytes]]:
    """Takes frames of even sides as bytes, 1 or 3 a pixel, to an mp4. Raises OSError where it could not be written whole."""
    given = ["-f", "rawvideo", "-s", f"{width}x{height}", "-pix_fmt", "rgb24" if colour else "gray", "-r", str(fps)]
    made = ["-an", "-vcodec", "libx264", "-pix_fmt", "yuv420p", "-crf", str(QUALITY)]
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "quiet", *given, "-i", "-", *made, str(path)]
    with warnings.catch_warnings():
        # JAX warns of forks, for children that go on in Python; ffmpeg replaces the child at once.
        warnings.filterwarnings("ignore", message=r"os\.fork", category=RuntimeWarning)
        process = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)  # Ctrl-C is for us alone
    assert process.stdin is not None
    try:
        yield process.stdin
        process.stdin.close()
        if code := process.wait():
            raise OSError(f"ffmpeg ended with code {code}")
    finally:
        process.kill()  # which has ended, unless something was raised
        process.wait()
        with suppress(OSError):
            process.stdin.close()
