"""All runs of the paper's tasks in one table, with the band that each has to meet."""

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pages.parts.paper.runs import Watched
from pages.parts.server import registry
from samedge_core.analysis.summary import Summary, shown, summarise
from samedge_core.experiments.paper import TASKS
from samedge_core.theory.rules import RULES

COLUMNS = {
    "run": "run",
    "eta": "η",
    "rho": "ρ",
    "parameters": "parameters",
    "steps": "steps",
    "edge_phase_start": "at its edge from step",
    "deviation": "deviation, |sharpness/edge − 1|",
    "hopping": "steps that hop",
    "verdict": "verdict",
    "unconverged": "estimates not converged",
    "align_grad": "alignment of g with v₁",
    "align_sam": "alignment of the SAM gradient with v₁",
    "loss": "loss",
    "accuracy": "accuracy",
    "held_out_loss": "held-out loss",
    "held_out_accuracy": "held-out accuracy",
}


def show(watched: Sequence[Watched]) -> None:
    """The table, and a download of its numbers."""
    summaries = [(one, _summary(one)) for one in watched]
    rows = [_row(one, summary) for one, summary in summaries]
    st.table(pd.DataFrame(rows, columns=list(COLUMNS.values())).set_index("run"))
    st.download_button(
        "Download table",
        data=lambda: _csv(summaries),
        file_name="samedge-paper-tasks.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="paper:csv",
        help="The same numbers, unrounded, as CSV.",
    )


def _summary(watched: Watched) -> Summary:
    """From the history, unless it has not grown since it was made."""
    made = st.session_state.setdefault("paper:summaries", {})
    run_id, last_step = watched.entry.run_id, watched.view.last_step
    if made.get(run_id, (None, None))[0] != last_step:
        made[run_id] = (last_step, summarise(registry().history(run_id)))
    return made[run_id][1]


def _csv(summaries: Sequence[tuple[Watched, Summary]]) -> str:
    rows = [vars(one) | {"diagnoses": " ".join(one.diagnoses)} for _, one in summaries]
    frame = pd.DataFrame(rows)
    frame.insert(0, "band", [TASKS[one.entry.task].band for one, _ in summaries])
    return frame.to_csv(index=False)


def _row(watched: Watched, summary: Summary) -> list[str]:
    verdict = TASKS[watched.entry.task].verdict(summary, going=watched.active)
    made = vars(summary) | {
        "run": watched.entry.label,
        "verdict": verdict,
        "unconverged": f"{summary.unconverged:.0%}",
    }
    if "rho" not in RULES[summary.rule].uses:
        made["rho"] = math.nan
    return [shown(made[name], digits=3) for name in COLUMNS]
