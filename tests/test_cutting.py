"""How recordings are cut into windows, and which events each method is given."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from rich.console import Console

from baselines.firenet import FIRENET
from baselines.runner import pictured
from baselines.windows import between_frames, stored
from converters import ReadOptions
from evinr.cli import source
from evinr.cli.cutting import cut, require_fit
from evinr.cli.network_commands import Cutting
from evinr.events import InputError

T = np.arange(10, 100) / 100
FRAMES = np.array([0.255, 0.505, 0.755])


def test_from_the_start_the_first_window_has_what_is_before_the_first_frame():
    after, start = between_frames(T, FRAMES), between_frames(T, FRAMES, from_start=True)
    assert after.first[0] == after.end[0] == start.end[0] == 15 and start.first[0] == 0
    np.testing.assert_array_equal(after.end, start.end)
    np.testing.assert_array_equal(after.first[1:], start.first[1:])
    assert np.allclose(T[start.end], [0.25, 0.5, 0.75])  # the last event before each frame is the next window's


def test_stored_windows_have_the_events_from_their_begin_to_before_their_end():
    windows = stored(np.array([[0, 2], [30, 30], [88, 90]]), FRAMES)
    assert [T[a:b].tolist() for a, b in zip(windows.first, windows.end, strict=True)] == [[0.1, 0.11], [], [0.98, 0.99]]
    np.testing.assert_array_equal(windows.times, FRAMES)


@pytest.fixture
def rled(tmp_path: Path) -> source.Source:
    """A recording that says which events belong to its frames."""
    with h5py.File(tmp_path / "night.h5", "w") as file:
        rng = np.random.default_rng(0)
        file["events/ts"] = (T * 1e6).astype(np.int64)
        file["events/xs"], file["events/ys"] = rng.integers(0, 18, (2, T.size))
        file["events/ps"] = rng.random(T.size) < 0.5
        for number, time in enumerate(FRAMES):
            picture = file.create_dataset(f"images/image{number:09d}", data=np.zeros((18, 32), np.uint8))
            picture.attrs["timestamp"] = int(time * 1e6)
        file["event_indices"] = [[3, 9], [9, 9], [40, 90]]
        file.attrs["sensor_resolution"], file.attrs["tk"] = (32, 18), 990_000
    return source.read(str(tmp_path / "night.h5"), ReadOptions(), 0, Console(quiet=True))


def test_a_method_that_wants_them_gets_the_recordings_own_windows(rled: source.Source):
    own = FIRENET._replace(windows="stored")
    windows, how, said = cut(rled, Cutting(), own, "night.h5")
    assert how == Cutting("stored") and said[0] == "3 windows, those that the recording gives to its frames"
    assert (windows.first.tolist(), windows.end.tolist()) == ([3, 9, 40], [9, 9, 90])
    asked = cut(rled, Cutting("between-frames"), own, "night.h5")[0]
    assert (asked.first.tolist(), asked.end.tolist()) == ([0, 15, 40], [15, 40, 65])
    usual = cut(rled, Cutting(), FIRENET, "night.h5")[0]
    assert usual.first.tolist() == [15, 15, 40]
    other = cut(rled, Cutting("stored"), FIRENET, "night.h5")[0]
    np.testing.assert_array_equal(other.end, windows.end)
    assert cut(rled, Cutting(window_events=30), own, "night.h5")[1] == Cutting("k-events", 30)
    bare = rled._replace(frames=rled.frames and rled.frames._replace(windows=None))
    assert cut(bare, Cutting(), own, "night.h5")[0].first.tolist() == [0, 15, 40]
    with pytest.raises(InputError, match="night.h5: says of no frame which events are its own; leave out --windows"):
        cut(bare, Cutting("stored"), own, "night.h5")


def test_a_network_that_looks_ahead_has_no_pictures_at_the_ends(rled: source.Source):
    ahead = FIRENET._replace(delay=1)
    windows, _, said = cut(rled, Cutting(), ahead, "night.h5")
    np.testing.assert_allclose(pictured(ahead, windows), FRAMES[1:2])
    assert said[-1].startswith("FireNet looks at windows on both sides, so 1 at each end")
    with pytest.raises(InputError, match="night.h5: 2 windows, and FireNet takes 3 for a picture; pass a longer span"):
        cut(rled, Cutting(window_seconds=0.4), ahead, "night.h5")


def test_colour_is_merged_of_pictures_of_polarity_grids(rled: source.Source):
    require_fit(FIRENET, rled, True, "night.h5")
    others = [FIRENET._replace(finish="exprobust"), FIRENET._replace(finish="light")]
    for other in (*others, FIRENET._replace(represent=lambda *_: np.zeros(1))):
        with pytest.raises(InputError, match="--bayer: FireNet .*, from which colour is not merged; leave it out"):
            require_fit(other, rled, True, "night.h5")


def test_windows_without_any_event_are_refused(rled: source.Source):
    early = rled._replace(frames=rled.frames and rled.frames._replace(times=FRAMES / 100, windows=None))
    with pytest.raises(InputError, match="night.h5: none of the 3 windows holds an event: frames go from 0.002550 to"):
        cut(early, Cutting(), FIRENET, "night.h5")
