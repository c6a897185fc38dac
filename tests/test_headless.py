"""Runs without a page: resuming is exact, whatever interrupted the run and wherever it did."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

import samedge_core as se
from samedge_core import headless, saved
from samedge_core.headless import HeadlessRun
from samedge_core.saved import ResumeError, SavedError
from samedge_core.training.loop import measurements

SMALL = {"n": 50, "width": 8}
STEPS = 24


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


def assert_same(one: se.History, other: se.History) -> None:
    """Bit for bit, NaN equal to NaN, and the same interventions."""
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame(), check_exact=True)
    assert one.interventions == other.interventions
    assert one.stop == other.stop


def final_w(folder: Path) -> torch.Tensor:
    history = saved.read(folder)
    problem = se.build_problem(history.config)
    return headless._state(folder, history.config, problem).w


@pytest.fixture
def always_save(monkeypatch) -> None:
    """Save after every step."""
    monkeypatch.setattr(headless, "SAVE_SECONDS", 0.0)


# --- a run to its end -----------------------------------------------------------------------


def test_a_run_is_that_of_the_library(tmp_path):
    history = HeadlessRun.new(small()).run(tmp_path)
    assert_same(history, se.run(small()))
    assert_same(saved.read(tmp_path), history)
    # 64 inputs, two layers of 8, 10 outputs, with biases
    assert history.parameters == 64 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10


def test_everything_is_in_the_folder_at_the_end(tmp_path):
    HeadlessRun.new(small(steps=2)).run(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "config.json", "history.parquet", "history.csv", "summary.json", "report.html", "state.pt",
    }  # fmt: skip


def test_the_first_step_and_every_so_many_seconds_are_saved(tmp_path, monkeypatch):
    clock = iter(10.0 * i for i in range(100))
    monkeypatch.setattr(headless.time, "monotonic", lambda: next(clock))
    steps = []
    write = saved.write

    def noted(folder, history, state, *, results):
        steps.append((len(history), results))
        write(folder, history, state, results=results)

    monkeypatch.setattr(saved, "write", noted)
    HeadlessRun.new(small(steps=9)).run(tmp_path)
    # ten seconds a reading of the clock: one after each step, one more after each save
    assert steps == [(1, False), (4, False), (7, False), (9, True)]


def test_divergence_is_an_end(tmp_path):
    config = se.RunConfig(problem="quadratic", rule="gd", eta=10.0, steps=500)
    history = HeadlessRun.new(config).run(tmp_path)
    assert history.stop_reason is se.StopReason.DIVERGED
    with pytest.raises(ResumeError, match="can't go on: diverged"):
        HeadlessRun.resumed(tmp_path)


def test_a_failure_keeps_the_rows_and_the_last_good_state(tmp_path, monkeypatch):
    run = HeadlessRun.new(small())
    gradient, calls = run.problem.gradient, iter(range(100))

    def failing(w, batch):
        if next(calls) == 5:
            raise RuntimeError("not enough memory: you tried to allocate 8 GB")
        return gradient(w, batch)

    monkeypatch.setattr(run.problem, "gradient", failing)
    history = run.run(tmp_path)
    assert history.stop == se.Stop(
        se.StopReason.FAILED, 5,
        "the run failed: RuntimeError: not enough memory: you tried to allocate 8 GB",
    )  # fmt: skip
    assert len(saved.read(tmp_path)) == 5
    with pytest.raises(ResumeError, match="not enough memory"):
        HeadlessRun.resumed(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        HeadlessRun.new(small()).run(tmp_path / "file" / "run")


# --- interrupted ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_its_step(tmp_path, number):
    usual = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    history = HeadlessRun.new(small()).run(tmp_path, on_row=stop_at(7, number))
    assert history.stop == se.Stop(se.StopReason.STOPPED, 8, "stopped by hand after step 7")
    assert_same(saved.read(tmp_path), history)
    assert len(history) == 8
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == usual


def test_a_second_interruption_ends_at_once(tmp_path):
    def twice(row: se.Measurement) -> None:
        if row.step == 7:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        HeadlessRun.new(small()).run(tmp_path, on_row=twice)
    assert len(saved.read(tmp_path)) == 1  # from after the first step


def test_an_interruption_at_the_last_step_is_no_interruption(tmp_path):
    history = HeadlessRun.new(small()).run(tmp_path, on_row=stop_at(STEPS - 1))
    assert history.stop_reason is se.StopReason.STEP_CAP


def test_a_run_in_a_thread_needs_no_signals(tmp_path):
    ends = []
    run = HeadlessRun.new(small(steps=3))
    thread = threading.Thread(target=lambda: ends.append(run.run(tmp_path).stop_reason))
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
            "options": {"n": 60, "n_test": 9, "channels": 2},
            "eta": 0.01,
            "hessian_share": 0.5,
        },
        {
            "problem": "shakespeare-transformer",
            "batch_size": 6,
            "measure_on": "fixed",
            "eta": 0.1,
            "options": {"n": 40, "n_test": 9, "layers": 1, "heads": 2, "key": 3, "model": 6},
        },
    ],
)
@pytest.mark.usefixtures("paper_files")
def test_resuming_goes_on_to_the_very_same_bits(tmp_path, settings):
    config = small(**settings)
    expected = HeadlessRun.new(config).run(tmp_path / "whole")
    parts = tmp_path / "parts"
    HeadlessRun.new(config).run(parts, on_row=stop_at(4))
    HeadlessRun.resumed(parts).run(parts, on_row=stop_at(13))
    history = HeadlessRun.resumed(parts).run(parts)
    assert_same(history, expected)
    assert_same(saved.read(parts), expected)
    assert final_w(parts).equal(final_w(tmp_path / "whole"))


def test_changes_on_resuming_are_interventions_at_that_step(tmp_path):
    HeadlessRun.new(small()).run(tmp_path, on_row=stop_at(9))
    history = HeadlessRun.resumed(tmp_path, changes={"eta": "0.25", "rule": "gd"}).run(tmp_path)
    change = se.Intervention(10, {"eta": 0.25, "rule": "gd"}, {"eta": 0.5, "rule": "sam"})
    assert history.interventions == [change]
    assert_same(history, se.run(small(), interventions=[change]))


def test_a_change_to_what_is_in_force_is_none(tmp_path):
    HeadlessRun.new(small()).run(tmp_path, on_row=stop_at(9))
    assert HeadlessRun.resumed(tmp_path, changes={"eta": 0.5}).run(tmp_path).interventions == []


def test_a_raised_cap_goes_on(tmp_path):
    HeadlessRun.new(small(steps=10)).run(tmp_path)
    history = HeadlessRun.resumed(tmp_path, steps=STEPS).run(tmp_path)
    assert_same(history, se.run(small()))
    assert saved.read(tmp_path).config.steps == STEPS


def test_a_cap_that_is_reached_or_too_low_is_refused(tmp_path):
    HeadlessRun.new(small(steps=10)).run(tmp_path)
    with pytest.raises(ResumeError, match="has taken all of its 10 steps: raise the cap"):
        HeadlessRun.resumed(tmp_path)
    with pytest.raises(ResumeError, match=r"steps must be at least 10, .* got 9"):
        HeadlessRun.resumed(tmp_path, steps=9)
    with pytest.raises(se.ConfigError, match="steps must be a whole number >= 1"):
        HeadlessRun.resumed(tmp_path, steps=0)


# --- killed on the way ----------------------------------------------------------------------


def test_after_a_kill_the_run_goes_on_from_what_was_saved(tmp_path, always_save):
    with pytest.raises(KeyboardInterrupt):
        HeadlessRun.new(small()).run(tmp_path, on_row=killed_at(11))
    recorded = saved.read(tmp_path)
    assert (len(recorded), recorded.stop) == (11, None)
    assert_same(HeadlessRun.resumed(tmp_path).run(tmp_path), se.run(small()))


@pytest.mark.parametrize("last", ["history.parquet", "history.csv", "report.html", "state.pt"])
def test_after_a_kill_between_two_writes_the_run_goes_on(tmp_path, monkeypatch, last):
    """The files up to `last` are those of step 24, the others those of step 10."""
    HeadlessRun.new(small()).run(tmp_path, on_row=stop_at(9))
    replace = saved._replace

    def killed(file: Path, content: bytes) -> None:
        replace(file, content)
        if file.name == last and len(saved.read(tmp_path)) == STEPS:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(saved, "_replace", killed)
        with pytest.raises(KeyboardInterrupt):
            HeadlessRun.resumed(tmp_path).run(tmp_path)
    if last == "state.pt":  # nothing is left to do but what was asked for
        assert_same(saved.read(tmp_path), se.run(small()))
        return
    run = HeadlessRun.resumed(tmp_path)
    assert run.history.last_step + 1 == run.state.step < STEPS
    assert_same(run.run(tmp_path), se.run(small()))


def _lose_the_state(folder: Path, run: HeadlessRun) -> None:
    """Run to the end, but put the state from before back: rows are now far ahead of it."""
    before = (folder / "state.pt").read_bytes()
    run.run(folder)
    (folder / "state.pt").write_bytes(before)


def test_interventions_of_a_lost_stretch_are_made_again(tmp_path):
    HeadlessRun.new(small(steps=40)).run(tmp_path, on_row=stop_at(9))
    run = HeadlessRun.resumed(tmp_path, steps=STEPS, changes={"eta": 0.25})
    _lose_the_state(tmp_path, run)
    # a change asked for now takes force after what is recorded
    again = HeadlessRun.resumed(tmp_path, steps=40, changes={"rho": 0.1})
    assert again.history.interventions == []
    assert again.state.step == 10
    history = again.run(tmp_path)
    plan = [
        se.Intervention(10, {"eta": 0.25}, {"eta": 0.5}),
        se.Intervention(STEPS, {"rho": 0.1}, {"rho": 0.05}),
    ]
    assert history.interventions == plan
    assert_same(history, se.run(small(steps=40), interventions=plan))


def test_an_interruption_while_catching_up_takes_nothing_away(tmp_path, always_save):
    HeadlessRun.new(small(steps=40)).run(tmp_path, on_row=stop_at(9))
    _lose_the_state(tmp_path, HeadlessRun.resumed(tmp_path, steps=STEPS))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    history = HeadlessRun.resumed(tmp_path, steps=40).run(tmp_path, on_row=stop_at(15))
    assert history.stop_reason is se.StopReason.STOPPED
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


# --- damaged --------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path) -> Path:
    HeadlessRun.new(small()).run(tmp_path, on_row=stop_at(3))
    return tmp_path


def test_a_state_of_another_problem_is_refused(folder, tmp_path):
    other = tmp_path / "other"
    HeadlessRun.new(small(options={"n": 50, "width": 9})).run(other, on_row=stop_at(3))
    (folder / "state.pt").write_bytes((other / "state.pt").read_bytes())
    with pytest.raises(SavedError, match=r"state\.pt .*w must have 682 entries, got \(775,\)"):
        HeadlessRun.resumed(folder)


def test_a_state_that_holds_code_is_refused(folder):
    torch.save({"step": 4, "w": os.system}, folder / "state.pt")
    with pytest.raises(SavedError, match=r"state\.pt is damaged or not part of a saved run"):
        HeadlessRun.resumed(folder)


def test_a_state_that_is_missing_is_named(folder):
    (folder / "state.pt").unlink()
    with pytest.raises(SavedError, match=r"state\.pt is missing"):
        HeadlessRun.resumed(folder)


def test_a_state_ahead_of_its_rows_is_refused(folder):
    run = HeadlessRun.resumed(folder)
    for _ in measurements(small(), run.problem, run.state):
        pass
    (folder / "state.pt").write_bytes(run.state.pack())
    with pytest.raises(SavedError, match=r"lacks rows: the state is at step 24, .* of step 3"):
        HeadlessRun.resumed(folder, steps=40)
