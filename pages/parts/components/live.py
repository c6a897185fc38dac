"""The live charts: one component that stays mounted and draws with Plotly.js in the browser.

`st.plotly_chart` makes a new chart at every change of its data, so zoom and legend choices are lost
at every tick. Here only the new rows travel; `static/live.js` keeps the run's rows and redraws.
"""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import streamlit as st
from streamlit.components.v2 import component

from pages.parts.frame import assets
from samedge_core.analysis.compare import Axis
from samedge_core.theory.rules import RULES

Charts = Literal["lab", "paper", "lesson"]

# Columns that the charts draw, beside the edges; a run may record more, which need not travel.
_DRAWN = frozenset(
    {"step", "time", "evals", "sharpness", "converged", "residual", "ratio", "grad_norm", "edge"}
    | {"loss", "accuracy", "held_out_loss", "held_out_accuracy", "eta", "rho"}
    | {"align_grad", "align_sam", "align_grad_k", "align_sam_k"}
    | {f"lambda_{k}" for k in range(2, 11)}
)
# The x quantities grow without bound. Sent as Float32 offsets from their first value they stay
# exact for integers over a span of 2**24, at half the size of Float64.
_X_COLUMNS = frozenset({"step", "time", "evals"})


@dataclass(frozen=True)
class RunUpdate:
    """New rows of one run: those with start < step <= stop, possibly decimated.

    `id` is unique per run and epoch (a rewind makes a new id). A run that starts at step 0 begins
    with start = -1. `full=True` replaces what the browser holds. `columns` maps a name to an array
    of shape (rows,), NaN where a quantity was not measured; only `step` is required, and it grows.
    `interventions` are (step, text) pairs; sending old ones again does no harm.
    `note` says what was measured, where that is not the whole of a step's batch.
    `abandoned` marks a branch that was left by rewinding: its rows from there on, drawn in grey and
    not counted as a run. It keeps the `id` that the run had while it was shown, so that it is not
    drawn as the previous run too; its first update is a full one.
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
    abandoned: bool = False
    exact: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """How the charts are drawn. None of it changes what is kept in the browser.

    `smooth` is the weight of an exponential moving average, 0 (off) to 0.99. `previous` shows the
    last replaced run as a ghost. `fit` is a counter: when it changes, zooming is undone.
    """

    x: Axis = "step"
    log_y: bool = False
    smooth: float = 0.0
    top_k: bool = False
    previous: bool = True
    fit: int = 0


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
    """Make the JSON-able message for the browser: the shown runs and how to draw them; without a
    `cursor` there is no scrubber.

    A column of shape (rows,) becomes null (all NaN), a number (constant) or base64 of little-endian
    Float32. An x quantity becomes {"from": a, "by": b} if it is evenly spaced, else {"from": a,
    "offsets": base64}.

    >>> columns = {"step": np.arange(2), "loss": np.array([0.5, np.nan]), "gd_edge": np.full(2, 20)}
    >>> message = encode([RunUpdate("a", "GD", "gd", -1, 1, True, columns)], View())
    >>> message["runs"][0]["columns"]
    {'step': {'from': 0.0, 'by': 1.0}, 'loss': 'AAAAPwAAwH8=', 'gd_edge': 20.0}
    """
    return {
        "runs": [_encode_run(update) for update in updates],
        "edges": _edge_lines(updates),
        "view": asdict(view),
        "cursor": asdict(cursor) if cursor else None,
    }


def _edge_lines(updates: Sequence[RunUpdate]) -> dict[str, dict[str, Any]]:
    """How the edges in these updates are drawn, by column."""
    return {
        rule.column: {
            "name": rule.edge_name,
            "role": rule.look.colour,
            "stroke": {"dash": rule.look.dash, "width": rule.look.width},
            "shape": "linear" if rule.follows_norm else "hv",
        }
        for rule in RULES.values()
        if any(rule.column in update.columns for update in updates)
    }


def _is_drawn(column: str) -> bool:
    return column in _DRAWN or any(column == rule.column for rule in RULES.values())


def _encode_run(update: RunUpdate) -> dict[str, Any]:
    return {
        "id": update.id,
        "label": update.label,
        "rule": update.rule,
        "start": int(update.start),
        "stop": int(update.stop),
        "note": update.note,
        "abandoned": update.abandoned,
        "full": bool(update.full),
        "rows": len(update.columns.get("step", ())),
        "columns": {
            name: _encode_column(name, np.asarray(values, dtype=np.float64))
            for name, values in update.columns.items()
            if len(values) and _is_drawn(name)
        },
        "interventions": [[int(step), str(text)] for step, text in update.interventions],
        "exact": {
            name: float(value)
            for name, value in update.exact.items()
            if _is_drawn(name) and math.isfinite(value)
        },
    }


def _encode_column(name: str, values: np.ndarray) -> float | str | dict[str, Any] | None:
    """Encode values of shape (rows,), rows >= 1."""
    if np.isnan(values).all():
        return None
    first = float(values[0])
    if math.isfinite(first) and (values == first).all():
        return first
    if name in _X_COLUMNS and math.isfinite(first):
        return {"from": first} | _encode_offsets(values - first)
    return _float32(values)


def _encode_offsets(offsets: np.ndarray) -> dict[str, Any]:
    """Encode offsets of shape (rows,), rows >= 2, from the first row on."""
    by = float(offsets[-1]) / (len(offsets) - 1)
    if np.allclose(offsets, by * np.arange(len(offsets)), rtol=0, atol=1e-6 * abs(by)):
        return {"by": by}
    return {"offsets": _float32(offsets)}


def _float32(values: np.ndarray) -> str:
    with np.errstate(over="ignore"):  # a diverged run may leave the range of Float32: inf is right
        return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")


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
    assets.ensure_plotly_js()
    placed = (cursor or Cursor()) if on_cursor else None
    data = encode(updates, view, placed) | {"key": key, "charts": charts}
    _mount(key=key, data=data, on_resync_change=on_resync, on_cursor_change=on_cursor)


def cursor_step(key: str = "live") -> int | None:
    """The step of the cursor in these charts, as the browser has last told; None without one."""
    step = st.session_state.get(key, {}).get("cursor")
    return None if step is None else int(step)
