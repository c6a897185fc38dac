"""Two sweeps of the same cells, and how far they lie apart."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from pages.parts.components.diagram import Cells, Shown, diagram
from pages.parts.markdown import plain
from pages.parts.sweeps import picture
from pages.parts.sweeps.board import EMPTY, Board
from samedge_core.sweeps.rows import QUANTITIES

FATES = ("same fate", "another fate")


def draw(one: Board, other: Board, quantity: str, titles: Sequence[str]) -> None:
    """Both diagrams side by side and below them their difference, the second less the first."""
    left, right = st.columns(2)
    for column, board, title, key in (
        (left, one, titles[0], "sweeps-one"),
        (right, other, titles[1], "sweeps-other"),
    ):
        with column:
            st.markdown(f"**{plain(title)}**")
            picture.draw(board, quantity, key=key, name=title)
    axes = [[(axis.name, axis.values) for axis in b.recorded.sweep.axes] for b in (one, other)]
    if axes[0] != axes[1]:
        st.markdown(
            ":gray[No difference is drawn: the values on their axes differ, so that their cells "
            "do too.]"
        )
        return
    with left:
        label = "The right one less the left one"
        st.markdown(f"**{label}**")
        _difference(one, other, quantity, label)


def _difference(one: Board, other: Board, quantity: str, name: str) -> None:
    """The difference of the medians; of what has a log scale, that of the logarithms (base 10)."""
    log = QUANTITIES[quantity].log
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (
            np.log10(v) if log else v for v in (x.over_seeds(quantity)[0] for x in (one, other))
        )
        apart = b - a
    fates = [board.commonest() for board in (one, other)]
    both = np.flatnonzero((fates[0] != EMPTY) & (fates[1] != EMPTY))
    label = (
        f"log₁₀ of the ratio: {QUANTITIES[quantity].label}" if log else QUANTITIES[quantity].label
    )
    diverged = np.isin(fates[0], picture.BLANK) | np.isin(fates[1], picture.BLANK)
    apart = np.where(diverged, np.nan, apart)
    cells = Cells(
        f"{one.id}-{other.id}-{quantity}",
        -1,
        one.version + other.version,
        both,
        (fates[0] != fates[1])[both].astype(np.uint8),
        {quantity: apart[both]},
        {},
        {},
    )
    sweep = one.recorded.sweep
    diagram(
        name,
        [picture.axis_of(sweep, axis) for axis in sweep.axes],
        cells,
        Shown(quantity, {quantity: label}, "difference", None, False, FATES, []),
        key="sweeps-difference",
        total=sweep.shape[0] * sweep.shape[1],
        on_event=lambda: None,
    )
