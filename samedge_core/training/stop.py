"""Why a run stopped: a name for code, a sentence with a remedy for people."""

from __future__ import annotations

from enum import Enum
from html import escape

import msgspec


class StopReason(Enum):
    """Why a run ended; `remedy` says what to do next."""

    DIVERGED = "diverged"
    CONVERGED = "converged"
    STEP_CAP = "step cap"
    STOPPED = "stopped"
    WORKER_LOST = "worker lost"
    UNWATCHED = "unwatched"
    INTERRUPTED = "interrupted"
    ELSEWHERE = "elsewhere"
    FAILED = "failed"

    @property
    def remedy(self) -> str:
        """What a person can do to go on."""
        return _REMEDIES.get(self, _RESUME)

    @property
    def resumable(self) -> bool:
        """Whether the run can be resumed."""
        return self not in _FINAL


# of a run on a page and in a script alike, so neither buttons nor commands are named
_RESUME = "resume it from the last snapshot; nothing recorded is lost"
_REMEDIES = {  # other than that
    StopReason.DIVERGED: "lower the step size η (or ρ) and start again",
    StopReason.CONVERGED: "start again with another η, ρ or initial point",
    StopReason.STEP_CAP: "resume with more steps, or change a setting and start again",
    StopReason.ELSEWHERE: "fork it here, or wait until it has stopped there",
    StopReason.FAILED: "change the setting that the message names and start again",
}


_FINAL = (StopReason.DIVERGED, StopReason.CONVERGED, StopReason.FAILED, StopReason.ELSEWHERE)


BY_ITSELF = (StopReason.DIVERGED, StopReason.CONVERGED, StopReason.STEP_CAP)
"""The reasons that lie in the run, so that its repetition ends at the same step."""


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stop at `step`: its reason and what happened in words."""

    reason: StopReason
    step: int
    what: str

    @property
    def message(self) -> str:
        """What happened, and the remedy."""
        what = self.what.rstrip(".")
        return f"{what[:1].upper()}{what[1:]}. To go on: {self.reason.remedy}."

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<p><b>{escape(self.reason.value)}</b>: {escape(self.message)}</p>"


def left_range(step: int) -> Stop:
    """The Stop of a run whose loss or gradient at `step` is not finite."""
    what = f"diverged: the loss left the finite range at step {step:,}"
    return Stop(StopReason.DIVERGED, step, what)


def diverged(step: int, loss: float, more: str = "") -> Stop:
    """The Stop of a run whose loss has grown too far; `more` is said after it."""
    what = f"diverged: the loss is {loss:.3g} at step {step:,}{more}"
    return Stop(StopReason.DIVERGED, step, what)


def converged(step: int, grad_norm: float, more: str = "") -> Stop:
    """The Stop of a run whose gradient has vanished; `more` is said after it."""
    what = f"converged: the gradient norm is {grad_norm:.3g} at step {step:,}{more}"
    return Stop(StopReason.CONVERGED, step, what)


def step_cap(steps: int) -> Stop:
    """The Stop of a run that has taken all its steps."""
    return Stop(StopReason.STEP_CAP, steps, f"all {steps:,} steps are taken")
