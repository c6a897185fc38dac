"""Predictions in a worker, in a process of its own, which leaves the run alone. Needs torch."""

from __future__ import annotations

from samedge_core.prediction.predict import points
from samedge_core.prediction.prediction import Point, Prediction
from samedge_core.store.predictions import MOST_POINTS
from samedge_core.training.progress import every
from samedge_core.training.replay import replay_to
from samedge_core.worker.channel import Channel
from samedge_core.worker.inspecting import REPORT_SECONDS, answer, starting
from samedge_core.worker.limit import Limit
from samedge_core.worker.messages import Predict, Predicted, PredictionDone


def predict(channel: Channel, task: Predict, limit: Limit) -> None:
    """Compute and report the prediction `task`, part by part. The server ends this process to
    cancel it."""

    def done(_: None, failure: str) -> PredictionDone:
        return PredictionDone(failure)

    answer(channel, limit, lambda: _predict(channel, task, limit), done)


def _predict(channel: Channel, task: Predict, limit: Limit) -> None:
    problem, state = starting(task, limit)
    replay_to(task.config, problem, state, task.step, task.replay)
    gap = rows_apart(task.config.steps - task.step)
    rows = points(task.config, problem, flow=task.flow, every=gap, start=state)
    due, outcome = every(REPORT_SECONDS), None
    made: list[Point] = []
    while outcome is None:
        try:
            made.append(next(rows))
        except StopIteration as end:
            outcome = end.value
        if outcome or due():
            part = Prediction(task.config, task.flow, state.hyper, task.step)
            part.extend(made)
            part.outcome = outcome
            channel.send(Predicted(part))
            made.clear()


def rows_apart(steps: int) -> int:
    """Return the least steps between rows with which a prediction of so many steps has MOST_POINTS
    at most.

    >>> rows_apart(2000), rows_apart(MOST_POINTS), rows_apart(2 * MOST_POINTS + 1)
    (1, 1, 3)
    """
    return max(1, -(-steps // MOST_POINTS))
