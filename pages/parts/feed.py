"""From the registry to the charts: what each run has recorded since the browser last heard."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from pages.parts.lab import known, registry
from pages.parts.live import RunUpdate
from samedge_core.rules import RULES
from samedge_core.worker.view import RunView

ROWS_AN_UPDATE = 100
ROWS_AT_FIRST = 600  # a reloaded page gets the whole run at once, thinned


def poll(run_ids: Sequence[str], charts: str) -> list[RunView]:
    """The runs as of now, each with the rows that the browser may lack in these charts.

    A message is lost when a click makes Streamlit run the page again before it was delivered, so
    each one repeats the rows of the one before; the browser drops those it has.
    """
    views, told = [], _told(charts)
    for run_id in run_ids:
        start, newest = told.get(run_id, (-1, -1))
        most = ROWS_AN_UPDATE if start >= 0 else ROWS_AT_FIRST
        view = registry().view(run_id, start=start, most=most)
        told[run_id] = (newest, view.last_step)
        views.append(view)
    return views


def abandoned(views: Sequence[RunView], charts: str) -> list[RunUpdate]:
    """What the runs that these have left by rewinding did after that."""
    updates = []
    for view in views:
        left, told = view.origin, _told(charts)
        while left and left.branch == "rewind" and known(left.parent):
            start, newest = told.get(left.parent, (left.step - 1, left.step - 1))
            first = left.parent not in told
            parent = registry().view(left.parent, start=start, most=ROWS_AT_FIRST)
            told[left.parent] = newest, parent.last_step
            updates.append(replace(update(parent), abandoned=True, full=first))
            left = parent.origin
    return updates


def forget_sent(charts: str) -> None:
    """The browser lacks rows in these charts: send everything again."""
    _told(charts).clear()


def _told(charts: str) -> dict[str, tuple[int, int]]:
    """By run: the newest step at the poll before the last one, and at the last one."""
    return st.session_state.setdefault(f"sent:{charts}", {})


def update(view: RunView, label: str = "") -> RunUpdate:
    """The rows of a view as the charts want them: each rule's edge only where it was in force."""
    columns = dict(view.columns)
    rules = columns.pop("rule")
    for rule, spec in RULES.items():
        if rule != "gd":
            columns[spec.column] = np.where(rules == rule, columns[spec.column], np.nan)
    return RunUpdate(
        id=view.id,
        label=label or view.config.rule.upper(),
        rule=view.hyper.rule,
        start=view.start,
        stop=view.last_step,
        full=view.start < 0,
        columns=columns,
        interventions=view.marks,
        note=view.config.measured_part,
    )
