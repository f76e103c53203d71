"""Counts what JAX compiles."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax.monitoring


@contextmanager
def compilations() -> Iterator[list[str]]:
    """The names of the programs that are compiled inside, such as jit(solve); those taken from a cache on disk count, too."""
    seen: list[str] = []

    def note(event: str, duration_secs: float, **about: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(about["fun_name"])

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
