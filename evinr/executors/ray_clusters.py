"""The Ray cluster of a batch: one that is there, found in seconds or not at all, or one of our own on this machine."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from evinr.events import InputError
from evinr.executors import processes

ANSWER = 5
"""Seconds in which a cluster must answer; Ray asks three times, and by itself for minutes."""
STORE = 80 * 2**20
"""Bytes of our own cluster's store of objects, about the least that Ray takes: only paths and numbers go through it."""


class Cluster(NamedTuple):
    """A cluster that this process has joined."""

    ray: Any
    """The module."""
    cpus: int
    """Of a worker without GPU."""
    where: str


def joined(address: str, workers: int | None, jobs: int) -> Cluster:
    """The cluster at HOST:PORT, the one that Ray finds on this machine ("auto"), or one for such workers ("local").

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # after `uv run` Ray would send the checkout about
    if address != "local":
        _require_answer(address)
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # it reads these when it is imported
        for name in (
            "py_gcs_connect_timeout_s",
            "gcs_rpc_server_connect_timeout_s",
            "GCS_SERVER_REQUEST_TIMEOUT_SECONDS",
        ):
            os.environ.setdefault(f"RAY_{name}", str(ANSWER))
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise InputError(f'--executor ray: Ray cannot be imported ({error}); pip install "evinr[ray]"') from error
    try:
        if address == "local":
            return _started(ray, workers, jobs)
        with _silence():
            _initialised(ray, address)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        ray.shutdown()
        text = str(error.__cause__ or error).strip()
        reason = text.splitlines()[-1].partition(": ")[2] if "Traceback" in text else " ".join(text.split())
        if address == "local":
            raise InputError(
                f"no Ray cluster can be started on this machine ({reason}); see that RAY_TMPDIR is a short path, and writable"
            ) from error
        raise InputError(
            f"Ray at {address}: cannot be joined ({reason}); see `ray status`, and that this machine is one of its nodes"
        ) from error
    return Cluster(ray, 1, f"at {address}")


def _started(ray: Any, workers: int | None, jobs: int) -> Cluster:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = processes.opened(workers, jobs).free  # as many as there would be processes
    cpus, gpus = max(1, cores // count), len(processes.gpus())
    _initialised(ray, "local", num_cpus=count * cpus, num_gpus=gpus, include_dashboard=False, object_store_memory=STORE)
    return Cluster(ray, cpus, "on this machine")


def _require_answer(address: str) -> None:
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(f"Ray at {address}: give HOST:PORT of the cluster's head, on one of its nodes, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"Ray at {address}: does not answer ({reason}); start it there by `ray start --head`"
        ) from error


def _initialised(ray: Any, address: str, **more: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **more)  # what fits say is in their logs
    # Of each worker that dies a dozen lines would come between those of the batch; `ray.init` has no option for these.
    ray._private.worker._worker_logs_enabled = False
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray's would end the driver at once


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing on standard error, to which Ray's native part tells every attempt; Python's errors are told by others."""
    shown, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(shown)
        os.close(nothing)
