"""What becomes of a cell, judged from its samples; importable without torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from samedge_core.analysis.summary import EDGE_PHASE
from samedge_core.sweeps.rows import Row
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.training.diagnosis import NEAR
from samedge_core.training.history import edge_at
from samedge_core.training.stop import Stop, StopReason

FLIPPING = 0.8  # least share of pairs of steps whose gradient flips along v1, at an edge
CHANCE = 1.5  # times the accuracy of guessing: at most this, nothing was learnt


class Samples(NamedTuple):
    """What was measured of one cell; arrays (m,), in the order of the steps, NaN for unknown.

    Attributes:
        step: of the iterate w_t.
        leading: ||H(w_t)||_op; of a preconditioned rule, that of its edge operator. converged:
            whether its estimate met the tolerance.
        grad_norm: of w_t.
        accuracy, held_out_loss: of w_t.
        flipped: 1 where <g_t, v1> and <g_(t+1), v1> differ in sign, else 0; v1 is that of w_t.
    """

    step: NDArray[np.int64]
    leading: NDArray[np.float64]
    converged: NDArray[np.bool_]
    grad_norm: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    held_out_loss: NDArray[np.float64]
    flipped: NDArray[np.float64]


class End(NamedTuple):
    """A cell's last finite loss and gradient norm, and its seconds of computing."""

    loss: float
    grad_norm: float
    seconds: float


def sample_steps(steps: int, samples: int) -> NDArray[np.int64]:
    """Return at most `samples` of the steps 0 ... `steps` - 1, evenly spread, both ends included.

    >>> sample_steps(2000, 5).tolist(), sample_steps(3, 40).tolist()
    ([0, 500, 1000, 1499, 1999], [0, 1, 2])
    """
    return np.linspace(0, steps - 1, min(samples, steps)).round().astype(np.int64)


def judge(config: RunConfig, samples: Samples, stop: Stop, end: End) -> Row:
    """Return the Row of a cell that has ended; its `cell` is -1."""
    edge = edge_at(config, config.hyperparameters, samples.step, samples.grad_norm)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = samples.leading / edge
    late = slice(len(ratio) // 2, None)
    reached = np.flatnonzero((ratio >= EDGE_PHASE) & (samples.flipped == 1))
    phase = slice(reached[0], None) if len(reached) else late
    accuracy, flips = _last(samples.accuracy), _known(samples.flipped[late])
    hopping = float(flips.mean()) if len(flips) else np.nan
    place = _place(ratio[late], hopping)
    sharpness = samples.leading
    if RULES[config.rule].preconditioned:  # what was measured is no sharpness
        sharpness = edge = np.full(len(ratio), np.nan)
    return Row(
        cell=-1,
        fate=_fate(config, stop, accuracy, place),
        steps=stop.step,
        reached_edge_at=int(samples.step[reached[0]]) if len(reached) else None,
        ratio=_median(ratio[phase]),
        deviation=_median(np.abs(ratio[phase] - 1)),
        hopping=hopping,
        sharpness=_last(sharpness),
        edge=_last(np.broadcast_to(edge, ratio.shape)),
        grad_norm=end.grad_norm,
        loss=end.loss,
        accuracy=accuracy,
        held_out_loss=_last(samples.held_out_loss),
        unconverged=float(1 - samples.converged.mean()) if len(ratio) else np.nan,
        what=stop.what,
        seconds=end.seconds,
        start_sharpness=_first(samples, sharpness),
        start_grad_norm=_first(samples, samples.grad_norm),
    )


def _place(ratio: NDArray[np.float64], hopping: float) -> str:
    """Where the last half of the samples is, by their sharpness / edge."""
    if _median(np.abs(ratio - 1)) <= NEAR and hopping >= FLIPPING:
        return "at its edge"
    return "above its edge" if _median(ratio) > 1 + NEAR else "below its edge"


def _fate(config: RunConfig, stop: Stop, accuracy: float, place: str) -> str:
    if stop.reason is StopReason.DIVERGED:
        return "diverged"
    chance = config.spec.chance
    if chance is not None and accuracy <= CHANCE * chance:
        return "dead"
    if stop.reason is StopReason.CONVERGED:
        return "converged"
    return place


def _first(samples: Samples, values: NDArray[np.float64]) -> float:
    """The value at step 0, NaN without a sample there."""
    return float(values[0]) if len(values) and samples.step[0] == 0 else np.nan


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


def _last(values: NDArray[np.float64]) -> float:
    known = _known(values)
    return float(known[-1]) if len(known) else np.nan


def _median(values: NDArray[np.float64]) -> float:
    known = _known(values)
    return float(np.median(known)) if len(known) else np.nan
