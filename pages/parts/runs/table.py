"""The table of runs: static/runs.js draws it, and reports clicks."""

from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from pages.parts.frame import assets, navigation
from pages.parts.runs import filters, records, selection, source
from pages.parts.runs.columns import COLUMNS
from samedge_core.store import Entry

KEY = "runs:table"
OPEN = "runs:open"
_TOGGLES = ("starred", "pinned")

_mount = component(
    "samedge_runs", js=assets.module("runs.js", tall=432, wide=432), isolate_styles=False
)


def draw(entries: Sequence[Entry]) -> None:
    """Draw a row for each of the entries."""
    shown = filters.shown_columns()
    sort, descending = filters.order()
    data = {
        "columns": [_head(name) for name in shown],
        "rows": [_row(entry, shown) for entry in entries],
        "sort": sort,
        "descending": descending,
        "selected": selection.ids(),
        "version": selection.version(),
    }
    _mount(
        key=KEY,
        data=data,
        on_selected_change=_selected,
        on_sorted_change=_sorted,
        on_labelled_change=_labelled,
        on_opened_change=_opened,
    )


def _head(name: str) -> dict[str, Any]:
    column = COLUMNS[name]
    return {
        "name": name,
        "label": column.label,
        "title": column.title or column.label,
        "help": column.help,
        "kind": column.kind,
        "sortable": column.sort is not None,
    }


def _row(entry: Entry, shown: Sequence[str]) -> dict[str, Any]:
    cells = [COLUMNS[name].cell(entry) for name in shown]
    faint = entry.status == "removed"
    return {"id": entry.id, "name": records.name_of(entry), "faint": faint, "cells": cells}


def _selected() -> None:
    selection.ticked(st.session_state[KEY]["selected"])


def _sorted() -> None:
    filters.sort_by(st.session_state[KEY]["sorted"])


def _labelled() -> None:
    label = st.session_state[KEY]["labelled"]
    if label["name"] in _TOGGLES and not navigation.embedded():
        source.opened().label(label["run"], **{label["name"]: bool(label["value"])})


def _opened() -> None:
    st.session_state[OPEN] = st.session_state[KEY]["opened"]
