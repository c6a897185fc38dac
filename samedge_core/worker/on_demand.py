"""OnDemand: one thing at a time that was asked for of a run, as the server waits for it."""

from __future__ import annotations

import itertools
import threading
from typing import Generic, TypeVar

from samedge_core.worker.messages import Command, Report
from samedge_core.worker.process import WorkerProcess

Answer = TypeVar("Answer", bound=Report)
Progress = TypeVar("Progress")


class OnDemand(Generic[Answer, Progress]):
    """One request at a time, answered by the run's worker or by a process of its own.

    A process of its own leaves the run alone, and is killed to cancel. The caller holds `lock`.

    Attributes:
        noun: what is asked for, for messages: "spectrum".
    """

    noun: str

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._requests = itertools.count(1)
        self._pending: int | None = None
        self._progress: Progress | None = None
        self._failure = ""
        self._examiner: WorkerProcess | None = None

    @property
    def pending(self) -> bool:
        """Whether one is on its way."""
        return self._pending is not None

    @property
    def examining(self) -> bool:
        """Whether a process of its own is at work."""
        return self._examiner is not None

    def refuse(self, why: str) -> None:
        """There is none to be had now."""
        if not self.pending:
            self._failure = why

    def take(self, report: Answer) -> None:
        """A report; one on a request that was dropped is ignored."""
        if getattr(report, "request", None) == self._pending:
            self._accept(report)

    def _accept(self, report: Answer) -> None:
        """A report on the pending request."""
        raise NotImplementedError

    def _begin(self) -> int:
        self._pending, self._progress, self._failure = next(self._requests), None, ""
        return self._pending

    def _examine(self, task: Command) -> None:
        """Have a process of its own do the task, for the request that has begun."""
        self._examiner = WorkerProcess(self._on_report, self._on_lost)
        self._examiner.send(task)

    def _finish(self, failure: str = "") -> None:
        self._pending, self._progress, self._failure = None, None, failure
        if self._examiner:
            self._examiner.close()
            self._examiner = None

    def _on_report(self, examiner: WorkerProcess, report: Report) -> None:
        with self._lock:
            if examiner is self._examiner:
                self.take(report)  # type: ignore[arg-type]  # it has no other task

    def _on_lost(self, examiner: WorkerProcess) -> None:
        with self._lock:
            if examiner is self._examiner:
                self._finish(f"the process that measured the {self.noun} was lost")
