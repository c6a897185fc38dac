"""Runs of this server that wait for a worker, or that go on without a page, and how to end them."""

from collections.abc import Sequence
from contextlib import suppress

import streamlit as st

from pages.parts.markdown import plain
from pages.parts.server import registry
from samedge_core.analysis import compare
from samedge_core.problems.registry import PROBLEMS
from samedge_core.worker.view import Phase, Unfinished

TITLE = "Waiting and unattended runs"  # constant: with another label, the box would close


def runs() -> list[Unfinished]:
    """The waiting runs, of whoever visits this server, and the unattended ones."""
    unfinished = registry().unfinished()
    return [run for run in unfinished if run.phase is Phase.WAITING or not run.attended]


def draw() -> None:
    """A line for each, with a button that ends it; nothing where there is none."""
    if not (found := runs()):
        return
    waiting = sum(run.phase is Phase.WAITING for run in found)
    unattended = [run.id for run in found if not run.attended]
    with st.expander(
        TITLE, icon=":material/hourglass_empty:", key="runs:at-work", on_change="rerun"
    ) as box:
        if not box.open:
            return
        st.caption(
            f"{len(found):,} in all: {waiting:,} wait for a worker, {len(unattended):,} are "
            "unattended. An unattended run goes on without a page. Runs that somebody watches go "
            "first and take its worker; it continues when they are done."
        )
        names = compare.names([run.config for run in found])
        for run, name in zip(found, names, strict=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"{plain(name)} :gray[{plain(_state(run))}]", width="stretch")
                _end_button("End", f"runs:end:{run.id}", [run.id])
        if len(unattended) > 1:
            _end_button("End all unattended", "runs:end-all", unattended)


def _end_button(label: str, key: str, ids: Sequence[str]) -> None:
    st.button(
        label,
        key=key,
        icon=":material/stop_circle:",
        on_click=_end,
        args=(ids,),
        help="What is recorded stays.",
    )


def _end(ids: Sequence[str]) -> None:
    for run_id in ids:
        with suppress(KeyError):  # it has ended and been forgotten since the page was drawn
            registry().stop(run_id)


def _state(run: Unfinished) -> str:
    done = f"step {run.last_step + 1:,} of {run.config.steps:,}"
    if run.phase is Phase.WAITING:
        doing = f"waiting, {run.ahead:,} before it" if run.ahead else "waiting, the next to start"
    else:
        doing = {Phase.PAUSED: "paused", Phase.STARTING: "starting"}.get(run.phase, "running")
    whose = "" if run.attended else "unattended, "
    return f"{PROBLEMS[run.config.problem].title}: {whose}{doing}, {done}"
