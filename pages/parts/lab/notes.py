"""What is to be said of the settings and of a visit: above the charts, over and under them."""

import streamlit as st

from pages.parts.lab import session, share
from pages.parts.markdown import brief
from samedge_core.experiments.hints import hints
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.worker.view import RunView

HINTED = "hinted"  # in the session: the hints that stand under the charts


def draw(gone: list[str]) -> None:
    """What stands above the charts before a run, and what passes over the page."""
    if gone:
        st.warning(
            f"The run {', '.join(map(brief, gone))} is not on this server: it was deleted, or "
            "recorded elsewhere. Press Start for a new one."
        )
    if notice := st.session_state.pop("notice", None):
        st.toast(notice, icon=":material/info:", duration="infinite")
    share.note()


def of_settings(config: RunConfig | None, complaint: str, views: list[RunView]) -> str:
    """What is to be said of the settings as entered, as Markdown; empty for none."""
    if complaint:
        return f":red[A setting can't be used: {complaint}. What runs goes on unchanged.]"
    if config and views and (different := session.restart_needed(config, views[0])):
        return f":orange[Changed, and in force after a Reset: {', '.join(different)}.]"
    return ""


def draw_hints(config: RunConfig | None, views: list[RunView]) -> None:
    """Warnings of settings that mislead; a new one is shown over the page too."""
    if not config:
        return
    comparison = session.comparison()
    begun = comparison.configs(config) if comparison else [config]
    if comparison and comparison.name != "rule":
        begun = begun[comparison.lead : comparison.lead + 1]
    changed = any(view.marks or view.origin for view in views)
    found = []
    for one in begun:
        name = f"{RULES[one.rule].short}: " if len(begun) > 1 else ""
        found += [name + hint for hint in hints(one, from_start=not changed)]
    for hint in found:
        st.warning(hint, icon=":material/lightbulb:")
        if hint not in st.session_state.get(HINTED, ()):
            st.toast(hint, icon=":material/lightbulb:", duration="long")
    st.session_state[HINTED] = found
