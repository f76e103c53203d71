"""A sweep on W&B's server: it says what is next to an agent in this process."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any, NamedTuple

from evinr.cli import sweep_session
from evinr.cli.sweep_run import Interrupted, Sweeping
from evinr.cli.sweep_table import Board
from evinr.events import InputError
from evinr.sweeping import results


class Online(NamedTuple):
    """A sweep on the server."""

    path: str
    """ENTITY/PROJECT/ID, or what of it is known."""
    url: str | None


def reason_against() -> str | None:
    """Why W&B's server cannot be used; None where it can. To be asked before W&B is used for anything else.

    After an earlier login without `verify` in the same process wandb 0.31 says yes to everything.
    """
    import wandb
    from wandb.errors import CommError, UsageError

    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        return f"WANDB_MODE is {os.environ['WANDB_MODE']}"
    try:
        known = wandb.login(prompt=False, verify=True)
    except (UsageError, CommError) as error:  # AuthenticationError is a CommError
        return _first_line(error)
    return None if known else "there is no W&B login"


def created(config: dict[str, Any], project: str) -> Online | str:
    """A new sweep, or why the server will not have it."""
    import wandb

    said, entity = StringIO(), config.get("entity") or os.environ.get("WANDB_ENTITY")
    try:
        with redirect_stdout(said):
            id = wandb.sweep(config, entity=entity, project=project)
    except Exception as error:  # wandb's errors have no common base
        return _first_line(error)
    url = next((line.split(": ", 1)[1] for line in said.getvalue().splitlines() if line.startswith("Sweep URL")), None)
    return Online("/".join([*([entity] if entity else []), project, id]), url)


def run(sweeping: Sweeping, online: str, count: int, board: Board) -> None:
    """Make runs until there are `count`, or the server has no more.

    Raises InputError where W&B can no longer be reached, and what `sweep_session.one` raises.
    """
    import wandb

    if (left := count - len(results.read(sweeping.results))) <= 0:
        return
    ended: list[BaseException] = []
    interrupted: list[int] = []

    def is_stop(error: Exception) -> bool:
        """pyagent raises a bare Exception in the thread of a run that the server, or Ctrl-C, ends."""
        return type(error) is Exception and not interrupted

    def one() -> None:
        try:
            session = wandb.init(config=sweep_session.about(sweeping))
            values = {
                name: session.config[name] for name in sweeping.plan.config["parameters"] if name in session.config
            }
            number = len(results.read(sweeping.results))
            sweep_session.one(sweeping, number, session, values, board, is_stop)
        except BaseException as error:
            if type(error) is not Exception:
                ended.append(error)
            raise

    log = (sweeping.out / "logs" / "agent.log").open("a")
    with log, redirect_stderr(log), _interrupts(interrupted):  # an agent prints the tracebacks of what it runs
        wandb.agent(online, function=one, count=left, max_consecutive_failed_runs=1)
    if interrupted:
        raise Interrupted
    for error in ended:
        if isinstance(error, wandb.Error):
            raise InputError(f"W&B: {_first_line(error)}; what is done is kept, the same command goes on") from None
        raise error


@contextmanager
def _interrupts(seen: list[int]) -> Iterator[None]:
    """Signals that stop the agent, noted in the main thread, where it waits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _: object) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
