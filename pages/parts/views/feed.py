"""From the registry to the charts: the rows of each run that the browser may lack."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pages.parts.components.live import RunUpdate
from pages.parts.frame.parts import part
from pages.parts.server import registry, seen
from pages.parts.views.predictions import ROWS_AT_FIRST, predictions
from samedge_core.theory.rules import RULES
from samedge_core.worker.view import RunView

ROWS_AN_UPDATE = 180  # of all runs together, some 10 KB
MOST_ABANDONED = 50  # branches drawn: parents from elsewhere may form a long chain, or a ring


def poll(run_ids: Sequence[str], charts: str) -> list[RunView]:
    """Those of the runs that are not gone, each with the rows that the browser may lack in these
    charts.

    A message is lost when a click makes Streamlit run the page again before it was delivered, so
    each one repeats the rows of the one before; the browser drops those it has.
    """
    views, sent = [], _sent(charts)
    for run_id in run_ids:
        start, newest = sent.get(run_id, (-1, -1))
        if view := seen(run_id, start=start):
            sent[run_id] = (newest, view.last_step)
            most = ROWS_AN_UPDATE // len(run_ids) if start >= 0 else ROWS_AT_FIRST
            magnitudes = charts == "paper"  # as the paper draws eigenvalues
            views.append(_with_rows(view, newest, most, magnitudes=magnitudes))
    return views


def updates(
    views: Sequence[RunView],
    called: Sequence[str],
    charts: str,
    cursor: int | None = None,
    *,
    predicted: bool = False,
) -> list[RunUpdate]:
    """What these charts have to draw: each run that can be drawn, called so, what it left, and
    where that is asked for, what is `predicted` of it."""
    found: list[RunUpdate] = []
    for view, name in zip(views, called, strict=True):
        with part(f"The curves of {name or 'this run'}"):
            found.append(update(view, name, cursor))
    with part("What the runs have left by rewinding"):
        found.extend(abandoned(views, charts))
    if predicted:
        with part("What is predicted of the runs"):
            most = ROWS_AN_UPDATE // (2 * max(1, len(views)))
            found.extend(made for view in views for made in predictions(view, _sent(charts), most))
    return found


def _with_rows(view: RunView, newest: int, most: int, *, magnitudes: bool = False) -> RunView:
    """The view with what is drawn of its rows. The browser may have those up to the step `newest`
    or not, so that no bucket may lie on both sides of it."""
    history = registry().history(view.id)
    drawn = history.drawn(
        view.start, most, stop=view.last_step, ends=[newest], magnitudes=magnitudes
    )
    return replace(view, **vars(drawn))


def abandoned(views: Sequence[RunView], charts: str) -> list[RunUpdate]:
    """What the runs that these have left by rewinding did after that."""
    updates = []
    for view in views:
        left, sent, met = view.origin, _sent(charts), {view.id}
        while left and left.branch == "rewind" and not met & {left.parent}:
            met.add(left.parent)
            start, newest = sent.get(left.parent, (left.step - 1, left.step - 1))
            first = left.parent not in sent
            parent = seen(left.parent, start=start)
            if parent is None or len(met) > MOST_ABANDONED:
                break
            sent[left.parent] = newest, parent.last_step
            rows = update(_with_rows(parent, newest, ROWS_AT_FIRST))
            updates.append(replace(rows, abandoned=True, full=first))
            left = parent.origin
    return updates


def forget_sent(charts: str) -> None:
    """The browser lacks rows in these charts: send everything again."""
    _sent(charts).clear()


def _sent(charts: str) -> dict[str, tuple[int, int]]:
    """By run: the newest step at the poll before the last one, and at the last one."""
    return st.session_state.setdefault(f"sent:{charts}", {})


def update(view: RunView, label: str = "", cursor: int | None = None) -> RunUpdate:
    """The rows of a view as the charts want them; with the whole row at the cursor."""
    return RunUpdate(
        id=view.id,
        label=label or RULES[view.config.rule].short,
        rule=view.hyper.rule,
        start=view.start,
        stop=view.last_step,
        full=view.start < 0,
        columns=_shown(view.columns),
        low=_within(view.low, view.columns),
        high=_within(view.high, view.columns),
        interventions=view.marks,
        note=view.config.measured_part,
        weight_decay=view.config.weight_decay,
        exact={} if cursor is None else _row(view.id, cursor),
    )


def _within(rim: Mapping[str, NDArray[Any]], columns: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The least or most of the columns that are drawn, where these are."""
    return {name: rim[name] for name in _shown({**columns, **rim}) if name in rim}


def _shown(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The columns that are drawn: an edge or a threshold where it was in force, 2/eta beside every
    edge, and edge value and SAM radius where the rule in force has them."""
    where = {rule.column: np.zeros(len(columns["step"]), dtype=bool) for rule in RULES.values()}
    uses_rho, operator = (np.zeros(len(columns["step"]), dtype=bool) for _ in range(2))
    for name, rule in RULES.items():
        in_force = columns["rule"] == name
        where[rule.column] |= in_force
        uses_rho |= in_force & ("rho" in rule.uses)
        operator |= in_force & rule.preconditioned
    where |= {"gd_edge": ~operator, "edge_value": operator, "rho": uses_rho}
    shown = {name: column for name, column in columns.items() if name != "rule"}
    for name, there in where.items():
        if there.any():
            shown[name] = np.where(there, shown[name], np.nan)
        else:
            del shown[name]
    return shown


def _row(run_id: str, step: int) -> dict[str, float]:
    """The recorded row of a step; empty where there is none."""
    history = registry().history(run_id)
    columns = _shown(history.columns(history.select(step - 1)[:1]))
    found = len(columns["step"]) and columns["step"][0] == step
    return {name: float(column[0]) for name, column in columns.items()} if found else {}
