"""The edge of the rule in force as a formula, with the numbers of the newest measurement in it."""

import math
from collections.abc import Sequence

import streamlit as st

from samedge_core.worker.view import RunView

_WIDE = {"sam": 3, "usam": 2}  # columns as wide as the formulas are long


def show(views: Sequence[RunView], rule: str, lead: RunView | None = None) -> None:
    """Draw the formula of each run, before its first measurement without numbers; of the
    `lead` only, or the newest, where several have the same rule; without any run that of `rule`."""
    if not views:
        st.latex(_FORMULAS[rule][0])
        return
    if len({view.hyper.rule for view in views}) < len(views):
        views = [lead or views[-1]]
    widths = [_WIDE.get(view.hyper.rule, 1) for view in views]
    for column, view in zip(st.columns(widths), views, strict=True):
        column.latex(_formula(view))


def _formula(view: RunView) -> str:
    row = view.latest
    symbols, numbers = _FORMULAS[row["rule"] if row else view.hyper.rule]
    return rf"{symbols} = {numbers(row)} = \mathbf{{{_number(row['edge'])}}}" if row else symbols


def _number(value: float) -> str:
    """Three or four significant digits, as LaTeX."""
    if not math.isfinite(value):
        return r"\text{not finite}"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.3e}".split("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    return f"{value:.4g}"


def _gd(row: dict[str, float]) -> str:
    return rf"\frac{{2}}{{{_number(row['eta'])}}}"


def _sam(row: dict[str, float]) -> str:
    eta, rho, g = (_number(row[name]) for name in ("eta", "rho", "grad_norm"))
    if row["rho"] == 0:
        return rf"\frac{{2}}{{{eta}}}\;(\rho = 0)"
    return (
        rf"\frac{{{g}}}{{2 \cdot {rho}}}"
        rf"\left(\sqrt{{1+\frac{{8 \cdot {rho}}}{{{eta} \cdot {g}}}}}-1\right)"
    )


def _usam(row: dict[str, float]) -> str:
    eta, rho = _number(row["eta"]), _number(row["rho"])
    if row["rho"] == 0:
        return rf"\frac{{2}}{{{eta}}}\;(\rho = 0)"
    return rf"\frac{{\sqrt{{1+8 \cdot {rho}/{eta}}}-1}}{{2 \cdot {rho}}}"


def _polyak(row: dict[str, float]) -> str:
    return rf"\frac{{2+2 \cdot {_number(row['beta'])}}}{{{_number(row['eta'])}}}"


def _nesterov(row: dict[str, float]) -> str:
    eta, beta = _number(row["eta"]), _number(row["beta"])
    return rf"\frac{{2+2 \cdot {beta}}}{{{eta}\,(1+2 \cdot {beta})}}"


_FORMULAS = {
    "gd": (r"\text{GD-edge} = \frac{2}{\eta}", _gd),
    "sam": (
        r"\text{SAM-edge} = \frac{\|g\|}{2\rho}"
        r"\left(\sqrt{1+\frac{8\rho}{\eta\,\|g\|}}-1\right)",
        _sam,
    ),
    "usam": (r"\text{USAM-edge} = \frac{\sqrt{1+8\rho/\eta}-1}{2\rho}", _usam),
    "polyak": (r"\text{Polyak-edge} = \frac{2+2\beta}{\eta}", _polyak),
    "nesterov": (r"\text{Nesterov-edge} = \frac{2+2\beta}{\eta\,(1+2\beta)}", _nesterov),
}
