"""Where a result came from: numbers are written beside their options, the machine, the commit and the command line."""

import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from evinr.files import whole

RESULTS = Path("experiments/benchmarks/results")
"""Relative to the root of the repository, from which the scripts are run."""


def save(out: Path, config: Any, results: Any, quiet: bool = False) -> None:
    """Write `results` with all they depend on; `config` is the dataclass of the script's options.

    To be called last: it starts JAX's backend, which takes most of a GPU's memory from other processes.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    record = {"results": results, "config": asdict(config), "machine": machine(), **provenance()}
    with whole(out) as partial:
        partial.write_text(json.dumps(record, indent=2, default=placeless) + "\n")
    if not quiet:
        print(f"written to {out}")


def answer(answers: IO[str]) -> Any:
    """The next line of an original that runs in a process of its own."""
    line = answers.readline()
    if not line:
        raise SystemExit("the original stopped: its error stands above")
    return json.loads(line)


def machine() -> dict[str, str | int | float]:
    """Processor, memory (GB = 1e9 bytes), accelerator, and the versions that matter to speed."""
    import jax

    devices = jax.devices()
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "ram_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "accelerator": "none" if devices[0].platform == "cpu" else f"{len(devices)} x {devices[0].device_kind}",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in ("jax", "jaxlib", "numpy")},
    }


def provenance() -> dict[str, str]:
    """When, from which sources and how the script was run."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "command": shlex.join(["python", *map(placeless, sys.orig_argv[1:])]),
    }


def placeless(value: object) -> str:
    """A path without where it lies on this machine; anything else as it is."""
    path = Path(str(value))
    return path.name if path.is_absolute() else str(value)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """The name of the processor; its architecture where the system does not tell."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str:
    """The commit of the sources, with a word if files differ from it; "unknown" where they are no git checkout."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True).stdout.strip()

    if shutil.which("git") is None or not (head := git("rev-parse", "HEAD")):
        return "unknown"
    return head + " and uncommitted changes" * bool(git("status", "--porcelain"))
