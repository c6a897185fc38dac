"""Real worker processes behind the registry: commands, leases, the queue, loss and resume."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import psutil
import pytest

from samedge_core.fields import ConfigError
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.loop import run
from samedge_core.training.stop import StopReason
from samedge_core.worker.registry import BusyError, RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase, RunView
from tests.worker.harness import PATIENCE, same_history, sooner_or_later, still_running, until

FAST = RunConfig(problem="two-weight", rule="sam", eta=0.1, rho=0.05, steps=1_000_000)
SMALL = RunConfig(problem="digits-mlp", options={"n": 50, "width": 10}, steps=200, batch_size=25)


def in_phase(phase: Phase):
    return lambda view: view.phase is phase


def reason(view: RunView) -> StopReason | None:
    return view.stop.reason if view.stop else None


def kill_worker(view: RunView) -> None:
    assert view.worker_pid is not None
    os.kill(view.worker_pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def registry():
    registry = RunRegistry(Settings(max_workers=4, spares=1))
    yield registry
    registry.close()


@pytest.fixture
def one_worker():
    registry = RunRegistry(Settings(max_workers=1, spares=0))
    yield registry
    registry.close()


@pytest.fixture
def short_leases():
    registry = RunRegistry(Settings(max_workers=1, spares=0, pause_after=1.0, end_after=3.0))
    yield registry
    registry.close()


def test_a_worker_records_exactly_what_the_library_computes(registry):
    run_id = registry.start(SMALL)
    view = until(registry, run_id, in_phase(Phase.ENDED))
    assert reason(view) is StopReason.STEP_CAP
    assert same_history(registry.history(run_id), run(SMALL))


def test_ids_can_not_be_guessed_and_unknown_ones_raise(registry):
    first, second = registry.start(SMALL, paused=True), registry.start(SMALL, paused=True)
    assert first != second
    assert len(first) >= 20  # 16 random bytes, base64
    assert "x" not in registry
    with pytest.raises(KeyError):
        registry.view("x")
    registry.stop(first)
    registry.stop(second)


def test_pause_advance_and_resume(registry):
    run_id = registry.start(FAST, paused=True)
    registry.advance(run_id, 3)
    until(registry, run_id, lambda v: v.phase is Phase.PAUSED and v.last_step == 2)
    registry.resume(run_id)
    until(registry, run_id, lambda v: v.last_step > 20)
    registry.pause(run_id)
    before = until(registry, run_id, lambda v: not v.pausing).last_step
    time.sleep(0.3)
    assert registry.view(run_id).last_step == before
    registry.stop(run_id)
    stopped = until(registry, run_id, in_phase(Phase.ENDED))
    assert reason(stopped) is StopReason.STOPPED
    assert stopped.last_step == before


def test_a_run_is_pausing_until_its_worker_says_that_it_has(registry):
    run_id = registry.start(FAST)
    pid = until(registry, run_id, lambda v: v.last_step > 20).worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # as in a step that takes long
    registry.pause(run_id)
    time.sleep(0.2)
    view = registry.view(run_id)
    assert (view.phase, view.pausing) == (Phase.PAUSED, True)
    os.kill(pid, signal.SIGCONT)
    paused_at = until(registry, run_id, lambda v: not v.pausing).last_step
    registry.advance(run_id)
    view = until(registry, run_id, lambda v: v.last_step > paused_at and not v.pausing)
    assert (view.phase, view.last_step) == (Phase.PAUSED, paused_at + 1)
    registry.stop(run_id)


def test_a_change_acts_from_the_next_step_and_is_recorded(registry):
    run_id = registry.start(FAST, paused=True)
    registry.advance(run_id, 5)
    until(registry, run_id, lambda v: v.last_step == 4)
    registry.change(run_id, Changes.of({"eta": 0.05}))
    registry.advance(run_id, 5)
    view = until(registry, run_id, lambda v: v.last_step == 9)
    assert view.marks == ((5, "η 0.1 → 0.05"),)
    eta = registry.history(run_id).columns()["eta"]
    np.testing.assert_array_equal(eta, [0.1] * 5 + [0.05] * 5)
    registry.stop(run_id)


def test_a_bad_change_is_refused_and_the_run_goes_on(registry):
    run_id = registry.start(FAST)
    with pytest.raises(ConfigError, match="got -1"):
        registry.change(run_id, Changes.of({"eta": -1}))
    seen = registry.view(run_id).last_step
    assert until(registry, run_id, lambda v: v.last_step > seen + 10).marks == ()
    registry.stop(run_id)


def test_resume_at_the_step_cap_adds_as_many_steps_again(registry):
    run_id = registry.start(FAST.replace(steps=50))
    until(registry, run_id, in_phase(Phase.ENDED))
    registry.resume(run_id)
    view = until(registry, run_id, lambda v: v.phase is Phase.ENDED and v.last_step == 99)
    assert reason(view) is StopReason.STEP_CAP
    assert same_history(registry.history(run_id), run(FAST.replace(steps=100)))


def test_a_run_that_diverged_can_not_be_resumed(registry):
    run_id = registry.start(FAST.replace(rule="gd", eta=5.0))
    view = until(registry, run_id, in_phase(Phase.ENDED))
    assert reason(view) is StopReason.DIVERGED
    with pytest.raises(ValueError, match="Diverged: the loss is"):
        registry.resume(run_id)


def test_pace_limits_the_speed(registry):
    run_id = registry.start(FAST, pace=20)
    until(registry, run_id, lambda v: v.last_step >= 0)
    time.sleep(1.0)
    # 20 a second for about a second: unpaced it makes hundreds
    assert registry.view(run_id).last_step <= 60
    registry.stop(run_id)


@pytest.mark.parametrize("config", [SMALL, FAST], ids=["mini-batch", "full batch"])
def test_a_killed_worker_is_seen_and_resume_repeats_the_run_to_the_bit(registry, config):
    config = config.replace(steps=400)
    run_id = registry.start(config, pace=100)
    # beyond the first second, so that there is a snapshot to go on from
    until(registry, run_id, lambda v: v.last_step > 120)
    registry.change(run_id, Changes.of({"rho": 0.02}))
    until(registry, run_id, lambda v: v.marks)
    before = until(registry, run_id, lambda v: v.last_step > v.marks[0][0] + 10)
    began = time.monotonic()
    kill_worker(before)
    lost = until(registry, run_id, in_phase(Phase.ENDED))
    assert time.monotonic() - began < 3
    assert reason(lost) is StopReason.WORKER_LOST
    assert lost.last_step >= before.last_step
    registry.pace(run_id, None)
    registry.resume(run_id)
    view = until(registry, run_id, lambda v: v.stop and v.stop.reason is StopReason.STEP_CAP)
    assert view.marks[-1] == (lost.last_step + 1, "new worker")
    changes = [i for i in registry.history(run_id).interventions if i.changes]
    assert same_history(registry.history(run_id), run(config, interventions=changes))


def test_a_change_made_while_the_worker_is_gone_is_kept(registry):
    run_id = registry.start(FAST, paused=True)
    registry.advance(run_id, 5)
    view = until(registry, run_id, lambda v: v.last_step == 4)
    kill_worker(view)
    until(registry, run_id, in_phase(Phase.ENDED))
    registry.change(run_id, Changes.of({"eta": 0.03}))
    registry.resume(run_id)
    view = until(registry, run_id, lambda v: v.last_step > 6)
    assert [label for _, label in view.marks] == ["new worker", "η 0.1 → 0.03"]
    assert {step for step, _ in view.marks} == {5}
    registry.stop(run_id)


def test_an_unwatched_run_pauses_goes_on_when_seen_and_ends_after_long(short_leases):
    run_id = short_leases.start(FAST)
    until(short_leases, run_id, lambda v: v.last_step > 0)
    time.sleep(1.8)  # pause_after is 1 s, checked every quarter of it
    paused_at = short_leases.history(run_id).last_step
    time.sleep(0.4)
    assert short_leases.history(run_id).last_step == paused_at
    assert short_leases.view(run_id).phase is Phase.RUNNING
    until(short_leases, run_id, lambda v: v.last_step > paused_at)
    time.sleep(4.0)  # end_after is 3 s
    view = short_leases.view(run_id)
    assert reason(view) is StopReason.UNWATCHED
    assert short_leases.live_workers() == 0
    short_leases.resume(run_id)
    until(short_leases, run_id, lambda v: v.last_step > view.last_step)


def test_more_runs_than_workers_wait_in_order(one_worker):
    first, second, third = (one_worker.start(FAST) for _ in range(3))
    assert [one_worker.view(i, most=0).ahead for i in (first, second, third)] == [0, 0, 1]
    assert one_worker.view(third).phase is Phase.WAITING
    one_worker.stop(first)
    until(one_worker, second, lambda v: v.last_step > 0)
    assert one_worker.view(third).ahead == 0
    assert one_worker.live_workers() == 1
    one_worker.pause(third)
    assert one_worker.view(third).phase is Phase.PAUSED
    one_worker.resume(third)
    one_worker.stop(third)
    assert reason(one_worker.view(third)) is StopReason.STOPPED


def test_a_run_waits_while_others_take_the_memory(registry, monkeypatch):
    monkeypatch.setattr("samedge_core.worker.registry._need", lambda config, contents: 60e9)
    monkeypatch.setattr("samedge_core.worker.registry.together", lambda: 100e9)
    first, second = registry.start(FAST), registry.start(FAST)
    until(registry, first, lambda v: v.last_step > 0)
    assert registry.view(second).phase is Phase.WAITING
    registry.stop(first)
    until(registry, second, lambda v: v.last_step > 0)
    registry.stop(second)


def test_an_attended_run_gets_the_memory_of_unattended_ones(registry, monkeypatch):
    monkeypatch.setattr("samedge_core.worker.registry.together", lambda: 100e9)
    monkeypatch.setattr("samedge_core.worker.registry._need", lambda config, contents: 40e9)
    small = [registry.start(FAST, watched=False) for _ in range(2)]
    for run_id in small:
        until(registry, run_id, lambda v: v.last_step > 0)
    monkeypatch.setattr("samedge_core.worker.registry._need", lambda config, contents: 90e9)
    large = registry.start(FAST)
    until(registry, large, lambda v: v.last_step > 0)
    assert [registry.view(i).phase for i in small] == [Phase.WAITING, Phase.WAITING]
    registry.stop(large)
    for run_id in small:
        until(registry, run_id, in_phase(Phase.RUNNING))
        registry.stop(run_id)


def test_no_run_gives_way_to_one_that_has_to_wait_in_any_case(registry, monkeypatch):
    monkeypatch.setattr("samedge_core.worker.registry.together", lambda: 100e9)
    started = []
    for need, watched in ((60e9, True), (10e9, False), (50e9, True)):
        monkeypatch.setattr(
            "samedge_core.worker.registry._need", lambda config, contents, need=need: need
        )
        started.append(registry.start(FAST, watched=watched))
        if need != 50e9:
            until(registry, started[-1], lambda v: v.last_step > 0)
    first, unattended, waiting = started
    assert registry.view(waiting).phase is Phase.WAITING  # beside the first it never fits
    assert registry.view(unattended).phase is Phase.RUNNING
    registry.stop(first)
    until(registry, waiting, lambda v: v.last_step > 0)  # and beside the other one it does
    assert registry.view(unattended).phase is Phase.RUNNING
    for run_id in (unattended, waiting):
        registry.stop(run_id)


def test_steps_that_are_asked_for_while_waiting_are_taken_when_a_worker_comes(one_worker):
    first = one_worker.start(FAST)
    stepped, left = (one_worker.start(FAST, paused=True) for _ in range(2))
    one_worker.advance(stepped)
    one_worker.pause(stepped)
    one_worker.advance(stepped, 2)
    one_worker.pause(left)
    one_worker.stop(left)
    assert reason(one_worker.view(left)) is StopReason.STOPPED
    one_worker.stop(first)
    view = until(one_worker, stepped, lambda v: v.last_step >= 1 and not v.pausing)
    assert (view.phase, view.last_step) == (Phase.PAUSED, 1)
    one_worker.stop(stepped)


def test_a_waiting_run_gets_the_worker_of_one_that_nobody_watches(short_leases):
    config = FAST.replace(steps=300)
    left = short_leases.start(config, paused=True)
    until(short_leases, left, in_phase(Phase.PAUSED))
    short_leases.advance(left, 50)
    until(short_leases, left, lambda view: view.last_step == 49)
    waiting = short_leases.start(config.replace(steps=100))
    until(short_leases, waiting, in_phase(Phase.ENDED))
    view = short_leases.view(left, most=0)
    assert view.stop is not None
    assert view.stop.reason is StopReason.UNWATCHED
    assert "another run needed the worker" in view.stop.message
    short_leases.resume(left)
    until(short_leases, left, in_phase(Phase.ENDED))
    resumed, whole = short_leases.history(left).columns(), run(config).columns()
    np.testing.assert_array_equal(resumed["loss"], whole["loss"])


def test_attended_runs_go_first_and_take_the_worker_of_an_unattended_one(one_worker):
    config = SMALL.replace(steps=400)
    alone = one_worker.start(config, watched=False)
    until(one_worker, alone, lambda view: view.last_step > 20)
    later = [one_worker.start(FAST, watched=False) for _ in range(2)]
    attended = [one_worker.start(FAST) for _ in range(2)]
    until(one_worker, attended[0], lambda view: view.last_step > 0)
    listed = one_worker.unfinished()
    assert [run.id for run in listed] == [attended[0], attended[1], alone, *later]
    assert [run.ahead for run in listed] == [0, 0, 1, 2, 3]
    assert [run.attended for run in listed] == [True, True, False, False, False]
    assert listed[2].last_step >= 20
    for run_id in [*attended, *later]:
        one_worker.stop(run_id)
    until(one_worker, alone, in_phase(Phase.ENDED))
    assert same_history(one_worker.history(alone), run(config))
    assert one_worker.unfinished() == []


def test_a_paused_unattended_run_gives_its_worker_and_stays_paused(one_worker):
    unattended = one_worker.start(FAST, watched=False)
    until(one_worker, unattended, lambda view: view.last_step > 0)
    one_worker.pause(unattended)
    attended = one_worker.start(FAST)
    until(one_worker, attended, lambda view: view.last_step > 0)
    view = one_worker.view(unattended, most=0)
    assert (view.phase, view.worker_pid) == (Phase.PAUSED, None)
    one_worker.stop(attended)
    one_worker.resume(unattended)
    until(one_worker, unattended, lambda later: later.last_step > view.last_step)


def test_the_number_of_unattended_runs_is_limited():
    registry = RunRegistry(Settings(max_workers=1, spares=0, max_unattended=2))
    runs = [registry.start(FAST, watched=False) for _ in range(2)]
    with pytest.raises(BusyError, match=r"^2 runs .* at most 2 may: .* SAMEDGE_MAX_UNATTENDED$"):
        registry.start(FAST, watched=False)
    registry.stop(registry.start(FAST))  # one that is watched waits for none of them
    registry.stop(runs[1])
    registry.start(FAST, watched=False)
    registry.close()


def test_the_list_of_unfinished_runs_renews_no_lease(short_leases):
    run_id = short_leases.start(FAST)
    until(short_leases, run_id, lambda view: view.last_step > 0)
    sooner_or_later(lambda: not short_leases.unfinished())
    assert reason(short_leases.view(run_id, most=0)) is StopReason.UNWATCHED


def test_an_interventions_replay_is_what_the_record_says(registry):
    """Config and interventions of a record are enough to repeat it."""
    run_id = registry.start(FAST.replace(steps=300), pace=200)
    for eta in (0.05, 0.2, 0.1):
        seen = registry.view(run_id, most=0).last_step
        until(registry, run_id, lambda v, seen=seen: v.last_step > seen + 10)
        registry.change(run_id, Changes.of({"eta": eta}))
    until(registry, run_id, in_phase(Phase.ENDED))
    record = registry.history(run_id)
    assert len(record.interventions) == 3
    assert all(isinstance(item, Intervention) for item in record.interventions)
    assert same_history(record, run(record.config, interventions=record.interventions))


SERVER = """
import sys, time
from samedge_core.training.config import RunConfig
from samedge_core.worker.registry import BusyError, RunRegistry
from samedge_core.worker.settings import Settings
registry = RunRegistry(Settings(spares=1))
run = registry.start(RunConfig(steps=100_000))
registry.wait_for_rows(run, 60)
print(registry.view(run).worker_pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_server(how):
    server = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SERVER)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    with server.stdout:
        assert server.stdout.readline().strip().isdigit()
        workers = psutil.Process(server.pid).children(recursive=True)
        assert len(workers) == 3  # what they are copies of, the run's and the spare
        server.send_signal(how)
        server.wait(timeout=PATIENCE)
    assert still_running(workers, 3) == []


def test_settings_from_the_environment():
    assert Settings.from_env({}) == Settings()
    environ = {"SAMEDGE_MAX_WORKERS": "3", "SAMEDGE_PAUSE_AFTER": "2.5", "SAMEDGE_SPARES": "0"}
    settings = Settings.from_env(environ)
    assert (settings.max_workers, settings.pause_after, settings.spares) == (3, 2.5, 0)
    with pytest.raises(ValueError, match=r"SAMEDGE_END_AFTER must be a number > 0, got 'soon'"):
        Settings.from_env({"SAMEDGE_END_AFTER": "soon"})
