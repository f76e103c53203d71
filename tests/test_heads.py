"""Windows in a folder: what was written is read back, and what is not whole is refused or made again."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from test_reconstruction import CONFIG, SIZE, WINDOWS, answer, fitted, uneven

import evinr
from evinr import checkpoint, heads, render
from evinr.events import InputError
from evinr.heads import Head, Stored
from evinr.reconstruction import joined
from evinr.tonemap import ToneMap


def written(folder: Path, windows: tuple[Head, ...] = WINDOWS) -> Path:
    """The folder with these windows."""
    for number, head in enumerate(windows):
        heads.save(folder, number, [head], CONFIG.overlap)
    return folder


def refused(folder: Path, number: int = 0) -> str:
    """The one line with which a folder, or this window of it, is refused."""
    with pytest.raises(InputError) as error:
        Stored(folder)[number]
    assert str(folder) in str(error.value) and "--resume" in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def test_windows_come_back_rounded_to_float16(tmp_path: Path):
    stored = Stored(written(tmp_path / "windows"))
    assert len(stored) == len(WINDOWS)
    for number, head in enumerate(WINDOWS):
        found = stored[number]
        np.testing.assert_array_equal(found.times, head.times)
        np.testing.assert_allclose(found.values, head.values, rtol=2**-11, atol=1e-7)
        assert found.shared == head.shared and found.values.dtype == np.float16
    assert stored[-1].shared == WINDOWS[-1].shared
    with pytest.raises(IndexError):
        stored[len(WINDOWS)]
    np.testing.assert_array_equal(stored.layout, heads.layout(WINDOWS, CONFIG.overlap))
    assert not list((tmp_path / "windows").glob(".*")), "nothing left over"


def test_a_run_of_windows_is_saved_and_loaded(tmp_path: Path):
    before = answer(WINDOWS)
    before.save(tmp_path / "run")
    after = evinr.load(tmp_path / "run")
    assert (after.config, after.height, after.width, after.span) == (CONFIG, *SIZE, before.span)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.json", "windows"]
    times = np.linspace(*before.span, 50)
    np.testing.assert_allclose(after.log_intensity(times), before.log_intensity(times), atol=2e-3)
    after.save(tmp_path / "again")
    np.testing.assert_array_equal(evinr.load(tmp_path / "again").log_intensity(times), after.log_intensity(times))
    with pytest.raises(InputError, match="exists already"):
        before.save(tmp_path / "run")


def test_a_killed_run_has_the_span_of_its_windows(tmp_path: Path):
    answer(WINDOWS).save(tmp_path / "run")
    (tmp_path / "run" / "windows" / heads.INDEX).write_bytes(b"")
    heads.save(tmp_path / "run" / "windows", 0, [WINDOWS[0]], CONFIG.overlap)
    assert evinr.load(tmp_path / "run").span == (WINDOWS[0].times[0], WINDOWS[0].times[-1])


def test_a_run_of_before_there_were_windows_is_one_network(tmp_path: Path):
    answer(WINDOWS).save(tmp_path / "run")
    about = json.loads((tmp_path / "run" / "config.json").read_text())
    about["config"] = {"knots": 25, "steps": 70}  # which windows do not have
    (tmp_path / "run" / "config.json").write_text(json.dumps(about))
    config = checkpoint.read_meaning(tmp_path / "run")["config"]
    assert (config.windows, config.knots, config.steps) == ("whole", 25, 70)


def test_windows_are_read_once_in_a_pass_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rec = joined(Stored(written(tmp_path)), CONFIG, *SIZE)
    loaded, load = [], np.load
    monkeypatch.setattr(np, "load", lambda file: (loaded.append(Path(file.name).stem), load(file))[1])
    assert len(rec.heads) == 5 and not loaded, "nothing is read before it is asked for"
    rec.log_intensity(np.linspace(*rec.span, 200))
    assert loaded == [f"00000{number}" for number in range(5)]
    rec.log_intensity(rec.span.end)
    assert len(loaded) == 5, "the last one was there still"
    rec.log_intensity(rec.span.start)
    assert len(loaded) == 6, "the first one was not"


def test_the_exposure_of_many_windows_reads_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rec = joined(Stored(written(tmp_path, fitted(uneven(16 + 60 * 12 + 1)))), CONFIG, *SIZE)
    loaded, load = [], np.load
    monkeypatch.setattr(np, "load", lambda file: (loaded.append(file.name), load(file))[1])
    assert len(rec.heads) == 61
    render.exposure(rec, ToneMap())
    assert 16 <= len(loaded) <= 32


def test_ten_thousand_windows_are_opened_without_reading_them(tmp_path: Path):
    path = written(tmp_path, WINDOWS[:1])
    line = (path / heads.INDEX).read_text()
    with (path / heads.INDEX).open("w") as index:
        index.writelines(f"{number:9d}{line[9:]}" for number in range(10_000))
    for number in range(1, 10_000):
        os.link(path / "000000.npz", path / f"{number:06d}.npz")
    assert heads.done(path) == 10_000
    assert Stored(path).layout.shape == (10_000, 4)


@pytest.mark.parametrize("cut", [1, heads.LINE - 1])
def test_a_line_that_a_kill_cut_short_does_not_count(tmp_path: Path, cut: int):
    index = written(tmp_path) / heads.INDEX
    os.truncate(index, index.stat().st_size - cut)
    assert heads.done(tmp_path) == len(Stored(tmp_path)) == len(WINDOWS) - 1
    heads.tidy(tmp_path)
    heads.save(tmp_path, len(WINDOWS) - 1, [WINDOWS[-1]], CONFIG.overlap)
    assert heads.done(tmp_path) == len(Stored(tmp_path)) == len(WINDOWS)
    assert index.stat().st_size == len(WINDOWS) * heads.LINE


def test_a_fit_that_goes_on_replaces_the_windows_from_there(tmp_path: Path):
    (written(tmp_path) / "000002.npz").unlink()
    assert heads.done(tmp_path) == 2
    assert "000002.npz: missing" in refused(tmp_path)
    heads.save(tmp_path, 2, [WINDOWS[2]], CONFIG.overlap)
    assert heads.done(tmp_path) == len(Stored(tmp_path)) == 3, "those after it came from another second window"


def test_a_damaged_window_and_those_behind_it_are_taken_away(tmp_path: Path):
    os.truncate(written(tmp_path) / "000002.npz", 100)
    heads.tidy(tmp_path)
    assert heads.done(tmp_path) == len(Stored(tmp_path)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.npz", "000001.npz", heads.INDEX]


class Killed(BaseException):
    """A process is no more."""


REVISED = WINDOWS[1]._replace(values=WINDOWS[1].values + 1)
"""What the third window makes of the second."""


@pytest.mark.parametrize("moment", range(3))
def test_windows_that_belong_together_appear_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int):
    """Two new ones and a revised one, killed before each of the three files takes its place."""
    written(tmp_path, WINDOWS[:2])
    with monkeypatch.context() as patched, pytest.raises(Killed):
        left, replace = [None] * moment, os.replace

        def dying(*paths: Path) -> None:
            if not left:
                raise Killed
            left.pop()
            replace(*paths)

        patched.setattr(os, "replace", dying)
        heads.save(tmp_path, 2, WINDOWS[2:4], CONFIG.overlap, REVISED)
    assert heads.done(tmp_path) == 2
    np.testing.assert_array_equal(Stored(tmp_path)[1].values, WINDOWS[1].values.astype(np.float16))
    heads.tidy(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.npz", "000001.npz", heads.INDEX]


def test_lines_of_the_index_are_only_added(tmp_path: Path):
    """Also by the window that revises the first one: an index that is emptied for a moment has lost all windows."""
    index = written(tmp_path, WINDOWS[:1]) / heads.INDEX
    for number in (1, 2, 3):
        before = index.read_bytes()
        heads.save(tmp_path, number, WINDOWS[number : number + 1], CONFIG.overlap, WINDOWS[number - 1])
        assert index.read_bytes().startswith(before) and heads.done(tmp_path) == number + 1


@pytest.mark.parametrize("missing", [1, heads.LINE, heads.LINE + 1, 3 * heads.LINE - 1])
def test_lines_that_belong_together_count_together(tmp_path: Path, missing: int):
    """Killed while the index was written."""
    old = (written(tmp_path, WINDOWS[:2]) / "000001.npz").read_bytes()
    heads.save(tmp_path, 2, WINDOWS[2:4], CONFIG.overlap, REVISED)
    index = tmp_path / heads.INDEX
    os.truncate(index, index.stat().st_size - missing)
    (tmp_path / "000001.npz").write_bytes(old)  # is taken away only later
    assert heads.done(tmp_path) == 2
    np.testing.assert_array_equal(Stored(tmp_path)[1].values, WINDOWS[1].values.astype(np.float16))
    heads.tidy(tmp_path)
    heads.save(tmp_path, 2, WINDOWS[2:4], CONFIG.overlap, REVISED)
    assert heads.done(tmp_path) == len(Stored(tmp_path)) == 4


def test_a_revised_window_is_read_by_those_who_came_before(tmp_path: Path):
    before = Stored(written(tmp_path, WINDOWS[:2]))
    heads.save(tmp_path, 2, WINDOWS[2:4], CONFIG.overlap, REVISED)
    after = Stored(tmp_path)
    assert heads.done(tmp_path) == len(after) == 4
    np.testing.assert_array_equal(after[1].values, REVISED.values.astype(np.float16))
    np.testing.assert_array_equal(before[1].values, after[1].values)
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [
        f"00000{name}.npz" for name in ("0", "1r", "2", "3")
    ]


def test_a_window_revised_while_the_folder_is_opened(tmp_path: Path):
    index = (written(tmp_path, WINDOWS[:2]) / heads.INDEX).read_bytes()
    heads.save(tmp_path, 2, WINDOWS[2:3], CONFIG.overlap, REVISED)
    (tmp_path / heads.INDEX).write_bytes(index)  # as it was read just before
    assert heads.done(tmp_path) == 2
    np.testing.assert_array_equal(Stored(tmp_path)[1].values, REVISED.values.astype(np.float16))


def test_an_old_window_whose_removal_a_kill_prevented_does_no_harm(tmp_path: Path):
    old = (written(tmp_path, WINDOWS[:2]) / "000001.npz").read_bytes()
    heads.save(tmp_path, 2, WINDOWS[2:3], CONFIG.overlap, REVISED)
    (tmp_path / "000001.npz").write_bytes(old)
    np.testing.assert_array_equal(Stored(tmp_path)[1].values, REVISED.values.astype(np.float16))
    heads.tidy(tmp_path)
    assert not (tmp_path / "000001.npz").exists() and heads.done(tmp_path) == 3


def test_a_window_that_could_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written(tmp_path, WINDOWS[:2])

    def full(path: Path, **arrays: np.ndarray) -> None:
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="000002.npz"):
        heads.save(tmp_path, 2, [WINDOWS[2]], CONFIG.overlap)
    assert heads.done(tmp_path) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.npz", "000001.npz", heads.INDEX]


@pytest.mark.parametrize("size", [0, 100, -1, -100])
def test_a_window_cut_short_is_refused(tmp_path: Path, size: int):
    path = written(tmp_path) / "000003.npz"
    os.truncate(path, size if size >= 0 else path.stat().st_size + size)
    assert "000003.npz: cut short or changed, it has" in refused(tmp_path)
    assert heads.done(tmp_path) == 3


def test_a_damaged_byte_of_a_window_is_refused_or_harmless(tmp_path: Path):
    path = written(tmp_path, fitted(uneven(16 + 1))) / "000000.npz"
    whole = path.read_bytes()
    before, refusals = Stored(tmp_path)[0], 0
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            after = Stored(tmp_path)[0]
        except InputError as error:
            assert "000000.npz: " in str(error) and "\n" not in str(error)
            refusals += 1
        else:  # dates, flags and padding, which say nothing
            assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert refusals > len(whole) / 7 * 0.6


def test_a_window_of_another_run_is_refused(tmp_path: Path):
    written(tmp_path / "one")
    written(tmp_path / "other", fitted(WINDOWS[0].times + 1))
    (tmp_path / "other" / "000000.npz").replace(tmp_path / "one" / "000000.npz")
    assert "is of another run, it starts at 6.0" in refused(tmp_path / "one")


@pytest.mark.parametrize("damage", [b"x", b"\n", b"\x00", b" "])
def test_a_damaged_index_is_refused(tmp_path: Path, damage: bytes):
    index = written(tmp_path) / heads.INDEX
    content = bytearray(index.read_bytes())
    content[2 * heads.LINE + 8 : 2 * heads.LINE + 9] = damage
    index.write_bytes(content)
    assert "line 3 is damaged" in refused(tmp_path)
    assert heads.done(tmp_path) == 2


@pytest.mark.parametrize("content", [None, b"", b"     0 1"])
def test_no_window_at_all_is_refused(tmp_path: Path, content: bytes | None):
    if content is not None:
        (tmp_path / heads.INDEX).write_bytes(content)
    assert "holds no whole window" in refused(tmp_path)
    assert heads.done(tmp_path) == heads.done(tmp_path / "absent") == 0


@pytest.mark.parametrize("value", [65505.0, -7e4, np.inf, np.nan])
def test_what_float16_cannot_hold_is_refused(tmp_path: Path, value: float):
    values = WINDOWS[0].values.copy()
    values[2, 0, 1, 1] = value
    with pytest.raises(InputError, match="window 0, from 5.0.* beyond the 65504 thresholds"):
        heads.save(tmp_path, 0, [WINDOWS[0]._replace(values=values)], CONFIG.overlap)
    assert not list(tmp_path.iterdir())


def test_the_largest_values_are_kept(tmp_path: Path):
    values = WINDOWS[0].values.copy()
    values[2, 0, 1, :2] = 65504, -65504
    heads.save(tmp_path, 0, [WINDOWS[0]._replace(values=values)], CONFIG.overlap)
    np.testing.assert_array_equal(Stored(tmp_path)[0].values[2, 0, 1, :2], [65504, -65504])
