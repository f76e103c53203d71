"""Scores of deblurred pictures: EFNet's own numbers, and laws.

GOLDEN comes from the functions of its repository (basicsr/metrics/psnr_ssim.py, PyTorch 2.13, on a CPU), run on `pairs()`.
"""

import numpy as np
import pytest

from evinr.metrics.deblurring import psnr, ssim

GOLDEN = {
    "noise": (7.564039869303272, -0.020187562331557274),
    "smooth": (40.014215871347936, 0.9984875321388245),
    "noisy": (30.086947996045193, 0.9728076457977295),
    "small": (27.630875039477676, 0.9753328561782837),
    "nearly black": (2.938514110368578, -0.018814511597156525),
    "truth nearly black": (44.13308808498549, 0.8672817945480347),
}
"""PSNR and SSIM."""


def waves(phase: float) -> np.ndarray:
    """A smooth picture of 60 x 80."""
    y, x, c = np.mgrid[:60, :80, :3]
    return np.round(127 + 100 * np.sin(0.11 * x + phase + c) * np.cos(0.09 * y - c)).astype(np.uint8)


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pictures and their truths."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2, 40, 56, 3), dtype=np.uint8)
    noisy = np.clip(waves(0) + rng.normal(0, 8, (60, 80, 3)), 0, 255).round().astype(np.uint8)
    return {
        "noise": (noise[0], noise[1]),
        "smooth": (waves(0), waves(0.05)),
        "noisy": (noisy, waves(0)),
        "small": (waves(0)[:5, :7], waves(0.2)[:5, :7]),
        "nearly black": (noise[0] // 128, noise[1] // 128),
        "truth nearly black": (noise[0] // 64, noise[1] // 128),
    }


PAIRS = pairs()


@pytest.mark.parametrize("name", PAIRS)
def test_efnet_s_own_numbers(name: str):
    assert (psnr(*PAIRS[name]), ssim(*PAIRS[name])) == pytest.approx(GOLDEN[name], abs=1e-5)


def test_a_picture_is_like_itself():
    for picture, _ in PAIRS.values():
        assert psnr(picture, picture) == np.inf
        assert ssim(picture, picture) == pytest.approx(1, abs=1e-12)


def test_order_of_the_colours_does_not_matter():
    """Nor that the authors score blue first."""
    for picture, truth in PAIRS.values():
        turned = picture[..., ::-1], truth[..., ::-1]
        assert psnr(*turned) == pytest.approx(psnr(picture, truth), abs=1e-9)
        assert ssim(*turned) == pytest.approx(ssim(picture, truth), abs=1e-9)


def test_psnr_by_hand():
    """A level too bright everywhere: 20 log10(255)."""
    gray = np.full((4, 6, 3), 100, np.uint8)
    assert psnr(gray + 1, gray) == pytest.approx(48.1308036, abs=1e-7)
    assert psnr(gray, gray + 1) == pytest.approx(48.1308036, abs=1e-7)


def test_ssim_by_hand():
    """Of single grays nothing but the first factor is left: (2 a b + c) / (a^2 + b^2 + c)."""
    a, b, c = 100, 150, (0.01 * 255) ** 2
    gray = np.full((4, 6, 3), a, np.uint8), np.full((4, 6, 3), b, np.uint8)
    assert ssim(*gray) == pytest.approx((2 * a * b + c) / (a * a + b * b + c), abs=1e-9)
