"""`evinr sweep`: both roads with W&B's own client, resumption, early stopping, and what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio.v2 as iio
import numpy as np
import pytest
import wandb
from compilations import compilations
from filelock import FileLock
from rich.console import Console
from wandb.agents.pyagent import Agent
from wandb.errors import AuthenticationError
from wandb_stub import KEY, Stub, serving

from evinr import report
from evinr.cli import scored, scoring, source, sweep, sweep_run, sweep_told
from evinr.cli.commands import PRESETS, Fit, Scoring
from evinr.cli.many_commands import Sweep
from evinr.cli.sweep_table import Shown, line, time_left
from evinr.events import InputError
from evinr.sweeping import engine, results
from evinr.sweeping.options import command as fit_of
from evinr.sweeping.plan import Plan
from evinr.sweeping.results import Row

TINY = """
  iterations: {value: 2}
  warm_iterations: {value: 2}
  revisions: {value: 1}
  frames: {value: 4}
  height: {value: 48}
  width: {value: 64}
  t_end: {value: 0.1}
"""
GRID = "method: grid\nmetric: {name: corr}\nparameters:\n  smooth: {values: [0.5, 4.0]}" + TINY


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No W&B login, whatever this machine has, a folder of one's own, and plain pictures."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    for slow in ("loss_curve", "contact_sheet"):  # by Matplotlib, 0.7 s a run
        monkeypatch.setattr(report, slow, lambda path, *_: iio.imwrite(path, np.zeros((4, 4, 3), np.uint8)))


def written(text: str, name: str = "tiny.yaml") -> Path:
    Path(name).write_text(text)
    return Path(name)


def swept(text: str, *sources: str, **options: Any) -> list[Row]:
    """The rows of a sweep that was run to its end."""
    out = options.pop("out", Path("out"))
    asked = Sweep(file=written(text), sources=sources or ("demo",), out=out, **options)
    assert sweep.run(asked, ["sweep", "tiny.yaml"]) == 0
    return results.read(out / "results.jsonl")


def same(rows: list[Row]) -> list[Row]:
    """What must not depend on when a sweep was killed."""
    return [row._replace(id="", seconds=0.0) for row in rows]


def of_wandb() -> dict[str, str]:
    """What the environment tells W&B."""
    return {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}


def children() -> list[str]:
    """The processes that this one has started and that are still there."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if f"PPid:\t{os.getpid()}\n" in text and "State:\tZ" not in text:
            found.append(text.split("\n")[0])
    return found


def logged(run: Path) -> dict[str, Any]:
    """What an offline run holds, as W&B's own reader has it."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(run)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_local_sweep_logs_runs_offline_and_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    environment, before = of_wandb(), children()
    rows = swept(GRID)
    assert [row.parameters["smooth"] for row in rows] == [0.5, 4.0]
    assert all(row.state == "finished" and row.metric == row.scores["corr"] for row in rows)
    assert of_wandb() == environment
    assert children() == before
    offline = sorted(Path("out/wandb").glob("offline-run-*"))
    assert [folder.name[-len(row.id) :] for folder, row in zip(offline, rows, strict=True)] == [row.id for row in rows]
    assert all(list(folder.glob("files/media/images/preview*.png")) for folder in offline)
    best = max(rows, key=lambda row: row.scores["corr"])
    said = capsys.readouterr()
    assert "local sweep (there is no W&B login)" in said.out
    assert f"best     run {best.number}, corr {best.metric:.4f}: out/runs/{best.number:03d}" in said.out
    assert (
        "fit so   evinr fit demo --frames 4 --height 48" in said.out
        and f" --smooth {best.parameters['smooth']} " in said.out
    )
    assert "upload   wandb sync out/wandb/offline-run-*" in said.out
    assert "wandb:" not in said.err + said.out
    assert "corr" in Path("out/sweep.html").read_text()
    assert "video" in Path("out/logs/000.log").read_text()
    assert same(swept(GRID)) == same(rows), "a sweep that is through is left alone"
    assert len(list(Path("out/wandb").glob("offline-run-*"))) == 2


def test_a_local_run_has_its_values_and_scores_in_wandb() -> None:
    nested = "method: random\nparameters:\n  fit: {parameters: {still: {min: 1.0e-5, max: 2.0e-5}}}" + TINY
    (row,) = swept(nested, count=1)
    (run,) = Path("out/wandb").glob("offline-run-*")
    found = logged(run)
    assert found["config"]["fit"] == row.parameters["fit"] and found["config"]["frames"] == 4
    assert isinstance(found["config"]["fit"]["still"], float)
    assert found["config"]["recordings"] == ["demo"]
    assert found["summary"].items() >= row.scores.items()
    assert (found["state"], found["run_id"], found["name"]) == ("finished", row.id, "tiny-0")
    assert row.metric == row.scores["replay"], "of a file without a metric"


CHILD = """
import sys
from pathlib import Path
from evinr.cli import sweep
from evinr.cli.many_commands import Sweep
sys.exit(sweep.run(Sweep(file=Path("tiny.yaml"), sources=("demo",), out=Path("out"), count=int(sys.argv[1])), ["sweep"]))
"""


def test_a_killed_sweep_comes_to_the_same_rows() -> None:
    written(GRID)
    child = subprocess.Popen([sys.executable, "-c", CHILD, "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    path = Path("out/results.jsonl")
    while child.poll() is None and not Path("out/runs/001").exists():
        time.sleep(0.01)
    time.sleep(0.1)  # into the second fit
    child.kill()
    child.communicate()
    with path.open("a") as file:
        file.write('{"number": 7, "id"')  # as a kill in the middle of a line leaves it
    assert len(results.read(path)) < 2
    killed = swept(GRID)
    assert same(killed) == same(swept(GRID, out=Path("undisturbed")))
    uploads = sorted(folder.name.rsplit("-", 1)[1] for folder in Path("out/wandb").glob("offline-run-*"))
    assert uploads == ["000", "001"], "the half one of the killed process is gone"


def test_a_killed_run_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies when the fit is whole and its row is not written yet: nothing is fitted again."""

    class Killed(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(results, "append", dies)
        with pytest.raises(Killed):
            swept(GRID, count=1)
    fitted = Path("out/runs/000/windows/index.txt")
    before = fitted.stat().st_mtime_ns
    with compilations() as compiled:
        rows = swept(GRID, count=1)
    assert fitted.stat().st_mtime_ns == before
    assert not [name for name in compiled if "advance" in name]
    assert [row.state for row in rows] == ["finished"]
    assert "finished: nothing to resume" in Path("out/logs/000.log").read_text()


def test_programs_are_compiled_once_for_runs_of_one_shape(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And W&B can be left out."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    weights = GRID.replace(
        "smooth: {values: [0.5, 4.0]}", "smooth: {values: [0.5, 1.0]}\n  outlier: {values: [1.0, 3.0]}"
    )
    weights = weights.replace("iterations: {value: 2}", "iterations: {values: [2, 3]}", 1)
    counts = []
    for count in range(1, 9):
        with compilations() as compiled:
            swept(weights, count=count)
        counts.append(len(compiled))
    assert counts[1:] == [0] * 7
    assert not list(Path("out").glob("wandb/*run*"))
    said = capsys.readouterr().out
    assert "local sweep (WANDB_MODE is disabled)" in said and "upload" not in said


def test_several_recordings_have_their_mean_score() -> None:
    from evinr.__main__ import main

    main(["simulate", "pan", "pan", "--height", "48", "--width", "64", "--seconds", "0.1"])
    (row,) = swept(GRID.replace("corr", "replay"), "demo", "pan", count=1)
    assert Path("out/runs/000-demo/video.mp4").exists() and row.folder == "runs/000-demo"
    read = fit_of(row.parameters, PRESETS["default"]).read
    alone = []
    for name in ("demo", "pan"):
        given = source.read(name, read, 0, Console(quiet=True))
        rules = scoring.rules(Scoring(protocol="aligned"), name)
        alone.append(scored.means(Path(f"out/runs/000-{name}"), given, rules)["replay"])
    assert row.metric == pytest.approx(sum(alone) / 2, rel=1e-12)


def test_bad_runs_are_stopped_early_and_say_with_what() -> None:
    text = GRID.replace("smooth: {values: [0.5, 4.0]}", "still: {values: [5.0, 1.0e+6]}").replace("corr", "replay")
    text = text.replace("parameters:", "early_terminate: {type: hyperband, min_iter: 1}\nparameters:", 1)
    text += "  intervals: {value: 8}\n  overlap: {value: 2}\n  windows: {value: sequential}\n"
    good, bad = swept(text.replace("t_end: {value: 0.1}", "t_end: {value: 0.4}"))
    assert good.state == "finished" and len(good.history) == 3
    assert bad.state == "stopped" and len(bad.history) == 2 and min(bad.history) > min(good.history[:2])
    assert bad.metric == bad.history[-1] == bad.scores["replay"]
    assert not Path("out/runs/001/video.mp4").exists()
    Path("out/results.jsonl").write_text(json.dumps(good._asdict()) + "\n")  # killed before its row was written
    assert same(swept(text.replace("t_end: {value: 0.1}", "t_end: {value: 0.4}"))) == same([good, bad])


def test_failed_runs_are_rows_and_three_at_once_end_the_sweep() -> None:
    text = GRID.replace("smooth: {values: [0.5, 4.0]}", "smooth: {values: [1.0e+39, 1.25]}")
    failed, finished = swept(text)
    assert failed.state == "failed" and failed.metric is None and "diverged" in str(failed.error)
    assert finished.state == "finished"
    text = GRID.replace("smooth: {values: [0.5, 4.0]}", "smooth: {values: [1.0e+39, 2.0e+39, 3.0e+39, 1.25]}")
    with pytest.raises(InputError, match="all of the first 3 runs failed, the last one so: .*diverged"):
        swept(text, out=Path("other"))
    assert len(results.read(Path("other/results.jsonl"))) == 3


def test_a_signal_between_two_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As a cluster sends it: what is done stays, and how to go on is said. And a grid says how many runs it has."""
    suggest = engine.suggest

    def told(plan: Plan, rows: list[Row], seed: int) -> dict[str, Any] | None:
        if rows:
            os.kill(os.getpid(), signal.SIGTERM)
        return suggest(plan, rows, seed)

    monkeypatch.setattr(engine, "suggest", told)
    asked = Sweep(file=written(GRID), sources=("demo",), out=Path("out"))
    assert sweep.run(asked, ["sweep", "tiny.yaml"]) == 130
    said = capsys.readouterr().out
    assert "run 0 finished, 1 of 2" in said and said.endswith("to go on: evinr sweep tiny.yaml\n")
    assert len(results.read(Path("out/results.jsonl"))) == 1


def test_what_is_in_a_runs_place_and_cannot_be_gone_on_with_is_made_anew() -> None:
    """A run of other settings, of a sweep that was begun elsewhere, say; and what a kill left in the middle of removing one."""
    rows = swept(GRID)
    Path("out/results.jsonl").unlink()
    shutil.rmtree("out/runs/000")
    shutil.copytree("out/runs/001", "out/runs/000")
    Path("out/runs/001/config.json").unlink()
    assert same(swept(GRID)) == same(rows)


def test_a_run_for_which_there_is_no_memory_is_a_failed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = sweep_run.fit_command.fitted

    def failing(command: Fit, *told: Any) -> int:
        if command.fit.smooth == 0.5:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nand a stack")
        return fitted(command, *told)

    monkeypatch.setattr(sweep_run.fit_command, "fitted", failing)
    failed, finished = swept(GRID)
    assert (failed.state, failed.error) == ("failed", "RuntimeError: RESOURCE_EXHAUSTED: Out of memory")
    assert finished.state == "finished" and "and a stack" in Path("out/logs/000.log").read_text()


FIXED = {"iterations": 2, "warm_iterations": 2, "revisions": 1, "frames": 4, "height": 48, "width": 64, "t_end": 0.1}


@contextmanager
def logged_in(monkeypatch: pytest.MonkeyPatch, values: list[dict[str, Any]]) -> Iterator[Stub]:
    """A server with runs of these values to give, and a login to it."""
    monkeypatch.setattr(Agent, "HEARTBEAT_SLEEP_SECONDS", 0.2)
    with serving(values) as stub:
        monkeypatch.setenv("WANDB_BASE_URL", stub.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield stub


@pytest.mark.filterwarnings("ignore:Read the `app_url`:DeprecationWarning")  # wandb 0.31 has it in its own sweep()
def test_an_agent_of_wandb_makes_the_runs_that_the_server_asks_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with logged_in(monkeypatch, [FIXED | {"smooth": smooth} for smooth in (4.0, 0.5, 4.0)]) as stub:
        environment = of_wandb()
        drawn = GRID.replace("method: grid", "method: random")
        rows = swept(drawn, count=2)
        assert [row.parameters["smooth"] for row in rows] == [4.0, 0.5]
        assert [row.id for row in rows] == ["run0", "run1"]
        assert "corr" in stub.sweep["config"]
        for row in rows:
            assert stub.summary(row.id)["corr"] == pytest.approx(row.metric)
        begun = stub.asked.count("UpsertSweep")
        rows = swept(drawn, count=3)
        assert [row.parameters["smooth"] for row in rows] == [4.0, 0.5, 4.0]
        assert stub.asked.count("UpsertSweep") == begun == 1, "the same sweep is gone on with"
        assert of_wandb() == environment
    said = capsys.readouterr()
    assert "W&B: " in said.out and "local sweep" not in said.out and "wandb:" not in said.err


def test_wandbs_own_agent_calls_fit(tmp_path: Path) -> None:
    """`wandb agent`, with `command: [evinr, fit, ${args}]`: each run in its own folder, its scores in the run's summary."""
    values = [FIXED | {"source": "demo", "drop": drop} for drop in (False, True)]
    with serving(values, [sys.executable, "-m", "evinr", "fit", "${args}"]) as stub:
        environment = os.environ | {"WANDB_BASE_URL": stub.url, "WANDB_API_KEY": KEY, "WANDB_DIR": str(tmp_path)}
        agent = [sys.executable, "-m", "wandb", "agent", "me/evinr/abc"]
        ended = subprocess.run(agent, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        for number, drop in enumerate((False, True)):
            folder = tmp_path / "runs" / f"demo-run{number}"
            assert (folder / "config.json").exists(), ended.stderr
            assert json.loads((folder / "config.json").read_text())["read"]["drop"] is drop
            summary = stub.summary(f"run{number}")
            assert 0 < summary["replay"] < 1 and 0 < summary["total"] and 0 < summary["corr"] < 1


@pytest.mark.filterwarnings("ignore:Read the `app_url`:DeprecationWarning")
def test_the_server_can_stop_a_run_and_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    means = scored.means
    with logged_in(monkeypatch, [FIXED | {"smooth": smooth} for smooth in (4.0, 0.5)]) as stub:

        def waiting(folder: Path, *told: Any) -> dict[str, float]:
            stub.stopped = "run0"
            for _ in range(1000 if folder.name == "000" else 0):
                time.sleep(0.01)
            return means(folder, *told)

        monkeypatch.setattr(scored, "means", waiting)
        stopped, finished = swept(GRID, count=2)
    assert (stopped.state, stopped.metric, finished.state) == ("stopped", None, "finished")
    assert finished.id == "run1"


@pytest.mark.filterwarnings("ignore:Read the `app_url`:DeprecationWarning")
def test_ctrl_c_ends_an_agent_without_a_row_and_the_sweep_can_be_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    means = scored.means

    def waiting(*told: Any) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            time.sleep(0.01)
        raise AssertionError("nothing ended the run")

    with logged_in(monkeypatch, [FIXED | {"smooth": smooth} for smooth in (4.0, 0.5)]):
        monkeypatch.setattr(scored, "means", waiting)
        asked = Sweep(file=written(GRID), sources=("demo",), out=Path("out"), count=1)
        assert sweep.run(asked, ["sweep", "tiny.yaml"]) == 130
        assert "to go on: evinr sweep tiny.yaml" in capsys.readouterr().out
        assert results.read(Path("out/results.jsonl")) == []
        monkeypatch.setattr(scored, "means", means)
        assert [row.parameters["smooth"] for row in swept(GRID, count=1)] == [0.5]


def test_without_a_network_the_sweep_is_a_local_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(**_: object) -> bool:
        raise AuthenticationError("Network error while trying to connect\nmore")

    monkeypatch.setattr(wandb, "login", unreachable)
    swept(GRID, count=1)
    assert "local sweep (Network error while trying to connect)" in capsys.readouterr().out
    mark = json.loads(Path("out/sweep.json").read_text())
    Path("out/sweep.json").write_text(json.dumps(mark | {"wandb": "me/evinr/abc"}))
    with pytest.raises(InputError, match=r"is a sweep on W&B, me/evinr/abc, and Network error .* --local"):
        swept(GRID, count=2)
    assert len(swept(GRID, count=1, local=True)) == 1


def test_ctrl_c_saves_the_fit_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: Any = sweep_run.fit_command.fitted

    def interrupted(*told: Any) -> int:
        def watch(row: dict[str, Any]) -> None:
            told[-1](row)
            if row["step"] == 1:
                os.kill(os.getpid(), signal.SIGINT)

        return done(*told[:-1], watch)

    monkeypatch.setattr(sweep_run.fit_command, "fitted", interrupted)
    asked = Sweep(file=written(GRID), sources=("demo",), out=Path("out"))
    assert sweep.run(asked, ["sweep", "tiny.yaml", "demo"]) == 130
    assert "to go on: evinr sweep tiny.yaml demo" in capsys.readouterr().out
    assert results.read(Path("out/results.jsonl")) == []
    monkeypatch.setattr(sweep_run.fit_command, "fitted", done)
    assert len(swept(GRID, count=1)) == 1
    assert "finished: nothing to resume" not in Path("out/logs/000.log").read_text(), "its pictures were missing"


REFUSED = {
    "nothing: here\n": "is no sweep",
    "- a\n- b\n": "is no sweep",
    GRID.replace("corr", "nicety"): "there is no metric 'nicety' to optimise; there are mse, psnr",
    GRID.replace("smooth", "smoth"): "there is no such option; did you mean smooth?",
    GRID.replace("4.0", "often"): "smooth: is 'often', and must be a number",
    GRID.replace("iterations: {value: 2}", "iterations: {value: 2.5}", 1): "iterations: is 2.5, and must be a whole",
    GRID.replace("corr", "psnr_mu"): "is no metric of protocol aligned",
    GRID.replace("corr", "lpips"): "needs weights",
    GRID.replace("corr", "ssim_legacy"): "protocol aligned has ssim",
}


@pytest.mark.parametrize("text", REFUSED)
def test_bad_files_are_refused_in_one_line_before_anything_runs(text: str) -> None:
    with pytest.raises(InputError) as refusal:
        sweep.run(Sweep(file=written(text), sources=("demo",), out=Path("out")), [])
    assert REFUSED[text] in str(refusal.value) and "\n" not in str(refusal.value)
    assert not Path("out").exists()


def test_recordings_that_a_sweep_cannot_use_are_refused(moving_bar: Any) -> None:
    events = moving_bar.events
    np.save("bar.npy", np.stack([events.t - 5, events.x, events.y, events.p], 1))
    file = written(GRID)
    for sources, options, reason in (
        ((), {}, "has no parameter `source`"),
        (("demo", "demo"), {}, "demo: given twice"),
        (("absent.bag",), {}, "absent.bag"),
        (("bar.npy",), {}, "has no camera frames to score corr by; use the metric replay"),
    ):
        with pytest.raises(InputError, match=reason):
            sweep.run(Sweep(file=file, sources=sources, out=Path("out"), **options), [])
    own = written(GRID + "  source: {value: demo}\n", "own.yaml")
    with pytest.raises(InputError, match="has a source of its own, demo"):
        sweep.run(Sweep(file=own, sources=("demo",), out=Path("out")), [])
    assert not Path("out").exists()


def test_a_folder_is_of_one_sweep_and_of_one_process() -> None:
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("dear")
    with pytest.raises(InputError, match="is no sweep of evinr"):
        swept(GRID, out=Path("mine"))
    swept(GRID, count=1)
    with pytest.raises(InputError, match=r"sweep.parameters.smooth.values \[0.5, 4.0\], which is now \[0.5, 2.0\]"):
        swept(GRID.replace("[0.5, 4.0]", "[0.5, 2.0]"))
    with pytest.raises(InputError, match="project .*other"):
        swept(GRID, project="other")
    with FileLock("out/.lock"), pytest.raises(InputError, match="another process runs this sweep"):
        swept(GRID)
    assert len(swept("# the same in other words\n" + GRID, count=1)) == 1
    Path("out/sweep.json").write_text("{")
    with pytest.raises(InputError, match="cannot be understood"):
        swept(GRID)


def test_the_best_values_are_said_as_options_of_fit() -> None:
    values = {"smooth": 0.7, "fit": {"scale_free": True}, "sort": False, "percentiles": [2, 98.0], "source": "a"}
    said = sweep_told.words(values)
    assert said == ["--smooth", "0.7", "--scale-free", "--no-sort", "--percentiles", "2", "98.0"]
    from evinr.__main__ import parse

    assert parse(["fit", "a", *said]) == fit_of(values, PRESETS["default"])


def test_the_time_left_is_that_of_the_runs_that_are_missing() -> None:
    assert time_left([], 3.0, 5) == ""
    assert time_left([10.0, 20.0], 5.0, 4) == ", 0:00:25 left"
    assert time_left([4000.0], 0.0, 3) == ", 2:13:20 left"


def test_a_run_in_one_line() -> None:
    row = Row(3, "x", "finished", {"fit": {"smooth": 0.123456}}, {"corr": 0.5}, 0.5, [], 12.34, "runs/003", None)
    shown = Shown("corr", "maximize", ["smooth"], 20)
    assert line(row, shown) == "run 3 finished, 4 of 20: corr 0.5000 (smooth 0.1235) 12.3 s"
    failed = row._replace(state="failed", metric=None, error="it diverged")
    assert line(failed, shown) == "run 3 failed, 4 of 20: it diverged (smooth 0.1235) 12.3 s"
