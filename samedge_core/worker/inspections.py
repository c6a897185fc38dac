"""RunInspection: the inspection that was asked for of one run, as the server keeps it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from samedge_core.curvature.kernels import Arithmetic
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.inspection import Inspection
from samedge_core.worker.messages import (
    AboutInspection,
    InspectionFailed,
    InspectionMade,
    InspectionProgress,
    InspectStep,
    Snapshot,
)
from samedge_core.worker.on_demand import OnDemand


@dataclass(frozen=True)
class InspectionView:
    """What a page sees of it.

    Attributes:
        made: the last one.
        asked: the step that is being examined, or None.
        progress: of that; None while its process starts.
        failure: why there is none for the last request, in words, or empty.
    """

    made: Inspection | None = None
    asked: int | None = None
    progress: InspectionProgress | None = None
    failure: str = ""

    @property
    def pending(self) -> bool:
        """Whether one is on its way."""
        return self.asked is not None


class RunInspection(OnDemand[AboutInspection, InspectionProgress]):
    """One request at a time, always in a process of its own: the steps up to the one that was asked
    for are taken again there."""

    noun = "inspection"

    def __init__(self, lock: threading.RLock) -> None:
        super().__init__(lock)
        self._asked = 0
        self._made: Inspection | None = None

    def view(self) -> InspectionView:
        """As of now."""
        asked = self._asked if self.pending else None
        return InspectionView(self._made, asked, self._progress, self._failure)

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
        self._asked = step
        task = InspectStep(
            before.session if before else 0,
            self._begin(),
            config,
            before.packed if before else None,
            replay,
            step,
            with_spectrum,
            arithmetic,
        )
        self._examine(task)

    def cancel(self) -> None:
        """Never mind the pending one."""
        self._finish()

    def clear(self) -> None:
        """Forget the last one, and the pending one."""
        self._finish()
        self._made = None

    def _accept(self, report: AboutInspection) -> None:
        match report:
            case InspectionProgress():
                self._progress = report
            case InspectionMade(_, _, inspection):
                self._made = inspection
                self._finish()
            case InspectionFailed(_, _, what):
                self._finish(what)
