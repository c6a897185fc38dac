"""Messages between the server and a worker; importable without torch.

Every message belongs to a `session`, one stretch of a run in one worker; a message of an earlier
session that is still in the pipe is recognised by its number and dropped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samedge_core.curvature.kernels import Arithmetic
from samedge_core.prediction.prediction import Prediction
from samedge_core.training.computed import Computed, Examples
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.costs import Cost
from samedge_core.training.edge_test import ForkChange
from samedge_core.training.history import Intervention
from samedge_core.training.inspection import Inspection
from samedge_core.training.stop import Stop

# --- to the worker


@dataclass(frozen=True)
class Begin:
    """Start a session: from step 0, or from a packed TrainState.

    `replay` are interventions to repeat at their steps; commands wait until `until` is reached.
    `data_sha256` is that of the examples that the run began with, where that is known; `room` are
    the bytes that it may take.
    """

    session: int
    config: RunConfig
    snapshot: bytes | None = None
    replay: tuple[Intervention, ...] = ()
    until: int = 0
    paused: bool = False
    pace: float | None = None
    arithmetic: Arithmetic = "compiled"
    data_sha256: str | None = None
    room: float = math.inf


@dataclass(frozen=True)
class Advance:
    """Take so many steps, then pause; infinity takes all of them."""

    steps: float


PAUSE, RESUME = Advance(0), Advance(math.inf)


@dataclass(frozen=True)
class Change:
    """Change eta, rho, beta or rule from the next step on."""

    changes: Changes


@dataclass(frozen=True)
class Pace:
    """At most this many steps a second; None is as fast as it goes."""

    steps_per_second: float | None


@dataclass(frozen=True)
class InspectStep:
    """Inspect a step, from a packed TrainState before it (None: from step 0), without a session
    around it; `replay` are interventions to repeat at their steps; `batches`, `test` and
    `portrait_steps` as for `inspection_at`."""

    config: RunConfig
    snapshot: bytes | None
    replay: tuple[Intervention, ...]
    step: int
    with_spectrum: bool
    arithmetic: Arithmetic
    data_sha256: str | None = None
    room: float = math.inf
    batches: int = 0
    test: ForkChange | None = None
    portrait_steps: int = 0


@dataclass(frozen=True)
class Predict:
    """Predict the steps from `step` on by a flow, a key of `FLOWS`, without a session around it;
    the rest as in InspectStep."""

    config: RunConfig
    snapshot: bytes | None
    replay: tuple[Intervention, ...]
    step: int
    arithmetic: Arithmetic
    flow: str
    data_sha256: str | None = None
    room: float = math.inf


@dataclass(frozen=True)
class LookAhead:
    """Inspect the step that comes next, without a spectrum, as soon as the session is paused or
    waits for its pace."""


@dataclass(frozen=True)
class End:
    """End the session; the worker is then free for another."""


# --- from the worker


@dataclass(frozen=True)
class Ready:
    """The worker has loaded torch and waits for work.

    Attributes:
        pid: of its process.
        gradient_seconds: what one gradient of the default problem takes here, on one thread.
    """

    pid: int
    gradient_seconds: float


@dataclass(frozen=True)
class Rows:
    """New rows (n,) of the History's dtype."""

    session: int
    rows: NDArray[np.void]


@dataclass(frozen=True)
class Intervened:
    """A change has taken effect."""

    session: int
    intervention: Intervention


@dataclass(frozen=True)
class Status:
    """How it goes.

    Attributes:
        steps_per_second: over the last second of stepping.
        cost: of the curvature, over the last measurements.
        parameters: P of the problem.
    """

    session: int
    running: bool
    step: int
    steps_per_second: float
    cost: Cost
    parameters: int


@dataclass(frozen=True)
class Snapshot:
    """The packed TrainState after `step` steps; those that are kept may be `apart` steps apart."""

    session: int
    step: int
    packed: bytes
    apart: int = 0


@dataclass(frozen=True)
class Drawn:
    """What the network computes at a recorded step; `examples` come with the first of a session."""

    session: int
    examples: Examples | None
    computed: Computed


@dataclass(frozen=True)
class InspectionProgress:
    """Units done of a part: "replay" (steps taken again), "slices" (points of the curves),
    "spectrum" (Hessian-vector products), "batches", "test" (steps of both runs)."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class InspectionDone:
    """The inspection of the last InspectStep, or None and why it failed, in words."""

    inspection: Inspection | None
    failure: str = ""


@dataclass(frozen=True)
class Predicted:
    """The next rows of the prediction that the last Predict asked for; its outcome is None until
    these are the last ones."""

    prediction: Prediction


@dataclass(frozen=True)
class PredictionDone:
    """The prediction has ended; where it failed, why, in words."""

    failure: str = ""


@dataclass(frozen=True)
class Ahead:
    """The inspection that the last LookAhead asked for, or None and why it failed, in words."""

    session: int
    inspection: Inspection | None
    failure: str = ""


@dataclass(frozen=True)
class Ended:
    """The session is over."""

    session: int
    stop: Stop


Command = Begin | Advance | Change | Pace | InspectStep | Predict | LookAhead | End
Report = (
    Ready
    | Rows
    | Intervened
    | Status
    | Snapshot
    | Drawn
    | InspectionProgress
    | InspectionDone
    | Predicted
    | PredictionDone
    | Ahead
    | Ended
)
