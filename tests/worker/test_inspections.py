"""Inspections on demand from real processes: the right ones, beside runs that do not notice."""

import time
from contextlib import closing

import numpy as np
import psutil
import pytest

from samedge_core.curvature import spectrum
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.inspect_step import inspection_at
from samedge_core.training.inspection import Inspection
from samedge_core.training.loop import build_problem, measurements, run
from samedge_core.training.observe import observe
from samedge_core.training.state import TrainState
from samedge_core.worker.inspections import SPECTRA
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase, RunView
from tests.worker.harness import PATIENCE, recording, same_history, sooner_or_later, until

ENDLESS = RunConfig(problem="two-weight", rule="sam", eta=0.1, rho=0.05, steps=1_000_000)
# its steps are hardly measured: a replay of them takes nearly as long as they did
LONG = ENDLESS.replace(steps=4_000, measure_every=1_000)
BATCHES = RunConfig(
    problem="digits-mlp", options={"n": 50, "width": 3}, batch_size=20, steps=60, seed=3, top_k=2
)
LARGE = RunConfig(problem="digits-mlp", options={"n": 500, "width": 100}, steps=100_000)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with closing(recording(tmp_path_factory.mktemp("home"), 6)) as registry:
        yield registry


def ended(registry: RunRegistry, config: RunConfig) -> str:
    run_id = registry.start(config)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    return run_id


def inspected(registry: RunRegistry, run_id: str, step: int, **options) -> Inspection:
    registry.inspect(run_id, step, **options)
    assert registry.view(run_id, most=0).inspection.asked == step
    view = until(registry, run_id, lambda v: not v.inspection.pending)
    assert view.inspection.failure == ""
    assert view.inspection.made is not None
    return view.inspection.made


def assert_same(one: Inspection, other: Inspection) -> None:
    assert (one.step, one.loss, one.grad_norm, one.hyper) == (
        other.step,
        other.loss,
        other.grad_norm,
        other.hyper,
    )
    np.testing.assert_array_equal(one.eigenvalues, other.eigenvalues)
    for line, same in zip(one.slices, other.slices, strict=True):
        np.testing.assert_array_equal(line.losses, same.losses)
        assert line.marks == same.marks
    assert one.inputs is not None
    assert other.inputs is not None
    assert [i.score for i in one.inputs.shown] == [i.score for i in other.inputs.shown]


@pytest.mark.parametrize("step", [31, 59])
def test_any_recorded_step_with_the_changes_that_were_made(registry, step):
    run_id = registry.start(BATCHES, paused=True)
    for at, changes in ((20, {"eta": 0.2}), (31, {"rho": 0.2})):
        registry.advance(run_id, at - max(0, registry.view(run_id).last_step + 1))
        until(registry, run_id, lambda v, at=at: v.last_step == at - 1)
        registry.change(run_id, Changes.of(changes))
    registry.resume(run_id)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    found = inspected(registry, run_id, step)
    history = registry.history(run_id)
    row = {name: values[step] for name, values in history.columns().items()}
    assert (found.loss, found.grad_norm) == (row["loss"], row["grad_norm"])
    assert found.eigenvalues.tolist() == [row["lambda_max"], row["lambda_2"]]
    assert found.hyper == history.in_force(step)
    problem = build_problem(BATCHES)
    state = TrainState.initial(BATCHES, problem)
    changed = history.interventions
    assert_same(found, inspection_at(BATCHES, problem, state, step, replay=changed, seconds=4.0))


def paused_after(registry: RunRegistry, config: RunConfig, steps: int) -> str:
    run_id = registry.start(config, paused=True)
    registry.advance(run_id, steps)
    until(registry, run_id, lambda v: v.last_step == steps - 1)
    return run_id


@pytest.mark.parametrize("changes", [{}, {"measure_on": "fixed"}, {"batch_size": 0}])
def test_the_spectrum_is_that_of_the_row(registry, changes):
    """At the iterate, on the batch and against the edge that the row of that step tells of."""
    config = BATCHES.replace(hessian_share=0.5, steps=100_000, **changes)
    run_id = paused_after(registry, config, 5)
    registry.change(run_id, Changes.of({"eta": 0.25}))
    registry.advance(run_id)
    until(registry, run_id, lambda v: v.last_step == 5)
    made = inspected(registry, run_id, 5)
    assert made.spectrum is not None
    assert (made.step, made.hyper.eta, made.hyper.rule) == (5, 0.25, "sam")
    problem = build_problem(config)
    state = TrainState.initial(config, problem)
    loop = measurements(config, problem, state)
    for _ in range(5):
        next(loop)
    batch = state.fixed or (state.batches.next() if state.batches else problem.full_batch())
    slope, operator = observe(problem, state.w, batch, 0.5)
    assert made.grad_norm == slope.norm
    assert made.spectrum.exact
    np.testing.assert_array_equal(made.spectrum.nodes, spectrum(operator).nodes)
    row = registry.history(run_id).columns()
    assert (row["grad_norm"][5], row["eta"][5]) == (made.grad_norm, 0.25)
    (kept,) = registry.view(run_id).inspection.spectra
    assert (kept.step, kept.edge, kept.spectrum) == (5, row["edge"][5], made.spectrum)
    # the tracker stops on a residual of 3e-3 at most, and its eigenvalue's error is second order
    assert made.spectrum.radius == pytest.approx(row["sharpness"][5], rel=1e-3)
    registry.stop(run_id)


def test_the_spectrum_s_progress_is_told_and_the_last_three_are_kept(registry):
    run_id = paused_after(registry, LARGE, 2)
    registry.inspect(run_id, 1)

    def counting(view):
        now = view.inspection.progress
        return now and now.what == "spectrum" and now.done > 20

    now = until(registry, run_id, counting).inspection.progress
    assert now is not None
    assert now.done < now.total
    view = until(registry, run_id, lambda v: not v.inspection.pending)
    (first,) = view.inspection.spectra
    assert first.step == 1
    assert not first.spectrum.exact
    assert first.spectrum.products <= 10 * 80 + 5  # and what was timed
    registry.inspect(run_id, 0)
    until(registry, run_id, counting)
    began = time.monotonic()
    registry.cancel_inspection(run_id)
    assert time.monotonic() - began < 2  # all of it takes 4
    assert registry.view(run_id).inspection.spectra == (first,)
    registry.stop(run_id)
    small = ended(registry, BATCHES)
    for step in range(1, SPECTRA + 2):
        inspected(registry, small, step)
    again = inspected(registry, small, 3)  # at the same step: in place of the one before
    kept = registry.view(small).inspection.spectra
    assert [made.step for made in kept] == [2, 4, 3]
    assert kept[-1].spectrum is again.spectrum
    inspected(registry, small, 7, with_spectrum=False)
    assert registry.view(small).inspection.spectra == kept
    registry.clear_inspection(small)
    assert registry.view(small).inspection.spectra == ()


def test_from_the_start_where_no_state_was_stored():
    """Without a store the last state alone is kept, and it lies after every row."""
    registry = RunRegistry(Settings(max_workers=2, spares=0))
    try:
        run_id = ended(registry, BATCHES)
        view = registry.view(run_id)
        assert view.kept == view.last_step + 1
        found = inspected(registry, run_id, 40, with_spectrum=False)
        assert found.loss == registry.history(run_id).columns()["loss"][40]
        assert found.spectrum is None
    finally:
        registry.close()


@pytest.mark.parametrize(
    "config", [BATCHES.replace(steps=400), LARGE.replace(batch_size=100, steps=400)]
)
def test_the_run_goes_on_and_does_not_notice(registry, config):
    """Bit for bit the same rows, beside a spectrum that is exact or estimated."""
    run_id = registry.start(config, pace=40)
    until(registry, run_id, lambda v: v.last_step > 10)
    before = registry.live_workers()
    registry.inspect(run_id, 7)
    assert registry.live_workers() == before + 1
    seen = registry.view(run_id).last_step
    view = until(registry, run_id, lambda v: not v.inspection.pending)
    assert view.phase is Phase.RUNNING
    assert view.last_step > seen  # it went on meanwhile
    assert view.inspection.made is not None
    assert registry.live_workers() == before
    registry.pace(run_id, None)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    left, right = registry.history(run_id).columns(), run(config).columns()
    for name, values in right.items():
        np.testing.assert_array_equal(left[name], values, err_msg=name)


def test_a_fork_is_replayed_from_what_it_shares(registry):
    source = ended(registry, BATCHES)
    fork = registry.fork(source, 30, Changes.of({"eta": 0.05}))
    until(registry, fork, lambda v: v.phase is Phase.ENDED)
    for step in (12, 45):
        row = registry.history(fork).columns()
        found = inspected(registry, fork, step, with_spectrum=False)
        assert (found.loss, found.hyper.eta) == (row["loss"][step], row["eta"][step])


def test_progress_cancel_and_one_at_a_time():
    """Without a store the replay begins at step 0, and takes a while."""
    registry = RunRegistry(Settings(max_workers=2, spares=0))
    try:
        run_id = ended(registry, LONG)
        registry.inspect(run_id, 3_900)
        view = until(
            registry, run_id, lambda v: v.inspection.progress and v.inspection.progress.done
        )
        now = view.inspection.progress
        assert now is not None
        assert (now.what, now.total, view.inspection.asked) == ("replay", 3_900, 3_900)
        assert now.done < now.total
        registry.inspect(run_id, 5)  # no second one
        assert registry.view(run_id).inspection.asked == 3_900
        assert registry.live_workers() == 1
        registry.cancel_inspection(run_id)
        view = registry.view(run_id)
        assert (view.inspection.asked, view.inspection.progress, view.inspection.failure) == (
            None,
            None,
            "",
        )
        assert registry.live_workers() == 0
        made = inspected(registry, run_id, 5)
        assert made.step == 5
        registry.inspect(run_id, 6)
        registry.cancel_inspection(run_id)
        assert registry.view(run_id).inspection.made is made  # what there was stays
        registry.clear_inspection(run_id)
        assert registry.view(run_id).inspection.made is None
    finally:
        registry.close()


def test_a_step_without_a_row_is_refused(registry):
    run_id = ended(registry, ENDLESS.replace(steps=10))
    for step in (-1, 10):
        with pytest.raises(ValueError, match="step must be from 0 to 9, the recorded ones"):
            registry.inspect(run_id, step)


def test_what_fails_says_why_in_words(registry):
    config = RunConfig(
        problem="quadratic", options={"eigenvalues": (1e6,)}, rule="usam", eta=1e6, rho=1e3
    )
    run_id = ended(registry, config)
    registry.inspect(run_id, 1)
    view = until(registry, run_id, lambda v: not v.inspection.pending)
    assert view.inspection.failure == "the loss has left the finite range at step 1"
    assert view.inspection.made is None


def test_one_inspector_beside_the_workers_and_no_second_one():
    """Where one run holds the only worker, it can be inspected; so can no other meanwhile."""
    registry = RunRegistry(Settings(max_workers=1, spares=0))
    try:
        other = ended(registry, ENDLESS.replace(steps=10))
        run_id = registry.start(LARGE, paused=True)
        registry.advance(run_id, 3)
        until(registry, run_id, lambda v: v.last_step == 2)
        registry.inspect(run_id, 1)
        assert registry.view(run_id).inspection.failure == ""
        assert registry.live_workers() == 2
        registry.inspect(other, 1)
        assert "every worker is busy" in registry.view(other).inspection.failure
        assert registry.live_workers() == 2
        view = until(registry, run_id, lambda v: not v.inspection.pending)
        assert view.inspection.made is not None
        registry.inspect(other, 1)
        assert registry.view(other).inspection.failure == ""
    finally:
        registry.close()


def test_a_run_starts_beside_an_inspector():
    """The inspector leaves the only worker to runs; a second run waits, as ever."""
    registry = RunRegistry(Settings(max_workers=1, spares=0))
    try:
        done = ended(registry, LONG)
        registry.inspect(done, 3_900)
        first, second = (registry.start(ENDLESS) for _ in range(2))
        assert registry.view(done).inspection.pending
        assert registry.view(first).phase is Phase.STARTING
        assert registry.view(second).phase is Phase.WAITING
    finally:
        registry.close()


def test_a_lost_process():
    registry = RunRegistry(Settings(max_workers=1, spares=0))
    try:
        run_id = ended(registry, ENDLESS.replace(steps=10))
        known = set(psutil.Process().children(recursive=True))
        registry.inspect(run_id, 1)
        assert registry.view(run_id).inspection.failure == ""
        (inspector,) = sooner_or_later(
            lambda: set(psutil.Process().children(recursive=True)) - known
        )
        inspector.kill()
        view = until(registry, run_id, lambda v: not v.inspection.pending)
        assert view.inspection.failure == "the process that measured the inspection was lost"
    finally:
        registry.close()


# --- the step that comes next


def ahead(registry: RunRegistry, run_id: str, step: int) -> Inspection:
    registry.look_ahead(run_id)
    seen = until(registry, run_id, lambda v: v.inspection.ahead and v.inspection.ahead.step == step)
    assert seen.inspection.ahead_failure == ""
    assert seen.inspection.ahead is not None
    return seen.inspection.ahead


def eta_ahead(view: RunView) -> float | None:
    return view.inspection.ahead.hyper.eta if view.inspection.ahead else None


def test_a_paused_run_shows_the_step_that_comes_next_with_the_settings_as_they_are_now(registry):
    run_id = paused_after(registry, BATCHES, 5)
    before = registry.live_workers()
    first = ahead(registry, run_id, 5)
    assert first.spectrum is None
    assert registry.live_workers() == before  # in the run's own worker
    registry.look_ahead(run_id)
    assert registry.view(run_id).inspection.ahead is first  # nothing is done twice
    registry.change(run_id, Changes.of({"eta": 0.25}))
    registry.look_ahead(run_id)
    seen = until(registry, run_id, lambda v: eta_ahead(v) == 0.25)
    second = seen.inspection.ahead
    assert second is not None
    # the same place, another step: the next iterate is eta times as far along both lines
    assert (second.step, second.loss) == (5, first.loss)
    ratio = 0.25 / first.hyper.eta
    for one, other in zip(first.slices, second.slices, strict=True):
        assert other.marks[-1].offset == pytest.approx(ratio * one.marks[-1].offset, rel=1e-4)
    registry.resume(run_id)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    history = registry.history(run_id)
    row = {name: values[5] for name, values in history.columns().items()}
    assert (second.loss, second.grad_norm) == (row["loss"], row["grad_norm"])
    assert second.eigenvalues.tolist() == [row["lambda_max"], row["lambda_2"]]
    assert row["eta"] == 0.25
    # the run has not noticed: it is that of a process which nobody has asked
    assert same_history(history, run(BATCHES, interventions=history.interventions))


def test_a_slow_run_shows_it_between_its_steps(registry):
    run_id = registry.start(BATCHES, pace=5)
    until(registry, run_id, lambda v: v.last_step >= 2)
    registry.look_ahead(run_id)
    view = until(registry, run_id, lambda v: v.inspection.ahead)
    assert view.phase is Phase.RUNNING
    registry.pace(run_id, None)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    made = view.inspection.ahead
    assert made is not None
    assert made.loss == registry.history(run_id).columns()["loss"][made.step]


def test_a_command_does_not_wait_for_the_look_ahead(registry):
    run_id = paused_after(registry, BATCHES, 2)
    registry.look_ahead(run_id)
    registry.advance(run_id)  # in the midst of it, or before
    view = until(registry, run_id, lambda v: v.last_step == 2)
    assert ahead(registry, run_id, 3).step == view.last_step + 1
    registry.stop(run_id)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    registry.look_ahead(run_id, timeout=PATIENCE)  # without a worker there is nothing to wait for
    assert registry.view(run_id).inspection.ahead.step == 3


def test_a_look_ahead_that_fails_says_why_and_the_run_stays(registry):
    """The weights grow by 1e12 a step, and the loss, their square, overflows at the third."""
    wild = RunConfig(problem="quadratic", options={"eigenvalues": (1e6,)}, rule="gd", eta=1e6)
    run_id = paused_after(registry, wild, 2)
    registry.look_ahead(run_id)
    view = until(registry, run_id, lambda v: v.inspection.ahead_failure)
    assert view.inspection.ahead_failure == "the loss has left the finite range at step 2"
    assert (view.phase, view.inspection.ahead) == (Phase.PAUSED, None)
    registry.stop(run_id)
