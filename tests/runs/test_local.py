"""Runs without a page: resuming is exact, whatever interrupted the run and wherever it did."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from sqlalchemy.exc import OperationalError

import samedge_core as se
from samedge_core.problems.data import DataError
from samedge_core.runs import local, process
from samedge_core.runs.local import LocalRun
from samedge_core.runs.restore import state_at
from samedge_core.sharing import files
from samedge_core.sharing.export import ResumeError
from samedge_core.sharing.files import SavedError
from samedge_core.store import Store, open_store
from samedge_core.store.writer import RunWriter
from samedge_core.training.loop import measurements

SMALL = {"n": 50, "width": 8}
STEPS = 24


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    store = open_store(tmp_path / "home")
    yield store
    store.close()


@pytest.fixture
def always_save(monkeypatch) -> None:
    """Save rows and state after every step."""
    monkeypatch.setattr(local, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(local, "SNAPSHOT_SHARE", float("inf"))


def small(**settings) -> se.RunConfig:
    defaults = {"options": SMALL, "eta": 0.5, "steps": STEPS, "dtype": "float64"}
    return se.RunConfig(**{**defaults, **settings})


def stop_at(step: int, number: int = signal.SIGINT) -> Callable[[se.Measurement], None]:
    """A real signal to this process, sent when the row of `step` is there."""

    def on_row(row: se.Measurement) -> None:
        if row.step == step:
            os.kill(os.getpid(), number)

    return on_row


def killed_at(step: int) -> Callable[[se.Measurement], None]:
    """As a kill: nothing is saved after the row of `step`."""

    def on_row(row: se.Measurement) -> None:
        if row.step == step:
            raise KeyboardInterrupt

    return on_row


def ran(store: Store, config: se.RunConfig | None = None, **arguments) -> str:
    """The id of a run to its end, or to its interruption."""
    run = LocalRun.new(config or small())
    run.run(store, **arguments)
    return run.record.id


def killed(store: Store, step: int, config: se.RunConfig | None = None) -> str:
    run = LocalRun.new(config or small())
    with pytest.raises(KeyboardInterrupt):
        run.run(store, on_row=killed_at(step))
    return run.record.id


def resumed(store: Store, run: str, *, on_row=lambda row: None, **arguments) -> se.History:
    return LocalRun.resumed(store, run, **arguments).run(store, on_row=on_row)


def recorded(store: Store, run: str) -> se.History:
    return store.load(run)[1]


def contents(store: Store, run: str) -> dict[str, bytes]:
    folder = store.folder(run).path
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def without_states(store: Store, run: str, after: int) -> None:
    """As if none had been kept later: rows are then far ahead of the state."""
    store.folder(run).drop_from(after + 1)


def state_file(store: Store, run: str) -> Path:
    """Of the newest state."""
    return max((store.folder(run).path / "snapshots").iterdir())


def assert_same(one: se.History, other: se.History) -> None:
    """Bit for bit, NaN equal to NaN, and the same interventions."""
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame(), check_exact=True)
    assert one.interventions == other.interventions
    assert one.stop == other.stop


def final_w(store: Store, run: str) -> torch.Tensor:
    return state_at(store, run, recorded(store, run).last_step + 1)[2].w


# --- a run to its end -----------------------------------------------------------------------


def test_a_run_is_that_of_the_library(store):
    run = LocalRun.new(small())
    history = run.run(store)
    assert_same(history, se.run(small()))
    assert_same(recorded(store, run.record.id), history)
    # 64 inputs, two layers of 8, 10 outputs, with biases
    assert history.parameters == 64 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10


def test_everything_is_in_the_store_at_the_end(store):
    entry = store.catalogue.entry(ran(store, small(steps=2)))
    assert entry is not None
    assert (entry.status, entry.stop_reason, entry.last_step) == ("ended", "step cap", 1)
    assert store.folder(entry.id).snapshots() == [1, 2]
    record, _ = store.load(entry.id)
    assert record.machine["threads"] == 1
    assert record.parameters == 682


def test_interventions_are_made_on_the_way(store):
    plan = [se.Intervention(5, {"eta": 0.25}), se.Intervention(9, {"rule": "gd"})]
    run = LocalRun.new(small(), plan)
    run.run(store)
    expected = se.run(small(), interventions=plan)
    assert len(expected.interventions) == 2
    assert_same(recorded(store, run.record.id), expected)


class Clock:
    """`time` for one module alone: threads that other tests have left read the clock, too."""

    def __init__(self, monotonic):
        self.monotonic = monotonic

    def __getattr__(self, name):
        return getattr(time, name)


def test_the_first_step_and_every_second_are_saved(store, monkeypatch):
    clock = iter(0.25 * i for i in range(1000))
    steps: list[int] = []
    save = RunWriter.save

    def noted(writer, news):
        steps.append(news.values["last_step"])
        save(writer, news)

    monkeypatch.setattr(RunWriter, "save", noted)
    monkeypatch.setattr(local, "time", Clock(lambda: next(clock)))
    ran(store, small(steps=9))
    # a quarter of a second a reading of the clock: one after each step, one more after each save
    assert steps == [0, 4, 8, 8]


def test_states_take_a_small_share_of_the_time(store, monkeypatch):
    """A state that takes a quarter of a second is followed by the next one 5 s later."""
    clock = iter(0.25 * i for i in range(1000))
    monkeypatch.setattr(local, "time", Clock(lambda: next(clock)))
    run = ran(store, small(steps=60))
    first, second, third, *_ = store.folder(run).snapshots()
    assert (first, second) == (1, 5)
    # four steps and a save of their rows take 1.25 s
    assert third - second == 20


def test_states_that_save_little_computing_go_and_a_fork_is_as_exact(
    store, monkeypatch, always_save
):
    run = ran(store)
    assert len(store.folder(run).snapshots()) > STEPS // 2  # few bytes
    monkeypatch.setattr("samedge_core.store.folder.SPARE", 0)
    run = ran(store)
    # the newest, to go on from; the whole run is computed again in less than the seconds allowed
    assert store.folder(run).snapshots() == [STEPS]
    forked = LocalRun.forked(store, run, 9).run(store)
    assert_same(forked, recorded(store, run))


def test_while_it_goes_on_it_is_listed_as_being_recorded(store, tmp_path):
    seen = []

    def look(row: se.Measurement) -> None:
        other = open_store(tmp_path / "home")
        seen.extend(entry.status for entry in other.find().entries)
        other.close()

    ran(store, small(steps=3), on_row=look)
    assert seen == ["recording", "recording"]
    assert [entry.status for entry in store.find().entries] == ["ended"]


def test_a_long_step_does_not_make_it_look_dead(store, monkeypatch):
    monkeypatch.setattr(process, "BEAT_SECONDS", 0.01)
    beats = []
    monkeypatch.setattr(store, "beat", lambda: beats.append(1))

    def wait(row: se.Measurement) -> None:
        if row.step == 1:
            threading.Event().wait(0.5)

    ran(store, small(steps=3), on_row=wait)
    assert len(beats) > 10


def test_the_quota_is_kept(store, monkeypatch):
    calls = []
    monkeypatch.setattr(store, "keep_quota", lambda: calls.append(1))
    ran(store, small(steps=2))
    assert calls == [1]


def test_divergence_is_an_end(store):
    config = se.RunConfig(problem="quadratic", rule="gd", eta=10.0, steps=500)
    run = ran(store, config)
    assert recorded(store, run).stop_reason is se.StopReason.DIVERGED
    with pytest.raises(ResumeError, match="can't go on: diverged"):
        LocalRun.resumed(store, run)


def test_a_state_that_is_not_finite_is_not_kept(store):
    config = se.RunConfig(problem="quadratic", rule="gd", eta=1e6, steps=500, dtype="float32")
    run = ran(store, config)
    for step in store.folder(run).snapshots():
        assert state_at(store, run, step)[2].w.isfinite().all()


def fail_at(run: LocalRun, monkeypatch, call: int) -> None:
    gradient, calls = run.problem.gradient, iter(range(100))

    def failing(w, batch):
        if next(calls) == call:
            raise RuntimeError("not enough memory: you tried to allocate 8 GB")
        return gradient(w, batch)

    monkeypatch.setattr(run.problem, "gradient", failing)


def test_a_failure_keeps_the_rows_and_the_last_good_state(store, monkeypatch):
    run = LocalRun.new(small())
    fail_at(run, monkeypatch, 5)
    history = run.run(store)
    assert history.stop == se.Stop(
        se.StopReason.FAILED,
        5,
        "the run failed: RuntimeError: not enough memory: you tried to allocate 8 GB",
    )
    assert_same(recorded(store, run.record.id), history)
    assert len(history) == 5
    assert store.folder(run.record.id).snapshots() == [1]
    with pytest.raises(ResumeError, match="not enough memory"):
        LocalRun.resumed(store, run.record.id)


def test_a_run_that_fails_at_its_first_step_leaves_nothing(store, monkeypatch):
    run = LocalRun.new(small())
    fail_at(run, monkeypatch, 0)
    assert run.run(store).stop_reason is se.StopReason.FAILED
    assert len(store.find().entries) == 0


# --- a store that can't be written to -------------------------------------------------------


def full(monkeypatch, at: Callable[[int], bool]) -> None:
    """The disk is full whenever the newest row is of such a step."""
    save = RunWriter.save

    def save_or_not(writer, news):
        if at(news.values["last_step"]):
            raise OSError(28, "No space left on device")
        save(writer, news)

    monkeypatch.setattr(RunWriter, "save", save_or_not)


def test_a_store_that_cannot_be_written_to_at_first_is_an_os_error(store, monkeypatch):
    full(monkeypatch, lambda step: True)
    run = LocalRun.new(small())
    with pytest.raises(OSError, match="No space left"):
        run.run(store)
    assert run.state.step == 1  # told at once


def test_a_disk_that_is_full_for_a_while_costs_nothing(store, monkeypatch, caplog, always_save):
    full(monkeypatch, lambda step: 5 <= step < 15)
    with caplog.at_level(logging.WARNING):
        run = ran(store)
    assert_same(recorded(store, run), se.run(small()))
    assert "the run is not being recorded, and goes on: [Errno 28] No space left" in caplog.text


def test_a_disk_that_stays_full_is_told_at_the_end(store, monkeypatch, always_save):
    run = LocalRun.new(small())
    with monkeypatch.context() as patch:
        full(patch, lambda step: step >= 5)
        with pytest.raises(OSError, match="No space left"):
            run.run(store)
    assert len(recorded(store, run.record.id)) == 5
    assert_same(resumed(store, run.record.id), se.run(small()))


def test_a_catalogue_that_is_locked_for_a_while_costs_nothing(store, monkeypatch, always_save):
    put, calls = store.catalogue.put, iter(range(1000))

    def locked(run, values):
        if 3 <= next(calls) < 6:
            raise OperationalError("INSERT", {}, Exception("database is locked"))
        put(run, values)

    monkeypatch.setattr(store.catalogue, "put", locked)
    run = ran(store)
    assert_same(recorded(store, run), se.run(small()))
    entry = store.catalogue.entry(run)
    assert entry is not None
    assert entry.last_step == STEPS - 1


# --- interrupted ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step(store, number):
    usual = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run = ran(store, on_row=stop_at(7, number))
    history = recorded(store, run)
    assert history.stop == se.Stop(se.StopReason.STOPPED, 8, "stopped by hand after step 7")
    assert len(history) == 8
    assert store.folder(run).snapshots()[-1] == 8
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == usual


def test_a_second_interruption_ends_at_once(store):
    def twice(row: se.Measurement) -> None:
        if row.step == 7:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    run = LocalRun.new(small())
    with pytest.raises(KeyboardInterrupt):
        run.run(store, on_row=twice)
    entry = store.catalogue.entry(run.record.id)
    assert entry is not None
    assert (entry.status, entry.last_step) == ("interrupted", 0)  # from after the first step


def test_an_interruption_at_the_last_step_is_no_interruption(store):
    run = ran(store, on_row=stop_at(STEPS - 1))
    assert recorded(store, run).stop_reason is se.StopReason.STEP_CAP


def test_a_run_in_a_thread_needs_no_signals(store):
    ends = []
    run = LocalRun.new(small(steps=3))
    thread = threading.Thread(target=lambda: ends.append(run.run(store).stop_reason))
    thread.start()
    thread.join()
    assert ends == [se.StopReason.STEP_CAP]


# --- taken up again -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": 15, "measure_every": 3, "top_k": 3},
        {"rule": "nesterov", "dtype": "float32"},
        {"problem": "two-weight", "options": {}, "eta": 0.3},
        {"problem": "chebyshev-mlp", "options": {}, "eta": 0.2},
        {"problem": "mnist-mlp", "options": {"n": 30, "n_test": 9, "width": 5}, "measure_every": 2},
        {
            "problem": "cifar-cnn",
            "options": {"n": 20, "n_test": 9, "channels": 2, "blocks": 1},
            "eta": 0.01,
            "hessian_share": 0.5,
            "measure_every": 3,
        },
        {
            "problem": "shakespeare-transformer",
            "batch_size": 6,
            "measure_every": 3,
            "measure_on": "fixed",
            "eta": 0.1,
            "options": {"n": 40, "n_test": 9, "layers": 1, "heads": 2, "key": 3, "model": 6},
        },
    ],
)
@pytest.mark.usefixtures("paper_files")
def test_resuming_goes_on_to_the_very_same_bits(store, settings):
    config = small(**settings)
    whole = ran(store, config)
    parts = ran(store, config, on_row=stop_at(4))
    resumed(store, parts, on_row=stop_at(13))
    history = resumed(store, parts)
    assert_same(history, recorded(store, whole))
    assert_same(recorded(store, parts), history)
    assert final_w(store, parts).equal(final_w(store, whole))


def test_changes_on_resuming_are_interventions_at_that_step(store):
    run = ran(store, on_row=stop_at(9))
    history = resumed(store, run, changes={"eta": "0.25", "rule": "gd"})
    change = se.Intervention(10, {"eta": 0.25, "rule": "gd"}, {"eta": 0.5, "rule": "sam"})
    assert history.interventions == [change]
    assert_same(history, se.run(small(), interventions=[change]))
    assert_same(recorded(store, run), history)


def test_a_change_to_what_is_in_force_is_none(store):
    run = ran(store, on_row=stop_at(9))
    assert resumed(store, run, changes={"eta": 0.5}).interventions == []


def test_a_raised_cap_goes_on(store):
    run = ran(store, small(steps=10))
    assert_same(resumed(store, run, steps=STEPS), se.run(small()))
    record, history = store.load(run)
    assert (history.config.steps, record.stretch) == (STEPS, 10)


def test_a_cap_that_is_reached_or_too_low_is_refused(store):
    run = ran(store, small(steps=10))
    with pytest.raises(ResumeError, match="has taken all of its 10 steps: raise the cap"):
        LocalRun.resumed(store, run)
    with pytest.raises(ResumeError, match=r"steps must be at least 10, .* got 9"):
        LocalRun.resumed(store, run, steps=9)
    with pytest.raises(se.ConfigError, match="steps must be a whole number >= 1"):
        LocalRun.resumed(store, run, steps=0)


def test_a_run_takes_as_many_threads_as_it_began_with(store):
    used = []

    def look(row: se.Measurement) -> None:
        used.append(torch.get_num_threads())

    begun = LocalRun.new(small(steps=2), threads=2)
    begun.run(store, on_row=look)
    resumed(store, begun.record.id, steps=4, on_row=look)
    assert used == [2, 2, 2, 2]
    assert torch.get_num_threads() == 1
    assert store.load(begun.record.id)[0].machine["threads"] == 2


def test_a_run_that_another_process_records_is_left_to_it(store, tmp_path):
    run, other = LocalRun.new(small()), open_store(tmp_path / "home")

    def interfere(row: se.Measurement) -> None:
        if row.step == 7:
            with pytest.raises(ResumeError, match="is being recorded by another process"):
                LocalRun.resumed(other, run.record.id)

    run.run(store, on_row=interfere)
    other.close()
    assert_same(recorded(store, run.record.id), se.run(small()))


def test_a_run_that_another_process_has_gone_on_with_meanwhile_is_left_to_it(store, tmp_path):
    run = ran(store, small(steps=10))
    late, other = LocalRun.resumed(store, run, steps=15), open_store(tmp_path / "home")
    resumed(other, run, steps=12)
    before = contents(store, run)
    with pytest.raises(ResumeError, match=r"has gone on with the run .* meanwhile, to step 11"):
        late.run(store)
    assert contents(store, run) == before
    later = LocalRun.resumed(store, run, steps=15)
    assert other.catalogue.claim(run, other.server)
    with pytest.raises(ResumeError, match="another process goes on with the run"):
        later.run(store)
    other.close()
    assert contents(store, run) == before


# --- killed on the way ----------------------------------------------------------------------


def test_after_a_kill_the_run_goes_on_from_what_was_saved(store, always_save):
    run = killed(store, 11)
    history = recorded(store, run)
    assert (len(history), history.stop_reason) == (11, se.StopReason.INTERRUPTED)
    assert_same(resumed(store, run), se.run(small()))


@pytest.mark.parametrize("last", range(8))
def test_after_a_kill_between_two_writes_the_run_goes_on(store, monkeypatch, last):
    """Killed after so many files were written since it was taken up again."""
    run = ran(store, on_row=stop_at(9))
    replace, count = files.replace, iter(range(100))

    def killed(file: Path, content: bytes) -> None:
        replace(file, content)
        if next(count) == last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "replace", killed)
        patch.setattr(local, "SAVE_SECONDS", 0.0)
        patch.setattr(local, "SNAPSHOT_SHARE", float("inf"))
        with pytest.raises(KeyboardInterrupt):
            resumed(store, run)
    assert_same(resumed(store, run), se.run(small()))


def test_interventions_of_a_lost_stretch_are_made_again(store):
    run = ran(store, small(steps=40), on_row=stop_at(9))
    resumed(store, run, steps=STEPS, changes={"eta": 0.25})
    without_states(store, run, after=10)
    # a change asked for now takes force after what is recorded
    history = resumed(store, run, steps=40, changes={"rho": 0.1})
    plan = [
        se.Intervention(10, {"eta": 0.25}, {"eta": 0.5}),
        se.Intervention(STEPS, {"rho": 0.1}, {"rho": 0.05}),
    ]
    assert history.interventions == plan
    assert_same(history, se.run(small(steps=40), interventions=plan))
    assert_same(recorded(store, run), history)


def test_changes_recorded_before_their_row_are_not_made_twice(store):
    """A worker's change is recorded before the step that it is in force at."""
    run = ran(store, on_row=stop_at(9))
    folder = store.folder(run)
    record = folder.record()
    change = se.Intervention(10, {"eta": 0.25}, {"eta": 0.5})
    folder.write_record(local.replace(record, interventions=(change,)))
    history = resumed(store, run, changes={"eta": 0.25, "rho": 0.1})
    plan = [change, se.Intervention(10, {"rho": 0.1}, {"rho": 0.05})]
    assert history.interventions == plan
    assert_same(history, se.run(small(), interventions=plan))


def test_without_any_state_the_run_is_taken_from_its_seed(store):
    run = ran(store, on_row=stop_at(9))
    without_states(store, run, after=0)
    told = []
    again = LocalRun.resumed(store, run, on_replay=lambda *counts: told.append(counts))
    assert told == [(done, 10) for done in range(11)]
    assert_same(again.run(store), se.run(small()))


def test_an_interruption_while_catching_up_takes_nothing_away(store):
    run = ran(store, small(steps=40), on_row=stop_at(20))
    without_states(store, run, after=10)
    before = contents(store, run)

    def interrupt(done: int, total: int) -> None:
        if done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        LocalRun.resumed(store, run, on_replay=interrupt)
    assert contents(store, run) == before
    assert_same(resumed(store, run), se.run(small(steps=40)))


def test_steps_that_come_out_otherwise_when_taken_again_are_told(store, caplog):
    run = ran(store, on_row=stop_at(9))
    folder = store.folder(run)
    without_states(store, run, after=1)
    rows = recorded(store, run).rows_after(-1)
    for part in folder.parts():
        part.file.unlink()
    rows["loss"][4] += 1e-12
    folder.append(rows)
    with caplog.at_level(logging.WARNING):
        resumed(store, run)
    assert "step 4, taken again, is not what was recorded: torch, its number" in caplog.text


# --- damaged --------------------------------------------------------------------------------


@pytest.fixture
def run(store) -> str:
    return ran(store, on_row=stop_at(3))


def test_a_state_of_another_problem_is_refused(store, run):
    other = ran(store, small(options={"n": 50, "width": 9}), on_row=stop_at(3))
    file = state_file(store, run)
    file.write_bytes(state_file(store, other).read_bytes())
    message = rf"{file.name} is damaged .*w must have 682 entries, got \(775,\)"
    with pytest.raises(SavedError, match=message):
        LocalRun.resumed(store, run)


def test_a_state_of_another_step_is_refused(store, run):
    first, last = sorted((store.folder(run).path / "snapshots").iterdir())
    last.write_bytes(first.read_bytes())
    with pytest.raises(SavedError, match=rf"{last.name} .*it is the state after 1 steps"):
        LocalRun.resumed(store, run)


def test_a_state_that_holds_code_is_refused(store, run):
    file = state_file(store, run)
    torch.save({"step": 4, "w": os.system}, file)
    with pytest.raises(SavedError, match=rf"{file.name} is damaged or not part of a saved run"):
        LocalRun.resumed(store, run)


def test_rows_of_a_version_without_hops_are_repeated_without_a_word(store, run, caplog):
    folder = store.folder(run)
    part, *_ = folder.parts()
    table = pq.read_table(part.file)
    pq.write_table(table.drop_columns("hopping").replace_schema_metadata(None), part.file)
    without_states(store, run, 0)
    with caplog.at_level(logging.WARNING):
        again = resumed(store, run)
    assert not caplog.text
    fresh = se.run(small())
    for name in ("loss", "sharpness", "hvps"):
        assert again.columns()[name].tolist() == fresh.columns()[name].tolist()


def test_damaged_states_are_passed_over_and_named(store, run, caplog):
    files = sorted((store.folder(run).path / "snapshots").iterdir())
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        assert_same(resumed(store, run), se.run(small()))
    for file in files:
        assert f"{file} is damaged" in caplog.text


def test_a_state_ahead_of_its_rows_is_not_taken(store, run):
    going = LocalRun.resumed(store, run)
    for _ in measurements(small(), going.problem, going.state):
        pass
    store.folder(run).write_snapshot(STEPS, going.state.pack())
    assert_same(resumed(store, run), se.run(small()))
    assert store.folder(run).snapshots()[-1] == STEPS


def test_a_run_goes_on_with_the_examples_that_it_began_with_or_not_at_all(
    store, tmp_path, monkeypatch
):
    def write(seed: int) -> None:
        x = np.random.default_rng(seed).normal(size=(30, 6)).astype(np.float32)
        np.savez(tmp_path / "data.npz", x=x, y=np.arange(30) % 3)

    write(0)
    monkeypatch.chdir(tmp_path)
    options = {"path": "data.npz", "width": 6, "depth": 1}
    config = se.RunConfig(problem="own-images", options=options, eta=0.1, steps=5)
    run = LocalRun.new(config)
    run.run(store)
    monkeypatch.chdir("/")
    LocalRun.resumed(store, run.record.id, steps=6)  # the path is that of the file, wherever one is
    write(1)
    changed = r"^data\.npz has changed since the run: sha256 \w+\.\.\., was \w+\.\.\.: choose"
    for go_on in (
        lambda: LocalRun.resumed(store, run.record.id, steps=6),
        lambda: LocalRun.forked(store, run.record.id, 3),
        lambda: state_at(store, run.record.id, 3),
    ):
        with pytest.raises(DataError, match=changed):
            go_on()
    # the first versions did not note what the examples were
    record = replace(run.record, machine={"threads": 1})
    files.replace(store.folder(record.id).path / "run.json", record.to_json().encode())
    assert state_at(store, record.id, 0)[2].step == 0
