"""When what a network computes is drawn: seldom enough, at the right step, and by real workers."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from samedge_core.problems.problem import Problem
from samedge_core.training.compute import compute
from samedge_core.training.computed import Computed, Examples
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import build_problem, measurements
from samedge_core.training.state import TrainState
from samedge_core.worker import drawing as module
from samedge_core.worker.drawing import DRAW_SECONDS, DRAW_SHARE, Drawing
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase, RunView
from tests.worker.harness import until

POINTS = RunConfig(
    problem="points-mlp", rule="sam", eta=0.2, rho=0.02, steps=1_000_000, options={"n": 40}
)
MADE = Computed(0, np.zeros(3, np.float32), 1.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def problem() -> Problem:
    return build_problem(POINTS)


@pytest.mark.parametrize("took", [0.001, 0.02, 3.0])
def test_pictures_take_three_per_cent_of_the_time_at_most(monkeypatch, problem, took):
    clock, drawn = Clock(), []

    def slow(*_, **__) -> Computed:
        clock.now += took
        return MADE

    monkeypatch.setattr(module, "compute", slow)
    drawing = Drawing(POINTS, problem, lambda examples, made: drawn.append(clock.now), clock)
    for step in range(400_000):
        drawing.saw(step, torch.zeros(problem.size))
        if drawing.due():
            drawing.draw()
        clock.now += 0.001  # a step
    assert len(drawn) * took <= DRAW_SHARE * clock.now + took
    assert np.diff(drawn).min() >= DRAW_SECONDS
    # nor are they rarer than that
    assert np.diff(drawn).max() <= max(DRAW_SECONDS, took / DRAW_SHARE) + took + 0.01


def test_a_step_is_drawn_once_and_the_examples_come_with_the_first(problem):
    sent: list[tuple[Examples | None, Computed]] = []
    drawing = Drawing(POINTS, problem, lambda *given: sent.append(given))
    drawing.draw()
    assert sent == []
    for step in (3, 5):
        drawing.saw(step, problem.init(seed=step))
        drawing.draw()
        drawing.draw()
    assert [made.step for _, made in sent] == [3, 5]
    assert [examples is not None for examples, _ in sent] == [True, False]


def test_what_is_not_finite_is_not_sent_and_the_examples_wait(problem):
    sent: list[tuple[Examples | None, Computed]] = []
    drawing = Drawing(POINTS, problem, lambda *given: sent.append(given))
    for step, factor in ((0, torch.nan), (1, 1.0)):
        drawing.saw(step, factor * problem.init(seed=0))
        drawing.draw()
    ((examples, made),) = sent
    assert examples is not None
    assert made.step == 1


def test_of_other_problems_nothing_is_drawn():
    config = RunConfig(problem="two-weight")
    drawing = Drawing(config, build_problem(config), lambda *_: pytest.fail("it was drawn"))
    drawing.saw(0, torch.ones(2))
    assert not drawing.due()
    drawing.draw()


@pytest.fixture(scope="module")
def registry() -> Iterator[RunRegistry]:
    registry = RunRegistry(Settings(max_workers=2, spares=1))
    yield registry
    registry.close()


def drawn_step(view: RunView) -> int:
    return view.computed.step if view.computed else -1


def expected(config: RunConfig, step: int, arithmetic) -> Computed | None:
    """By a run of the same settings in this process."""
    problem = build_problem(config, arithmetic)
    state = TrainState.initial(config, problem)
    loop, domain = measurements(config, problem, state), problem.domain()
    for _ in range(step):
        next(loop)
    assert domain is not None
    return compute(problem, domain, state.w, step, probabilities=False)


def test_a_paused_run_shows_its_last_step_and_goes_on_from_it(registry):
    run_id = registry.start(POINTS, paused=True)
    first = until(registry, run_id, lambda view: view.computed)
    assert drawn_step(first) == 0
    assert first.examples is not None
    assert first.examples.sizes == (40, 200)
    registry.advance(run_id, 25)
    paused = until(registry, run_id, lambda view: drawn_step(view) == 24)
    assert (paused.phase, paused.last_step) == (Phase.PAUSED, 24)
    ours = expected(POINTS, 24, registry.history(run_id).arithmetic)
    assert ours is not None
    assert paused.computed is not None
    np.testing.assert_array_equal(paused.computed.values, ours.values)
    # that of the row of its step
    assert paused.computed.accuracy == registry.history(run_id).columns()["accuracy"][24]
    registry.resume(run_id)
    until(registry, run_id, lambda view: drawn_step(view) > 24)
    registry.pause(run_id)
    still = until(registry, run_id, lambda view: view.status and not view.status.running)
    still = until(registry, run_id, lambda view: drawn_step(view) == view.last_step)
    assert still.last_step > 24
    registry.stop(run_id)


def test_a_run_that_has_ended_shows_its_last_step(registry):
    run_id = registry.start(POINTS.replace(problem="chebyshev-mlp", options={}, steps=40))
    ended = until(registry, run_id, lambda view: view.phase is Phase.ENDED)
    assert ended.computed is not None
    assert (ended.computed.step, ended.last_step) == (39, 39)


def test_a_paused_fork_is_drawn_before_it_takes_a_step(registry):
    source = registry.start(POINTS.replace(steps=30))
    until(registry, source, lambda view: view.phase is Phase.ENDED)
    fork = registry.fork(source, 12, paused=True)
    view = until(registry, fork, lambda view: view.computed)
    assert drawn_step(view) == view.last_step == 11
    registry.stop(fork)
