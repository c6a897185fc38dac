"""LiveRun: what the registry knows of one run, and what follows from that alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from samedge_core.curvature import kernels
from samedge_core.store import RunRecord
from samedge_core.store.record import PLAIN_BECAUSE
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.computed import Computed, Examples
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.diagnosis import diagnose, last_stable
from samedge_core.training.history import History, Intervention
from samedge_core.training.stop import BY_ITSELF, Stop, StopReason
from samedge_core.worker.inspections import RunInspection
from samedge_core.worker.messages import Begin, Snapshot, Status
from samedge_core.worker.predictions import RunPrediction, Wanted
from samedge_core.worker.process import WorkerProcess
from samedge_core.worker.view import Phase, RunView, Unfinished


@dataclass
class LiveRun:
    """A run of the registry, whose lock is held by whoever touches it.

    Attributes:
        record: what the store's record begins with.
        wanted: eta, rho, beta and rule as last requested.
        attended: it pauses while no page polls.
        need: bytes of memory that it takes, about; 0 where that is not known.
        owed: steps to take before a pause, requested while it had no worker.
        snapshot: the last one, from which a new worker would continue.
        examples, computed: what the network computes at a late step, and what it is drawn with.
    """

    record: RunRecord
    history: History
    inspection: RunInspection
    prediction: RunPrediction
    wanted: Hyperparameters
    seen_at: float = field(default_factory=time.monotonic)
    known_at: float = field(default_factory=time.monotonic)
    attended: bool = True
    session: int = 0
    phase: Phase = Phase.WAITING
    paused: bool = False
    need: float = 0.0
    owed: int = 0
    unwatched: bool = False
    pace: float | None = None
    worker: WorkerProcess | None = None
    snapshot: Snapshot | None = None
    status: Status | None = None
    examples: Examples | None = None
    computed: Computed | None = None

    @property
    def id(self) -> str:
        """Of the run."""
        return self.record.id

    @property
    def config(self) -> RunConfig:
        """What the run started with, and the step cap that is in force."""
        return self.history.config

    @property
    def arithmetic(self) -> str:
        """The arithmetic in words; empty for compiled kernels that are ready."""
        dtype = self.config.dtype
        if self.record.arithmetic == "plain":
            why = self.record.machine.get(PLAIN_BECAUSE, "its own choice")
            return "; ".join(filter(None, [f"plain arithmetic: {why}", kernels.outlook(dtype)]))
        waits = self.phase is Phase.STARTING and not kernels.ready(dtype)
        return "the fast kernels, with which it began, are compiled first" if waits else ""

    def begin(self, session: int, room: float) -> Begin:
        """The Begin of a new session: the last snapshot, and the interventions since then."""
        history, snapshot = self.history, self.snapshot
        taken, resume_at = snapshot.step if snapshot else 0, history.last_step + 1
        replay = [item for item in history.interventions if item.step >= taken and item.changes]
        replay += self.record.ahead(history)
        asked = Changes(vars(self.wanted))
        if wanted := Intervention.effective(resume_at, asked, history.hyperparameters):
            replay.append(wanted)
        return Begin(
            session=session,
            config=self.config,
            snapshot=snapshot.packed if snapshot else None,
            replay=tuple(replay),
            until=resume_at,
            paused=self.paused,
            pace=self.pace,
            arithmetic=self.record.arithmetic,
            data_sha256=self.record.data_sha256,
            room=room,
        )

    def to_predict(self, flow: str) -> Wanted | None:
        """What a flow has to predict: from the last change of settings on, or from the one that
        comes with the next step of a paused run. None for a moment, until a running one has made a
        change."""
        history, steps = self.history, self.config.steps
        if self.phase is Phase.ENDED or self.wanted == history.hyperparameters:
            changed = [item.step for item in history.interventions if item.changes]
            begin = changed[-1] if changed else 0
            return Wanted(begin, history.hyperparameters, steps, flow)
        if self.phase is Phase.PAUSED:
            return Wanted(history.last_step + 1, self.wanted, steps, flow)
        return None

    def intervened(self, intervention: Intervention) -> None:
        """Record a change that a worker reports, unless a replay repeats a recorded one."""
        if intervention.what in [item.what for item in self.history.interventions]:
            return
        self.history.intervene(intervention)
        if any(item.step == intervention.step for item in self.record.planned):
            self.wanted = self.history.hyperparameters

    def end(self, reason: StopReason, what: str) -> None:
        """End the run here, with a Stop made by the server."""
        self.history.stop = Stop(reason, max(0, self.history.last_step), what)
        self.phase = Phase.ENDED

    def ended(self, stop: Stop) -> None:
        """End with the Stop that its worker reports. Where recorded steps are repeated and end
        sooner than before, they stay: the run can go on where they were recorded."""
        last = self.history.last_step
        if stop.reason in BY_ITSELF and stop.step < last:
            what = (
                f"{stop.what}, while the steps to {last:,} were repeated: they were recorded with "
                "other rounding, by another machine or version"
            )
            stop = Stop(StopReason.INTERRUPTED, last, what)
        self.history.stop = stop
        self.phase = Phase.ENDED

    def unfinished(self, ahead: int) -> Unfinished:
        """Its line in a list of the runs that have not ended."""
        last = self.history.last_step
        return Unfinished(self.id, self.config, self.phase, ahead, self.attended, last)

    def view(self, start: int, most: int | None, ahead: int, failure: str) -> RunView:
        """The RunView of this moment."""
        history = self.history
        return RunView(
            id=self.id,
            config=history.config,
            phase=self.phase,
            ahead=ahead,
            unwatched=self.unwatched,
            stretch=self.record.stretch,
            hyper=self.wanted,
            status=self.status,
            stop=history.stop,
            worker_pid=self.worker.pid if self.worker else None,
            marks=history.marks,
            columns=history.columns(history.select(start, most)),
            latest=history.latest(),
            diagnoses=tuple(diagnose(history)),
            stable=last_stable(history),
            start=start,
            last_step=history.last_step,
            kept=self.snapshot.step if self.snapshot else None,
            inspection=self.inspection.view(),
            prediction=self.prediction.view(),
            origin=self.record.origin,
            unrecorded=failure,
            arithmetic=self.arithmetic,
            examples=self.examples,
            computed=self.computed,
        )
