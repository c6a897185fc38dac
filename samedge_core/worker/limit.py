"""Limit: what a run may take of memory, in its worker."""

from __future__ import annotations

import math
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from samedge_core.problems.memory import size_in_words

if TYPE_CHECKING:
    from samedge_core.problems.problem import Problem

if sys.platform != "win32":
    import resource

VARIABLE = "SAMEDGE_WORKER_MB"
LOOK_SECONDS = 0.05
RESERVES, TAKEN = "VmData", "RssAnon"  # of /proc/self/status; without the code of libraries
# vectors of P numbers for each product that a measurement may use: six arrays of a basis, of both
# parities and of two searches, twice as long
RESERVED = 48
_TORCH = re.compile(r"can't allocate memory: you tried to allocate (\d+) bytes")
_NUMPY = re.compile(r"Unable to allocate ([\d.]+ \w+)")


class Limit:
    """A limit to what is taken beyond what this process has taken when this is made.

    The system refuses a single array that is too large (RLIMIT_DATA). It counts what is reserved
    and never written to, like most of a tracker's arrays: `reserve` lets those be, and a thread
    looks at what is really taken.
    """

    def __init__(self, room: float, *, on_cpu: bool = True) -> None:
        """`room` in bytes, infinity for none. There is no limit under CUDA, which reserves more
        than a machine has, and on other systems than Linux."""
        self.room = room
        self._works = LIMITED and on_cpu and math.isfinite(room)
        self._began = _status() if self._works else {}

    @contextmanager
    def holds(self, on_over: Callable[[str], object]) -> Iterator[None]:
        """The limit, for a `with` block. `on_over` is called with what is wrong, on a thread of its
        own, when more has been taken."""
        if not self._works:
            yield
            return
        over = threading.Event()

        def look() -> None:
            while not over.wait(LOOK_SECONDS):
                taken = _status()[TAKEN] - self._began[TAKEN]
                if taken > self.room:
                    on_over(self.in_words(f"has {size_in_words(taken)}"))
                    return

        watch = threading.Thread(target=look, daemon=True)
        watch.start()
        self.reserve(0)
        try:
            yield
        finally:
            over.set()
            watch.join()
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))

    def reserve(self, bytes_: int) -> None:
        """Let so many bytes be reserved beyond the limit."""
        if self._works:
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            most = int(self._began[RESERVES] + self.room) + bytes_
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (most, hard))

    def in_words(self, asked: str) -> str:
        """What is wrong with a run that meets it."""
        return (
            f"out of memory: the run {asked}, limit {size_in_words(self.room)} ({VARIABLE}): lower "
            "the size of the model, of the data or of a batch"
        )

    def met(self, error: BaseException) -> str | None:
        """What is wrong, where an error says that there is no memory; else None."""
        if found := _TORCH.search(str(error)):
            return self.in_words(f"asked for {size_in_words(int(found[1]))} more")
        if not isinstance(error, MemoryError):
            return None
        found = _NUMPY.search(str(error))
        return self.in_words(f"asked for {found[1] if found else 'some'} more")


def reserved(problem: Problem, top_k: int) -> int:
    """Bytes that the trackers of a run reserve, and for the most part never write to."""
    return RESERVED * (20 + 10 * top_k) * problem.size * problem.dtype.itemsize


def _status() -> dict[str, int]:
    """Of this process, in bytes."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {name[:-1]: 1024 * int(rest[0]) for name, *rest in lines if rest[1:] == ["kB"]}


LIMITED = sys.platform == "linux" and {RESERVES, TAKEN} <= _status().keys()
"""Whether this system can hold a run to a limit."""
