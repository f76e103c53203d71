"""A call in a new process: nothing compiled, nothing allocated, and a peak of memory of its own."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def fresh(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `function` returns, or raises, when called in a new Python process that has imported its module."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *args, **kwargs).result()


def start_backend() -> None:
    """Start JAX's backend, so that what is measured next does not count it; nothing is taken from a cache on disk."""
    import jax

    jax.config.update("jax_enable_compilation_cache", False)
    (jax.numpy.zeros(1) + 1).block_until_ready()
