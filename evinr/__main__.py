"""The command line, `evinr COMMAND ...`."""

import _thread
import argparse
import io
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import tyro

from evinr.cli import agent_words
from evinr.cli.commands import (
    PRESETS,
    Compare,
    Convert,
    Evaluate,
    Filter,
    Fit,
    Info,
    Render,
    Report,
    Simulate,
    Weights,
)
from evinr.cli.many_commands import BATCH_PRESETS, Batch, Sweep
from evinr.cli.network_commands import Baseline, Deblur
from evinr.events import InputError
from evinr.simulator.sensor import SENSORS

Command = (
    Fit
    | Render
    | Batch
    | Sweep
    | Convert
    | Filter
    | Info
    | Simulate
    | Baseline
    | Deblur
    | Evaluate
    | Compare
    | Report
    | Weights
)

Unraisable = Callable[[Any], object]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it did its work, 1 for what the user can mend, 2 for wrong usage, 130 when interrupted."""
    argv = agent_words.words(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that a terminal cannot show
    before = sys.unraisablehook
    sys.unraisablehook = partial(_not_ignored, before)
    try:
        return _run(parse(argv), argv)
    except InputError as error:
        return _say(str(error), 1)
    except BrokenPipeError:  # whoever reads what is said has heard enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}; see that it can be written, and that there is space", 1)
    except MemoryError:
        return _say("out of memory; pass --windows sequential, or ask for a shorter span or fewer frames", 1)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    finally:
        sys.unraisablehook = before


def _not_ignored(otherwise: Unraisable, unraisable: "sys.UnraisableHookArgs") -> None:
    """Ctrl-C while JAX starts may fall into its callback of the garbage collector, which cannot raise it: once more, then."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        threading.Timer(0.1, _thread.interrupt_main).start()
    else:
        otherwise(unraisable)


def _run(command: Command, argv: Sequence[str]) -> int:
    """Each command has a module of its own, imported only when it is called: some bring JAX, some large readers."""
    match command:
        case Fit():
            from evinr.cli import fit

            return fit.run(command, argv)
        case Render():
            from evinr.cli import render

            return render.run(command)
        case Batch():
            from evinr.cli import batch

            return batch.run(command, argv)
        case Sweep():
            from evinr.cli import sweep

            return sweep.run(command, argv)
        case Convert():
            from evinr.cli import convert

            return convert.run(command)
        case Filter():
            from evinr.cli import filter

            return filter.run(command)
        case Info():
            from evinr.cli import info

            return info.run(command)
        case Simulate():
            from evinr.cli import simulate

            return simulate.run(command)
        case Baseline():
            from evinr.cli import baseline

            return baseline.run(command)
        case Deblur():
            from evinr.cli import deblur

            return deblur.run(command)
        case Evaluate():
            from evinr.cli import evaluate

            return evaluate.run(command)
        case Compare():
            from evinr.cli import compare

            return compare.run(command, argv)
        case Report():
            from evinr.cli import report

            return report.run(command)
        case Weights():
            from evinr.cli import weights

            return weights.run(command)


def parse(argv: Sequence[str]) -> Command:
    """The command that the arguments describe; exits with 2 on wrong usage."""
    # The preset sets the defaults that the other options override, so it is looked for first.
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="default")
    preset = first.parse_known_args(argv)[0].preset
    FitCommand = Annotated[Fit, tyro.conf.subcommand("fit", default=PRESETS.get(preset, PRESETS["default"]))]
    BatchCommand = Annotated[
        Batch, tyro.conf.subcommand("batch", default=BATCH_PRESETS.get(preset, BATCH_PRESETS["default"]))
    ]
    sensor = SENSORS.get(preset, SENSORS["day"])
    SimulateCommand = Annotated[Simulate, tyro.conf.subcommand("simulate", default=Simulate(sensor=sensor))]
    return tyro.cli(
        FitCommand
        | Render
        | BatchCommand
        | Sweep
        | Convert
        | Filter
        | Info
        | SimulateCommand
        | Baseline
        | Deblur
        | Evaluate
        | Compare
        | Report
        | Weights,
        prog="evinr",
        description=_ABOUT,
        args=argv,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )  # pyright: ignore[reportArgumentType, reportReturnType, reportCallIssue]


_ABOUT = "Event-camera recordings to continuous-time intensity video, by fitting a small SIREN to each recording."


def _say(message: str, code: int) -> int:
    print(f"evinr: {' '.join(message.splitlines())}", file=sys.stderr)  # HDF5 says things over several lines
    return code


if __name__ == "__main__":
    sys.exit(main())
