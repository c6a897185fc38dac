"""A phase diagram in the browser: rectangles coloured by a quantity and marked by their fates.

static/diagram.js draws them, and keeps what it has been sent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from streamlit.components.v2 import component

from pages.parts.components.wire import encode
from pages.parts.frame import assets

Numbers = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class DiagramAxis:
    """One axis: its values, ascending; `log` draws them by their logarithms."""

    label: str
    values: Sequence[float]
    log: bool = False


@dataclass(frozen=True)
class Cells:
    """Cells of a diagram that are new since its version `base`, -1 for all there are; with them it
    is at `version`.

    Attributes:
        id: of what is drawn; with another one, the browser forgets all cells.
        cells: their indices, iy * nx + ix; shape (n,).
        fate: places in the view's `fates`, uint8, shape (n,).
        columns, lows, highs: by quantity the median over the seeds, the least and the largest,
            shape (n,) each; no lows and highs of a single seed.
        predicted: the fates that a flow says, as `fate`, 255 where it has said none, shape (n,);
            wrong: for how many seeds it has said another one, uint8, shape (n,). None without any.
    """

    id: str
    base: int
    version: int
    cells: np.ndarray
    fate: np.ndarray
    columns: Numbers
    lows: Numbers
    highs: Numbers
    predicted: np.ndarray | None = None
    wrong: np.ndarray | None = None


@dataclass(frozen=True)
class Line:
    """A line over the cells, in the units of the axes."""

    name: str
    x: np.ndarray
    y: np.ndarray
    dash: Sequence[float] = ()


@dataclass(frozen=True)
class Shown:
    """How the cells are drawn.

    Attributes:
        quantity: the name of the one that colours them.
        labels: by name, what each quantity is called; a cell's numbers are told in this order.
        scale: the colours: "sequence", "edge" (where 1 is a value of its own) or "difference".
        range: the values at the ends of the colours; from the cells where it is None.
        log: colours go by the logarithm.
        fates: their names; those in `blank` are places of fates whose numbers mean nothing.
        predicted: whether the borders of the predicted fates are drawn, and rings where those are
            wrong.
    """

    quantity: str
    labels: Mapping[str, str]
    scale: str
    range: tuple[float, float] | None
    log: bool
    fates: Sequence[str]
    blank: Sequence[int]
    lines: Sequence[Line] = ()
    predicted: bool = False


def diagram(
    name: str,
    axes: Sequence[DiagramAxis],
    cells: Cells,
    shown: Shown,
    *,
    key: str,
    total: int,
    running: Sequence[int] = (),
    chosen: tuple[int, int] | None = None,
    on_event: Callable[[], None],
) -> None:
    """Draw a diagram over one axis or two, in place of the one before under this key.

    `on_event` is called when the reader has chosen a cell or marked a part, or when the browser
    lacks cells: `st.session_state[key]` then has "chosen" ({"x": column, "y": row}), "marked"
    ({"x": [first, last], "y": ...}) or "resync".
    """
    one = {"scale": shown.scale, "range": shown.range, "log": shown.log}
    data = {
        "key": key,
        "name": name,
        "diagram": {"id": cells.id, "x": axes[0], "y": axes[1] if len(axes) == 2 else None},
        "view": {
            "quantity": {"name": shown.quantity, "label": shown.labels[shown.quantity], **one},
            "quantities": [{"name": n, "label": label} for n, label in shown.labels.items()],
            "fates": shown.fates,
            "blank": shown.blank,
            "lines": shown.lines,
            "predicted": shown.predicted,
        },
        **{name: value for name, value in vars(cells).items() if name != "id"},
        "running": sorted(running),
        "chosen": chosen,
        "total": total,
    }
    events: Any = dict.fromkeys(
        ("on_chosen_change", "on_marked_change", "on_resync_change"), on_event
    )
    _mount(key=key, data=encode(data), **events)


_mount = component(
    "samedge_diagram", js=assets.module("diagram.js", tall=380, wide=640), isolate_styles=False
)
