"""Pictures as a page carries them: WebP in base64, exact where there is room."""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

BUDGET = 14_000_000
"""Bytes of all pictures; base64 makes 18.7 MB of them."""
EXACT = 101
"""A quality beyond WebP's lossy ones."""
SAMPLES = 5
"""Pictures of a clip that tell the size of all."""


class Plan(NamedTuple):
    """How good pictures are."""

    widest: int
    """Pixels of a picture's longer side at most."""
    quality: int
    """WebP's."""


PLANS = (Plan(640, EXACT), Plan(640, 90), Plan(640, 80), Plan(640, 65), Plan(640, 50), Plan(320, 80))
"""From the best to the smallest: four methods, truth and events, 50 pictures each of 640 x 480 noise, need the last."""


class Encoded(NamedTuple):
    """The pictures of some clips."""

    clips: list[list[str]]
    """WebP files in base64, in the order of the pictures."""
    sizes: list[tuple[int, int]]
    """Width and height of each clip's pictures."""
    plan: Plan
    shrunk: bool
    """Whether any picture is smaller than it was."""


def encoded(clips: Sequence[UInt8[np.ndarray, "n _h _w ..."]]) -> Encoded:
    """The pictures of clips by the first of `PLANS` that fits the budget, or the last."""
    plan, choices = PLANS[0], []
    for plan in PLANS:
        choices = [_choice(clip, plan) for clip in clips]
        if sum(size for size, _ in choices) <= BUDGET:
            break
    small = [[shrunk(picture, plan.widest) for picture in clip] for clip in clips]
    return Encoded(
        [[_base64(picture, quality) for picture in clip] for clip, (_, quality) in zip(small, choices, strict=True)],
        [(clip[0].shape[1], clip[0].shape[0]) for clip in small],
        plan,
        any(one[0].shape != other[0].shape for one, other in zip(small, clips, strict=True)),
    )


def shrunk(picture: UInt8[np.ndarray, "h w *c"], widest: int) -> UInt8[np.ndarray, "a b *c"]:
    """The picture with its longer side `widest` pixels at most, as means over areas."""
    height, width = picture.shape[:2]
    factor = widest / max(height, width)
    if factor >= 1:
        return picture
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _choice(clip: UInt8[np.ndarray, "n h w *c"], plan: Plan) -> tuple[int, int]:
    """Bytes of a clip, guessed from a few of its pictures, and its quality.

    A clip that is smaller when it is exact is so by any plan: pictures of events are, which also lose their edges in
    lossy WebP, because that halves the resolution of colours.
    """
    sample = [shrunk(picture, plan.widest) for picture in clip[:: -(-len(clip) // SAMPLES)]]
    sizes = {quality: sum(len(_webp(picture, quality)) for picture in sample) for quality in (EXACT, plan.quality)}
    quality = min(sizes, key=sizes.__getitem__)
    return sizes[quality] * len(clip) // len(sample), quality


def _base64(picture: UInt8[np.ndarray, "h w *c"], quality: int) -> str:
    return base64.b64encode(_webp(picture, quality)).decode()


def _webp(picture: UInt8[np.ndarray, "h w *c"], quality: int) -> bytes:
    buffer = BytesIO()
    if quality == EXACT:  # little effort: more takes four times as long and saves a hundredth
        Image.fromarray(picture).save(buffer, "webp", lossless=True, quality=20, method=2)
    else:
        Image.fromarray(picture).save(buffer, "webp", quality=quality)
    return buffer.getvalue()
