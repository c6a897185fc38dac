"""Workers are copies of one process, or programs of their own; either do the same."""

import os
from contextlib import closing

import psutil
import pytest
import torch

from samedge_core.training.config import RunConfig
from samedge_core.training.loop import run
from samedge_core.training.stop import StopReason
from samedge_core.worker import launching
from samedge_core.worker.messages import Begin, Ended
from samedge_core.worker.process import WorkerProcess
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.serving import warm_up
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.harness import same_history, sooner_or_later, still_running, until

ENDLESS = RunConfig(problem="two-weight", eta=0.1, steps=10_000_000)
DIGITS = RunConfig(options={"n": 50, "width": 10}, rule="sam", rho=0.05, steps=30)


@pytest.fixture
def registry():
    with closing(RunRegistry(Settings(max_workers=4, spares=0))) as registry:
        yield registry


def parent(registry: RunRegistry, run_id: str) -> psutil.Process:
    """Of the worker of a run, once that is ready."""
    pid = sooner_or_later(lambda: registry.view(run_id, most=0).worker_pid)
    return psutil.Process(psutil.Process(pid).ppid())


@pytest.mark.parametrize("forks", [True, False])
def test_a_copy_and_a_program_compute_the_same_bits(registry, monkeypatch, forks):
    monkeypatch.setattr(launching, "FORKS", forks)
    run_id = registry.start(DIGITS)
    is_copy = parent(registry, run_id) != psutil.Process()
    assert is_copy == forks
    until(registry, run_id, lambda view: view.phase is Phase.ENDED)
    assert same_history(registry.history(run_id), run(DIGITS))


def test_copies_are_small_and_of_one_process(registry):
    first, second = registry.start(ENDLESS), registry.start(ENDLESS)
    assert parent(registry, first) == parent(registry, second)
    pid = registry.view(first, most=0).worker_pid
    own = psutil.Process(pid).memory_full_info().uss
    assert own < 0.3 * parent(registry, first).memory_full_info().rss


def test_copies_are_the_same_after_more_was_loaded(registry):
    first = registry.start(DIGITS)
    before = parent(registry, first)
    launching.warm_again()
    second = registry.start(DIGITS)
    assert parent(registry, second) == before
    for run_id in (first, second):
        until(registry, run_id, lambda view: view.phase is Phase.ENDED)
    assert same_history(registry.history(first), registry.history(second))


def test_runs_outlive_what_their_workers_are_copies_of_and_new_ones_get_another(registry):
    first = registry.start(ENDLESS)
    lost = parent(registry, first)
    lost.kill()
    lost.wait()
    seen = registry.view(first, most=0).last_step
    second = registry.start(ENDLESS)
    assert parent(registry, second) != lost
    until(registry, first, lambda view: view.last_step > seen + 100)
    worker = psutil.Process(registry.view(first, most=0).worker_pid)
    registry.close()
    assert still_running([worker], 10) == []


@pytest.mark.parametrize("forks", [True, False])
def test_a_worker_that_cannot_load_torch_is_lost_and_the_run_says_so(
    registry, tmp_path, monkeypatch, forks
):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(launching, "FORKS", forks)
    monkeypatch.setattr(launching, "_server", None)  # as in a server that has just started
    run_id = registry.start(ENDLESS)
    stop = until(registry, run_id, lambda view: view.phase is Phase.ENDED).stop
    assert stop is not None
    assert stop.reason is StopReason.WORKER_LOST
    launching._close()


def test_a_copy_has_the_settings_of_when_it_was_asked_for(registry, paper_files, monkeypatch):
    parent(registry, registry.start(ENDLESS))  # which has those of before
    task = RunConfig(problem="mnist-mlp", options={"n": 100, "width": 5}, steps=2)
    reasons = []
    for folder in (os.devnull, paper_files):
        monkeypatch.setenv("SAMEDGE_DATA", str(folder))
        run_id = registry.start(task)
        stop = until(registry, run_id, lambda view: view.phase is Phase.ENDED).stop
        assert stop is not None
        reasons.append(stop.reason)
    assert reasons == [StopReason.FAILED, StopReason.STEP_CAP]


def test_one_that_is_closed_before_it_is_ready_ends_unmissed():
    lost = []
    worker = WorkerProcess(lambda *_: None, lost.append)
    worker.close()
    pid = sooner_or_later(lambda: worker.pid)
    assert pid is not None
    sooner_or_later(lambda: not psutil.pid_exists(pid))
    assert lost == []


def test_commands_wait_for_the_worker_and_nobody_for_them(monkeypatch):
    """A pipe holds 64 KB, and a worker that loads torch reads nothing for seconds."""
    monkeypatch.setattr(launching, "_server", None)  # as in a server that has just started
    reports = []
    worker = WorkerProcess(lambda _, report: reports.append(report), lambda _: None)
    try:
        worker.send(Begin(1, DIGITS, snapshot=bytes(2**20)))  # which is no state
        worker.send(Begin(2, DIGITS.replace(steps=3)))
        assert worker.pid is None
        sooner_or_later(lambda: len([r for r in reports if isinstance(r, Ended)]) == 2)
    finally:
        worker.close()
        launching._close()
    stops = [(r.session, r.stop.reason) for r in reports if isinstance(r, Ended)]
    assert stops == [(1, StopReason.FAILED), (2, StopReason.STEP_CAP)]


def test_nothing_prepares_a_gpu_before_the_copies_are_made(monkeypatch):
    """Of CUDA, a process forked after that can use none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("asked for a GPU"))
    assert warm_up() > 0
