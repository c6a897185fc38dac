"""Summary: a run in one row of numbers; importable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from samedge_core.theory.rules import RULES
from samedge_core.training.diagnosis import HOPPING, diagnose
from samedge_core.training.history import History

LARGE = 1e6  # numbers from here on are written as 1.2e+06
EDGE_PHASE = 0.95
"""The edge phase begins where sharpness / edge first reaches this while the steps hop."""


@dataclass(frozen=True)
class Summary:
    """One run in numbers; NaN (None for whole numbers) where a number is not known.

    Attributes:
        rule, eta, rho: in force at the end.
        parameters: length of w.
        steps: recorded.
        edge_phase_start: first step whose ratio of sharpness and edge is at least `EDGE_PHASE`
            while the steps hop across the valley; by the ratio alone where an earlier version
            recorded no hops, and 0 then means that the run starts at its edge or above. The edge
            phase lasts to the end of the run, and only rows whose sharpness was measured belong to
            it.
        deviation, ratio: medians over the edge phase of |ratio - 1| and of sharpness / edge.
        hopping: median share, 0 to 1, of hops over the last half of the edge phase.
        align_grad, align_sam: medians over the edge phase of the alignments with v1, from 0 to 1.
        loss, accuracy, held_out_loss, held_out_accuracy: the last finite ones.
        unconverged: share, 0 to 1, of the measured rows whose estimate has not converged.
        diagnoses: faults of the run, in words.
    """

    problem: str
    rule: str
    eta: float
    rho: float
    batch_size: int
    seed: int
    parameters: int | None
    steps: int
    edge_phase_start: int | None
    deviation: float
    ratio: float
    hopping: float
    align_grad: float
    align_sam: float
    loss: float
    accuracy: float
    held_out_loss: float
    held_out_accuracy: float
    unconverged: float
    diagnoses: tuple[str, ...]

    @property
    def at_edge(self) -> bool:
        """Whether the run came to its edge and still hops there, as far as hops are recorded."""
        return self.edge_phase_start is not None and not self.hopping < HOPPING


_LABELS = {
    "parameters": "Parameters",
    "steps": "Steps",
    "rule": "Update rule at the end",
    "eta": "Step size η at the end",
    "rho": "SAM radius ρ at the end",
    "loss": "Training loss at the end",
    "accuracy": "Training accuracy at the end (0 to 1)",
    "held_out_loss": "Held-out loss at the end",
    "held_out_accuracy": "Held-out accuracy at the end (0 to 1)",
    "edge_phase_start": f"Edge phase from step ({{ratio}} ≥ {EDGE_PHASE}, steps hop)",
    "ratio": "{Ratio}, median in the edge phase",
    "deviation": "|{ratio} − 1|, median in the edge phase",
    "hopping": "Steps that hop, median in the last half of the edge phase (share)",
    "align_grad": "Alignment of the gradient, median in the edge phase",
    "align_sam": "Alignment of the SAM gradient, median in the edge phase",
    "unconverged": "{Quantity} estimates that have not converged (share)",
}

_AT_END = ("loss", "accuracy", "held_out_loss", "held_out_accuracy")


def summarise(history: History) -> Summary:
    """Return the Summary of a run, finished or not; takes one pass over its rows."""
    config, hyper = history.config, history.hyperparameters
    columns = history.columns()
    known = ~np.isnan(columns["sharpness"]) | ~np.isnan(columns["edge_value"])
    measured = _rows(columns, known)
    reached = np.flatnonzero(_at_edge(measured))
    start = int(reached[0]) if len(reached) else None
    phase = _rows(measured, slice(len(measured["step"]) if start is None else start, None))
    late = _rows(phase, slice(len(phase["step"]) // 2, None))
    unconverged = ~measured["converged"]
    return Summary(
        problem=config.problem,
        rule=hyper.rule,
        eta=hyper.eta,
        rho=hyper.rho,
        batch_size=config.batch_size,
        seed=config.seed,
        parameters=history.parameters,
        steps=history.last_step + 1,
        edge_phase_start=None if start is None else int(measured["step"][start]),
        deviation=_median(np.abs(phase["ratio"] - 1)),
        **{name: _median(phase[name]) for name in ("ratio", "align_grad", "align_sam")},
        hopping=_median(late["hopping"]),
        **{name: _last(columns, name) for name in _AT_END},
        unconverged=float(np.mean(unconverged)) if len(unconverged) else math.nan,
        diagnoses=tuple(diagnose(history)),
    )


def _at_edge(measured: dict[str, NDArray]) -> NDArray[np.bool_]:
    """Whether each measured row is at its edge, (n,)."""
    hopping = measured["hopping"]
    unrecorded = np.isnan(hopping)
    # the first step of a run has none before it, and so is no hop
    unrecorded[:1] &= unrecorded[:2].all()
    return (measured["ratio"] >= EDGE_PHASE) & (unrecorded | (hopping >= HOPPING))


def in_words(summary: Summary) -> list[tuple[str, str]]:
    """Return (label, value) of what the configuration does not say; a dash for unknown."""
    words = {name: shown(getattr(summary, name), digits=5) for name in _LABELS}
    if summary.edge_phase_start == 0:
        words["edge_phase_start"] = "0: the run starts at its edge or above"
    rule = RULES[summary.rule]
    named = {"ratio": rule.ratio, "Ratio": rule.ratio.capitalize()}
    named["Quantity"] = rule.quantity.capitalize()
    rows = [(label.format(**named), words[name]) for name, label in _LABELS.items()]
    return [*rows, *(("Diagnosis", diagnosis) for diagnosis in summary.diagnoses)]


def shown(value: str | float | None, *, digits: int) -> str:
    """Return a value as people read it, to so many significant digits; a dash for unknown."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        whole = 10 ** (digits - 1) <= abs(value) < LARGE  # 1.9e+04 is hard to read
        return f"{float(f'{value:.{digits}g}'):,.0f}" if whole else f"{value:.{digits}g}"
    return f"{value:,}" if isinstance(value, int) else value


def _rows(columns: dict[str, NDArray], chosen: NDArray | slice) -> dict[str, NDArray]:
    return {name: column[chosen] for name, column in columns.items()}


def _median(values: NDArray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else math.nan


def _last(columns: dict[str, NDArray], name: str) -> float:
    values = columns.get(name, np.empty(0))
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else math.nan
