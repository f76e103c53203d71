"""Pictures as a page carries them: WebP in base64, exact where there is room."""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

WIDEST = 640
"""Pixels of a picture's longer side at most."""
BUDGET = 14_000_000
"""Bytes of all pictures; base64 makes 18.7 MB of them."""
EXACT = 101
"""A quality beyond WebP's lossy ones."""
QUALITIES = (EXACT, 90, 80, 65, 50)
SAMPLES = 5
"""Pictures of a clip that tell the size of all."""


class Encoded(NamedTuple):
    """The pictures of some clips."""

    clips: list[list[str]]
    """WebP files in base64, in the order of the pictures."""
    sizes: list[tuple[int, int]]
    """Width and height of each clip's pictures."""
    quality: int
    """WebP's, of those that are not exact; `EXACT` if all are."""
    shrunk: bool


def encoded(clips: Sequence[UInt8[np.ndarray, "n _h _w ..."]]) -> Encoded:
    """The pictures of clips at the first of `QUALITIES` that fits the budget, or the last.

    A clip that is smaller when it is exact is so at any quality: pictures of events are, which also lose their edges
    in lossy WebP, because that halves the resolution of colours.
    """
    small = [[shrunk(picture) for picture in clip] for clip in clips]
    exact = [_bytes(clip, EXACT) for clip in small]

    def total(quality: int) -> int:
        return sum(min(_bytes(clip, quality), least) for clip, least in zip(small, exact, strict=True))

    quality = next((quality for quality in QUALITIES if total(quality) <= BUDGET), QUALITIES[-1])
    chosen = [EXACT if least <= _bytes(clip, quality) else quality for clip, least in zip(small, exact, strict=True)]
    return Encoded(
        [[_base64(picture, each) for picture in clip] for clip, each in zip(small, chosen, strict=True)],
        [(clip[0].shape[1], clip[0].shape[0]) for clip in small],
        quality,
        any(one[0].shape != other[0].shape for one, other in zip(small, clips, strict=True)),
    )


def shrunk(picture: UInt8[np.ndarray, "h w *c"]) -> UInt8[np.ndarray, "a b *c"]:
    """The picture with its longer side `WIDEST` pixels at most, as means over areas."""
    height, width = picture.shape[:2]
    factor = WIDEST / max(height, width)
    if factor >= 1:
        return picture
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _bytes(clip: Sequence[UInt8[np.ndarray, "h w *c"]], quality: int) -> int:
    """What a clip takes, guessed from a few of its pictures."""
    sample = clip[:: -(-len(clip) // SAMPLES)]
    return round(sum(len(_webp(picture, quality)) for picture in sample) * len(clip) / len(sample))


def _base64(picture: UInt8[np.ndarray, "h w *c"], quality: int) -> str:
    return base64.b64encode(_webp(picture, quality)).decode()


def _webp(picture: UInt8[np.ndarray, "h w *c"], quality: int) -> bytes:
    buffer = BytesIO()
    if quality == EXACT:  # little effort: more takes four times as long and saves a hundredth
        Image.fromarray(picture).save(buffer, "webp", lossless=True, quality=20, method=2)
    else:
        Image.fromarray(picture).save(buffer, "webp", quality=quality)
    return buffer.getvalue()
