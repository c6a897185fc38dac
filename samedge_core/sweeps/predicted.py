"""What a flow says of one cell, as a row like that of its run, which is never read. Needs torch."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from torch import Tensor

from samedge_core.prediction.flows import LONG
from samedge_core.prediction.predict import Predicting
from samedge_core.prediction.prediction import Outcome
from samedge_core.problems.memory import memory
from samedge_core.problems.own_data import contents_of
from samedge_core.problems.problem import Problem
from samedge_core.sweeps.agreement import doubts
from samedge_core.sweeps.cell import sample, samples_of
from samedge_core.sweeps.fate import End, Samples, judge
from samedge_core.sweeps.rows import Row
from samedge_core.training.config import RunConfig
from samedge_core.training.fitting import check_fits
from samedge_core.training.history import Measurement
from samedge_core.training.loop import build_problem
from samedge_core.training.observe import observe
from samedge_core.training.state import TrainState


def predict_cell(config: RunConfig, samples: int) -> Row:
    """Return the Row (cell -1) of what `se.predict` says that a run of `config` does.

    It is judged as a run is, from about as many `samples`, which are taken where the flow says that
    the iterates are. `what` also tells which assumptions did not hold.

    Raises:
        ConfigError: a rule that no flow describes.
        ConfigError, DataError, KernelsError: as `samedge_core.run`.
    """
    check_fits(config, contents_of(config.options), memory())
    config = config.replace(top_k=1, sharpness_every=0)
    problem = build_problem(config)
    began = time.perf_counter()
    flow, record = Predicting(config, problem), _Record(config, problem)
    apart = rows_apart(config.steps, samples)
    rows, every = flow.rows(apart), max(1, config.steps // (apart * samples)) * apart
    loss = grad_norm = math.nan
    while True:
        try:
            point = next(rows)
        except StopIteration as end:
            outcome: Outcome = end.value
            break
        if math.isfinite(point.loss) and math.isfinite(point.grad_norm):
            loss, grad_norm = point.loss, point.grad_norm
            if point.step == flow.step and point.step % every == 0:
                record.add(point.step, *flow.iterates)
    end = End(loss, grad_norm, time.perf_counter() - began)
    row = judge(config, record.samples(), outcome.stop, end)
    return replace(row, what="; ".join([row.what, *doubts(outcome.assumptions)]))


def rows_apart(steps: int, samples: int) -> int:
    """Return the steps between two rows of a cell's prediction: as long as a step of a flow can be,
    and with `samples` rows at least.

    >>> rows_apart(2000, 40), rows_apart(200, 40), rows_apart(20, 40)
    (10, 5, 1)
    """
    return max(1, min(LONG, steps // samples))


class _Record:
    """The samples of a prediction that goes on."""

    def __init__(self, config: RunConfig, problem: Problem) -> None:
        self._problem, self._batch = problem, problem.full_batch()
        self._tracker = TrainState.initial(config, problem).tracker
        self._rows: list[Measurement] = []
        self._flipped: list[float] = []

    def add(self, step: int, w: Tensor, after: Tensor) -> None:
        """Measure at the iterate w (P,) of a step, and how the gradient turns to the one after."""
        here, operator = observe(self._problem, w, self._batch, 1.0)
        estimate = self._tracker.measure(operator, step=step)
        g = here.g, self._problem.gradient(after, self._batch)
        along = math.prod(float(estimate.vectors[0] @ one) for one in g)
        self._flipped.append(math.nan if math.isnan(along) else float(along < 0))
        self._rows.append(sample(self._problem, w, step, here, estimate))

    def samples(self) -> Samples:
        return samples_of(self._rows, self._flipped)
