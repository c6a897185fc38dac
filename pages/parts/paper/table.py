"""All runs of the paper's tasks in one table, with the band that each has to meet."""

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pages.parts.lab import ACTIVE, registry
from pages.parts.paper.runs import Entry, glance
from samedge_core.paper import TASKS
from samedge_core.summary import Summary, summarise

COLUMNS = {
    "run": "run",
    "eta": "η",
    "rho": "ρ",
    "parameters": "P",
    "steps": "steps",
    "edge_phase_start": "edge phase from",
    "deviation": "median |sharpness/edge − 1|",
    "verdict": "band",
    "align_grad": "g · v₁",
    "align_sam": "SAM g · v₁",
    "loss": "loss",
    "accuracy": "accuracy",
    "held_out_loss": "held-out loss",
    "held_out_accuracy": "held-out accuracy",
}


def show(entries: Sequence[Entry]) -> None:
    """The table, and a download of its numbers."""
    summaries = [(entry, summarise(registry().history(entry.run_id))) for entry in entries]
    rows = [_row(entry, summary) for entry, summary in summaries]
    st.table(pd.DataFrame(rows, columns=list(COLUMNS.values())).set_index("run"))
    st.download_button(
        "Download table", data=lambda: _csv(summaries), file_name="samedge-paper-tasks.csv",
        mime="text/csv", icon=":material/download:", on_click="ignore", key="paper:csv",
        help="The same numbers, unrounded, as CSV.",
    )  # fmt: skip


def _csv(summaries: Sequence[tuple[Entry, Summary]]) -> str:
    frame = pd.DataFrame([vars(summary) for _, summary in summaries])
    frame.insert(0, "band", [TASKS[entry.task].band for entry, _ in summaries])
    return frame.to_csv(index=False)


def _row(entry: Entry, summary: Summary) -> list[str]:
    going = glance(entry).phase in ACTIVE
    verdict = verdict_on(summary, TASKS[entry.task].band, going=going)
    made = vars(summary) | {"run": entry.label, "verdict": verdict}
    if summary.rule != "sam":
        made["rho"] = math.nan
    return [_shown(made[name]) for name in COLUMNS]


def verdict_on(summary: Summary, band: float, *, going: bool) -> str:
    """Whether a run keeps to its edge as closely as `band` asks."""
    when = " so far" if going else ""
    if summary.edge_phase_start is None:
        return f"edge not reached{when}"
    return f"{'✓ within' if summary.deviation <= band else '✗ outside'} {band:g}{when}"


def _shown(value: str | float | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value
