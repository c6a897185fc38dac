"""Predicted against measured: of the selected runs that were predicted, how far each is off."""

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages.parts.components.figures import Figure, Trace, figures
from pages.parts.lab.predicting import COLOURS, off
from pages.parts.markdown import plain
from pages.parts.runs import source
from pages.parts.runs.records import Compared
from pages.parts.views.drawing import axis, line, markers
from samedge_core.prediction.deviation import Deviation
from samedge_core.prediction.recorded import in_force
from samedge_core.sharing.files import SavedError
from samedge_core.store.folder import PREDICTIONS
from samedge_core.training.config import RunConfig
from samedge_core.training.thinning import buckets, means

KEY = "runs:predicted"
POINTS = 200  # of a run in the picture
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")

Found = tuple[Deviation, NDArray[np.float64]]  # errors, and the predicted sharpness at their steps


def read(runs: Sequence[Compared]) -> list[tuple[Compared, Found]]:
    """Those of the runs that can be held against a prediction; and a message for each whose files
    can't be read."""
    found: list[tuple[Compared, Found]] = []
    for one in runs:
        file = source.opened().folder(one.entry.id).path / PREDICTIONS
        if file.exists():
            changed = one.entry.updated, file.stat().st_mtime_ns
            try:
                found.append((one, _errors(one.entry.id, one.entry.config, changed)))
            except SavedError as error:
                message = f"{one.name} can't be held against its prediction: {error}"
                st.error(plain(message))
    return [(one, errors) for one, errors in found if len(errors[0])]


@st.cache_resource(show_spinner=False, max_entries=300)
def _errors(run: str, config: str, changed: tuple[float, int]) -> Found:
    """Over all predictions of a run, each as far as it was in force; `changed` is for the cache."""
    store = source.opened()
    history = store.load(run)[1]
    made = store.folder(run).predictions(RunConfig.from_json(config))
    errors = [off(one, end, history) for one, end in in_force(made, history.interventions)]
    step, sharpness, loss = (
        np.concatenate([getattr(error, name) for error in errors])
        for name in ("step", "sharpness", "loss")
    )
    predicted = [
        one.columns()["sharpness"][np.isin(one.columns()["step"], error.step)]
        for one, error in zip(made, errors, strict=True)
    ]
    return Deviation(step, sharpness, loss), np.concatenate(predicted)


def draw(runs: Sequence[Compared], found: Sequence[tuple[Compared, Found]]) -> None:
    """The errors in a table, and the sharpness in a picture, of those `found` among the runs."""
    left, right = st.columns(2, vertical_alignment="top")
    with left:
        table = pd.DataFrame([row for one, (error, _) in found for row in _rows(one.name, error)])
        form = st.column_config.NumberColumn(format="percent", width=95)
        columns = {
            "Run": st.column_config.TextColumn(width=200),
            "Quantity": st.column_config.TextColumn(width=80),
            "Median error": form,
            "Largest error": form,
            "at step": st.column_config.NumberColumn(width=65),
        }
        st.dataframe(table, hide_index=True, key="runs:errors", column_config=columns)
        st.caption(
            "Each row of a prediction is held against the mean of the run's two steps around it. "
            "Nothing of the run is in the prediction, but its weights at a change of settings."
        )
    with right:
        figures([_picture(runs, found)], scene="predicted", key=KEY, on_click=lambda: None)


def _rows(name: str, error: Deviation) -> list[dict[str, str | float | int | None]]:
    """Of the sharpness and of the loss."""
    return [
        {
            "Run": name,
            "Quantity": quantity,
            "Median error": of.median,
            "Largest error": of.most,
            "at step": of.at,
        }
        for quantity, of in (
            ("sharpness", error),
            ("loss", Deviation(error.step, error.loss, error.loss)),
        )
    ]


def _picture(runs: Sequence[Compared], found: Sequence[tuple[Compared, Found]]) -> Figure:
    """The predicted sharpness over the measured one, and where they are equal."""
    traces = [_points(runs.index(one), one.name, *errors) for one, errors in found]
    ends = np.concatenate([values for trace in traces for values in (trace["x"], trace["y"])])
    span = [float(ends.min()), float(ends.max())]
    equal = line("equal", span, span, "text", "dash", width=1, hoverinfo="skip")
    layout = {
        "xaxis": axis("measured sharpness"),
        "yaxis": axis("predicted sharpness"),
        "showlegend": False,  # colours are those of the charts above, and names are in the tooltips
        "hovermode": "closest",
    }
    return Figure("Predicted against measured", [equal, *traces], layout, columns=6, height=320)


def _points(index: int, name: str, error: Deviation, predicted: NDArray[np.float64]) -> Trace:
    starts = buckets(len(predicted), POINTS)
    x, y = means(predicted / (1 + error.sharpness), starts), means(predicted, starts)
    look = {"hovertemplate": "measured %{x:.4~g}<br>predicted %{y:.4~g}", "opacity": 0.7}
    symbol, colour = SYMBOLS[index % len(SYMBOLS)], COLOURS[index % len(COLOURS)]
    return markers(html.escape(name, quote=False), x, y, colour, symbol, 6, **look)
