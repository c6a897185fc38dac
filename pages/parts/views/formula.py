"""The edge of the rule in force as a formula, with the numbers of the newest measurement in it,
and whose they are."""

from collections.abc import Sequence

import streamlit as st

from pages.parts.views.names import names
from samedge_core.theory.rules import RULES
from samedge_core.worker.view import RunView

LABEL = 40  # characters of LaTeX that take as much room as whose it is, its name and its value


def show(views: Sequence[RunView], rule: str, lead: RunView | None = None) -> None:
    """Draw the formula of each run, before its first measurement without numbers; of the
    `lead` only, or the newest, where several have the same rule; without any run that of `rule`."""
    if not views:
        st.latex(RULES[rule].latex())
        return
    called = dict(zip([view.id for view in views], names(views), strict=True))
    if len({view.hyper.rule for view in views}) < len(views):
        views = [lead or views[-1]]
    rows = [view.latest or {"rule": view.hyper.rule} for view in views]
    rules = [RULES[row["rule"]] for row in rows]
    widths = [LABEL + len(shown.formula) for shown in rules]
    for column, shown, view in zip(st.columns(widths), rules, views, strict=True):
        with column, st.container(horizontal=True, vertical_alignment="center", gap="small"):
            whose = [called[view.id], f"step {view.latest['step']:,}" if view.latest else ""]
            if whose := ", ".join(filter(None, whose)):
                st.caption(f"{whose[0].upper()}{whose[1:]}:", width="content")
            st.latex(shown.latex(view.latest))
