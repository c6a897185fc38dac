"""RunSpectra: the spectra that were asked for of one run, as the server keeps them."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from samedge_core.curvature.kernels import Arithmetic
from samedge_core.training.config import RunConfig
from samedge_core.worker.messages import (
    AboutSpectrum,
    DropSpectrum,
    Examine,
    MeasureSpectrum,
    Snapshot,
    SpectrumFailed,
    SpectrumMade,
    SpectrumProgress,
)
from samedge_core.worker.on_demand import OnDemand
from samedge_core.worker.process import WorkerProcess

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


class RunSpectra(OnDemand[AboutSpectrum, SpectrumProgress]):
    """One request at a time, and the last few results.

    While the run has a worker, that one measures between two steps. After the run's end a process
    of its own does, from the last snapshot, so that nothing of the ended run has to change. The
    caller holds `lock`.
    """

    noun = "spectrum"

    def __init__(self, lock: threading.RLock) -> None:
        super().__init__(lock)
        self._made: list[SpectrumMade] = []

    def view(self) -> SpectraView:
        """As of now."""
        return SpectraView(tuple(self._made), self.pending, self._progress, self._failure)

    def ask(self, worker: WorkerProcess) -> None:
        """Have the run's worker measure one; no more than one at a time."""
        if not self.pending:
            worker.send(MeasureSpectrum(self._begin()))

    def ask_of(self, config: RunConfig, snapshot: Snapshot, arithmetic: Arithmetic) -> None:
        """Have one measured at a snapshot, in a process of its own."""
        if not self.pending:
            task = Examine(snapshot.session, self._begin(), config, snapshot.packed, arithmetic)
            self._examine(task)

    def worker_left(self, why: str) -> None:
        """The run has no worker any more: what that one was measuring will not come."""
        if self.pending and not self.examining:
            self._finish(why)

    def cancel(self, worker: WorkerProcess | None) -> None:
        """Never mind the pending one; the run's worker need not finish it."""
        if worker and self.pending:
            worker.send(DropSpectrum())
        self._finish()

    def clear(self, worker: WorkerProcess | None) -> None:
        """Forget every spectrum, and the pending one."""
        self.cancel(worker)
        self._made.clear()

    def _accept(self, report: AboutSpectrum) -> None:
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
