"""What the server and a worker say to each other; importable without torch.

Every message belongs to a `session`, one stretch of a run in one worker; a message of an earlier
session that is still in the pipe is recognised by its number and dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samedge_core.curvature.kernels import Arithmetic
from samedge_core.curvature.spectral_density import Spectrum
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.config import RunConfig
from samedge_core.training.costs import Cost
from samedge_core.training.history import Intervention
from samedge_core.training.inspection import Inspection
from samedge_core.training.stop import Stop

# --- to the worker


@dataclass(frozen=True)
class Begin:
    """Start a session: from step 0, or from a packed TrainState.

    `replay` are interventions to repeat at their steps; commands wait until `until` is reached.
    """

    session: int
    config: RunConfig
    snapshot: bytes | None = None
    replay: tuple[Intervention, ...] = ()
    until: int = 0
    paused: bool = False
    pace: float | None = None
    arithmetic: Arithmetic = "compiled"


@dataclass(frozen=True)
class Pause:
    """Stop stepping; keep everything."""


@dataclass(frozen=True)
class Resume:
    """Go on stepping."""


@dataclass(frozen=True)
class Advance:
    """Take n steps, then pause."""

    steps: int


@dataclass(frozen=True)
class Change:
    """Change eta, rho, beta or rule from the next step on."""

    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Pace:
    """At most this many steps a second; None is as fast as it goes."""

    steps_per_second: float | None


@dataclass(frozen=True)
class MeasureSpectrum:
    """Measure the spectrum at the current iterate, between two steps. One at a time."""

    request: int


@dataclass(frozen=True)
class DropSpectrum:
    """Never mind the spectrum that is being measured."""


@dataclass(frozen=True)
class Examine:
    """Measure the spectrum at a packed TrainState, without a session around it."""

    session: int
    request: int
    config: RunConfig
    snapshot: bytes
    arithmetic: Arithmetic


@dataclass(frozen=True)
class InspectStep:
    """Inspect a step, from a packed TrainState before it (None: from step 0), without a session
    around it; `replay` are interventions to repeat at their steps."""

    session: int
    request: int
    config: RunConfig
    snapshot: bytes | None
    replay: tuple[Intervention, ...]
    step: int
    with_spectrum: bool
    arithmetic: Arithmetic


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
    """The packed TrainState after `step` steps."""

    session: int
    step: int
    packed: bytes


@dataclass(frozen=True)
class SpectrumProgress:
    """Hessian-vector products done, of so many planned, for the spectrum at `step`."""

    session: int
    request: int
    step: int
    done: int
    total: int


@dataclass(frozen=True)
class SpectrumMade:
    """The spectrum at the iterate before the update of `step`.

    Attributes:
        hyper: eta, rho, beta and rule that were to be in force at that step.
        grad_norm: of the measured batch.
    """

    session: int
    request: int
    step: int
    hyper: Hyperparameters
    grad_norm: float
    spectrum: Spectrum


@dataclass(frozen=True)
class SpectrumFailed:
    """There is no spectrum, and why, in words."""

    session: int
    request: int
    what: str


@dataclass(frozen=True)
class InspectionProgress:
    """So much is done of what comes first: "replay" (steps taken again), "slices" (points of the
    curves), "spectrum" (Hessian-vector products)."""

    session: int
    request: int
    what: str
    done: int
    total: int


@dataclass(frozen=True)
class InspectionMade:
    """The inspection that was asked for."""

    session: int
    request: int
    inspection: Inspection


@dataclass(frozen=True)
class InspectionFailed:
    """There is no inspection, and why, in words."""

    session: int
    request: int
    what: str


@dataclass(frozen=True)
class Ended:
    """The session is over."""

    session: int
    stop: Stop


Command = (
    Begin
    | Pause
    | Resume
    | Advance
    | Change
    | Pace
    | MeasureSpectrum
    | DropSpectrum
    | Examine
    | InspectStep
    | End
)
AboutSpectrum = SpectrumProgress | SpectrumMade | SpectrumFailed
AboutInspection = InspectionProgress | InspectionMade | InspectionFailed
Report = Ready | Rows | Intervened | Status | Snapshot | AboutSpectrum | AboutInspection | Ended
