"""What a page sees of a run; importable without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from numpy.typing import NDArray

from samedge_core.store import Origin
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.computed import Computed, Examples
from samedge_core.training.config import LIVE_FIELDS, RunConfig
from samedge_core.training.stop import Stop
from samedge_core.worker.inspections import InspectionView
from samedge_core.worker.messages import Status
from samedge_core.worker.predictions import PredictionView


class Phase(Enum):
    """The status of a run."""

    WAITING = "waiting"  # for a free worker
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"

    @property
    def active(self) -> bool:
        """Whether the run waits for a worker, starts or takes steps."""
        return self in (Phase.WAITING, Phase.STARTING, Phase.RUNNING)


@dataclass(frozen=True)
class Unfinished:
    """A run that has not ended, for a list of all of them.

    Attributes:
        ahead: runs that wait before this one.
        attended: it pauses while no page polls, and goes before those that do not.
        last_step: step of its newest row; -1 before the first.
    """

    id: str
    config: RunConfig
    phase: Phase
    ahead: int
    attended: bool
    last_step: int


@dataclass(frozen=True)
class RunView:
    """What a page needs to show a run, as of now.

    Attributes:
        ahead: runs that wait before this one.
        unwatched: paused because nobody was polling.
        stretch: the initial step cap; each Resume at the cap adds as many steps to the config's.
        hyper: eta, rho, beta and rule as last requested; in force from the next step on.
        status: the worker's last report, or None.
        stop: why it ended, or None.
        worker_pid: of the process that it runs in; None without one, and until that is ready.
        marks: (step, label) of every intervention.
        columns: `History.columns` of the requested rows (thinned), all after `start`; or, with
            `low` and `high`, what is drawn of them (`training.drawn.Drawn`).
        latest: the columns of the newest row at which the sharpness was measured; empty before.
        diagnoses: faults of the run, in words.
        stable: after a divergence, the step to go back to.
        start, last_step: the step before the requested rows, and that of the newest row.
        kept: steps taken at the last snapshot; None before there is one.
        inspection: the step inspections.
        prediction: what flows predict of it.
        origin: the run that it left, and where; None for one from step 0.
        arithmetic: in words, empty for compiled kernels that are ready.
        examples, computed: what the network computes at a late step, the newest one in a pause and
            at the end; None where that can't be drawn, and until the run takes a step here.
        unrecorded: why it is not being recorded in the store; empty while it is.
    """

    id: str
    config: RunConfig
    phase: Phase
    ahead: int
    unwatched: bool
    stretch: int
    hyper: Hyperparameters
    status: Status | None
    stop: Stop | None
    worker_pid: int | None
    marks: tuple[tuple[int, str], ...]
    columns: dict[str, NDArray[Any]]
    latest: dict[str, Any]
    diagnoses: tuple[str, ...]
    stable: int | None
    start: int
    last_step: int
    kept: int | None
    inspection: InspectionView
    prediction: PredictionView
    origin: Origin | None
    unrecorded: str
    arithmetic: str = ""
    examples: Examples | None = None
    computed: Computed | None = None
    low: dict[str, NDArray[Any]] = field(default_factory=dict)
    high: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def in_force(self) -> RunConfig:
        """The configuration with eta, rho, beta and rule as they are now."""
        return self.config.replace(**{name: getattr(self.hyper, name) for name in LIVE_FIELDS})

    @property
    def entered(self) -> RunConfig:
        """What the controls show of the run: what is in force, and the steps that Resume adds."""
        return self.in_force.replace(steps=self.stretch)

    @property
    def pausing(self) -> bool:
        """Whether a pause was requested and the worker has not reported it yet: rows still come."""
        working = self.worker_pid is not None and self.status is not None and self.status.running
        return self.phase is Phase.PAUSED and working
