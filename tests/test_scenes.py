"""Laws of the built-in scenes, of footage, and of the camera beside them."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from evinr.cli.footage import DARK, LONGEST_STEP, open_footage
from evinr.events import InputError
from evinr.simulator import camera, scenes
from evinr.simulator.scenes.motions import corners_speed, look, pan, rotation, shake, sway, zoom
from evinr.simulator.scenes.world import FEWEST, PERIOD, STEP, World, dense
from experiments.suite.sequences import SEQUENCES, make

# imageio leaves the pipes to ffmpeg, through which videos are read, to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

HEIGHT, WIDTH = 36, 48


def frames(world: World, times: np.ndarray) -> np.ndarray:
    return np.stack([world.light(float(t)) for t in times])


@pytest.mark.parametrize("name", scenes.SCENES)
def test_a_scene_is_known_at_every_time_and_follows_its_seed(name: str):
    world, same, other = (scenes.build(name, HEIGHT, WIDTH, seed) for seed in (1, 1, 2))
    times = np.array([0.0, 0.3, 1.7, 40.0])
    light = frames(world, times)
    assert light.shape == (4, HEIGHT, WIDTH) and np.isfinite(light).all()
    np.testing.assert_array_equal(light, frames(same, times))
    assert np.abs(light - frames(other, times)).mean() > 0.05
    assert np.abs(light[0] - light[1]).mean() > 0.02 and light.std(axis=(1, 2)).min() > 0.3


@pytest.mark.parametrize("name", scenes.SCENES)
def test_light_changes_in_a_line_between_two_samples(name: str):
    """About: halfway it is their mean, but for few pixels."""
    world = scenes.build(name, HEIGHT, WIDTH, 3)
    times = world.times(0.2, 0.25)
    assert times[0] == 0.2 and times[-1] == 0.25 and (np.diff(times) > 0).all()
    assert np.diff(times).max() <= 1 / FEWEST + 1e-9
    light, middle = frames(world, times), frames(world, (times[1:] + times[:-1]) / 2)
    assert np.quantile(np.abs(middle - (light[1:] + light[:-1]) / 2), 0.99) < 0.1


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (50, 21)])
@pytest.mark.parametrize("name", scenes.SCENES)
def test_scenes_have_any_size(name: str, size: tuple[int, int]):
    light = scenes.build(name, *size, 0).light(0.1)
    assert light.shape == size and np.isfinite(light).all()


@pytest.mark.parametrize("motion", [pan, shake, rotation, zoom, sway])
def test_nothing_moves_farther_than_a_step_between_two_samples(motion):
    """A grid of points of the world, followed through the picture."""
    path = motion(np.random.default_rng(4), 180, 240)
    times = dense(lambda t: corners_speed(path, 180, 240, t))(0.0, 1.0)
    rows, columns = (axis.ravel() for axis in np.meshgrid(np.linspace(-90, 90, 7), np.linspace(-120, 120, 9)))
    farthest = 0.0
    for before, after in zip(times[:-1], times[1:], strict=True):
        one, other = path(float(before)), path(float(after))
        down, right = look(one, rows, columns)
        v, u = (down - other.down) / other.zoom, (right - other.right) / other.zoom
        then_rows = v * np.cos(other.roll) - u * np.sin(other.roll)
        then_columns = u * np.cos(other.roll) + v * np.sin(other.roll)
        farthest = max(farthest, float(np.hypot(then_rows - rows, then_columns - columns).max()))
    assert (0.5 * STEP < farthest or motion is sway) and farthest < 1.06 * STEP


def test_times_are_dense_where_things_move_and_lights_flicker():
    times = dense(lambda t: np.where(t > 0.5, 1000.0, 10.0))(0.0, 1.0)
    late = np.diff(times[times > 0.51])
    assert late.max() <= STEP / 1000 + 1e-12 and len(times) < 1.05 * (0.5 * 1000 / STEP + 0.5 * FEWEST)
    assert np.diff(dense(lambda t: 0 * t, 100.0)(0.0, 1.0)).max() <= 1 / (100 * PERIOD) + 1e-12


@pytest.mark.parametrize("name", scenes.TEXTURES)
def test_textures_are_pictures(name: str):
    canvas = scenes.TEXTURES[name](np.random.default_rng(0), 200, 260, 1.5)
    assert canvas.shape == (200, 260) and canvas.dtype == np.float32
    assert canvas.min() >= 0.01 and canvas.max() <= 1 and 0.08 < np.median(canvas) < 0.7
    assert np.log(canvas).std() > 0.3
    chosen, usual = (scenes.build("pan", HEIGHT, WIDTH, 0, texture).light(0.0) for texture in (name, None))
    assert np.array_equal(chosen, usual) == (name == "posters")


def test_the_room_spans_decades_and_the_lamps_outshine_the_street():
    room, street = (np.exp(scenes.build(name, 90, 120, 0).light(0.4)) for name in ("hdr", "night"))
    assert room.max() / room.min() > 1e6 and np.quantile(room, 0.99) / np.quantile(room, 0.05) > 1e3
    assert street.max() / np.median(street) > 1e3 and np.median(street) < 0.02


def test_lamps_flicker_at_twice_the_mains_and_the_sign_at_its_own_rate():
    world = scenes.build("flicker", 60, 80, 0)
    times = np.arange(0, 0.2, 1 / 1200)
    light = np.exp(frames(world, times))
    spectrum = np.abs(np.fft.rfft(light - light.mean(0), axis=0))
    frequency = np.fft.rfftfreq(len(times), 1 / 1200)
    found = frequency[20 + spectrum[20:].argmax(axis=0)]  # from 100 Hz on
    strong = spectrum[20:].max(axis=0) > 5
    assert set(np.round(found[strong], 3)) == {100.0, 120.0}


def test_an_exposure_is_the_mean_of_intensity():
    """Intensity 0.2 + 0.6 t, seen from 0.3 to 0.5 s: 0.44 on average, whose log is not the mean log."""
    world = World(lambda t: np.full((16, 16), np.log(0.2 + 3.0 * abs(t - 0.4))), dense(lambda t: 0 * t))
    assert abs(int(camera.exposed(world, 0.4, 0.2)[0, 0]) - round(255 * (0.2 + 3.0 * 0.05))) <= 1
    assert camera.sharp(world, 0.4)[0, 0] == 51
    assert camera.sharp(world._replace(white=0.4), 0.4)[0, 0] == 128
    assert camera.sharp(world._replace(white=0.1), 0.4)[0, 0] == 255
    assert camera.radiance(world, 1.4)[0, 0] == np.float32(3.2)


@pytest.mark.parametrize(
    "fps, exposure, count", [(25.0, 0.02, 25), (25.0, 0.04, 25), (10.0, 0.05, 10), (3.0, 0.3, 3), (1.0, 1.0, 1)]
)
def test_the_shutter_opens_inside_the_recording(fps: float, exposure: float, count: int):
    times = camera.shutter(0.0, 1.0, fps, exposure).times
    assert len(times) == count and times[0] == exposure / 2 and times[-1] + exposure / 2 <= 1 + 1e-9
    np.testing.assert_allclose(np.diff(times), 1 / fps)
    assert not len(camera.shutter(0.0, 0.1, 5.0, 0.2).times)


def write_pictures(folder: Path, pictures: list[np.ndarray], times: list[float] | None = None) -> Path:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        iio.imwrite(folder / f"{number}.png", picture)
    if times is not None:
        (folder / "images.txt").write_text("".join(f"{t:.9f} {n}.png\n" for n, t in enumerate(times)))
    return folder


def gray(*values: int, dtype: type = np.uint8) -> list[np.ndarray]:
    return [np.full((20, 30), value, dtype) for value in values]


def test_light_of_footage_goes_in_a_line_of_its_logarithm(tmp_path):
    footage = open_footage(write_pictures(tmp_path / "a", gray(10, 60, 255), [7.0, 7.1, 7.3]))
    assert (footage.height, footage.width, footage.count) == (20, 30, 3) and abs(footage.seconds - 0.3) < 1e-9
    # IEC 61966-2-1: 10 / 255 / 12.92 below the toe, ((0.235 + 0.055) / 1.055)^2.4 above it.
    logs = np.log(np.array([10 / 255 / 12.92, ((60 / 255 + 0.055) / 1.055) ** 2.4, 1.0]) + DARK)
    for t, expected in (
        (0.0, logs[0]),
        (0.1, logs[1]),
        (0.2, logs[1:].mean()),
        (0.3, logs[2]),
        (0.05, logs[:2].mean()),
    ):
        np.testing.assert_allclose(footage.world.light(t), expected, atol=1e-9)
    times = footage.world.times(0.0, 0.3)
    assert np.isclose(times[:, None], [0.0, 0.1, 0.3]).any(0).all() and np.diff(times).max() <= LONGEST_STEP + 1e-9


def test_footage_may_be_linear_colour_deep_or_scaled(tmp_path):
    linear = open_footage(write_pictures(tmp_path / "a", gray(51, 102), [0, 1]), gamma=1.0)
    np.testing.assert_allclose(np.exp(linear.world.light(0.0)), 0.2 + DARK)
    squared = open_footage(tmp_path / "a", gamma=2.0)
    np.testing.assert_allclose(np.exp(squared.world.light(0.0)), 0.04 + DARK)
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 0] = 255
    colour = open_footage(write_pictures(tmp_path / "b", [red, red], [0, 1]))
    np.testing.assert_allclose(np.exp(colour.world.light(0.0)), 0.2126 + DARK)
    deep = open_footage(write_pictures(tmp_path / "c", gray(6553, 60000, dtype=np.uint16), [0, 1]), gamma=1.0)
    np.testing.assert_allclose(np.exp(deep.world.light(0.0)), 6553 / 65535 + DARK)
    halves = np.zeros((40, 60), np.uint8)
    halves[::2] = 255
    scaled = open_footage(write_pictures(tmp_path / "d", [halves, halves], [0, 1]), size=(20, 30))
    np.testing.assert_allclose(np.exp(scaled.world.light(0.0)), 0.5 + DARK, rtol=1e-6)


def test_pictures_without_times_are_in_the_order_of_their_numbers(tmp_path):
    folder = write_pictures(tmp_path / "a", gray(*range(20, 250, 20)))
    footage = open_footage(folder, fps=100.0)
    light = frames(footage.world, np.arange(12) / 100)
    assert (np.diff(light[:, 0, 0]) > 0).all() and abs(footage.seconds - 0.11) < 1e-9
    assert [file.name for file in footage.files][:3] == ["0.png", "1.png", "2.png"]
    np.testing.assert_array_equal(footage.world.light(0.02), light[2])  # backwards too


def test_a_video_is_footage(tmp_path):
    ramp = np.repeat(np.arange(20, 240, 20, dtype=np.uint8), 32 * 48 * 3).reshape(-1, 32, 48, 3)
    iio.imwrite(tmp_path / "a.mp4", ramp, fps=50)
    footage = open_footage(tmp_path / "a.mp4")
    assert (footage.height, footage.width, footage.count) == (32, 48, 11) and abs(footage.seconds - 0.2) < 1e-9
    light = frames(footage.world, np.arange(11) / 50)
    assert (np.diff(light, axis=0) > 0).all()
    assert abs(open_footage(tmp_path / "a.mp4", fps=10.0).seconds - 1) < 1e-9


@pytest.mark.parametrize("pictures, times, said", [
    (gray(1), [0.0], "1 picture"),
    (gray(1, 2), None, "--source-fps"),
    (gray(1, 2), [1.0, 0.5], "goes back"),
    (gray(1, 2), [0.5, 0.5], "not later"),
    ([*gray(1), np.zeros((21, 30), np.uint8)], [0.0, 1.0], "30 x 21"),
    ([*gray(1), np.zeros((20, 30, 3), np.uint8)], [0.0, 1.0], "colour"),
    (gray(1, 2), [0.0, np.nan], "expected 't path'"),
    ([], None, "without pictures"),
])  # fmt: skip
def test_footage_that_is_none_is_refused(tmp_path, pictures, times, said):
    with pytest.raises(InputError, match=said):
        open_footage(write_pictures(tmp_path / "a", pictures, times))


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\x00\x00\x00\x18ftypmp42" + 60 * b"x"])
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a"])
def test_files_that_are_no_videos_are_refused(tmp_path, content: bytes, name: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="video"):
        open_footage(tmp_path / name)


def test_unreadable_pictures_are_named(tmp_path):
    folder = write_pictures(tmp_path / "a", gray(1, 2, 3))
    (folder / "1.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="a/1.png"):
        open_footage(folder, fps=30.0)


def test_the_suite_is_large_and_varied():
    assert len(SEQUENCES) >= 12 and len({sequence.name for sequence in SEQUENCES}) == len(SEQUENCES)
    assert len({sequence.seed for sequence in SEQUENCES}) == len(SEQUENCES)
    thresholds = [sequence.sensor.contrast_threshold for sequence in SEQUENCES]
    assert min(thresholds) == 0.1 and max(thresholds) == 0.4
    assert {sequence.scene for sequence in SEQUENCES} >= {
        "pan",
        "shake",
        "rotation",
        "zoom",
        "objects",
        "flicker",
        "hdr",
        "night",
    }


def test_a_sequence_is_made_with_its_truth():
    from dataclasses import replace

    small = replace(next(one for one in SEQUENCES if one.name == "zoom_clouds_uneven"), size=(24, 32), seconds=0.2)
    (events, truth), (again, _) = make(small), make(small)
    np.testing.assert_array_equal(events.t, again.t)
    assert (events.height, events.width) == (24, 32) and truth.images is not None and truth.images.shape == (4, 24, 32)
    assert events.t[0] < truth.times[0] and truth.times[-1] < events.t[-1] and truth.start == events.t[0]
    world = scenes.build("zoom", 24, 32, small.seed, "clouds")
    np.testing.assert_array_equal(truth.images[2], camera.sharp(world, float(truth.times[2])))


def test_a_camera_sees_the_world_where_its_motion_says():
    """A world of slanted light, whose value tells its place."""
    world = np.mgrid[:120, :160].astype(np.float32).sum(0)
    path = rotation(np.random.default_rng(0), 30, 40)
    picture = scenes.camera(world, path, 30, 40)(0.37)
    down, right = look(path(0.37), np.array([-14.5, 3.5]), np.array([-19.5, 8.5]))
    expected = map_coordinates(world, [2 * down + 59.5, 2 * right + 79.5], order=1)
    np.testing.assert_allclose([picture[0, 0], picture[18, 28]], expected, rtol=1e-6)
