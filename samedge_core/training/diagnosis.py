"""Faults that a run's record shows, in words; importable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from samedge_core.theory.rules import RULES
from samedge_core.training.stop import StopReason

if TYPE_CHECKING:
    from samedge_core.training.history import History

WINDOW = 50  # newest measured rows that are judged; fewer give no judgement while the run goes on
LEAST = 10  # rows that are judged of a run that has ended
HOPPING = 0.5  # least share of hops at an edge: below, the steps stay on one side of the valley
NEAR = 0.1  # a ratio within this of 1 looks like an edge

Rows = dict[str, NDArray]


def diagnose(history: History) -> Iterator[str]:
    """Yield sentences that name a fault and what to try; none for a healthy run."""
    recent = history.recent(WINDOW * history.config.longest_gap)
    known = ~np.isnan(recent["sharpness"]) | ~np.isnan(recent["edge_value"])
    measured = np.flatnonzero(known)[-WINDOW:]
    rows = {name: column[measured] for name, column in recent.items()}
    converged = history.stop_reason is StopReason.CONVERGED
    if converged and len(measured):
        yield from _stationary(history, rows)
    if len(measured) < (LEAST if history.stop else WINDOW):
        return
    if not converged:
        yield from _dead_network(history, rows)
        if history.stop:  # earlier, a hop that grows from rounding may not be seen yet
            yield from _resting(rows)
    yield from _unconverged(rows)


def last_stable(history: History) -> int | None:
    """Return the step to go back to after a divergence: the last whose loss was at most that at the
    start. None if the run has not diverged, or its first loss is not finite."""
    if history.stop_reason is not StopReason.DIVERGED:
        return None
    columns = history.columns()
    loss = columns["loss"]
    calm = np.flatnonzero(np.isfinite(loss) & (loss <= loss[:1]))
    return int(columns["step"][calm[-1]]) if len(calm) else None


def _stationary(history: History, rows: Rows) -> Iterator[str]:
    """A gradient that vanished elsewhere than at a minimum."""
    values = [rows[n][-1] for n in rows if n.startswith("lambda_")]
    sharpness = rows["sharpness"][-1]
    least = 0.0 if np.isnan(sharpness) else np.nanmin(values)
    if sharpness == 0:
        yield (
            "The gradient is zero, and so is the curvature: the loss is flat here. The units are "
            f"dead or saturated, or the numbers too small for {history.config.dtype}. Try a "
            "smaller η or ρ, or another initial point."
        )
    elif least < -max(1e-3 * sharpness, rows["residual"][-1]):
        yield (
            f"The run converged to a saddle, not to a minimum: {least:.3g} is an eigenvalue of the "
            "Hessian. Try another initial point."
        )
    elif _at_chance(history, rows):
        yield (
            f"The run converged without having learnt: the accuracy, {rows['accuracy'][-1]:.2f}, "
            "is at chance. This looks like a dead network. Try a smaller ρ or η from the start."
        )


def _at_chance(history: History, rows: Rows) -> bool:
    chance = history.config.spec.chance
    return chance is not None and bool(np.max(rows["accuracy"]) <= 1.5 * chance)


def _dead_network(history: History, rows: Rows) -> Iterator[str]:
    """Accuracy at chance with a ratio near 1: the edge is met, but nothing is learnt."""
    ratio = float(np.median(rows["ratio"]))
    if _at_chance(history, rows) and abs(ratio - 1) < NEAR:
        yield (
            f"This looks like a dead network: the accuracy, {rows['accuracy'][-1]:.2f}, is at "
            f"chance although {_ratio(rows)} is {ratio:.3f}. The ratio alone proves nothing. Try a "
            "smaller ρ or η from the start."
        )


def _resting(rows: Rows) -> Iterator[str]:
    """A ratio near 1 without the hop that holds the sharpness there."""
    known = rows["hopping"][~np.isnan(rows["hopping"])]
    if not len(known):
        return
    ratio, hopping = float(np.median(rows["ratio"])), float(np.median(known))
    if abs(ratio - 1) < NEAR and hopping < HOPPING:
        yield (
            f"The ratio {_ratio(rows)} is {ratio:.3f}, but {few_hops(hopping)}: the run is near "
            "its edge, not at it. Try more steps or a larger η."
        )


def _ratio(rows: Rows) -> str:
    return RULES[rows["rule"][-1]].ratio


def few_hops(share: float) -> str:
    """Why a ratio near 1 is not the edge, from the share of steps that hop.

    >>> few_hops(0.25), few_hops(0.0)
    ('only 25 % of the steps hop across the valley', 'no step hops across the valley')
    """
    percent = round(100 * share)
    who = f"only {percent} % of the steps hop" if percent else "no step hops"
    return f"{who} across the valley"


def _unconverged(rows: Rows) -> Iterator[str]:
    share = 1 - float(np.mean(rows["converged"]))
    if share > 0.1:
        quantity = RULES[rows["rule"][-1]].quantity
        yield (
            f"{share:.0%} of the last {quantity} estimates have not converged (open markers): they "
            "are lower bounds. The leading eigenvalues may be very close together."
        )
