"""The tables of published datasets, on miniature recordings with their names and in their layouts."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
from rosbags.rosbag1 import Writer

from converters import open_stream
from converters.stream import Frame
from evinr.config import FitConfig
from evinr.cuts import TABLES
from evinr.events import Events, InputError
from evinr.protocols import PROTOCOLS
from evinr.scores import Evaluation, Mean
from evinr.simulator.simulate import Sensor, simulate
from experiments.tables import printed, scoring, spans, table
from experiments.tables.aed import AED
from experiments.tables.ced import CED
from experiments.tables.ecd import ECD
from experiments.tables.hqf import HQF
from experiments.tables.mvsec import MVSEC
from experiments.tables.published import ROWS
from experiments.tables.rled import RLED
from experiments.tables.table import Dataset, Options

SMALL = FitConfig(windows="sequential", intervals=8, overlap=2, iterations=2, warm_iterations=1, revisions=0)
UNIX = 1_468_939_993 * 10**9
"""A clock that did not start with the recording, in nanoseconds."""
HEIGHT, WIDTH = 16, 20


class Scene(NamedTuple):
    """A recording to write: its events from 0.1 s, gray pictures every 0.25 s from 0."""

    events: Events
    times: np.ndarray
    images: np.ndarray


@cache
def scene(seconds: float) -> Scene:
    """A stripe that swings to and fro; `seconds` long."""

    def light(t: float) -> np.ndarray:
        stripe = np.exp(-(((np.arange(WIDTH) - 10 - 6 * np.sin(4 * t)) / 3) ** 2))
        return np.log(np.tile(0.1 + 0.8 * stripe, (HEIGHT, 1)))

    sensor = Sensor(contrast_threshold=0.3, mismatch=0.0, leak_rate=0.0, shot_noise_rate=0.0)
    times = np.arange(0, seconds + 1e-9, 0.25)
    images = np.stack([np.rint(255 * np.exp(light(t))).astype(np.uint8) for t in times])
    return Scene(simulate(light, np.arange(0.1, seconds, 0.02), sensor), times, images)


def write_text(folder: Path, scene: Scene) -> None:
    """As ECD's zips are, unpacked."""
    folder.mkdir(parents=True)
    events = scene.events
    rows = np.stack([events.x, events.y, events.p > 0], 1)
    lines = (f"{t:.9f} {x} {y} {p:d}\n" for t, (x, y, p) in zip(events.t, rows, strict=True))
    (folder / "events.txt").write_text("".join(lines))
    (folder / "images").mkdir()
    for index, image in enumerate(scene.images):
        iio.imwrite(folder / f"images/{index}.png", image)
    (folder / "images.txt").write_text("".join(f"{t:.9f} images/{i}.png\n" for i, t in enumerate(scene.times)))


def write_bag(path: Path, scene: Scene, colour: bool = False, stamps: np.ndarray | None = None) -> None:
    """As those of ECD, HQF and CED, on a Unix clock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = np.array([0, 0, 0, 0], "<u4")
    with Writer(path) as writer:
        topics = [
            writer.add_connection(topic, kind, msgdef="x", md5sum=md5)
            for topic, kind, md5 in (
                ("/dvs/events", "dvs_msgs/msg/EventArray", "5e8beee5a6c107e504c2e78903c224b8"),
                (
                    "/dvs/image_color" if colour else "/dvs/image_raw",
                    "sensor_msgs/msg/Image",
                    "060021388200f6f0f447d0fcd9c64743",
                ),
            )
        ]
        events = scene.events
        for first in range(0, len(events.t), 500):
            ns = UNIX + np.rint(events.t[first : first + 500] * 1e9).astype(np.int64)
            rows = np.empty(len(ns), [("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")])
            rows["x"], rows["y"] = events.x[first : first + 500], events.y[first : first + 500]
            rows["s"], rows["ns"], rows["p"] = ns // 10**9, ns % 10**9, events.p[first : first + 500] > 0
            size = np.array([HEIGHT, WIDTH, len(ns)], "<u4")
            writer.write(topics[0], int(ns[-1]), head.tobytes() + size.tobytes() + rows.tobytes())
        encoding = b"bgr8" if colour else b"mono8"
        for time, image in zip(scene.times if stamps is None else stamps, scene.images, strict=True):
            ns = UNIX + round(time * 1e9)
            stamp = np.array([0, ns // 10**9, ns % 10**9, 0, HEIGHT, WIDTH, len(encoding)], "<u4").tobytes() + encoding
            data = np.repeat(image[..., None], 3, 2).tobytes() if colour else image.tobytes()
            layout = b"\0" + np.array([WIDTH * (3 if colour else 1), len(data)], "<u4").tobytes()
            writer.write(topics[1], ns, stamp + layout + data)


def write_h5(path: Path, scene: Scene, unit: float = 1.0, flipped: bool = False) -> None:
    """As HQF's and, in microseconds and with the size as (width, height), RLED's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    events = scene.events
    with h5py.File(path, "w") as file:
        ticks = events.t * unit if unit == 1 else np.rint(events.t * unit).astype(np.int64)
        for name, column in (
            ("ts", ticks),
            ("xs", events.x.astype("i2")),
            ("ys", events.y.astype("i2")),
            ("ps", events.p > 0),
        ):
            file[f"events/{name}"] = column
        file.attrs["sensor_resolution"] = (WIDTH, HEIGHT) if flipped else (HEIGHT, WIDTH)
        file.attrs["t0"], file.attrs["tk"] = ticks[0], ticks[-1]
        for index, (time, image) in enumerate(zip(scene.times, scene.images, strict=True)):
            picture = file.create_dataset(f"images/image{index:09d}", data=image)
            picture.attrs["timestamp"] = time if unit == 1 else round(time * unit)


def write_mvsec(path: Path, scene: Scene) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    events = scene.events
    with h5py.File(path, "w") as file:
        file["davis/left/events"] = np.stack([events.x, events.y, UNIX / 1e9 + events.t, events.p], 1, dtype=np.float64)
        file["davis/left/image_raw"] = scene.images
        file["davis/left/image_raw_ts"] = UNIX / 1e9 + scene.times


def run(dataset: Dataset, root: Path, out: Path, **options: Any) -> int:
    config = replace(SMALL, bayer=dataset.config.bayer)
    return table.main(dataset._replace(config=config), Options(root, window=1.0, out=out, **options))


def results(out: Path) -> dict[str, Any]:
    return json.loads(out.read_text())["results"]


@pytest.fixture(scope="module")
def ecd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the seven sequences of ECD, in two formats, and one that is not scored."""
    root = tmp_path_factory.mktemp("ecd")
    write_text(root / "slider_depth", scene(3.0))
    write_bag(root / "office_zigzag.bag", scene(6.0))
    shutil.copytree(root / "slider_depth", root / "slider_far")
    return root


@pytest.fixture(scope="module")
def done(ecd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "ecd.json"
    assert run(ECD, ecd, out) == 0
    return out


def test_frames_of_the_cut_are_scored(done: Path) -> None:
    depth, zigzag = (
        json.loads((done.with_suffix("") / f"{name}.json").read_text()) for name in ("slider_depth", "office_zigzag")
    )
    assert depth["times"] == [1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5]  # both ends count; 0 is the first frame
    assert zigzag["times"] == [5.0, 5.25, 5.5, 5.75, 6.0]
    assert all(depth["scored"]) and all(zigzag["scored"])
    assert results(done)["sequences"]["slider_depth"]["frames"] == "7 of 7"
    temporal = depth["frames"]["temporal"]
    assert [index for index, value in enumerate(temporal) if value is None] == [0, 4]  # spans begin at 1.0 and 2.0 s


def test_means_are_weighted_by_the_frames_or_not(done: Path, ecd: Path, tmp_path: Path) -> None:
    def means(out: Path) -> tuple[float, list[float]]:
        each = [
            json.loads((out.with_suffix("") / f"{name}.json").read_text()) for name in ("slider_depth", "office_zigzag")
        ]
        return results(out)["means"]["mse"]["value"], [float(np.mean(part["frames"]["mse"])) for part in each]

    total, (depth, zigzag) = means(done)
    assert depth != zigzag
    assert total == pytest.approx((7 * depth + 5 * zigzag) / 12, abs=1e-12)
    out = tmp_path / "etnet.json"
    assert run(ECD, ecd, out, protocol="legacy-etnet") == 0
    total, (depth, zigzag) = means(out)
    assert total == pytest.approx((depth + zigzag) / 2, abs=1e-12)


def test_what_is_missing_is_named(done: Path, ecd: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(ECD, ecd, done) == 0
    said = capsys.readouterr().out
    assert "evinr, 2 of 7" in said and "12 of 12" in said
    missing = "boxes_6dof, calibration, dynamic_6dof, poster_6dof, shapes_6dof"
    assert f"not in that mean: {missing}: missing in {ecd}" in said
    assert "in the folder, but not in this table: slider_far" in said
    assert "compare the mean above only when none is missing" in said
    assert set(results(done)["absent"]) == set(missing.split(", "))


def test_published_rows_stand_below_ours(done: Path, ecd: Path, capsys: pytest.CaptureFixture) -> None:
    run(ECD, ecd, done)
    lines = capsys.readouterr().out.splitlines()
    rows = {tuple(line.split()[:2]): line.split() for line in lines}
    assert rows["E2VID+", "evreal-2023"] == ["E2VID+", "evreal-2023", "0.0700", "0.5600", "0.2360", "[1]"]
    assert rows["EvINR", "evreal-2023"] == ["EvINR", "evreal-2023", "(inferred)", "0.0470", "0.6280", "0.2510", "[3]"]
    assert rows["PIE-Net", "evreal-2024"] == ["PIE-Net", "evreal-2024", "0.0257", "0.6122", "0.1957", "[4]"]
    depth = next(index for index, line in enumerate(lines) if line.startswith("slider_depth  "))
    assert lines[depth + 1].split() == ["E2HQV", "evreal-2023", "0.0129", "0.7879", "0.1623"]
    assert any(line.startswith("SSIM under evreal-2023 is not that under evreal-2024") for line in lines)


def test_a_finished_sequence_is_not_done_again(
    ecd: Path, done: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fits: list[int] = []
    whole = scoring.fit
    monkeypatch.setattr(scoring, "fit", lambda *words: fits.append(1) or whole(*words))
    before = results(done)
    assert run(ECD, ecd, done) == 0
    assert not fits and results(done) == before
    root = tmp_path / "changed"
    shutil.copytree(ecd, root)
    with (root / "slider_depth/events.txt").open("a") as file:
        file.write("2.999999999 3 3 1\n")
    out = tmp_path / "ecd.json"
    shutil.copytree(done.with_suffix(""), out.with_suffix(""))
    assert run(ECD, root, out) == 0
    assert len(fits) == 2  # of the changed file, 1.0 to 2.5 s in spans of 1 s
    assert run(ECD, root, out, limit_seconds=1.0) == 0
    assert len(fits) == 4  # other options: one span of each


def test_a_recording_without_its_cut(ecd: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root, out = tmp_path / "short", tmp_path / "ecd.json"
    write_text(root / "ijrr_slider_depth", scene(0.9))
    assert run(ECD, root, out) == 1
    [line] = capsys.readouterr().err.strip().splitlines()[-1:]
    assert "slider_depth: nothing of its cut in ECD, 1 to 2.5 s after its start" in line and "--whole" in line
    assert not out.exists()
    assert run(ECD, root, out, whole=True) == 0
    said = capsys.readouterr().out
    assert "no cuts, all of each recording counts, unlike in published rows" in said
    assert results(out)["sequences"]["slider_depth"]["frames"] == "4 of 4"  # 0 to 0.75 s


def test_a_broken_sequence_is_named_and_the_others_count(
    ecd: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = tmp_path / "root"
    shutil.copytree(ecd, root)
    (root / "shapes_6dof.bag").write_bytes(b"#ROSBAG V2.0\n")
    assert run(ECD, root, tmp_path / "ecd.json", limit_seconds=0.5) == 0
    said = capsys.readouterr().out
    assert "evinr, 2 of 7" in said and "not in that mean: shapes_6dof: " in said


def test_of_a_file_and_a_folder_the_file_is_read(ecd: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = tmp_path / "root"
    write_text(root / "slider_depth", scene(3.0))
    write_bag(root / "slider_depth.bag", scene(3.0))
    assert run(ECD, root, tmp_path / "ecd.json") == 0
    assert "but not in this table: slider_depth\n" in capsys.readouterr().out
    assert json.loads((tmp_path / "ecd/slider_depth.json").read_text())["made"]["source"] == "slider_depth.bag"


@pytest.mark.parametrize("wrong", ["nowhere", "empty", "others"])
def test_a_folder_without_the_dataset(tmp_path: Path, wrong: str, capsys: pytest.CaptureFixture) -> None:
    root = tmp_path / wrong
    if wrong != "nowhere":
        root.mkdir()
    if wrong == "others":
        (root / "boxes_translation.bag").touch()
    assert run(ECD, root, tmp_path / "ecd.json") == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"ecd: {root}: ")
    assert ("boxes_translation.bag" in line) == (wrong == "others")


def test_hqf_with_a_frame_whose_time_falls(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    stamps = scene(2.0).times.copy()
    stamps[3] = 0.4  # after 0.5 s, before 1.0 s
    write_bag(tmp_path / "root/engineering_posters.bag", scene(2.0), stamps=stamps)
    write_h5(tmp_path / "root/desk.h5", scene(2.0))
    assert run(HQF, tmp_path / "root", tmp_path / "hqf.json") == 0
    kept = json.loads((tmp_path / "hqf/engineering_posters.json").read_text())
    # The first is before all events; the last, at 2.0 s, EVREAL's loader leaves out.
    assert kept["times"] == [0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    assert "engineering_posters: a frame whose time fell was put midway" in capsys.readouterr().out


def test_mvsec_counts_from_the_first_event_or_frame(tmp_path: Path) -> None:
    write_mvsec(tmp_path / "root/outdoor_day1_data.hdf5", scene(2.0))
    (tmp_path / "root/outdoor_day1_gt.hdf5").touch()
    assert run(MVSEC, tmp_path / "root", tmp_path / "mvsec.json") == 0
    kept = json.loads((tmp_path / "mvsec/outdoor_day1_data.json").read_text())
    assert kept["times"] == pytest.approx(scene(2.0).times, abs=1e-6)


def test_ced_is_compared_in_gray(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_bag(tmp_path / "root/simple_fruit.bag", scene(2.0), colour=True)
    assert run(CED, tmp_path / "root", tmp_path / "ced.json") == 0
    said = capsys.readouterr().out
    assert "gray only" in said and "no published numbers of this dataset were found" in said
    assert results(tmp_path / "ced.json")["sequences"]["simple_fruit"]["frames"] == "9 of 9"
    assert json.loads((tmp_path / "ced/simple_fruit.json").read_text())["made"]["fit"]["bayer"] == "rggb"


def test_aed_is_scored_without_truth(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "root").mkdir()
    np.save(tmp_path / "root/corridor.npy", scene(2.0).events.to_array())
    assert (
        run(AED._replace(read=replace(AED.read, height=HEIGHT, width=WIDTH)), tmp_path / "root", tmp_path / "aed.json")
        == 0
    )
    means = results(tmp_path / "aed.json")["means"]
    assert set(means) == {"replay", "sharpness"}
    said = capsys.readouterr().out
    assert "MSE, SSIM and LPIPS cannot be had" in said and "unknown" in said and "do not compare" in said


def test_rled_in_microseconds(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_h5(tmp_path / "root/city_0000_25fps.h5", scene(2.0), unit=1e6, flipped=True)
    assert run(RLED, tmp_path / "root", tmp_path / "rled.json") == 0
    kept = json.loads((tmp_path / "rled/city_0000_25fps.json").read_text())
    assert kept["times"] == pytest.approx(scene(2.0).times)
    assert "ends of the exposures" in capsys.readouterr().out


def test_spans_hold_every_event_and_frame_once(ecd: Path) -> None:
    for path in (ecd / "slider_depth", ecd / "office_zigzag.bag"):
        walked = spans.walk(open_stream(path), path.name, ECD.read, None, 0.4, float("inf"), True)
        pieces = list(walked.pieces)
        whole = scene(3.0 if path.is_dir() else 6.0)
        assert len(pieces) == (8 if path.is_dir() else 15)
        assert np.concatenate([piece.events.t for piece in pieces]) == pytest.approx(whole.events.t, abs=1e-9)
        assert np.concatenate([piece.events.x for piece in pieces]).tolist() == whole.events.x.tolist()
        frames = [piece.frames for piece in pieces if piece.frames is not None]
        assert np.concatenate([part.times for part in frames]) == pytest.approx(whole.times, abs=1e-9)
        assert (np.concatenate([part.images for part in frames]) == whole.images).all()
        assert walked.start == 0
        for piece in pieces[:-1]:
            assert piece.events.t[-1] - piece.events.t[0] < 0.4


def test_spans_without_events_go_on(tmp_path: Path) -> None:
    whole = scene(3.0)
    still = (whole.events.t < 0.5) | (whole.events.t > 2.0)
    t, x, y, p = (column[still] for column in whole.events[:4])
    events = Events(t, x, y, p, HEIGHT, WIDTH)
    write_text(tmp_path / "slider_depth", whole._replace(events=events))
    walked = spans.walk(open_stream(tmp_path / "slider_depth"), "slider_depth", ECD.read, None, 0.25, 2.01, True)
    pieces = list(walked.pieces)
    assert sum(piece.events.count for piece in pieces) == int((events.t <= 2.01).sum())
    assert sum(len(piece.frames.times) for piece in pieces if piece.frames) == 9  # 0 to 2 s, also the still ones


def test_a_span_begins_with_the_event_at_its_edge_and_has_enough_of_them(tmp_path: Path) -> None:
    t = np.concatenate([np.arange(20) / 20, [1.0, 1.2, 1.3], 2 + np.arange(20) / 20, [3.0, 3.1]])
    ones = np.ones(len(t))
    events = Events(t, ones.astype("u2"), ones.astype("u2"), ones.astype("i1"), HEIGHT, WIDTH)
    write_text(tmp_path / "slider_depth", scene(3.0)._replace(events=events))
    walked = spans.walk(open_stream(tmp_path / "slider_depth"), "slider_depth", ECD.read, None, 0.5, float("inf"), True)
    # 3 events from 1 s on and the 2 from 3 s on are too few for a fit: those go on to 2.5 s, these join the span before.
    parts = [piece.events.t for piece in walked.pieces]
    assert [(part[0], part[-1], len(part)) for part in parts] == [
        (0.0, 0.45, 10),
        (0.5, 0.95, 10),
        (1.0, 2.45, 13),
        (2.5, 3.1, 12),
    ]


def test_a_fall_of_the_last_frame_is_refused() -> None:
    frames = [Frame(time, np.zeros((2, 2), np.uint8)) for time in (0, 10, 5)]
    with pytest.raises(InputError, match="x: the times of its frames fall, at 5 ns"):
        list(spans.mended(frames, "x", []))


def test_joined_means_are_of_all_frames_and_none_where_a_span_has_none() -> None:
    def part(mse: list[float], temporal: list[float], psnr: float | None) -> Evaluation:
        frames = {
            "mse": np.array(mse, float),
            "temporal": np.array(temporal, float),
            "psnr": np.full(len(mse), psnr or np.nan),
        }
        means = {name: Mean(0.0, 0.0, 0.0) for name in frames} | {"psnr": Mean(psnr, psnr, psnr)}
        if len(mse) == 1:
            del frames["temporal"], means["temporal"]
        count = len(mse)
        return Evaluation(PROTOCOLS["evreal-2024"], np.arange(count) * 1.0, np.ones(count, bool), frames, means, ())

    whole = scoring.joined([part([1, 2, 3], [np.nan, 5, 7], 20.0), part([6], [], None)])
    assert whole.means["mse"].value == 3 and whole.means["temporal"].value == 6
    assert whole.means["psnr"].value is None  # infinite in one span: the mean of the others would flatter
    assert np.isnan(whole.frames["temporal"]).tolist() == [True, False, False, True]
    again = scoring.from_json(json.loads(json.dumps(scoring.as_json(whole))), whole.protocol)
    assert again.means == whole.means and np.array_equal(
        again.frames["temporal"], whole.frames["temporal"], equal_nan=True
    )


def test_published_means_follow_from_their_sequences() -> None:
    for dataset in ("ECD", "HQF", "MVSEC"):
        [row] = [row for row in ROWS[dataset] if row.method == "E2HQV"]
        assert set(row.sequences) <= set(TABLES[dataset])
        mean = np.mean(list(row.sequences.values()), axis=0)
        expected = row.scores if dataset != "HQF" else row.scores._replace(lpips=0.251)  # the README says 0.261
        assert mean == pytest.approx(expected, abs=6e-4)
    assert all(row.protocol in {None, *PROTOCOLS} for rows in ROWS.values() for row in rows)


def test_every_table_has_its_rows() -> None:
    for dataset in (ECD, HQF, MVSEC, CED, AED, RLED):
        assert dataset.name in ROWS
        assert dataset.every or dataset.name in TABLES


def test_things_said_of_several_sequences_are_said_once() -> None:
    assert printed.grouped({"a": "x", "b": "y", "c": "x"}) == ["a, c: x", "b: y"]
