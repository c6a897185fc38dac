"""The clock, and one thread for all."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

__all__ = ["one_thread", "timed"]

T = TypeVar("T")


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What `call` returns, and the milliseconds of CPU that it took.

    CPU time of all the process's threads: with one thread it is wall time less what the machine
    gave to others, and threads that someone starts behind our back are counted.
    """
    start = time.process_time()
    result = call()
    return result, 1e3 * (time.process_time() - start)


def one_thread() -> AbstractContextManager[object]:
    """Torch's and BLAS's threads cut to one, the latter until the context ends."""
    torch.set_num_threads(1)
    return threadpool_limits(1)
