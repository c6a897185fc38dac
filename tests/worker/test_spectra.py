"""Spectra on demand from real workers: the right ones, beside runs that do not notice."""

import os
import signal
import time

import numpy as np
import pytest

from samedge_core.curvature import spectrum
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.loop import build_problem, measurements, run
from samedge_core.training.observe import observe
from samedge_core.training.state import TrainState
from samedge_core.training.stop import StopReason
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.spectra import KEPT
from samedge_core.worker.view import Phase
from tests.worker.harness import until

ENDLESS = RunConfig(problem="two-weight", rule="sam", eta=0.1, rho=0.05, steps=1_000_000)
# P = 250 (exact), every epoch ends within a few steps: a batch too many taken would show
BATCHES = RunConfig(
    problem="digits-mlp", options={"n": 50, "width": 3}, batch_size=20, steps=100_000, seed=3
)
LARGE = RunConfig(problem="digits-mlp", options={"n": 500, "width": 100}, steps=100_000)


@pytest.fixture(scope="module")
def registry():
    registry = RunRegistry(Settings(max_workers=6, spares=1))
    yield registry
    registry.close()


def paused_at(registry: RunRegistry, config: RunConfig, step: int) -> str:
    run_id = registry.start(config, paused=True)
    if step:
        registry.advance(run_id, step)
    until(registry, run_id, lambda v: v.status and v.last_step == step - 1)
    return run_id


def measured(registry: RunRegistry, run_id: str):
    """The spectrum asked for now."""
    registry.measure_spectrum(run_id)
    assert registry.view(run_id, most=0).spectra.pending
    view = until(registry, run_id, lambda v: not v.spectra.pending)
    assert view.spectra.failure == ""
    return view.spectra.made[-1]


def state_after(config: RunConfig, steps: int):
    problem = build_problem(config)
    state = TrainState.initial(config, problem)
    loop = measurements(config, problem, state)
    for _ in range(steps):
        next(loop)
    return problem, state


@pytest.mark.parametrize("changes", [{}, {"measure_on": "fixed"}, {"batch_size": 0}])
def test_it_is_that_of_the_next_row(registry, changes):
    """At the iterate, on the batch and against the edge that the row of that step tells of."""
    config = BATCHES.replace(hessian_share=0.5, **changes)
    run_id = paused_at(registry, config, 5)
    registry.change(run_id, Changes.of({"eta": 0.25}))
    made = measured(registry, run_id)
    assert (made.step, made.hyper.eta, made.hyper.rule) == (5, 0.25, "sam")
    problem, state = state_after(config, 5)
    batch = state.fixed or (state.batches.next() if state.batches else problem.full_batch())
    slope, operator = observe(problem, state.w, batch, 0.5)
    assert made.grad_norm == slope.norm
    assert made.spectrum.exact
    np.testing.assert_array_equal(made.spectrum.nodes, spectrum(operator).nodes)
    registry.advance(run_id)
    until(registry, run_id, lambda v: v.last_step == 5)
    row = registry.history(run_id).columns()
    assert (row["grad_norm"][5], row["eta"][5]) == (made.grad_norm, 0.25)
    assert made.hyper.edge(made.grad_norm) == row["edge"][5]
    # the tracker stops on a residual of 3e-3 at most, and its eigenvalue's error is second order
    assert made.spectrum.radius == pytest.approx(row["sharpness"][5], rel=1e-3)
    registry.stop(run_id)


@pytest.mark.parametrize("config", [BATCHES, LARGE.replace(batch_size=100)])
def test_the_run_does_not_notice(registry, config):
    """Bit for bit the same rows, exact or estimated, running or paused."""
    config = config.replace(steps=60)
    run_id = paused_at(registry, config, 7)
    measured(registry, run_id)
    registry.resume(run_id)
    for _ in range(2):
        seen = registry.view(run_id, most=0).last_step
        until(registry, run_id, lambda v, seen=seen: v.last_step > min(seen + 3, 50))
        measured(registry, run_id)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    steps = [made.step for made in registry.view(run_id).spectra.made]
    assert steps == sorted(set(steps))
    left, right = registry.history(run_id).columns(), run(config).columns()
    for name, values in right.items():
        np.testing.assert_array_equal(left[name], values, err_msg=name)


def test_progress_is_told_and_the_last_three_are_kept(registry):
    run_id = paused_at(registry, LARGE, 1)
    registry.measure_spectrum(run_id)
    view = until(registry, run_id, lambda v: v.spectra.progress and v.spectra.progress.done > 20)
    now = view.spectra.progress
    assert now is not None
    assert (now.step, now.done < now.total) == (1, True)
    first = until(registry, run_id, lambda v: not v.spectra.pending).spectra.made[-1]
    assert not first.spectrum.exact
    assert first.spectrum.products <= 10 * 80 + 5  # and what was timed
    registry.stop(run_id)
    small = paused_at(registry, BATCHES, 1)
    for step in range(1, KEPT + 2):
        registry.advance(small)
        until(registry, small, lambda v, step=step: v.last_step == step)
        measured(registry, small)
    measured(registry, small)  # at the same step: in place of the one before
    assert [made.step for made in registry.view(small).spectra.made] == [3, 4, 5]
    registry.clear_spectra(small)
    assert registry.view(small).spectra.made == ()
    registry.stop(small)


def test_commands_act_while_it_is_measured(registry):
    """Cancel and stop, within a product or two of some milliseconds; a change at the next step."""
    run_id = registry.start(LARGE)
    until(registry, run_id, lambda v: v.last_step > 0)
    registry.measure_spectrum(run_id)
    view = until(registry, run_id, lambda v: v.spectra.progress)
    assert view.spectra.progress is not None
    registry.change(run_id, Changes.of({"eta": 0.5}))
    registry.cancel_spectrum(run_id)
    began = time.monotonic()
    until(registry, run_id, lambda v: v.last_step > view.last_step + 2)
    assert time.monotonic() - began < 2  # all of it takes 4
    assert registry.view(run_id).spectra.made == ()
    assert [step for step, _ in registry.view(run_id).marks] == [view.spectra.progress.step]
    registry.pause(run_id)
    registry.measure_spectrum(run_id)
    until(registry, run_id, lambda v: v.spectra.progress)
    began = time.monotonic()
    registry.stop(run_id)
    stopped = until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    assert time.monotonic() - began < 2
    assert not stopped.spectra.pending
    assert "the run ended first" in stopped.spectra.failure


def test_a_paused_run_stays_paused_and_clearing_forgets(registry):
    run_id = paused_at(registry, BATCHES, 3)
    measured(registry, run_id)
    time.sleep(0.2)
    view = registry.view(run_id)
    assert (view.phase, view.last_step) == (Phase.PAUSED, 2)
    registry.measure_spectrum(run_id)
    registry.clear_spectra(run_id)
    time.sleep(0.2)
    view = registry.view(run_id)
    assert (view.spectra.made, view.spectra.pending, view.spectra.failure) == ((), False, "")
    assert measured(registry, run_id).step == 3
    registry.stop(run_id)


def test_an_ended_run_is_measured_at_its_last_state_and_stays_as_it_is(registry):
    config = BATCHES.replace(steps=12)
    run_id = registry.start(config)
    ended = until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    before = registry.live_workers()
    registry.measure_spectrum(run_id)
    assert registry.live_workers() == before + 1
    view = until(registry, run_id, lambda v: not v.spectra.pending)
    made = view.spectra.made[-1]
    problem, state = state_after(config, 12)
    assert state.batches is not None
    _, operator = observe(problem, state.w, state.batches.next(), 1.0)
    assert made.step == 12
    np.testing.assert_array_equal(made.spectrum.nodes, spectrum(operator).nodes)
    assert registry.live_workers() == before
    assert (view.phase, view.stop, view.last_step) == (Phase.ENDED, ended.stop, 11)
    registry.resume(run_id)
    view = until(registry, run_id, lambda v: v.phase is Phase.ENDED and v.last_step == 23)
    assert view.stop is not None
    assert view.stop.reason is StopReason.STEP_CAP
    assert [item.step for item in view.spectra.made] == [12]


def test_a_lost_worker_is_named_and_the_last_state_can_be_asked(registry):
    run_id = paused_at(registry, LARGE, 2)
    until(registry, run_id, lambda v: v.kept == 2)
    registry.measure_spectrum(run_id)
    view = until(registry, run_id, lambda v: v.spectra.progress)
    assert view.worker_pid is not None
    os.kill(view.worker_pid, signal.SIGKILL)
    view = until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    assert not view.spectra.pending
    assert "the worker process was lost" in view.spectra.failure
    registry.measure_spectrum(run_id)
    view = until(registry, run_id, lambda v: v.spectra.progress)
    assert view.spectra.progress is not None
    assert view.spectra.progress.step == 2
    assert view.spectra.failure == ""
    registry.cancel_spectrum(run_id)
    assert not registry.view(run_id).spectra.pending


def test_a_run_that_never_had_a_state_says_so(registry):
    run_id = registry.start(RunConfig(problem="own-images", options={"path": "missing.npz"}))
    view = until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    assert view.kept is None
    registry.measure_spectrum(run_id)
    view = registry.view(run_id)
    assert (view.spectra.pending, view.spectra.failure) == (False, "no state of this run was kept")


def test_a_curvature_that_overflows_is_told(registry):
    """GD at such a step size ends at w = 1e30: finite, but its square is not."""
    run_id = registry.start(ENDLESS.replace(rule="gd", eta=1e6))
    view = until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    assert view.kept == 2
    registry.measure_spectrum(run_id)
    view = until(registry, run_id, lambda v: not v.spectra.pending)
    assert view.spectra.made == ()
    assert "Hessian-vector product 1 is not finite" in view.spectra.failure
    assert "(step 2)" in view.spectra.failure


def test_every_worker_busy():
    registry = RunRegistry(Settings(max_workers=1, spares=0))
    try:
        ended = registry.start(ENDLESS.replace(steps=5))
        until(registry, ended, lambda v: v.phase is Phase.ENDED)
        busy = registry.start(ENDLESS, paused=True)
        until(registry, busy, lambda v: v.phase is Phase.PAUSED)
        registry.measure_spectrum(ended)
        view = registry.view(ended)
        assert not view.spectra.pending
        assert "every worker is busy" in view.spectra.failure
        registry.stop(busy)
        until(registry, busy, lambda v: v.phase is Phase.ENDED)
        assert measured(registry, ended).spectrum.size == 2
    finally:
        registry.close()
