"""What a run has shown so far, in a sentence made from its record; importable without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samedge_core.analysis.summary import EDGE_PHASE, shown
from samedge_core.theory.edges import gd_edge
from samedge_core.theory.rules import RULES, Hyperparameters
from samedge_core.training.diagnosis import HOPPING, WINDOW, few_hops
from samedge_core.training.history import History, against_edge
from samedge_core.training.stop import StopReason

Values = NDArray[np.float64]
ABOVE = 2 - EDGE_PHASE  # a run that starts above this ratio comes down to its edge
AVERAGED = 10  # newest measured rows whose mean ratio is shown: single hops scatter around it
UNSURE = 0.01  # share of estimates that have not converged, from which on the sentence says so


@dataclass(frozen=True)
class Observed:
    """What the measured rows since the last change of eta, rho, beta or rule have shown.

    Attributes:
        since: the step of that change; 0 without one.
        step: newest row that was taken up; -1 before the first.
        start: sharpness / edge at the first of them; NaN before it.
        reached: first step at the edge: its ratio is at least `EDGE_PHASE` (for a run that starts
            above its edge, and at most `ABOVE`), and the steps hop. `again` is the same after
            `WINDOW` measured rows elsewhere, and None before.
        latest_at: newest step at the edge; `away` measured rows have followed it.
        rows, off, low, high, unconverged: since `reached` or `again`, the number of measured rows,
            the sum of |ratio - 1|, the least and greatest ratio, and how many estimates have not
            converged.
        recent: the newest ratios, `AVERAGED` at most.
        newest: step, sharpness, edge (of a preconditioned rule, the eigenvalue of its edge operator
            and its threshold) and share of hops of the newest measured row.
        batches: step, batch sharpness and its standard error, where last measured.
    """

    since: int = 0
    step: int = -1
    start: float = math.nan
    reached: int | None = None
    again: int | None = None
    latest_at: int = -1
    away: int = 0
    rows: int = 0
    off: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    unconverged: int = 0
    recent: tuple[float, ...] = ()
    newest: tuple[int, float, float, float] = (-1, math.nan, math.nan, math.nan)
    batches: tuple[int, float, float] = (-1, math.nan, math.nan)

    @property
    def ratio(self) -> float:
        """Mean of sharpness / edge over the newest rows; NaN before the first."""
        return float(np.mean(self.recent)) if self.recent else math.nan


def observe(history: History, before: Observed | None = None) -> Observed:
    """Return what the record shows; `before` saves the pass over the rows that it has taken up."""
    since = max((item.step for item in history.interventions if item.changes), default=0)
    if before is None or before.since != since or before.step > history.last_step:
        before = Observed(since)
    rows = history.rows_after(max(before.step, since - 1))
    if not len(rows):
        return before
    value, edge = against_edge(history.config, history.hyperparameters, rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = value / edge
    known = np.isfinite(ratio) & np.isfinite(rows["grad_norm"])
    now = replace(before, step=int(rows["step"][-1]), batches=_batches(rows) or before.batches)
    if not known.any():
        return now
    return _take_up(now, rows[known], ratio[known], value[known], edge[known])


def _batches(rows: NDArray[np.void]) -> tuple[int, float, float] | None:
    """The newest batch sharpness of these rows; None without one."""
    measured = rows[np.isfinite(rows["batch_sharpness"])]
    if not len(measured):
        return None
    step, mean, error = measured[-1][["step", "batch_sharpness", "batch_sharpness_error"]].item()
    return step, mean, error


def _take_up(
    seen: Observed, rows: NDArray[np.void], ratio: Values, value: Values, edge: Values
) -> Observed:
    """Take up measured rows, with the ratio at each and what it divides; all of shape (n,)."""
    steps, hopping = rows["step"], rows["hopping"]
    start = float(ratio[0]) if math.isnan(seen.start) else seen.start
    # the first step of a run has none before it; later, earlier versions recorded no hops
    hops = (hopping >= HOPPING) | (np.isnan(hopping) & (steps > 0))
    at = np.flatnonzero((ratio >= EDGE_PHASE) & hops & ((start <= ABOVE) | (ratio <= ABOVE)))
    # row of the newest step at the edge so far, counted from the first of these
    latest = -1 - (WINDOW if seen.reached is None else seen.away)
    begins = at[np.diff(at, prepend=latest) > WINDOW]
    if len(begins):
        newest_arrival = int(steps[begins[-1]])
        if seen.reached is None:
            seen = replace(seen, reached=int(steps[begins[0]]))
        again = None if newest_arrival == seen.reached else newest_arrival
        seen = replace(seen, again=again, **_NONE)
    if len(at):
        latest = int(at[-1])
        seen = replace(seen, latest_at=int(steps[latest]))
    seen = _count(seen, rows, ratio, begins[-1] if len(begins) else 0)
    newest = (steps[-1], value[-1], edge[-1], hopping[-1])
    return replace(
        seen,
        start=start,
        away=len(rows) - 1 - latest,
        recent=(*seen.recent, *ratio[-AVERAGED:].tolist())[-AVERAGED:],
        newest=tuple(value.item() for value in newest),
    )


_NONE: dict[str, Any] = {
    "rows": 0,
    "off": 0.0,
    "low": math.inf,
    "high": -math.inf,
    "unconverged": 0,
}


def _count(
    seen: Observed, rows: NDArray[np.void], ratio: NDArray[np.float64], first: int
) -> Observed:
    """Count the rows from `first` on among those of this stay at the edge, if there is one."""
    if seen.reached is None:
        return seen
    return replace(
        seen,
        rows=seen.rows + len(rows) - first,
        off=seen.off + float(np.abs(ratio[first:] - 1).sum()),
        low=min(seen.low, float(ratio[first:].min())),
        high=max(seen.high, float(ratio[first:].max())),
        unconverged=seen.unconverged + int(np.sum(~rows["converged"][first:])),
    )


def in_words(seen: Observed, history: History) -> str:
    """Return the sentence on a run; empty before its first measured row."""
    if math.isnan(seen.start):
        return ""
    rule = RULES[history.hyperparameters.rule]
    if history.stop and history.stop_reason is StopReason.DIVERGED:
        step, _, _, _ = seen.newest
        was = "" if seen.reached is None else f", having reached its edge at step {seen.reached:,}"
        text = (
            f"diverged at step {history.stop.step:,}{was}; its {rule.quantity} was "
            f"{shown(seen.recent[-1], digits=3)} times its {rule.limit} at step {step:,}"
        )
    elif seen.reached is None:
        when = "ended" if history.stop else "now"
        text = f"{when} {_place(seen)}{_unless(seen)}: {_now(seen, history)}"
    elif seen.away >= WINDOW:
        text = f"{_stay(seen)} and is now {_place(seen)}{_unless(seen)}: {_now(seen, history)}"
    else:
        text = f"{_reached(seen)}; {_since_then(seen, rule.ratio)}"
    if seen.since:
        changed = [item for item in history.interventions if item.step == seen.since]
        text = f"since step {seen.since:,} ({', '.join(item.label for item in changed)}): {text}"
    return f"{text[:1].upper()}{text[1:]}.{_of_batches(seen, history.hyperparameters)}"


def _of_batches(seen: Observed, hyper: Hyperparameters) -> str:
    """What SGD's batches say, which have an edge of their own."""
    step, mean, error = seen.batches
    if step < 0 or hyper.rule != "gd":
        return ""
    measured = f"{shown(mean, digits=3)} ± {shown(error, digits=2)}"
    of = shown(mean / gd_edge(hyper.eta), digits=3)
    measured = f"{measured} at step {step:,}: {of} of 2/η"
    return f" The batch sharpness, which SGD holds at 2/η, is {measured}."


def _reached(seen: Observed) -> str:
    above = f"started at {shown(seen.start, digits=3)} times its edge and reached it"
    came = above if seen.start > ABOVE else "reached its edge"
    again = "" if seen.again is None else f", again at step {seen.again:,}"
    return f"{came} at step {seen.reached:,}{again}"


def _stay(seen: Observed) -> str:
    first, last = f"{seen.again or seen.reached:,}", f"{seen.latest_at:,}"
    when = f"at step {first} only" if first == last else f"at steps {first} to {last}"
    return f"was {'last ' if seen.again else ''}at its edge {when}"


def _since_then(seen: Observed, ratio: str) -> str:
    """What followed the first step at the edge."""
    low, high = (shown(ratio, digits=3) for ratio in (seen.low, seen.high))
    text = (
        f"since then {ratio} has been between {low} and {high}, on average "
        f"{100 * seen.off / seen.rows:.2g} % from 1"
    )
    if (share := seen.unconverged / seen.rows) >= UNSURE:
        text += f", though {100 * share:.0f} % of the estimates have not converged"
    return text


def _place(seen: Observed) -> str:
    """Where the newest row is that is not at the edge."""
    ratio = seen.recent[-1]
    if ratio < EDGE_PHASE:
        return "below its edge"
    return "above its edge" if ratio > ABOVE else "near its edge"


def _unless(seen: Observed) -> str:
    """Why a ratio near 1 is not the edge: too few of the newest steps hop; empty elsewhere."""
    if _place(seen) != "near its edge":
        return ""
    hopping = seen.newest[-1]
    if math.isnan(hopping):  # of the first step of a run
        return ", but no step before it could hop across the valley"
    return f", but {few_hops(hopping)}"


def _now(seen: Observed, history: History) -> str:
    """Sharpness and edge at the newest measured row."""
    step, sharpness, edge, _ = seen.newest
    rule, decay = RULES[history.hyperparameters.rule], history.config.weight_decay
    measured, limit = shown(sharpness, digits=3), shown(edge, digits=3)
    return f"{rule.quantity} {measured}, {rule.edge_named(decay)} {limit} at step {step:,}"
