"""A prediction as the record of a run, for what draws and exports those. Importable without
torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from samedge_core.prediction.prediction import Prediction
from samedge_core.training.config import Changes
from samedge_core.training.history import History, Intervention

PREDICTED = ("sharpness", "edge", "ratio", "grad_norm", "loss")
"""The columns that are drawn and exported."""
PREDICTED_COLUMNS = tuple(f"predicted_{name}" for name in (*PREDICTED, "amplitude"))


def as_history(
    made: Prediction, interventions: Iterable[Intervention] = (), after: int = -1
) -> History:
    """Return a History with the predicted rows after a step: edges, ratio and axes are derived as
    those of the run, which has these `interventions`."""
    history = History(made.config)
    for item in interventions:
        if item.changes and item.step <= made.begin:
            history.intervene(item)
    coming = Changes(vars(made.hyper))  # of a paused run, before it is one of its interventions
    if change := Intervention.effective(made.begin, coming, history.hyperparameters):
        history.intervene(change)
    points = [point for point in made.points if point.step > after]
    rows = np.zeros(len(points), history.dtype)
    for name in history.dtype.names or ():
        if history.dtype[name].kind == "f":
            rows[name] = np.nan
    rows["converged"] = True
    for name, of in (("step", "step"), ("loss", "loss"), ("lambda_max", "sharpness")):
        rows[name] = [getattr(point, of) for point in points]
    rows["grad_norm"] = [point.grad_norm for point in points]
    history.extend(rows)
    return history


def from_start(made: Sequence[Prediction]) -> bool:
    """Whether a run was predicted from step 0 on, so that its settings alone tell what was."""
    return any(one.begin == 0 for one in made)


def in_force(
    made: Sequence[Prediction], interventions: Iterable[Intervention]
) -> list[tuple[Prediction, int | None]]:
    """Each prediction of a run with the step at which other settings came into force, or will with
    its next step; None where there is none."""
    changes = {item.step for item in interventions if item.changes} | {one.begin for one in made}
    return [(one, min((s for s in changes if s > one.begin), default=None)) for one in made]


def predicted_columns(
    made: Sequence[Prediction], history: History
) -> dict[str, NDArray[np.float64]]:
    """Return PREDICTED_COLUMNS at the rows (n,) of a run, that is PREDICTED and the amplitude, from
    the prediction in force at each; NaN where there is none. Empty without predictions.

    A row of a prediction is that of the centre of its step's iterate and the next one.
    """
    steps = history.rows_after(-1)["step"]
    found = {name: np.full(len(steps), np.nan) for name in PREDICTED_COLUMNS}
    for one, end in in_force(made, history.interventions):
        columns = one.columns()
        kept = columns["step"] < end if end is not None else slice(None)
        _, at, rows = np.intersect1d(steps, columns["step"][kept], return_indices=True)
        for name, values in found.items():
            values[at] = columns[name.removeprefix("predicted_")][kept][rows]
    return found if made else {}
