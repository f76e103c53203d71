"""`evinr batch`: a whole dataset, whatever is wrong with one recording of it, and whatever dies meanwhile."""

import csv
import dataclasses
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import tyro
from compilations import compilations

from converters import ReadOptions
from evinr import heads
from evinr.cli import batch, batch_table
from evinr.cli.batch_list import Entry
from evinr.cli.commands import Fit, Scoring
from evinr.cli.many_commands import BATCH_PRESETS, Batch
from evinr.config import FitConfig
from evinr.events import InputError
from evinr.executors import work
from evinr.executors.processes import Processes, Share
from evinr.executors.work import Died, Job, Result, done, kept
from evinr.tonemap import ToneMap
from tests.conftest import Known
from tests.test_processes import led, until

QUICK = FitConfig(iterations=3)
ARGV = ["batch", "data", "--out", "out"]


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Two workers, for all tests."""
    cores = sorted(os.sched_getaffinity(0))
    environment = {"EVINR_CACHE": str(tmp_path_factory.mktemp("cache"))}
    executor = Processes([Share((cores[0],), environment), Share((cores[-1],), environment)])
    yield executor
    executor.close()


@pytest.fixture
def warm(executor: Processes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """The two workers lent to the command."""
    with monkeypatch.context() as patched:
        patched.setattr(executor, "close", lambda: None)
        patched.setattr(batch, "_executor", lambda command, jobs: executor)
        yield executor


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody to do anything."""
    monkeypatch.setattr(batch, "_executor", lambda command, jobs: pytest.fail("a worker was asked for"))


@pytest.fixture
def data(tmp_path: Path, moving_bar: Known) -> Path:
    """Nine sound recordings, in folders of the same names, and a broken one."""
    events = moving_bar.events
    for number in range(9):
        folder = tmp_path / "data" / ("day" if number % 2 else "night")
        folder.mkdir(parents=True, exist_ok=True)
        rows = np.stack([events.t, (events.x + number) % events.width, events.y, (events.p > 0)], axis=1)
        np.save(folder / f"bar{number // 2}.npy", rows)
    whole = (tmp_path / "data/day/bar0.npy").read_bytes()
    (tmp_path / "data/broken.npy").write_bytes(whole[: len(whole) // 2])
    return tmp_path / "data"


NAMES = ["broken", *(f"{when}-bar{n}" for when in ("day", "night") for n in range(4)), "night-bar4"]
SOUND = [name if name != "night-bar4" else "bar4" for name in NAMES[1:]]


def made(data: Path, **options: object) -> Batch:
    return Batch((str(data),), data.parent / "out", frames=4, fit=QUICK, **options)  # pyright: ignore[reportArgumentType]


def windows(folder: Path) -> list[np.ndarray]:
    stored = heads.Stored(folder / heads.FOLDER)
    return [stored[number].values for number in range(len(stored))]


def same(one: Path, other: Path) -> None:
    for a, b in zip(windows(one), windows(other), strict=True):
        np.testing.assert_array_equal(a, b)


def state(out: Path) -> dict[str, int]:
    """When each file of the runs was written."""
    return {str(path): path.stat().st_mtime_ns for path in out.glob("*/**/*") if path.parent.name != "logs"}


def table(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# A dataset.


def test_nine_of_ten_and_again(
    data: Path, warm: Processes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """One broken recording costs itself alone; a second time nothing is fitted, and nothing is touched."""
    out = data.parent / "out"
    assert batch.run(made(data), ARGV) == 1
    said = capsys.readouterr().out
    assert "10 recordings, 0 done before, 10 to do" in said and "9 of 10 recordings are fitted" in said
    last = said.splitlines()[-1]
    assert last.startswith(f"failed: broken ({data / 'broken.npy'}): broken.npy: ") and "\x1b" not in said
    rows = table(out)
    assert [row["name"] for row in rows] == [*sorted(SOUND), "broken"]
    assert [row["state"] for row in rows] == ["done"] * 9 + ["failed"] and rows[-1]["error"] in last
    assert json.loads((out / "results.json").read_text())[0]["events"] == int(rows[0]["events"]) > 100
    assert all(row["width"] == "16" and row["windows"] == "1" and float(row["loss"]) > 0 for row in rows[:-1])
    before = state(out)
    text = (out / "results.csv").read_text()

    monkeypatch.setattr(batch, "_worked", lambda command, console, jobs, before: sure(jobs))

    def sure(jobs: list[Job]) -> batch.Ends:
        assert [job.name for job in jobs] == ["broken"]
        return batch.Ends({"broken": Result("broken", "failed", "it is broken")}, False, None)

    assert batch.run(made(data), ARGV) == 1
    assert "10 recordings, 9 done before, 1 to do" in capsys.readouterr().out
    assert state(out) == before and (out / "results.csv").read_text() == text
    shutil.copy(data / "day/bar0.npy", data / "broken.npy")
    np.save(data / "broken.npy", np.load(data / "broken.npy") + [0, 1, 0, 0])
    monkeypatch.undo()
    assert batch.run(made(data), ARGV) == 0
    assert [row["state"] for row in table(out)] == ["done"] * 10


def test_shards_together_are_the_whole(data: Path, warm: Processes):
    for path in [data / "broken.npy", *sorted(data.glob("night/*.npy"))]:
        path.unlink()
    out = data.parent / "out"
    assert batch.run(made(data, shard="1/3"), ARGV) == 0
    assert [row["name"] for row in table(out)] == ["bar0", "bar3"]
    assert batch.run(made(data, shard="2/3"), ARGV) == 0 == batch.run(made(data, shard="3/3"), ARGV)
    assert [row["name"] for row in table(out)] == ["bar0", "bar1", "bar2", "bar3"]
    assert batch.run(made(data, shard="12/12"), ARGV) == 0  # nothing to do is no failure
    alone = Job("alone", made(data).one(str(data / "day/bar1.npy"), "alone"), (), out / "logs/alone.log")
    assert done(alone).state == "done"
    same(out / "bar1", out / "alone")


def test_stopped_and_gone_on_with_and_a_worker_killed(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """By Ctrl-C in the middle of the first of two recordings; then the worker is killed in the middle of the second."""
    for path in [data / "broken.npy", *sorted(data.glob("*/*.npy"))[2:]]:
        path.unlink()
    out = data.parent / "out"
    batch_table.begin(out, batch._options(made(data)), overwrite=False)
    one = Processes([Share(tuple(os.sched_getaffinity(0)), {})], led)
    close = one.close
    monkeypatch.setattr(one, "close", lambda: None)
    monkeypatch.setattr(batch, "_executor", lambda command, jobs: one)

    def run(name: str, number: signal.Signals) -> int:
        """The batch, while the signal is sent in the middle of a fit: to the worker, or to the driver."""
        allowed = out / f"logs/{name}.allowed"
        allowed.write_text("0")

        def send() -> None:
            until(lambda: (out / name).exists() and name in one.pids)
            os.kill(os.getpid() if number == signal.SIGINT else one.pids[name], number)
            if number == signal.SIGINT:
                until(lambda: "stopping as soon as" in (out / f"logs/{name}.log").read_text())
            allowed.unlink()

        sender = threading.Thread(target=send)
        sender.start()
        code = batch.run(made(data), ARGV)
        sender.join()
        return code

    try:
        assert run("bar0", signal.SIGINT) == 130
        said = capsys.readouterr().out
        assert "[1/2] bar0: stopped" in said and said.endswith("to go on: evinr batch data --out out\n")
        assert heads.done(out / "bar0/windows") == 1 and table(out) == [] and not (out / "bar1").exists()
        assert run("bar1", signal.SIGKILL) == 0
    finally:
        close()
    assert "bar1: its worker died, killed by signal 9, perhaps for want of memory; again" in capsys.readouterr().out
    assert [row["state"] for row in table(out)] == ["done"] * 2
    for name in ("bar0", "bar1"):
        alone = Job("alone-" + name, made(data).one(str(data / f"day/{name}.npy"), ""), (), out / "logs/alone.log")
        assert done(alone).state == "done"
        same(out / name, out / alone.name)


def test_a_worker_that_always_dies_is_given_up(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for path in sorted(data.glob("*/*.npy"))[1:]:
        path.unlink()
    started = []
    executor = Processes([Share((min(os.sched_getaffinity(0)),), {})], work=attrgetter("no_such"))
    start = executor.start
    monkeypatch.setattr(executor, "start", lambda job: (started.append(job.name), start(job)))
    monkeypatch.setattr(batch, "_executor", lambda command, jobs: executor)
    assert batch.run(made(data), ARGV) == 1
    assert sorted(started) == ["bar0"] * 3 + ["broken"] * 3
    said = capsys.readouterr().out
    assert "failed: bar0 (" in said and "its worker died, exit code 1; fit it alone" in said


# What is tried again, and how long it takes.


def test_what_is_tried_again():
    oom = Result("a", "failed", "out of memory", again=True)
    for news in (oom, Died("a", "killed"), Result("a", "stopped")):  # the last by somebody else
        assert batch.judged(news, 1, False) is None and batch.judged(news, 2, False) is None
        last = batch.judged(news, 3, False)
        assert last is not None and last.state == "failed" and last.error
        assert batch.judged(news, 1, True) == Result("a", "stopped")
    for final in (Result("a", "done"), Result("a", "failed", "no recording"), Result("a", "stopped", "disk full")):
        assert batch.judged(final, 1, False) == batch.judged(final, 1, True) == final


def test_time_left():
    assert batch.remaining(10.0, 0, 100) == "" == batch.remaining(10.0, 100, 100)
    assert batch.remaining(10.0, 50, 100) == "; 10 s left"
    assert batch.remaining(60.0, 10, 110) == "; 10 min left" and batch.remaining(3600.0, 10, 110) == "; 10.0 h left"


# What is refused, in one line.


def refusal(command: Batch) -> str:
    with pytest.raises(InputError) as error:
        batch.run(command, ARGV)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_refusals(data: Path, idle: None):
    out = data.parent / "out"
    assert "--shard 3/2" in refusal(made(data, shard="3/2")) and not out.exists()
    assert "no such file or folder" in refusal(dataclasses.replace(made(data), sources=(str(data / "gone"),)))
    out.mkdir()
    (out / "thesis.doc").touch()
    assert "is no batch of evinr" in refusal(made(data))
    assert [path.name for path in out.iterdir()] == ["thesis.doc"]


def test_other_settings_are_told_before_anything_is_done(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch, "_worked", lambda command, console, jobs, before: batch.Ends({}, False, None))
    batch.run(made(data), ARGV)
    other = dataclasses.replace(made(data), fit=dataclasses.replace(QUICK, smooth=2.0))
    assert "smooth was 1.25 and is now 2.0" in refusal(other)
    assert "t_end was None and is now 0.5" in refusal(made(data, read=ReadOptions(t_end=0.5)))
    batch.run(dataclasses.replace(other, overwrite=True), ARGV)
    assert json.loads((data.parent / "out/batch.json").read_text())["options"]["smooth"] == 2.0
    (data.parent / "out/batch.json").write_text("{")
    assert "is damaged" in refusal(other)


@pytest.mark.parametrize(
    "options",
    [
        {"sources": ()},
        {"jobs": 0},
        {"address": "auto"},
        {"scoring": Scoring(whole=True)},
        {"fps": 0.0},
        {"budget": 1.0, "window_budget": 1.0},
    ],
)
def test_options_that_contradict(options: dict[str, object]):
    with pytest.raises(ValueError):
        Batch(**{"sources": ("data",), "out": Path("out")} | options)  # pyright: ignore[reportArgumentType]


def test_options_are_those_of_a_fit():
    """A new option of `evinr fit` must be passed on, or left out for a reason."""
    left_out = {"source", "out", "name", "resume", "overwrite", "follow", "when_late", "hosts"}
    names = {field.name for field in dataclasses.fields(Fit)}
    assert names - left_out <= {field.name for field in dataclasses.fields(Batch)}
    told = tyro.cli(
        Batch,
        args=[
            "a",
            "b",
            "--out",
            "o",
            "--smooth",
            "3",
            "--score",
            "--protocol",
            "aligned",
            "--gamma",
            "2",
            "--budget",
            "2s",
        ],
        default=BATCH_PRESETS["paper"],
        config=(tyro.conf.OmitArgPrefixes,),
    )
    one = told.one("a", "n")
    assert told.sources == ("a", "b") and (one.fit.smooth, one.fit.hidden, one.tone.gamma, one.budget) == (3, 512, 2, 2)
    assert told.scoring == Scoring(protocol="aligned")


def test_a_dataset_grows_and_names_stay(data: Path, warm: Processes, capsys: pytest.CaptureFixture[str]):
    """By a recording that is called like one that is there: without it each name would tell of a folder, too."""
    for path in [data / "broken.npy", *data.glob("*/*.npy")]:
        if path != data / "day/bar0.npy":
            path.unlink()
    assert batch.run(made(data), ARGV) == 0
    (data / "more").mkdir()
    shutil.copy(data / "day/bar0.npy", data / "more/bar0.npy")
    assert batch.run(made(data), ARGV) == 0
    assert "2 recordings, 1 done before, 1 to do" in capsys.readouterr().out
    rows = {row["name"]: row["source"] for row in table(data.parent / "out")}
    assert rows == {"bar0": str(data / "day/bar0.npy"), "more-bar0": str(data / "more/bar0.npy")}


# One job, in this process.


@pytest.fixture
def job(data: Path) -> Job:
    out = data.parent / "out"
    (out / "logs").mkdir(parents=True)
    return Job("run", made(data).one(str(data / "day/bar0.npy"), "run"), tuple(ARGV), out / "logs/run.log")


def test_what_is_done_is_known_by_its_settings_its_recording_and_its_files(job: Job, data: Path):
    folder = job.command.out / "run"
    assert kept(job) is None
    first = done(job)
    assert first.state == "done" and kept(job) == Result("run", "kept", about=first.about) == done(job)
    log, written = job.log.read_text(), state(job.command.out)
    other = job._replace(command=dataclasses.replace(job.command, fit=dataclasses.replace(QUICK, smooth=2.0)))
    assert kept(other) is None and "smooth was 1.25 and is now 2.0" in (done(other).error or "")
    budget = job._replace(command=dataclasses.replace(job.command, budget=9.0))
    assert "budget was None and is now 9.0; give the same" in (done(budget).error or "") and not done(budget).again
    elsewhere = job._replace(command=dataclasses.replace(job.command, source=str(data / "day/bar1.npy")))
    assert "is a fit of another recording" in (done(elsewhere).error or "")
    assert state(job.command.out) == written and log in job.log.read_text()
    os.utime(data / "day/bar0.npy")  # copied, say: known by its content, then
    assert kept(job) is None
    again = done(job)
    assert again.about == first.about and kept(job) is not None
    assert (
        heads.done(folder / heads.FOLDER) == 1
        and (folder / "windows/000000.npz").stat().st_mtime_ns in written.values()
    )
    video = (folder / "video.mp4").read_bytes()
    (folder / "video.mp4").write_bytes(b"cut short")
    assert kept(job) is None and done(job).state == "done" and kept(job) is not None
    assert (folder / "video.mp4").read_bytes() == video
    (folder / "result.json").unlink()  # killed before it was written
    pace = job._replace(command=dataclasses.replace(job.command, frames=9))
    assert "frames was 4 and is now 9; give the same" in (done(pace).error or "") and done(job).state == "done"


def test_the_table_has_every_run_once(job: Job):
    """What failed last is no longer done; what a killed process left aside does not count, nor what is damaged."""
    out = job.command.out
    done(job)
    shutil.copytree(out / "run", out / ".replaced-run")
    (out / "hurt").mkdir()
    (out / "hurt/result.json").write_text("{")
    (out / "logs/.partial-hurt.failed").write_text("{")  # by a driver that was killed, or writes it now
    assert [(row["name"], row["state"]) for row in batch_table.write(out)] == [("run", "done")]
    batch_table.failed(out, "run", "a.npy", "it changed")
    assert [(row["state"], row["source"], row["error"]) for row in batch_table.write(out)] == [
        ("failed", "a.npy", "it changed")
    ]
    assert table(out)[0]["events"] == ""
    batch_table.succeeded(out, "run")
    assert [row["state"] for row in batch_table.write(out)] == ["done"]


def test_overwrite_replaces_what_differs_and_nothing_else(job: Job, data: Path):
    done(job)
    written = state(job.command.out)
    job = job._replace(command=dataclasses.replace(job.command, overwrite=True))
    assert done(job).state == "kept" and state(job.command.out) == written
    other = job._replace(command=dataclasses.replace(job.command, source=str(data / "day/bar1.npy")))
    assert done(other).state == "done" and kept(other) is not None and kept(job) is None
    assert json.loads((job.command.out / "run/config.json").read_text())["source"] == str(data / "day/bar1.npy")


def test_what_a_killed_process_left_is_no_obstacle(job: Job, monkeypatch: pytest.MonkeyPatch):
    """Before config.json is there; another's folder is left alone; and one that is being written is not waited for forever."""
    folder = job.command.out / "run"
    folder.mkdir()
    for name in (".lock", ".partial-config.json"):
        (folder / name).touch()
    assert done(job).state == "done" and not list(folder.glob(".partial*"))
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "thesis.doc").touch()
    assert "is no run of evinr" in (done(job).error or "") and (folder / "thesis.doc").exists()
    (folder / "thesis.doc").unlink()
    (folder / "config.json").touch()
    monkeypatch.setattr(work, "PATIENCE", 0.1)
    with batch_table.FileLock(folder / ".lock"):
        assert "another process is writing it" in (done(job).error or "")


@pytest.mark.parametrize(
    ("error", "state", "again"),
    [
        (MemoryError(), "failed", True),
        (OSError(5, "Input/output error", "disk"), "failed", True),
        (OSError(28, "No space left on device", "disk"), "stopped", False),
        (RuntimeError("RESOURCE_EXHAUSTED: of memory\nand a stack"), "failed", True),
        (KeyboardInterrupt(), "stopped", False),
        (InputError("a.npy: empty"), "failed", False),
    ],
)
def test_what_ends_a_fit(job: Job, monkeypatch: pytest.MonkeyPatch, error: BaseException, state: str, again: bool):
    def ending(*_: object) -> None:
        raise error

    monkeypatch.setattr("evinr.cli.fit_windows.fitted", ending)
    result = done(job)
    assert (result.state, result.again) == (state, again) and "\n" not in (result.error or "")
    assert state == "stopped" or type(error).__name__ in job.log.read_text() or "a.npy: empty" in job.log.read_text()


def test_scores_can_be_had_later_and_anew(job: Job, data: Path):
    first = done(job)
    scored = job._replace(score=Scoring(protocol="aligned"))
    assert "scores" not in first.about and kept(scored) is None
    written = (job.command.out / "run/windows/000000.npz").stat().st_mtime_ns
    second = done(scored)
    assert 0 < second.about["scores"]["replay"] < 2  # there are no frames to compare with
    assert (
        second.about
        == first.about | {"scores": second.about["scores"], "protocol": "aligned"}
        == (kept(scored) or first).about
    )
    assert (job.command.out / "run/windows/000000.npz").stat().st_mtime_ns == written
    assert kept(scored._replace(score=Scoring(protocol="evreal-2023"))) is None


def test_programs_are_compiled_once_for_recordings_of_one_shape(job: Job, data: Path):
    done(job)
    other = dataclasses.replace(
        job.command, source=str(data / "day/bar1.npy"), fit=dataclasses.replace(QUICK, smooth=3.0)
    )
    with compilations() as compiled:
        assert done(job._replace(name="other", command=other)).state == "done"
    assert compiled == []


def test_what_cannot_be_scored_is_fitted_all_the_same(job: Job, monkeypatch: pytest.MonkeyPatch):
    def refusing(*_: object) -> None:
        raise InputError("none of the 3 frames is in the cut; pass --whole")

    monkeypatch.setattr("evinr.cli.scored.means", refusing)
    result = done(job._replace(score=Scoring(protocol="aligned")))
    assert result.state == "done" and "scores" not in result.about
    (row,) = batch_table.write(job.command.out)
    assert (row["state"], row["protocol"]) == ("done", "aligned") and "pass --whole" in row["error"]


def test_weights_of_lpips_are_part_of_how_a_run_is_scored(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EVINR_LPIPS_WEIGHTS", "lpips.safetensors")
    one = Entry("bar0", str(data / "day/bar0.npy"))
    scoring = batch._job(made(data, score=True), ARGV, one).score
    assert scoring is not None and scoring.lpips == Path("lpips.safetensors")
    assert batch._job(made(data), ARGV, one).score is None


def test_a_whole_fit(job: Job):
    whole = FitConfig(windows="whole", steps=4, hidden=8, basis=8, levels=2)
    job = job._replace(command=dataclasses.replace(job.command, fit=whole, tone=ToneMap(gamma=2.0)))
    result = done(job)
    assert result.state == "done" and result.about["windows"] == 1 and kept(job) is not None
    (job.command.out / "run/result.json").unlink()  # killed just before
    assert done(job).about["loss"] == result.about["loss"]


def test_a_full_disk_ends_a_batch(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    class Full:
        about, free = "nobody", 1

        def start(self, job: Job) -> None:
            self.name, self.free = job.name, 0

        def wait(self) -> list[Result]:
            self.free = 1
            return [Result(self.name, "stopped", "out/x: No space left on device; make space, and go on")]

        def stop(self) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr(batch, "_executor", lambda command, jobs: Full())
    assert batch.run(made(data), ARGV) == 1
    said = capsys.readouterr().out
    assert said.count("No space left") == 2 and said.splitlines()[-1].endswith("go on: evinr batch data --out out")
    assert not (data.parent / "out/results.csv").exists()
