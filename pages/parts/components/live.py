"""The live charts: one component that stays mounted and draws with Plotly.js in the browser.

`st.plotly_chart` makes a new chart at every change of its data, so zoom and legend choices are lost
at every tick. Here only the new rows travel; `static/live.js` keeps the run's rows and redraws.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import streamlit as st
from streamlit.components.v2 import component

from pages.parts.components import wire
from pages.parts.frame import assets
from samedge_core.analysis.compare import Axis
from samedge_core.theory.rules import RULES

Charts = Literal["lab", "paper", "lesson"]

# Columns that the charts draw, beside the edges; a run may record more, which need not travel.
BANDS = (
    "A long run has more steps than a chart has room for: a line then shows means of a few steps "
    "each, and the band around it goes from the least to the most of them."
)
LONG = 500  # steps, about: more do not fit into a chart one by one
_DRAWN = frozenset(
    {"step", "time", "evals", "sharpness", "converged", "residual", "ratio", "grad_norm", "edge"}
    | {"edge_value", "edge_residual", "plain_value", "eta", "rho"}
    | {"loss", "accuracy", "held_out_loss", "held_out_accuracy"}
    | {"align_grad", "align_sam", "align_grad_k", "align_sam_k"}
    | {"batch_sharpness", "batch_sharpness_error"}
    | {f"lambda_{k}" for k in range(2, 11)}
)


@dataclass(frozen=True)
class RunUpdate:
    """New rows of one run, or buckets of rows: those with start < step <= stop.

    `id` is unique per run and epoch (a rewind makes a new id). A run that starts at step 0 begins
    with start = -1. `full=True` replaces what the browser holds. `columns` maps a name to an array
    of shape (rows,), NaN where a quantity was not measured; only `step` is required, and it grows.
    `low` and `high` have the least and most of buckets, as `training.drawn.Drawn` has them.
    `interventions` are (step, text) pairs; sending old ones again does no harm.
    `note` says what was measured, where that is not the whole of a step's batch.
    `abandoned` marks a branch that was left by rewinding: its rows from there on, drawn in grey and
    not counted as a run. It keeps the `id` that the run had while it was shown, so that it is not
    drawn as the previous run too; its first update is a full one.
    `predicts` is the id of the run whose prediction these rows are; `doubtful` are the steps, from
    and to, between which it does not hold.
    With `weight_decay`, what is called 2/η is less by that.
    `exact` is the row at the cursor, by column: of a long run the browser may not have it.
    """

    id: str
    label: str
    rule: str
    start: int
    stop: int
    full: bool
    columns: Mapping[str, np.ndarray]
    interventions: Sequence[tuple[int, str]] = ()
    note: str = ""
    weight_decay: float = 0.0
    abandoned: bool = False
    predicts: str = ""
    doubtful: Sequence[tuple[int, int]] = ()
    exact: Mapping[str, float] = field(default_factory=dict)
    low: Mapping[str, np.ndarray] = field(default_factory=dict)
    high: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """How the charts are drawn. None of it changes what is kept in the browser.

    `smooth` is the weight of an exponential moving average, 0 (off) to 0.99. `previous` shows the
    last replaced run as a ghost. `fit` is a counter: when it changes, zooming is undone.
    `operator` says whether charts without a row yet are to have an edge value, or a sharpness.
    """

    x: Axis = "step"
    log_y: bool = False
    smooth: float = 0.0
    top_k: bool = False
    previous: bool = True
    fit: int = 0
    operator: bool = False


@dataclass(frozen=True)
class Cursor:
    """Where the page puts the cursor: at `step`, or nowhere (None).

    `count` is a counter: the browser obeys each new one once, and then it is the reader's again.
    """

    step: int | None = None
    count: int = 0


def encode(
    updates: Sequence[RunUpdate], view: View, cursor: Cursor | None = None
) -> dict[str, Any]:
    """Return the message for the browser: the shown runs and how to draw them; without a `cursor`
    there is no scrubber.

    A column without a value is left out, a constant one is a number, any other is an array of
    `wire.encode`.

    >>> columns = {"step": np.arange(2), "loss": np.array([0.5, np.nan]), "gd_edge": np.full(2, 20)}
    >>> message = encode([RunUpdate("a", "GD", "gd", -1, 1, True, columns)], View())
    >>> message["runs"][0]["columns"]
    {'step': {'from': 0.0, 'by': 1.0, 'rows': 2}, 'loss': {'f4': 'AAAAPwAAwH8='}, 'gd_edge': 20.0}
    """
    runs = [vars(update) | _drawn(update) for update in updates]
    return wire.encode(
        {"runs": runs, "edges": _edge_lines(updates), "view": view, "cursor": cursor}
    )


def _edge_lines(updates: Sequence[RunUpdate]) -> dict[str, dict[str, Any]]:
    """How the edges in these updates are drawn, by column; the threshold, which several rules have,
    as that of one in force."""
    decay = max((update.weight_decay for update in updates), default=0.0)
    in_force = {update.rule for update in updates}
    return {
        rule.column: {
            "name": "threshold" if rule.preconditioned else rule.edge_named(decay),
            "role": rule.look.colour,
            "stroke": {"dash": rule.look.dash, "width": rule.look.width},
            "shape": "linear" if rule.follows_norm else "hv",
        }
        for rule in sorted(RULES.values(), key=lambda rule: rule.name in in_force)
        if any(rule.column in update.columns for update in updates)
    }


def _is_drawn(column: str) -> bool:
    return column in _DRAWN or any(column == rule.column for rule in RULES.values())


def _drawn(update: RunUpdate) -> dict[str, Any]:
    """The numbers of an update that the charts draw, and how many rows they belong to."""
    columns, low, high = (_known(each) for each in (update.columns, update.low, update.high))
    exact = {
        name: float(value)
        for name, value in update.exact.items()
        if _is_drawn(name) and math.isfinite(value)
    }
    rows = len(update.columns.get("step", ()))
    return {"rows": rows, "columns": columns, "low": low, "high": high, "exact": exact}


def _known(columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Those of the columns that the charts draw and that have a value."""
    return {
        name: _column(np.asarray(values))
        for name, values in columns.items()
        if len(values) and _is_drawn(name) and not np.isnan(values).all()
    }


def _column(values: np.ndarray) -> float | np.ndarray:
    """The number that all `values`, shape (rows,), are, or the values."""
    first = float(values[0])
    return first if math.isfinite(first) and (values == first).all() else values


_mount = component(
    "samedge_live_charts", js=assets.module("live.js", tall=1290, wide=810), isolate_styles=False
)


def live_charts(
    updates: Sequence[RunUpdate],
    view: View,
    *,
    key: str = "live",
    charts: Charts = "lab",
    on_resync: Callable[[], None],
    on_cursor: Callable[[], None] | None = None,
    cursor: Cursor | None = None,
) -> None:
    """Show the runs in `updates`, all of them in every call, and feed them their new rows, in the
    charts of the lab, the figures of the paper or the few charts of a lesson.

    Call it at every tick, also without new rows (then with empty `columns` and start = stop): a run
    that is missing from `updates` is no longer shown. `on_resync` is called when the browser lacks
    rows, for instance after a lost message: answer with `full=True` and the whole decimated run.

    With `on_cursor` there is a scrubber below the charts. `on_cursor` is called when the reader has
    put the cursor at another step or let it go, and when the browser has obeyed `cursor`;
    `cursor_step` tells where it is.
    """
    placed = (cursor or Cursor()) if on_cursor else None
    data = encode(updates, view, placed) | {"key": key, "charts": charts}
    _mount(key=key, data=data, on_resync_change=on_resync, on_cursor_change=on_cursor)


def cursor_step(key: str = "live") -> int | None:
    """The step of the cursor in these charts, as the browser has last told; None without one."""
    step = st.session_state.get(key, {}).get("cursor")
    return None if step is None else int(step)
