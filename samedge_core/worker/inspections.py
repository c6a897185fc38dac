"""RunInspection: the inspections that were asked for of one run, as the server keeps them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from samedge_core.curvature.kernels import Arithmetic
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.inspection import Inspection, SpectrumAtStep
from samedge_core.worker.messages import (
    InspectionFailed,
    InspectionMade,
    InspectionProgress,
    InspectStep,
    Report,
    Snapshot,
)
from samedge_core.worker.process import WorkerProcess

SPECTRA = 3  # kept; more lines in one chart can't be told apart


@dataclass(frozen=True)
class InspectionView:
    """What a page sees of a run's inspections.

    Attributes:
        made: the last one.
        spectra: those of the last inspections, at most SPECTRA, the newest last.
        asked: the step that is being examined, or None.
        progress: of that; None while its process starts.
        failure: why there is none for the last request, in words, or empty.
    """

    made: Inspection | None = None
    spectra: tuple[SpectrumAtStep, ...] = ()
    asked: int | None = None
    progress: InspectionProgress | None = None
    failure: str = ""

    @property
    def pending(self) -> bool:
        """Whether one is on its way."""
        return self.asked is not None


class RunInspection:
    """One request at a time, each measured by a process of its own.

    That process takes the steps up to the examined one again, leaves the run alone, and is killed
    to cancel. The caller holds `lock`.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._task: InspectStep | None = None
        self._progress: InspectionProgress | None = None
        self._failure = ""
        self._examiner: WorkerProcess | None = None
        self._made: Inspection | None = None
        self._spectra: list[SpectrumAtStep] = []

    @property
    def pending(self) -> bool:
        """Whether one is on its way; a process of its own is then at work."""
        return self._task is not None

    def view(self) -> InspectionView:
        """As of now."""
        asked = self._task.step if self._task else None
        return InspectionView(
            self._made, tuple(self._spectra), asked, self._progress, self._failure
        )

    def ask(
        self,
        config: RunConfig,
        before: Snapshot | None,
        interventions: Iterable[Intervention],
        step: int,
        *,
        with_spectrum: bool,
        arithmetic: Arithmetic,
    ) -> None:
        """Have the inspection at a step measured, from a state before it (None: from step 0)."""
        if self.pending:
            return
        first = before.step if before else 0
        replay = tuple(i for i in interventions if first <= i.step <= step and i.changes)
        self._task = InspectStep(
            config, before.packed if before else None, replay, step, with_spectrum, arithmetic
        )
        self._progress, self._failure = None, ""
        self._examiner = WorkerProcess(self._on_report, self._on_lost)
        self._examiner.send(self._task)

    def refuse(self, why: str) -> None:
        """No inspection can be made now."""
        if not self.pending:
            self._failure = why

    def cancel(self) -> None:
        """Drop the pending one; what was examined before stays."""
        self._finish()

    def clear(self) -> None:
        """Forget the inspections, and the pending one."""
        self._finish()
        self._made = None
        self._spectra.clear()

    def _finish(self, failure: str = "") -> None:
        self._task, self._progress, self._failure = None, None, failure
        if self._examiner:
            self._examiner.close()
            self._examiner = None

    def _keep(self, made: Inspection) -> None:
        self._made = made
        if spectrum := SpectrumAtStep.of(made):
            # examined again, a step has the settings that are in force there now
            others = [kept for kept in self._spectra if kept.step != made.step]
            self._spectra = [*others, spectrum][-SPECTRA:]

    def _on_report(self, examiner: WorkerProcess, report: Report) -> None:
        with self._lock:
            if examiner is not self._examiner:
                return  # its request was cancelled
            match report:
                case InspectionProgress():
                    self._progress = report
                case InspectionMade(inspection):
                    self._keep(inspection)
                    self._finish()
                case InspectionFailed(what):
                    self._finish(what)

    def _on_lost(self, examiner: WorkerProcess) -> None:
        with self._lock:
            if examiner is self._examiner:
                self._finish("the process that measured the inspection was lost")
