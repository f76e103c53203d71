"""Pictures lie in [0, 1], keep the order of intensities, and share one exposure."""

import numpy as np
import pytest

from evinr.tonemap import PAPER, ToneMap, expose, picture

RNG = np.random.default_rng(0)
INTENSITY = np.exp(2 * RNG.standard_normal((4, 10, 12)))
TONES = [ToneMap(), ToneMap("linear"), ToneMap(gamma=2.0), ToneMap(percentiles=(5.0, 80.0)), PAPER]


@pytest.mark.parametrize("tone", TONES)
def test_pictures_are_monotone_and_in_range(tone: ToneMap):
    shown = picture(INTENSITY, expose(INTENSITY, False, tone), tone)
    assert shown.min() >= 0 and shown.max() <= 1
    in_order = shown.ravel()[np.argsort(INTENSITY.ravel())]
    assert (np.diff(in_order) >= 0).all() and in_order[-1] > in_order[0]


@pytest.mark.parametrize("tone", [ToneMap(), ToneMap("linear")])
def test_the_unknown_factor_of_intensity_does_not_show(tone: ToneMap):
    brighter = 7.0 * INTENSITY
    shown = picture(brighter, expose(brighter, False, tone), tone)
    np.testing.assert_allclose(shown, picture(INTENSITY, expose(INTENSITY, False, tone), tone), atol=1e-9)


def test_frames_of_one_exposure_do_not_depend_on_each_other():
    tone = ToneMap()
    shared = expose(INTENSITY, False, tone)
    np.testing.assert_array_equal(picture(INTENSITY, shared, tone)[2:3], picture(INTENSITY[2:3], shared, tone))


def test_colours_are_balanced_by_their_medians():
    gray = np.repeat(INTENSITY[..., None], 3, axis=-1)
    tinted = gray * np.array([0.3, 1.0, 4.0])
    tone = ToneMap()
    balanced = picture(tinted, expose(tinted, True, tone), tone)
    np.testing.assert_allclose(balanced, picture(gray, expose(gray, True, tone), tone), atol=1e-9)


def test_a_flat_picture_is_flat():
    tone = ToneMap()
    flat = np.ones((2, 3, 3))
    assert np.ptp(picture(flat, expose(flat, False, tone), tone)) == 0


def test_reinhard_is_the_formula():
    log = np.array([-2.0, 0.0, 3.0])
    shown = picture(np.exp(log), expose(np.exp(log), False, PAPER), PAPER)
    np.testing.assert_allclose(shown, (np.exp(log) / (1 + np.exp(log))) ** (1 / 0.6))
