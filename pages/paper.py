"""SAMEdge, the paper's three tasks: repeat them, and see how closely sharpness follows the edge."""

import streamlit as st

from pages.parts.components.live import View, live_charts
from pages.parts.frame import fragments, navigation
from pages.parts.frame.parts import part
from pages.parts.paper import cards, runs, table
from pages.parts.paper.downloading import downloads
from pages.parts.views import feed, formula
from samedge_core.analysis.summary import EDGE_PHASE
from samedge_core.experiments.paper import TASKS

POLL_SECONDS = 1.0
CHARTS = "paper"


def main() -> None:
    """Compose the page."""
    navigation.begin("The paper's tasks")
    st.html("<style>.st-key-paper-cards .stColumn { min-width: 15rem; }</style>")
    gone = runs.attach()
    st.markdown(
        "Long and Bartlett, [arXiv 2309.12488](https://arxiv.org/abs/2309.12488), show on three "
        "tasks that SAM holds the sharpness at its own edge, often far below 2/η. Run them here, "
        "and read in one table how closely."
    )
    with st.sidebar:
        st.number_input(
            "Seed",
            0,
            2**31 - 1,
            0,
            key=runs.SEED,
            persist_state="session",
            help="Fixes the initial weights and the order of the batches of what is started from "
            "now on. Runs with another seed stay, to compare with. Default 0.",
        )
    if gone:
        st.warning(
            f"{gone} of the runs that the link names are not on this server: they were deleted, or "
            "recorded elsewhere."
        )
    if notice := st.session_state.pop("notice", None):
        st.warning(notice)
    busy = _busy(runs.look())
    fragments.draw(_body, busy, every=POLL_SECONDS if busy else None, name="What follows the runs")


def _busy(watched: list[runs.Watched]) -> bool:
    """Whether anything moves by itself."""
    loading = any(downloads().running(t.data) or runs.waiting(t) for t in TASKS.values())
    return loading or any(one.active for one in watched)


def _body(busy: bool) -> None:
    """All that follows the runs, drawn anew at every tick; `busy` is what the ticks were set by."""
    with part("The start of what waited for its data"):
        runs.start_waiting()
    watched = runs.look()
    if _busy(watched) != busy:
        st.rerun()  # to tick, or not to
    with st.container(key="paper-cards"):
        for column, task in zip(st.columns(len(TASKS)), TASKS.values(), strict=True):
            with column, part(f"The card of {task.title}"):
                cards.draw(task, [one for one in watched if one.entry.task == task.name])
    with part("The figures"):
        _figures(_choice([one.entry for one in watched]))
    st.markdown(
        f"**Summary.** The edge phase begins where sharpness / edge first reaches {EDGE_PHASE:g} "
        "while the steps hop across the valley, and lasts to the end; the deviation is the median "
        "of |sharpness/edge − 1| over its measured steps, the alignments are medians over it, and "
        "the steps that hop are a share of its last half. A ratio near 1 alone proves nothing: "
        "look at the hops, the loss and the accuracy too."
    )
    with part("The table"):
        if watched:
            table.show(watched)
        else:
            st.caption("A row for each run, as soon as there is one.")


def _figures(chosen: runs.Entry | None) -> None:
    """The paper's figures, of one run."""
    with st.container():
        views = feed.poll([chosen.run_id] if chosen else [], CHARTS)
        formula.show(views, "sam")
    live_charts(
        [feed.update(view) for view in views],
        View(top_k=True, previous=False),
        key=CHARTS,
        charts="paper",
        on_resync=lambda: feed.forget_sent(CHARTS),
    )


def _choice(entries: list[runs.Entry]) -> runs.Entry | None:
    """The run whose figures are shown."""
    if not entries:
        return None
    by_id = {entry.run_id: entry for entry in entries}
    if st.session_state.get(runs.CHOSEN) not in by_id:
        st.session_state[runs.CHOSEN] = entries[0].run_id
    run_id = st.segmented_control(
        "Figures of",
        list(by_id),
        format_func=lambda run_id: by_id[run_id].label,
        required=True,
        key=runs.CHOSEN,
        help="The paper's four figures, of one run at a time; the others go on.",
    )
    return by_id[run_id or entries[0].run_id]


main()
