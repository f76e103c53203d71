"""Colour is merged as rpg_e2vid merges it, and each plane is seen by the network alone."""

from pathlib import Path

import numpy as np
import pytest

from baselines import colour
from baselines.checkpoints import Model
from baselines.colour import colour_pictures, merged
from baselines.firenet import FIRENET, FIRENET_PLUS, PLUS, FireNet
from baselines.runner import pictures
from baselines.weights import entries, variables
from baselines.windows import of_count
from evinr.config import Bayer
from evinr.events import Events

NETWORK = FireNet(5, 4, PLUS)


def model(normalised: bool) -> Model:
    rng = np.random.default_rng(0)
    arrays = {name: 0.3 * rng.standard_normal(shape, np.float32) for name, shape in entries(NETWORK).items()}
    method = FIRENET_PLUS._replace(normalised=normalised, multiple=FIRENET.multiple)
    return Model(method, NETWORK, variables(NETWORK, arrays), "", "", ())


def recording(height: int, width: int, count: int = 4000) -> Events:
    rng = np.random.default_rng(1)
    t, p = np.sort(rng.random(count)), rng.choice(np.array([-1, 1], np.int8), count)
    x, y = rng.integers(0, width, count, np.uint16), rng.integers(0, height, count, np.uint16)
    return Events(t, x, y, p, height, width)


def test_planes_are_merged_as_rpg_e2vid_does():
    with np.load(Path(__file__).parent / "golden/colour.npz") as golden:
        found = merged(golden["gray"], golden["planes"], "rggb")
        np.testing.assert_array_equal(found, golden["merged"])


@pytest.mark.parametrize("order", ["rggb", "bggr", "grbg", "gbrg"])
def test_each_colour_is_that_of_its_place(order: Bayer):
    planes = np.array([{"r": 200, "g": 100, "b": 20}[colour] for colour in order], np.uint8)
    picture = merged(np.full((12, 16), 130, np.uint8), np.ones((4, 6, 8), np.uint8) * planes[:, None, None], order)
    red, green, blue = picture[5, 5].astype(int)
    assert red > green > blue and np.ptp(picture, axis=(0, 1)).max() == 0


def test_every_plane_is_reconstructed_alone():
    events, network = recording(12, 20), model(normalised=False)
    windows = of_count(events.t, 400)  # ten, hence more than one compiled call
    found = np.concatenate(list(colour_pictures(network, events, windows, "rggb")))
    assert found.shape == (10, 12, 20, 3) and found.dtype == np.uint8

    def bytes_of(pictures: np.ndarray) -> np.ndarray:
        return np.clip(pictures * 255, 0, 255).astype(np.uint8)

    gray = bytes_of(np.concatenate(list(pictures(network, events, windows))))
    planes = []
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        mine = (events.y % 2 == row) & (events.x % 2 == column)
        # Zeros elsewhere keep the windows' first and last times, which the voxel grid counts from.
        x, y, p = events.x // 2, events.y // 2, events.p * mine
        half = Events(events.t, x, y, p.astype(np.int8), 6, 10)
        planes.append(bytes_of(np.concatenate(list(pictures(network, half, windows)))))
    expected = np.stack([merged(gray[i], np.stack([plane[i] for plane in planes]), "rggb") for i in range(10)])
    assert np.abs(found.astype(int) - expected).max() <= 2  # a rounding may cross a byte, which Lab may double


def test_grids_are_normalised_before_they_are_parted(monkeypatch: pytest.MonkeyPatch):
    """As rpg_e2vid and EVREAL do: the mean is that of the whole mosaic, so other planes' events change a plane."""
    planes = list[np.ndarray]()
    monkeypatch.setattr(
        colour, "merged", lambda gray, four, order: planes.append(four[0]) or np.zeros((12, 20, 3), np.uint8)
    )
    events, network = recording(12, 20), model(normalised=True)
    others = events._replace(
        p=np.where((events.x % 2 == 1) | (events.y % 2 == 1), 3 * events.p, events.p).astype(np.int8)
    )
    for some in (events, others):
        list(colour_pictures(network, some, of_count(some.t, 400), "rggb"))
    once, twice = np.stack(planes[:10]), np.stack(planes[10:])
    assert np.abs(once.astype(int) - twice).max() > 2
