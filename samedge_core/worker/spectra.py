"""RunSpectra: the spectra that were asked for of one run, as the server keeps them."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass

from samedge_core.training.config import RunConfig
from samedge_core.worker.messages import (
    AboutSpectrum,
    DropSpectrum,
    Examine,
    MeasureSpectrum,
    Report,
    Snapshot,
    SpectrumFailed,
    SpectrumMade,
    SpectrumProgress,
)
from samedge_core.worker.process import WorkerProcess

__all__ = ["KEPT", "RunSpectra", "SpectraView"]

KEPT = 3  # more lines in one chart can't be told apart


@dataclass(frozen=True)
class SpectraView:
    """What a page sees of a run's spectra.

    Attributes:
        made: at most KEPT, the newest last.
        pending: one is being measured, or waits for the end of a step.
        progress: of that one; None before its first product.
        failure: why there is none for the last request, in words, or empty.
    """

    made: tuple[SpectrumMade, ...] = ()
    pending: bool = False
    progress: SpectrumProgress | None = None
    failure: str = ""


class RunSpectra:
    """One request at a time, and the last few results.

    While the run has a worker, that one measures between two steps. After the run's end a process
    of its own does, from the last snapshot, so that nothing of the ended run has to change. The
    caller holds `lock`.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._requests = itertools.count(1)
        self._pending: int | None = None
        self._progress: SpectrumProgress | None = None
        self._made: list[SpectrumMade] = []
        self._failure = ""
        self._examiner: WorkerProcess | None = None

    @property
    def examining(self) -> bool:
        """Whether a process of its own is at work."""
        return self._examiner is not None

    def view(self) -> SpectraView:
        """As of now."""
        pending = self._pending is not None
        return SpectraView(tuple(self._made), pending, self._progress, self._failure)

    def ask(self, worker: WorkerProcess) -> None:
        """Have the run's worker measure one; no more than one at a time."""
        if self._pending is None:
            worker.send(MeasureSpectrum(self._begin()))

    def ask_of(self, config: RunConfig, snapshot: Snapshot) -> None:
        """Have one measured at a snapshot, in a process of its own."""
        if self._pending is None:
            self._examiner = WorkerProcess(self._on_report, self._on_lost)
            task = Examine(snapshot.session, self._begin(), config, snapshot.packed)
            self._examiner.send(task)

    def refuse(self, why: str) -> None:
        """There is none to be had now."""
        if self._pending is None:
            self._failure = why

    def take(self, report: AboutSpectrum) -> None:
        """A worker's report; one on a request that was dropped is ignored."""
        if report.request != self._pending:
            return
        match report:
            case SpectrumProgress():
                self._progress = report
            case SpectrumMade():
                # measured again at a step, the newer one has the settings that are in force now
                others = [made for made in self._made if made.step != report.step]
                self._made = [*others, report][-KEPT:]
                self._finish()
            case SpectrumFailed(_, _, what):
                self._finish(what)

    def worker_left(self, why: str) -> None:
        """The run has no worker any more: what that one was measuring will not come."""
        if self._pending is not None and not self._examiner:
            self._finish(why)

    def cancel(self, worker: WorkerProcess | None) -> None:
        """Never mind the pending one; the run's worker need not finish it."""
        if worker and self._pending is not None:
            worker.send(DropSpectrum())
        self._finish()

    def clear(self, worker: WorkerProcess | None) -> None:
        """Forget every spectrum, and the pending one."""
        self.cancel(worker)
        self._made.clear()

    def _begin(self) -> int:
        self._pending, self._progress, self._failure = next(self._requests), None, ""
        return self._pending

    def _finish(self, failure: str = "") -> None:
        self._pending, self._progress, self._failure = None, None, failure
        if self._examiner:
            self._examiner.close()
            self._examiner = None

    def _on_report(self, examiner: WorkerProcess, report: Report) -> None:
        with self._lock:
            if examiner is self._examiner and isinstance(report, AboutSpectrum):
                self.take(report)

    def _on_lost(self, examiner: WorkerProcess) -> None:
        with self._lock:
            if examiner is self._examiner:
                self._finish("the process that measured the spectrum was lost")
