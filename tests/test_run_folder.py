"""The folder of a run: one writer, nothing half, nothing lost, at whatever moment a process dies."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from evinr import checkpoint, heads
from evinr.cli import run_folder
from evinr.cli.commands import Fit
from evinr.config import DEFAULT
from evinr.events import InputError
from evinr.files import write_json
from evinr.heads import Head
from experiments.faults.comparison import contents, leftovers

FRESH, RESUME, OVERWRITE = {}, {"resume": True}, {"overwrite": True}
PICTURES = "loss.png", "video.mp4", "preview.png"


def command(out: Path, **options: bool) -> Fit:
    return replace(Fit(source="scene.txt", out=out, name="run"), **options)


def write(folder: Path, word: str) -> None:
    """What a fit leaves, in its order; told from others by a word."""
    write_json(
        folder / "config.json", {"word": word, "config": asdict(DEFAULT), "height": 3, "width": 4, "span": [0, 1]}
    )
    append = run_folder.metrics(folder, None)
    for number in range(2):
        append(f'{{"window": {number}, "word": "{word}"}}\n')
        head = Head(np.arange(9.0) + 8 * number, np.full((9, 1, 3, 4), len(word), np.float32), 0)
        heads.save(folder / heads.FOLDER, number, [head], 2)
    for name in PICTURES:
        (folder / name).write_text(word)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished run, and nothing else."""
    with run_folder.opened(tmp_path / "run", command(tmp_path)):
        write(tmp_path / "run", "earlier")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    return tmp_path / "run"


# What a process leaves that is killed before there is anything.

LEFT = {
    "nothing": [],
    "a folder": ["run/"],
    "the lock": ["run/", "run/.lock"],
    "half a config": ["run/", "run/.lock", "run/.partial-config.json"],
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_what_was_killed_at_once_is_not_begun(left: list[str], tmp_path: Path):
    for name in left:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    folder = tmp_path / "run"
    assert not run_folder.begun(folder)
    with pytest.raises(InputError, match="no such run to resume"):
        run_folder.choose(command(tmp_path, resume=True))
    assert run_folder.choose(command(tmp_path)) == folder
    with run_folder.opened(folder, command(tmp_path)):
        write(folder, "new")
    assert leftovers(tmp_path) == [] and contents(folder)["config.json"]["word"] == "new"


def test_anything_else_is_begun(tmp_path: Path):
    (tmp_path / "file").touch()
    assert run_folder.begun(tmp_path / "file") and run_folder.begun(tmp_path)
    with pytest.raises(InputError, match="exists already"):
        run_folder.choose(Fit(source="scene.txt", out=tmp_path, name="file"))


def test_a_checkpoint_that_was_about_to_be_replaced_is_one(tmp_path: Path):
    assert not run_folder.has_numbers(tmp_path)
    (tmp_path / "checkpoint.new").mkdir()
    assert not run_folder.has_numbers(tmp_path)
    (tmp_path / "checkpoint.old").mkdir()
    assert run_folder.has_numbers(tmp_path)
    checkpoint.tidy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.old"]
    (tmp_path / "checkpoint").mkdir()
    checkpoint.tidy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


# Errors.


def test_an_error_before_anything_is_fitted_leaves_nothing(tmp_path: Path):
    folder = tmp_path / "above" / "run"
    with pytest.raises(InputError, match="why"), run_folder.opened(folder, command(tmp_path / "above")):
        write_json(folder / "config.json", {})
        raise InputError("why")
    assert list(tmp_path.iterdir()) == []


def test_an_error_puts_back_what_was_to_be_replaced(finished: Path):
    before = contents(finished)
    with pytest.raises(InputError, match="why"), run_folder.opened(finished, command(finished.parent, **OVERWRITE)):
        write_json(finished / "config.json", {})
        raise InputError("why")
    assert contents(finished) == before and [path.name for path in finished.parent.iterdir()] == ["run"]


def test_rows_that_cannot_be_written_name_their_file(tmp_path: Path):
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is absent")
    append = run_folder.metrics(tmp_path, None)
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError) as error:
        append("{}\n")
    assert error.value.filename == str(tmp_path / "metrics.jsonl")


# Two processes.

HOLDER = "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); time.sleep(60)"


@pytest.fixture
def holder(finished: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that writes the run."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, finished / run_folder.LOCK], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None and process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize("options", [RESUME, OVERWRITE], ids=["resume", "overwrite"])
def test_a_run_that_another_process_writes_is_refused(
    options: dict[str, bool], finished: Path, holder: subprocess.Popen[bytes]
):
    before = contents(finished)
    assert run_folder.choose(command(finished.parent, **options)) == finished
    with (
        pytest.raises(InputError, match=r"run: another process is writing it; wait for that, or pass another --name$"),
        run_folder.opened(finished, command(finished.parent, **options)),
    ):
        pytest.fail("opened")
    assert contents(finished) == before and leftovers(finished.parent) == []
    holder.kill()
    holder.wait()
    with run_folder.opened(finished, command(finished.parent, **options)):
        pass


@pytest.mark.parametrize("when", ["written", "finished"])
def test_a_run_that_another_process_makes_meanwhile_is_not_replaced_unasked(tmp_path: Path, when: str):
    """Both saw that there was none; a recording may take minutes to be read."""
    folder = run_folder.choose(command(tmp_path))
    other = run_folder.opened(folder, command(tmp_path))
    other.__enter__()
    write(folder, "earlier")
    if when == "finished":
        other.__exit__(None, None, None)
    before = contents(folder)
    with (
        pytest.raises(InputError, match="another process (is writing it|has made it just now)"),
        run_folder.opened(folder, command(tmp_path)),
    ):
        pytest.fail("opened")
    assert contents(folder) == before
    if when == "written":
        other.__exit__(None, None, None)
    assert contents(folder) == before and leftovers(tmp_path) == []


# Killed while a run is replaced by another one.

# JAX is imported once; each case is a fork of that, and dies before another one of its changes of files.
CASES = """
import os, signal, sys
from pathlib import Path
from evinr.cli import run_folder
from evinr.events import InputError
from experiments.faults import dying
from tests.test_run_folder import OVERWRITE, PICTURES, command, write

def begin(run):
    write(run, "new")
    for name in PICTURES:
        (run / name).unlink()

def replace(run, kind):
    with run_folder.opened(run, command(run.parent, **OVERWRITE)):
        if kind == "failed":
            begin(run)
            raise InputError("why")
        write(run, "new")

place, kind, dead = Path(sys.argv[1]), sys.argv[2], True
while dead:
    out = place / str(len(os.listdir(place)))
    run = out / "run"
    run.mkdir(parents=True)
    write(run, "earlier")
    if kind == "again":
        run.rename(out / ".replaced-run")
        run.mkdir()
        begin(run)
    child = os.fork()
    if child == 0:
        (out / "notes.armed").touch()
        dying.watch(dying.Fault(f"{out}/", str(out / "notes"), at=int(out.name)))
        try:
            replace(run, kind)
        except InputError:
            os._exit(3)
        os._exit(0)
    dead = os.waitpid(child, 0)[1] == signal.SIGKILL
"""


@pytest.fixture(scope="module", params=["at first", "again", "failed"])
def cases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A folder for each of the moments at which the replacing process died; in the last one it did not.

    It was the first to replace that run; or one before it had died, after its first windows; or it failed after these.
    """
    place = tmp_path_factory.mktemp("cases")
    root = Path(__file__).parents[1]
    told = os.environ | {"PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"}
    script = [sys.executable, "-c", CASES, str(place), request.param]
    done = subprocess.run(script, env=told, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = sorted(place.iterdir(), key=lambda path: int(path.name))
    for case in found:
        (case / "notes").unlink()
        (case / "notes.armed").unlink(missing_ok=True)
    assert len(found) > 20
    return found


def word(folder: Path) -> str | None:
    """Of which run a folder has all, if any."""
    for word in ("earlier", "new"):
        expected = folder.parents[2] / word
        if not expected.exists():
            expected.mkdir()
            write(expected, word)
        if folder.exists() and contents(folder) == contents(expected):
            return word
    return None


@pytest.mark.parametrize("options", [RESUME, OVERWRITE, FRESH], ids=["resume", "overwrite", "fresh"])
def test_a_replacement_that_is_killed_loses_nothing(cases: list[Path], tmp_path: Path, options: dict[str, bool]):
    for case in cases:
        out = tmp_path / "cases" / case.name
        shutil.copytree(case, out)
        folder, aside = out / "run", out / ".replaced-run"
        # The earlier run is there until the new one has something to go on from, and never half of it.
        assert {word(folder), word(aside)} & {"earlier", "new"} or run_folder.has_numbers(folder), case.name
        assert not aside.exists() or word(aside) == "earlier", case.name
        try:
            run_folder.choose(command(out, **options))
        except InputError as error:
            # One that is there is not replaced unasked, one that is not there not gone on with.
            why = "exists already" if run_folder.begun(folder) else "no such run"
            assert why in str(error) and options == (FRESH if run_folder.begun(folder) else RESUME), case.name
            continue
        with run_folder.opened(folder, command(out, **options)):
            if word(folder) != "earlier":  # which can be gone on with, too
                write(folder, "new")
        assert word(folder) in ("new", "earlier") and leftovers(out) == [], case.name


def test_what_is_taken_away_is_gone_at_once(finished: Path, monkeypatch: pytest.MonkeyPatch):
    """In whatever order its files go."""
    finished.rename(finished.with_name(".replaced-run"))
    finished.mkdir()
    write_json(finished / "config.json", {})
    run_folder.metrics(finished, None)

    def killed(folder: Path, **_: object) -> None:
        if folder.exists():
            (folder / "config.json").unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt), run_folder.opened(finished, command(finished.parent, **OVERWRITE)):
        pytest.fail("opened")
    assert run_folder.choose(command(finished.parent)) == finished


def test_a_second_attempt_that_fails_puts_back_what_there_was(cases: list[Path], tmp_path: Path):
    """The new run where it was finished, else the earlier one, else what there is of the new one."""
    for case in cases:
        out = tmp_path / "cases" / case.name
        shutil.copytree(case, out)
        aside = word(out / "run") != "new" and (out / ".replaced-run").exists()
        before = contents(out / (".replaced-run" if aside else "run"))
        with pytest.raises(InputError, match="why"), run_folder.opened(out / "run", command(out, **OVERWRITE)):
            raise InputError("why")
        assert contents(out / "run") == before and leftovers(out) == [], case.name


def test_what_a_finished_run_left_aside_is_taken_away(cases: list[Path], tmp_path: Path):
    for case in cases:
        out = tmp_path / "cases" / case.name
        shutil.copytree(case, out)
        if word(out / "run") == "new":
            run_folder.tidy(out / "run")
            assert leftovers(out) == [] and word(out / "run") == "new"
