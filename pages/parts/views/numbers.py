"""The numbers behind the charts: a table, and the whole record as CSV."""

import pandas as pd
import streamlit as st

from pages.parts.server import registry
from samedge_core.theory.rules import RULES
from samedge_core.worker.view import RunView

ROWS = 200


def show(views: list[RunView]) -> None:
    """A table of each run (thinned) and a download of all its rows."""
    for view in views:
        name = RULES[view.hyper.rule].short
        left, right = st.columns([4, 1], vertical_alignment="bottom")
        thinned = registry().view(view.id, most=ROWS)
        left.caption(
            f"{name}: {len(thinned.columns['step'])} of {view.last_step + 1:,} steps, the extremes "
            "of each stretch kept"
        )
        right.download_button(
            "Download CSV",
            data=lambda run_id=view.id: _csv(run_id),
            file_name=f"samedge-{view.config.problem}-{view.config.rule}.csv",
            mime="text/csv",
            key=f"csv:{view.id}",
            on_click="ignore",
            icon=":material/download:",
            help="Every recorded step, all columns.",
        )
        st.dataframe(table(thinned), height=300, key=f"table:{view.id}")


def table(view: RunView) -> pd.DataFrame:
    """The rows of a view; what this run has none of, like held-out data, takes no column."""
    frame = pd.DataFrame(view.columns)
    return frame.dropna(axis="columns", how="all") if len(frame) else frame


def _csv(run_id: str) -> str:
    return registry().history(run_id).to_frame().to_csv(index=False)
