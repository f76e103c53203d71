"""Laws of the flicker measure: nothing where nothing moves, a jump at a seam is seen there alone, as it is shown."""

import numpy as np
import pytest

from evinr.config import FitConfig
from evinr.flicker import Flicker, of_window
from evinr.heads import Head
from evinr.reconstruction import joined
from evinr.windows import Window

OVERLAP, KNOTS, SHAPE = 3, 9, (1, 4, 5)
SHARED = OVERLAP + 1


def window(number: int, images: np.ndarray | None = None) -> Window:
    images = np.zeros((KNOTS - 1, *SHAPE), np.float32) if images is None else images
    shared = SHARED if number else 0
    return Window(number, 5.0 * number + np.arange(KNOTS), images, shared, 0)


def head(number: int, values: np.ndarray) -> Head:
    return Head(window(number).times, values, SHARED if number else 0)


def level(value: float) -> np.ndarray:
    return np.full((KNOTS, *SHAPE), value, np.float16)


def test_what_stands_still_does_not_flicker():
    total = of_window(window(0), head(0, level(2)), None, OVERLAP)
    total += of_window(window(1), head(1, level(2)), head(0, level(2)), OVERLAP)
    assert total.means == (0.0, 0.0)
    assert total.inside_pixels == (8 + 5) * 20 and total.seam_pixels == 3 * 20  # every interval once


def test_a_jump_between_windows_is_seen_at_the_seam():
    """All of it, over the intervals of the seam, and none of it inside."""
    found = of_window(window(1), head(1, level(5)), head(0, level(2)), OVERLAP)
    assert found.means == (pytest.approx(3 / OVERLAP), 0.0)


def test_only_pixels_without_events_count():
    images = np.zeros((KNOTS - 1, *SHAPE), np.float32)
    images[4, 0, 1, 2] = -1.0
    values = level(0)
    values[5:, 0, 1, 2] = -7
    assert of_window(window(0, images), head(0, values), None, OVERLAP).inside == 0
    assert of_window(window(0), head(0, values), None, OVERLAP).inside == 7


def test_many_pixels_are_summed_exactly():
    """Half precision, in which answers are stored, ends at 65504."""
    images = np.zeros((KNOTS - 1, 1, 100, 120), np.float32)
    values = np.zeros((KNOTS, 1, 100, 120), np.float16)
    values[::2] = 1
    found = of_window(Window(0, np.arange(9.0), images, 0, 0), Head(np.arange(9.0), values, 0), None, OVERLAP)
    assert found == Flicker(0.0, 0, 96_000.0, 96_000)


def test_nothing_to_measure_is_said():
    assert Flicker().means == (None, None)
    busy = np.ones((KNOTS - 1, *SHAPE), np.float32)
    assert of_window(window(0, busy), head(0, level(1)), None, OVERLAP).means == (None, None)


def test_seams_are_measured_as_they_are_shown():
    """At the knots, the blend is that of the reconstruction."""
    rng = np.random.default_rng(0)
    heads = [head(number, rng.normal(size=(KNOTS, *SHAPE))) for number in (0, 1)]
    found = of_window(window(1), heads[1], heads[0], OVERLAP)
    config = FitConfig(intervals=8, overlap=OVERLAP, contrast_threshold=1.0, precision="float64")
    shown = joined(heads, config, 4, 5).log_intensity(np.arange(5.0, 14.0))
    change = np.abs(np.diff(shown, axis=0))
    assert found.seam == pytest.approx(change[:OVERLAP].sum()) and found.inside == pytest.approx(change[OVERLAP:].sum())
