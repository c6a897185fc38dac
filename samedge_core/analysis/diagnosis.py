"""Faults that a run's record shows, in words; importable without torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from samedge_core.training.history import History
from samedge_core.training.stop import StopReason

WINDOW = 50  # newest measured rows that are judged; fewer give no judgement


def diagnose(history: History) -> Iterator[str]:
    """Yield sentences that name a fault and what to try; none for a healthy run."""
    recent = history.recent(WINDOW * history.config.longest_gap)
    measured = ~np.isnan(recent["sharpness"])
    if measured.sum() < WINDOW:
        return
    rows = {name: column[measured] for name, column in recent.items()}
    yield from _dead_network(history, rows)
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


def _dead_network(history: History, rows: dict[str, np.ndarray]) -> Iterator[str]:
    """Accuracy at chance with a ratio near 1: the edge is met, but nothing is learnt."""
    chance = history.config.spec.chance
    accuracy = rows["accuracy"]
    if chance is None or np.max(accuracy) > 1.5 * chance:
        return
    ratio = float(np.median(rows["ratio"]))
    if abs(ratio - 1) < 0.1:
        yield (
            f"This looks like a dead network: the accuracy, {accuracy[-1]:.2f}, is at chance "
            f"although the ratio sharpness/edge is {ratio:.3f}. The ratio alone proves nothing. "
            "Try a smaller ρ or η from the start."
        )


def _unconverged(rows: dict[str, np.ndarray]) -> Iterator[str]:
    share = 1 - float(np.mean(rows["converged"]))
    if share > 0.1:
        yield (
            f"{share:.0%} of the last sharpness estimates have not converged (open markers): they "
            "are lower bounds. The leading eigenvalues may be very close together."
        )
