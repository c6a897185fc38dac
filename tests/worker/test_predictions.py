"""Predictions from real processes: the library's own to the bit, beside runs that do not notice."""

from contextlib import closing
from dataclasses import replace

import psutil
import pytest

from samedge_core.prediction.predict import predict
from samedge_core.prediction.prediction import Prediction
from samedge_core.problems.data import DataError
from samedge_core.store import Store
from samedge_core.store.folder import PREDICTIONS
from samedge_core.store.settings import StoreSettings
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.loop import build_problem, run
from samedge_core.training.replay import replay_to
from samedge_core.training.state import TrainState
from samedge_core.worker.predictions import PredictionView
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.harness import recording, same_history, sooner_or_later, still_running, until

CONFIG = RunConfig(problem="two-weight", rule="sam", eta=0.1, rho=0.05, steps=150)
# a flow goes on for minutes in it, with a row every hundred steps
LONG = CONFIG.replace(steps=1_000_000)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with closing(recording(tmp_path_factory.mktemp("home"), 6)) as registry:
        yield registry


def paused_after(registry: RunRegistry, steps: int) -> str:
    run_id = registry.start(CONFIG, paused=True)
    registry.advance(run_id, steps)
    until(registry, run_id, lambda v: v.last_step == steps - 1)
    return run_id


def predicted(registry: RunRegistry, run_id: str, stretches: int = 1) -> PredictionView:
    registry.predict(run_id)
    view = until(
        registry,
        run_id,
        lambda v: len(v.prediction.stretches) == stretches and not v.prediction.pending,
    )
    assert view.prediction.failure == ""
    return view.prediction


def same(one: Prediction, other: Prediction) -> bool:
    """To the bit: NaN, as the first cosines are, has a text of its own."""
    return repr((one.points, one.outcome, one.hyper, one.begin)) == repr(
        (other.points, other.outcome, other.hyper, other.begin)
    )


def later(config: RunConfig, step: int, changes: dict) -> Prediction:
    """By the library, of a run in which these changes are made at a step."""
    problem = build_problem(config)
    state = TrainState.initial(config, problem)
    replay_to(config, problem, state, step, [Intervention(step, Changes(changes))])
    return predict(config, start=state, problem=problem)


def test_it_is_the_library_s_to_the_bit_and_the_run_does_not_notice(registry):
    run_id = registry.start(CONFIG, paused=True)
    (made,) = predicted(registry, run_id).stretches  # before the first step of the run
    assert same(made, predict(CONFIG))
    assert len(made) == CONFIG.steps
    registry.resume(run_id)
    view = until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    assert same_history(registry.history(run_id), run(CONFIG))
    registry.predict(run_id)  # there already
    assert view.prediction.stretches[0] is made
    assert not registry.view(run_id).prediction.pending


def test_a_change_on_the_way_is_predicted_from_its_step_and_both_stay(registry):
    run_id = paused_after(registry, 60)
    (first,) = predicted(registry, run_id).stretches
    registry.change(run_id, Changes.of({"eta": 0.08}))
    one, other = predicted(registry, run_id, 2).stretches  # in force with the next step only
    assert one is first
    assert same(other, later(CONFIG, 60, {"eta": 0.08}))
    registry.resume(run_id)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    registry.predict(run_id)  # the step at which it came into force is the one that was predicted
    assert registry.view(run_id).prediction.stretches == (one, other)
    assert [item.step for item in registry.history(run_id).interventions] == [60]


def test_a_change_that_is_taken_back_leaves_the_first_prediction(registry):
    run_id = paused_after(registry, 10)
    (first,) = predicted(registry, run_id).stretches
    registry.change(run_id, Changes.of({"rho": 0.1}))
    predicted(registry, run_id, 2)
    registry.change(run_id, Changes.of({"rho": CONFIG.rho}))
    assert predicted(registry, run_id).stretches == (first,)
    registry.stop(run_id)


def test_with_more_steps_it_goes_on_to_the_new_cap_and_shows_the_old_one_until_then(registry):
    run_id = registry.start(CONFIG)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    predicted(registry, run_id)
    registry.resume(run_id)
    registry.predict(run_id)
    seen = []

    def ended(view) -> bool:
        seen.append(view.prediction.stretches[0].last_step)
        return not view.prediction.pending

    view = until(registry, run_id, ended)
    (made,) = view.prediction.stretches
    assert same(made, predict(CONFIG.replace(steps=2 * CONFIG.steps)))
    assert min(seen) >= CONFIG.steps - 1
    registry.predict(run_id)  # there already
    assert not registry.view(run_id).prediction.pending
    registry.stop(run_id)


def test_another_flow_replaces_it_and_one_that_does_not_fit_is_named(registry):
    run_id = registry.start(CONFIG, paused=True)
    predicted(registry, run_id)
    registry.predict(run_id, "ode")
    (made,) = until(registry, run_id, lambda v: not v.prediction.pending).prediction.stretches
    assert same(made, predict(CONFIG, flow="ode"))
    registry.predict(run_id, "ode")  # there already
    assert not registry.view(run_id).prediction.pending
    until(registry, run_id, lambda v: v.phase is Phase.PAUSED)
    registry.change(run_id, Changes.of({"rule": "gd"}))
    registry.predict(run_id, "central")
    assert "central flow takes SAM, got GD" in registry.view(run_id).prediction.failure
    (made,) = predicted(registry, run_id).stretches  # the failure of one flow is not another's
    assert made.flow == "hop"
    registry.stop(run_id)


def test_at_step_0_new_settings_replace_the_prediction(registry):
    run_id = registry.start(CONFIG, paused=True)
    predicted(registry, run_id)
    registry.change(run_id, Changes.of({"eta": 0.07}))
    registry.predict(run_id)
    view = until(registry, run_id, lambda v: not v.prediction.pending)
    (made,) = view.prediction.stretches
    assert same(replace_config(made), replace_config(predict(CONFIG.replace(eta=0.07))))
    registry.stop(run_id)


def replace_config(made: Prediction) -> Prediction:
    """Its rows alone: a run keeps the settings that it was started with."""
    rows = Prediction(CONFIG, made.flow, made.hyper)
    rows.extend(made.points)
    return rows


def test_it_streams_can_be_cancelled_and_is_asked_for_again(registry):
    run_id = registry.start(LONG, paused=True)
    registry.predict(run_id)
    part = until(registry, run_id, lambda v: v.prediction.stretches).prediction
    assert part.pending
    assert part.stretches[0].outcome is None
    before = len(part.stretches[0])
    more = until(registry, run_id, lambda v: len(v.prediction.stretches[0]) > before)
    steps = [point.step for point in more.prediction.stretches[0].points]
    assert steps == list(range(0, 100 * len(steps), 100))
    assert len(part.stretches[0]) == before  # what a page is reading does not change under it
    registry.cancel_prediction(run_id)
    view = registry.view(run_id).prediction
    assert not view.pending
    assert view.stretches[0].outcome is None
    registry.predict(run_id)
    assert registry.view(run_id).prediction.pending
    registry.stop(run_id)  # ends it too
    assert not registry.view(run_id).prediction.pending


def test_a_lost_process_is_named_and_is_not_tried_again_by_itself(registry):
    run_id = registry.start(LONG, paused=True)
    processes = {child.pid for child in psutil.Process().children(recursive=True)}
    registry.predict(run_id)
    until(registry, run_id, lambda v: v.prediction.stretches)
    process = registry._runs[run_id].prediction._process
    assert process.pid is not None
    assert process.pid not in processes or process.pid in psutil.pids()
    victim = psutil.Process(process.pid)
    victim.kill()
    view = until(registry, run_id, lambda v: not v.prediction.pending).prediction
    assert "lost" in view.failure
    assert not still_running([victim], 5)
    registry.predict(run_id)
    assert not registry.view(run_id).prediction.pending
    assert registry.view(run_id).phase is Phase.PAUSED  # the run itself is well
    registry.stop(run_id)


def test_a_rule_that_no_flow_describes_is_refused_by_name(registry):
    run_id = registry.start(CONFIG.replace(rule="polyak"), paused=True)
    registry.predict(run_id)
    view = until(registry, run_id, lambda v: v.prediction.failure).prediction
    assert "polyak" in view.failure
    assert view.stretches == ()
    until(registry, run_id, lambda v: v.phase is Phase.PAUSED)  # there, a change counts at once
    registry.change(run_id, Changes.of({"rule": "gd"}))
    (made,) = predicted(registry, run_id).stretches
    assert made.hyper.rule == "gd"
    registry.stop(run_id)


def test_one_stands_beside_a_single_worker_and_beside_an_inspection():
    registry = RunRegistry(Settings(max_workers=1, spares=0))
    try:
        run_id = registry.start(LONG, paused=True)
        registry.advance(run_id, 3)
        until(registry, run_id, lambda v: v.last_step == 2)
        registry.predict(run_id)
        registry.inspect(run_id, 1, with_spectrum=False)
        assert registry.live_workers() == 3
        view = registry.view(run_id)
        assert (view.prediction.failure, view.inspection.failure) == ("", "")
    finally:
        registry.close()


def test_what_has_no_room_waits_and_comes_once_there_is_some():
    registry = RunRegistry(Settings(max_workers=1, spares=0))
    try:
        first = registry.start(LONG, paused=True)
        second = registry.start(CONFIG, paused=True)  # waits for the only worker
        registry.predict(first)
        registry.predict(second)
        seen = registry.view(second).prediction
        assert (seen.waits, seen.pending, seen.failure) == (True, False, "")
        registry.cancel_prediction(first)
        (made,) = predicted(registry, second).stretches
        assert same(made, predict(CONFIG))
        assert not registry.view(second).prediction.waits
    finally:
        registry.close()


def test_nobody_watches_nothing_is_predicted():
    registry = RunRegistry(Settings(max_workers=1, spares=0, pause_after=0.5))
    try:
        run_id = registry.start(LONG, paused=True)
        registry.predict(run_id)
        assert registry._runs[run_id].prediction.pending
        sooner_or_later(lambda: not registry._runs[run_id].prediction.pending)
    finally:
        registry.close()


def test_changed_data_are_named_once(registry, monkeypatch):
    run_id = registry.start(CONFIG, paused=True)
    asked = []

    def changed(run: str) -> float:
        asked.append(run)
        raise DataError("the file has changed")

    monkeypatch.setattr(registry, "_check_data", changed)
    registry.predict(run_id)
    registry.predict(run_id)
    assert registry.view(run_id).prediction.failure == "the file has changed"
    assert asked == [run_id]
    monkeypatch.undo()
    registry.stop(run_id)


class TestTheRecord:
    def test_it_is_found_again_after_a_restart(self, tmp_path):
        first = RunRegistry(Settings(spares=0), Store(StoreSettings.at(tmp_path)))
        run_id = first.start(CONFIG)
        until(first, run_id, lambda v: v.phase is Phase.ENDED)
        (made,) = predicted(first, run_id).stretches
        first.close()
        second = RunRegistry(Settings(spares=0), Store(StoreSettings.at(tmp_path)))
        try:
            (found,) = second.view(run_id).prediction.stretches
            assert same(found, made)
            second.predict(run_id)
            assert not second.view(run_id).prediction.pending
        finally:
            second.close()

    def test_a_run_that_was_opened_keeps_what_is_predicted_then(self, tmp_path):
        first = RunRegistry(Settings(spares=0), Store(StoreSettings.at(tmp_path)))
        run_id = first.start(CONFIG)
        until(first, run_id, lambda v: v.phase is Phase.ENDED)
        first.close()
        store = Store(StoreSettings.at(tmp_path))
        second = RunRegistry(Settings(spares=0), store)
        second.open(run_id)
        (made,) = predicted(second, run_id).stretches
        sooner_or_later(lambda: store.folder(run_id).predictions(CONFIG))
        (found,) = store.folder(run_id).predictions(CONFIG)
        assert same(found, made)
        second.close()

    def test_a_damaged_file_of_predictions_is_named_and_made_anew_and_the_run_stands(
        self, tmp_path
    ):
        store = Store(StoreSettings.at(tmp_path))
        with closing(RunRegistry(Settings(spares=0), store)) as first:
            run_id = first.start(CONFIG)
            until(first, run_id, lambda v: v.phase is Phase.ENDED)
        (store.folder(run_id).path / PREDICTIONS).write_text("{")
        with closing(RunRegistry(Settings(spares=0), Store(StoreSettings.at(tmp_path)))) as second:
            second.open(run_id)
            view = second.view(run_id)
            assert view.last_step == CONFIG.steps - 1
            assert "predictions.json is damaged" in view.prediction.failure
            (made,) = predicted(second, run_id).stretches
        (found,) = store.folder(run_id).predictions(CONFIG)
        assert same(found, made)

    def test_a_fork_keeps_what_was_predicted_before_it(self, registry):
        run_id = registry.start(CONFIG, paused=True)
        registry.advance(run_id, 60)
        until(registry, run_id, lambda v: v.last_step == 59)
        registry.change(run_id, Changes.of({"eta": 0.08}))
        registry.advance(run_id, 20)
        until(registry, run_id, lambda v: v.last_step == 79)
        (second,) = predicted(registry, run_id).stretches
        assert second.begin == 60
        before = registry.fork(run_id, 60, branch="rewind", paused=True)
        after = registry.fork(run_id, 70, branch="rewind", paused=True)
        assert registry.view(before).prediction.stretches == ()
        assert registry.view(after).prediction.stretches == (second,)
        for each in (run_id, before, after):
            registry.stop(each)


def test_the_hyperparameters_are_those_of_the_step(registry):
    run_id = registry.start(CONFIG.replace(weight_decay=0.001), paused=True)
    (made,) = predicted(registry, run_id).stretches
    assert made.hyper == replace(CONFIG.hyperparameters, weight_decay=0.001)
    registry.stop(run_id)
