"""RunInspection: the step inspections of one run, as the server keeps them."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from samedge_core.training.edge_test import ForkChange
from samedge_core.training.history import History
from samedge_core.training.inspection import Inspection, SpectrumAtStep
from samedge_core.worker import messages
from samedge_core.worker.process import WorkerProcess

SPECTRA = 3  # kept; more lines in one chart can't be told apart


@dataclass(frozen=True)
class InspectionView:
    """What a page sees of a run's inspections.

    Attributes:
        made: the last one.
        spectra: those of the last inspections, at most SPECTRA, the newest last.
        asked: the step whose inspection is being measured, or None.
        progress: of that one; None while its process starts.
        failure: why the last one failed, in words, or empty.
        ahead: of the step that came next when a paused or slow run was last asked for it.
        ahead_failure: why there is none, in words, or empty.
    """

    made: Inspection | None = None
    spectra: tuple[SpectrumAtStep, ...] = ()
    asked: int | None = None
    progress: messages.InspectionProgress | None = None
    failure: str = ""
    ahead: Inspection | None = None
    ahead_failure: str = ""

    @property
    def pending(self) -> bool:
        """Whether one is being measured."""
        return self.asked is not None


class RunInspection:
    """One request at a time, each measured by a process of its own.

    That process takes the steps up to the inspected one again, leaves the run alone, and is killed
    to cancel. The step that comes next is inspected by the run's own worker, which has its state.
    The caller holds `lock`.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._task: messages.InspectStep | None = None
        self._progress: messages.InspectionProgress | None = None
        self._failure = ""
        self._inspector: WorkerProcess | None = None
        self._made: Inspection | None = None
        self._spectra: list[SpectrumAtStep] = []
        self._ahead: Inspection | None = None
        self._ahead_failure, self._ahead_of = "", None
        self.looks_ahead = False

    @property
    def pending(self) -> bool:
        """Whether one is being measured; it then has a process of its own."""
        return self._task is not None

    def view(self) -> InspectionView:
        """The inspections as of now."""
        asked = self._task.step if self._task else None
        return InspectionView(
            self._made,
            tuple(self._spectra),
            asked,
            self._progress,
            self._failure,
            self._ahead,
            self._ahead_failure,
        )

    def asks_ahead(self, of: object) -> bool:
        """Whether the step that comes next is to be inspected: not yet asked for since the run
        was as `of` says."""
        if of == self._ahead_of:
            return False
        self._ahead_of, self.looks_ahead = of, True
        return True

    def see_ahead(self, report: messages.Ahead) -> None:
        """Keep what the run's worker has seen; after a failure, what it had seen before."""
        self._ahead, self._ahead_failure = report.inspection or self._ahead, report.failure
        self.looks_ahead = False

    def ask(
        self,
        history: History,
        before: messages.Snapshot | None,
        step: int,
        *,
        with_spectrum: bool,
        data_sha256: str | None = None,
        room: float = math.inf,
        batches: int = 0,
        test: ForkChange | None = None,
        portrait_steps: int = 0,
    ) -> None:
        """Start measuring at a step, from a state before it (None: from step 0)."""
        if self.pending:
            return
        first, packed = (before.step, before.packed) if before else (0, None)
        made = history.interventions
        replay = tuple(i for i in made if first <= i.step <= step and i.changes)
        self._task = messages.InspectStep(
            history.config,
            packed,
            replay,
            step,
            with_spectrum,
            history.arithmetic,
            data_sha256,
            room,
            batches,
            test,
            portrait_steps,
        )
        self._progress, self._failure = None, ""
        self._inspector = WorkerProcess(self._on_report, self._on_lost)
        self._inspector.send(self._task)

    def refuse(self, why: str) -> None:
        """Show why no inspection can be measured now."""
        if not self.pending:
            self._failure = why

    def cancel(self) -> None:
        """Drop the pending one; those measured before stay."""
        self._finish()

    def clear(self) -> None:
        """Forget the inspections, and the pending one."""
        self._finish()
        self._made = None
        self._spectra.clear()

    def _finish(self, failure: str = "") -> None:
        self._task, self._progress, self._failure = None, None, failure
        if self._inspector:
            self._inspector.close()
            self._inspector = None

    def _keep(self, made: Inspection) -> None:
        self._made = made
        if spectrum := SpectrumAtStep.of(made):
            # inspected again, a step has the settings that are in force there now
            others = [kept for kept in self._spectra if kept.step != made.step]
            self._spectra = [*others, spectrum][-SPECTRA:]

    def _on_report(self, inspector: WorkerProcess, report: messages.Report) -> None:
        with self._lock:
            if inspector is not self._inspector:
                return  # its request was cancelled
            match report:
                case messages.InspectionProgress():
                    self._progress = report
                case messages.InspectionDone(inspection, failure):
                    if inspection:
                        self._keep(inspection)
                    self._finish(failure)

    def _on_lost(self, inspector: WorkerProcess) -> None:
        with self._lock:
            if inspector is self._inspector:
                self._finish("the process that measured the inspection was lost")
