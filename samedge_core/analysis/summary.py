"""Summary: a run in one row of numbers; importable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from samedge_core.theory.rules import RULES
from samedge_core.training.history import History

EDGE_PHASE = 0.95
"""The edge phase begins where sharpness / edge first reaches this."""


@dataclass(frozen=True)
class Summary:
    """One run in numbers; NaN (None for whole numbers) where a number is not known.

    Attributes:
        rule, eta, rho: in force at the end.
        parameters: length of w.
        steps: recorded.
        edge_phase_start: step at which the edge phase begins. It lasts to the end of the run, and
            only rows whose sharpness was measured belong to it. 0 means that the run starts at its
            edge or above.
        deviation, ratio: medians over the edge phase of |ratio - 1| and of sharpness / edge.
        align_grad, align_sam: medians over the edge phase of the alignments with v1, from 0 to 1.
        loss, accuracy, held_out_loss, held_out_accuracy: the last finite ones.
        unconverged: share, 0 to 1, of the measured rows whose estimate has not converged.
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
    align_grad: float
    align_sam: float
    loss: float
    accuracy: float
    held_out_loss: float
    held_out_accuracy: float
    unconverged: float


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
    "edge_phase_start": f"Edge phase from step (sharpness / edge ≥ {EDGE_PHASE})",
    "ratio": "Sharpness / edge, median in the edge phase",
    "deviation": "|sharpness / edge − 1|, median in the edge phase",
    "align_grad": "Alignment of the gradient, median in the edge phase",
    "align_sam": "Alignment of the SAM gradient, median in the edge phase",
    "unconverged": "Sharpness estimates that have not converged (share)",
}


def summarise(history: History) -> Summary:
    """Return the Summary of a run, finished or not; takes one pass over its rows."""
    config, hyper = history.config, history.hyperparameters
    columns = history.columns()
    measured = _rows(columns, ~np.isnan(columns["sharpness"]))
    start = _edge_phase_start(measured)
    phase = _rows(measured, slice(len(measured["step"]) if start is None else start, None))
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
        ratio=_median(phase["ratio"]),
        align_grad=_median(phase["align_grad"]),
        align_sam=_median(phase["align_sam"]),
        loss=_last(columns, "loss"),
        accuracy=_last(columns, "accuracy"),
        held_out_loss=_last(columns, "held_out_loss"),
        held_out_accuracy=_last(columns, "held_out_accuracy"),
        unconverged=_share(~measured["converged"]),
    )


def in_words(summary: Summary) -> list[tuple[str, str]]:
    """Return (label, value) of what the configuration does not say; a dash for unknown."""
    words = {name: shown(getattr(summary, name), digits=5) for name in _LABELS}
    if summary.edge_phase_start == 0:
        words["edge_phase_start"] = "0: the run starts at its edge or above"
    return [(label, words[name]) for name, label in _LABELS.items()]


def as_html(history: History) -> str:
    """The run as notebooks show it: its name, why it ended, and its summary; all text escaped."""
    name = f"{RULES[history.config.rule].short} on {history.config.problem}"
    stop = history.stop._repr_html_() if history.stop else "<p>The run has not ended.</p>"
    rows = "".join(
        f"<tr><td>{escape(label)}</td><td>{escape(value)}</td></tr>"
        for label, value in in_words(summarise(history))
    )
    return f"<b>{escape(name)}</b>{stop}<table>{rows}</table>"


def shown(value: str | float | None, *, digits: int) -> str:
    """Return a value as people read it, to so many significant digits; a dash for unknown."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return f"{value:,}" if isinstance(value, int) else value


def _rows(columns: dict[str, NDArray], chosen: NDArray | slice) -> dict[str, NDArray]:
    return {name: column[chosen] for name, column in columns.items()}


def _edge_phase_start(measured: dict[str, NDArray]) -> int | None:
    """Index of the first measured row of the edge phase."""
    reached = np.flatnonzero(measured["ratio"] >= EDGE_PHASE)
    return int(reached[0]) if len(reached) else None


def _median(values: NDArray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else math.nan


def _last(columns: dict[str, NDArray], name: str) -> float:
    values = columns.get(name, np.empty(0))
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else math.nan


def _share(flags: NDArray[np.bool_]) -> float:
    return float(np.mean(flags)) if len(flags) else math.nan
