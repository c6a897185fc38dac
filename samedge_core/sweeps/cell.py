"""One cell on its own: the project's training loop, measured at the sampled steps only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.problems.memory import memory
from samedge_core.problems.own_data import contents_of
from samedge_core.problems.problem import Problem
from samedge_core.sweeps.fate import End, Samples, judge, sample_steps
from samedge_core.sweeps.rows import Row
from samedge_core.theory.rules import RULES
from samedge_core.training.cadence import Cadence
from samedge_core.training.config import RunConfig
from samedge_core.training.fitting import check_fits
from samedge_core.training.history import Measurement
from samedge_core.training.loop import build_problem, measurements
from samedge_core.training.observe import LossAndGrad, observe
from samedge_core.training.state import TrainState
from samedge_core.training.stop import Stop, StopReason


def run_cell(
    config: RunConfig, samples: int, *, on_progress: Callable[[int], None] | None = None
) -> Row:
    """Return the Row (cell -1) of a run of `config` whose sharpness is measured `samples` times.

    `on_progress` is called with the number of each step that was taken; what it raises ends the
    run. Of the settings, those that say when and how many eigenvalues are measured have no effect.

    Raises:
        ConfigError, DataError, KernelsError: as `samedge_core.run`.
    """
    check_fits(config, contents_of(config.options), memory())
    config = config.replace(top_k=1, sharpness_every=0)
    problem = build_problem(config)
    began = time.perf_counter()
    state = TrainState.initial(config, problem)
    state.cadence = _Sampled(config, samples)
    preconditioned = RULES[config.rule].preconditioned
    tracker = _Watched(state.edge_tracker if preconditioned else state.tracker)
    setattr(state, "edge_tracker" if preconditioned else "tracker", tracker)
    record = _Record(state, tracker)
    loop = measurements(config, problem, state)
    while True:
        try:
            row = next(loop)
        except StopIteration as end:
            stop: Stop = end.value
            break
        assert isinstance(row, Measurement)  # nothing changes on the way
        record.add(row)
        if on_progress:
            on_progress(row.step)
    at_rest = stop.reason is StopReason.CONVERGED and not preconditioned  # that one needs a step
    if at_rest and not record.sampled(stop.step):
        record.add(_at_rest(config, problem, state, stop.step))
    end = End(record.loss, record.grad_norm, time.perf_counter() - began)
    return judge(config, record.samples(), stop, end)


class _Sampled(Cadence):
    """The sampled steps, in place of a cadence."""

    def __init__(self, config: RunConfig, samples: int) -> None:
        super().__init__(config)
        self._sampled = frozenset(sample_steps(config.steps, samples).tolist())

    def due(self, step: int) -> bool:
        return step in self._sampled


class _Watched:
    """A tracker whose last v1, (1, P) or (0, P), is kept in `leading`."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker
        self.leading: Tensor | None = None

    def measure(self, operator: Any, *, step: int | None = None) -> EigenEstimate:
        estimate = self._tracker.measure(operator, step=step)
        self.leading = estimate.vectors[:1]
        return estimate


class _Record:
    """The samples of a run that goes on, and its last finite loss and gradient norm."""

    def __init__(self, state: TrainState, tracker: _Watched) -> None:
        self._state, self._tracker = state, tracker
        self._rows: list[Measurement] = []
        self._flipped: list[float] = []
        self._leading: Tensor | None = None  # of the last sample
        self._along = math.nan  # of its gradient along that
        self.loss = self.grad_norm = math.nan

    def add(self, row: Measurement) -> None:
        if math.isfinite(row.loss) and math.isfinite(row.grad_norm):
            self.loss, self.grad_norm = row.loss, row.grad_norm
        taken = self._state.step == row.step + 1  # else the loss was not finite
        if self._rows and row.step == self._rows[-1].step + 1 and taken:
            product = self._along * self._project()
            self._flipped[-1] = math.nan if math.isnan(product) else float(product < 0)
        if not math.isnan(row.leading):
            self._rows.append(row)
            self._flipped.append(math.nan)
            self._leading = self._tracker.leading
            self._along = self._project()

    def _project(self) -> float:
        v, g = self._leading, self._state.previous
        return float(v[0] @ g) if v is not None and len(v) and g is not None else math.nan

    def sampled(self, step: int) -> bool:
        return bool(self._rows) and self._rows[-1].step == step

    def samples(self) -> Samples:
        return samples_of(self._rows, self._flipped)


def samples_of(rows: Sequence[Measurement], flipped: Sequence[float]) -> Samples:
    """Return the Samples that rows are, and whether the gradient flips after each."""

    def column(name: str) -> np.ndarray:
        return np.array([getattr(row, name) for row in rows])

    return Samples(
        step=column("step").astype(np.int64),
        leading=column("leading"),
        converged=column("converged").astype(bool),
        grad_norm=column("grad_norm"),
        accuracy=column("accuracy"),
        held_out_loss=column("held_out_loss"),
        flipped=np.array(flipped),
    )


def _at_rest(config: RunConfig, problem: Problem, state: TrainState, step: int) -> Measurement:
    """A sample at the w to which a run has converged, which may lie far from its last one."""
    batch = state.fixed or problem.full_batch()
    here, operator = observe(problem, state.w, batch, config.hessian_share)
    estimate = state.tracker.measure(operator, step=state.step)
    return sample(problem, state.w, step, here, estimate)


def sample(
    problem: Problem, w: Tensor, step: int, here: LossAndGrad, estimate: EigenEstimate
) -> Measurement:
    """Return a row of what is known `here`, at w (P,), with its accuracy and held-out loss."""
    row = Measurement(step, here.loss, here.norm, converged=estimate.converged)
    row.lambda_max = estimate.value
    row.accuracy = problem.evaluate(w).accuracy
    row.held_out_loss = problem.evaluate_held_out(w).loss
    return row
