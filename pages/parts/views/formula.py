"""The edge of the rule in force as a formula, with the numbers of the newest measurement in it,
whose they are, and where the formula comes from."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages.parts.views.names import names
from samedge_core.theory.rules import RULES, Rule
from samedge_core.worker.view import RunView

LABEL = 40  # characters of LaTeX that take as much room as whose it is, its name and its value


OWN = "this project's own formula"
OPERATOR = (
    "λ₁ is the edge value, the largest eigenvalue of the edge operator; the rule is at its edge "
    "where that is at the threshold. H is the Hessian, P the diagonal by which the step divides "
    "the gradient. Taken as fixed from step to step: P and, under SAM, ‖g‖."
)


def show(views: Sequence[RunView], rule: str, lead: RunView | None = None) -> None:
    """Draw the formula of each run, before its first measurement without numbers; of the
    `lead` only, or the newest, where several have the same rule; without any run that of `rule`."""
    if not views:
        _show(RULES[rule], {})
        return
    called = dict(zip([view.id for view in views], names(views), strict=True))
    if len({view.hyper.rule for view in views}) < len(views):
        views = [lead or views[-1]]
    rows = [view.latest or {"rule": view.hyper.rule} for view in views]
    rules = [RULES[row["rule"]] for row in rows]
    widths = [LABEL * (1 + shown.preconditioned) + len(shown.formula) for shown in rules]
    for column, shown, view in zip(st.columns(widths), rules, views, strict=True):
        with column, st.container(horizontal=True, vertical_alignment="center", gap="small"):
            whose = [called[view.id], f"step {view.latest['step']:,}" if view.latest else ""]
            whose = ", ".join(filter(None, [*whose, "" if shown.source else OWN]))
            if whose:
                st.caption(f"{whose[0].upper()}{whose[1:]}:", width="content")
            decay = {"weight_decay": view.config.weight_decay}
            _show(shown, view.latest and view.latest | decay)


def _show(rule: Rule, row: dict[str, Any]) -> None:
    """The formula of a rule, with the numbers of a row if it has some."""
    source = f"Source: {rule.source}." if rule.source else f"It is {OWN}, not published."
    if rule.preconditioned:
        both = rf"{rule.operator_latex(row)}\quad\allowbreak\text{{against}}\quad {rule.latex(row)}"
        st.latex(both, help=f"{OPERATOR} {source}")
    else:
        st.latex(rule.latex(row), help=source)
