"""Does the picture jump where windows meet? What changes at pixels where nothing fired, at the seams and elsewhere."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from evinr.heads import Head
from evinr.windows import Window


class Flicker(NamedTuple):
    """Sums of |change from knot to knot| in contrast thresholds, over pixels without events, and how many there were."""

    seam: float = 0.0
    seam_pixels: int = 0
    inside: float = 0.0
    inside_pixels: int = 0

    def __add__(self, other: "Flicker") -> "Flicker":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Flicker(
            self.seam + other.seam,
            self.seam_pixels + other.seam_pixels,
            self.inside + other.inside,
            self.inside_pixels + other.inside_pixels,
        )

    @property
    def means(self) -> tuple[float | None, float | None]:
        """Mean change at seams and inside windows; None where there is nothing to take it of."""
        return (
            self.seam / self.seam_pixels if self.seam_pixels else None,
            self.inside / self.inside_pixels if self.inside_pixels else None,
        )


def of_window(window: Window, head: Head, before: Head | None, overlap: int) -> Flicker:
    """What a window adds: in its seam with the window `before` as it is shown, blended; and behind that seam."""
    still = window.images == 0
    if before is None:
        return Flicker(0.0, 0, *_change(head.values, still))
    first, last = head.shared - 1 - overlap, head.shared - 1
    part = np.arange(overlap + 1) / overlap
    share = (part**2 * (3 - 2 * part))[:, None, None, None]
    blended = (1 - share) * before.values[-overlap - 1 :] + share * head.values[first : last + 1]
    return Flicker(*_change(blended, still[first:last]), *_change(head.values[last:], still[last:]))


def _change(values: Float[np.ndarray, "k planes h w"], still: Bool[np.ndarray, "k-1 planes h w"]) -> tuple[float, int]:
    change = np.abs(np.diff(values.astype(np.float32), axis=0))[
        still
    ]  # as stored, sums would be rounded, and end at 65504
    return float(change.sum(dtype=np.float64)), int(still.sum())
