"""The selected runs in one file: tables of their rows, or a notebook."""

from collections.abc import Sequence

import streamlit as st

from pages.parts.markdown import plain
from pages.parts.runs import records, source
from samedge_core.sharing import several
from samedge_core.sharing.replay_file import ExchangeError
from samedge_core.store import Entry, selected

FILES = (
    (
        ".csv",
        "All rows, CSV",
        "text/csv",
        "Every recorded step of each run, with the run's id, name and seed, as text; and what was "
        "predicted of it, as `predicted_…`.",
    ),
    (
        ".parquet",
        "All rows, Parquet",
        "application/vnd.apache.parquet",
        "The same, with every bit and type kept.",
    ),
    (
        several.MEANS_CSV,
        "Mean and deviation, CSV",
        "text/csv",
        "At each step, the mean and the sample deviation over the runs that differ in the seed "
        "alone, and how many of them have that step.",
    ),
    (
        ".ipynb",
        "Notebook",
        "application/x-ipynb+json",
        "A Jupyter notebook that holds the rows, draws the runs and repeats each of them. It needs "
        "a Python with samedge.",
    ),
)


def draw(entries: Sequence[Entry]) -> None:
    """The button that opens the choice of files."""
    with st.popover(
        "Export",
        icon=":material/download:",
        key="runs:export",
        on_change="rerun",
        help="All selected runs in one file.",
    ) as box:
        if box.open:
            _files(entries)


def _files(entries: Sequence[Entry]) -> None:
    kept = [entry for entry in entries if _usable(entry)]
    rows = sum(entry.last_step + 1 for entry in kept)
    st.markdown(f"**{len(kept):,} run{'s' if len(kept) != 1 else ''}, {rows:,} rows**")
    if left := len(entries) - len(kept):
        st.caption(
            f"{left:,} more left out: the quota took the rows, or a newer version of SAMEdge "
            "recorded them."
        )
    store = source.opened()
    for suffix, label, kind, about in FILES:
        why_not = _why_not(suffix, len(kept), rows)
        st.download_button(
            label,
            data=lambda suffix=suffix: several.export(selected.chosen(store, kept), suffix),
            file_name=f"samedge-{len(kept)}-runs{suffix}",
            mime=kind,
            key=f"runs:export{suffix}",
            on_click="ignore",
            icon=":material/download:",
            help=plain(why_not) or about,
            disabled=bool(why_not),
            width="stretch",
        )
        if why_not:
            st.caption(plain(why_not))


def _usable(entry: Entry) -> bool:
    return entry.status != "removed" and records.config_of(entry.config) is not None


def _why_not(suffix: str, runs: int, rows: int) -> str:
    try:
        several.check(suffix, runs, rows)
    except ExchangeError as error:
        return f"{error}."
    return ""
