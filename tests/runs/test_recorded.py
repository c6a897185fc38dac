"""The store from a script: what is found, and snapshots and forks that are exact to the bit."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import samedge_core as se
from samedge_core.problems.registry import PROBLEMS
from samedge_core.runs import DeleteError, RunKeyError, Runs, StoredRun, open_runs, short_length
from samedge_core.sharing import replay_file
from samedge_core.store import Origin, open_store
from samedge_core.theory.rules import RULES
from samedge_core.training.loop import measurements
from samedge_core.training.schedule import SCHEDULES
from samedge_core.training.state import TrainState
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.harness import until
from tests.worker.test_forks import SMALL

ROOT = Path(__file__).parents[2]
STEPS = 24
FORKED = 13  # odd: in the middle of the tracker's two phases
TEXT = {"n": 16, "n_test": 9, "layers": 1, "heads": 2, "key": 3, "model": 6}
DEAR = ("cifar-cnn", "own-text", "shakespeare-transformer")  # their products take milliseconds
CHANGES = (se.Intervention(7, {"eta": 0.02}), se.Intervention(19, {"rule": "gd"}))


@pytest.fixture
def runs(tmp_path) -> Iterator[Runs]:
    with open_runs(tmp_path / "home") as runs:
        yield runs


def small(**settings) -> se.RunConfig:
    defaults = {"options": SMALL["digits-mlp"], "eta": 0.05, "steps": STEPS}
    return se.RunConfig(**{**defaults, **settings})


def bits(history: se.History) -> bytes:
    return history.rows_after(-1).tobytes()


def at(config: se.RunConfig, step: int, interventions=()) -> TrainState:
    """The state before the update of `step`, the plain way: from the start."""
    problem = se.build_problem(config)
    state = TrainState.initial(config, problem)
    if step:
        loop = measurements(
            config.replace(steps=step),
            problem,
            state,
            changes=lambda at: (i.changes for i in interventions if i.step == at),
        )
        for _ in loop:
            pass
    return state


def stopped_at(step: int):
    """As a kill."""

    def on_row(row: se.Measurement) -> None:
        if row.step == step:
            raise KeyboardInterrupt

    return on_row


# --- exact ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("paper_files")
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_fork_without_changes_is_the_run_itself_for_every_problem(runs, own_files, problem):
    options = {**SMALL.get(problem, {}), **own_files.get(problem, {})}
    options = TEXT if problem == "shakespeare-transformer" else options
    every = 3 if problem in DEAR else 1
    run = runs.run(
        se.RunConfig(problem=problem, options=options, eta=0.01, steps=STEPS, measure_every=every)
    )
    fork = run.fork(FORKED)
    assert len(fork.history) == STEPS
    assert bits(fork.history) == bits(run.history)
    assert fork.history.stop == run.history.stop
    assert fork.snapshot(STEPS).w.equal(run.snapshot(STEPS).w)
    assert run.snapshot(FORKED).pack() == at(run.config, FORKED).pack()


def test_a_portrait_is_that_of_the_recorded_step_with_its_changes(runs):
    config = small(rule="gd")
    run = runs.run(config, CHANGES)
    found, problem = run.portrait(FORKED, steps=6), se.build_problem(config)
    expected = se.portrait(config, problem, at(config, FORKED, CHANGES), steps=6)
    assert (found.step, found.eta) == (FORKED, 0.02)
    for name in ("x", "sharpness", "alpha", "b", "turns"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()


@pytest.mark.parametrize("change", ["eta", "batch"])
def test_an_edge_test_is_that_of_the_recorded_step_with_its_changes(runs, change):
    config = small(batch_size=10, batch_sharpness_every=4, batch_sharpness_batches=3)
    run = runs.run(config, CHANGES)
    fork = run.fork(19, rule="gd")  # what the run did there: its batch sharpness is the run's too
    assert bits(fork.history) == bits(run.history)
    found = run.edge_test(FORKED, change, steps=8)
    problem = se.build_problem(config)
    expected = se.edge_test(config, problem, at(config, FORKED, CHANGES), change, steps=8)
    assert found.before == {"eta": 0.02, "batch": 10}[change]
    assert found.forked.tolist() == expected.forked.tolist()
    assert found.unforked.tolist() == expected.unforked.tolist()
    assert len(runs) == 2  # nothing is recorded of it


@pytest.mark.parametrize(
    ("cadence", "batch_size", "measure_on", "top_k"),
    [("every", 0, "step", 1), ("adaptive", 10, "step", 2), ("adaptive", 10, "fixed", 1)],
)
@pytest.mark.parametrize("rule", RULES)
def test_and_for_every_rule_full_and_mini_batch(runs, rule, cadence, batch_size, measure_on, top_k):
    config = small(
        rule=rule, cadence=cadence, batch_size=batch_size, measure_on=measure_on, top_k=top_k
    )
    run = runs.run(config, CHANGES[:1])
    assert bits(run.fork(FORKED).history) == bits(run.history)
    expected = at(config, FORKED, CHANGES)
    state = run.snapshot(FORKED)
    assert state.pack() == expected.pack()
    assert (state.step, state.hyper.eta) == (FORKED, 0.02)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_forked_and_resumed_a_run_keeps_its_schedule(runs, kind):
    config = small(schedule=kind, warmup=20, period=30, steps=STEPS)
    run = runs.run(config, CHANGES)
    fork = run.fork(FORKED, steps=30)
    assert bits(fork.history) == bits(se.run(config.replace(steps=30), interventions=CHANGES[:1]))
    assert fork.history.interventions == run.history.before(FORKED).interventions
    change = {"rule": "gd", "eta": 0.03}
    made = se.run(config, interventions=[*CHANGES[:1], se.Intervention(FORKED, change)])
    assert bits(run.fork(FORKED, **change).history) == bits(made)
    # a cosine over "all steps" is over those of the beginning
    open_end = runs.run(config.replace(period=0, steps=12))
    again = open_end.resume(steps=STEPS).history
    assert bits(again) == bits(se.run(config.replace(period=12)))
    assert again.columns()["eta"].tolist()[:12] == open_end.history.columns()["eta"].tolist()[:12]


@pytest.mark.parametrize("step", range(0, STEPS + 1, 3))
def test_a_snapshot_is_exact_wherever_it_begins(runs, step):
    run = runs.run(small(batch_size=10), CHANGES)
    kept = at(small(batch_size=10), 9, CHANGES).pack()
    expected = at(small(batch_size=10), step, CHANGES)
    for snapshots in ({}, {9: kept}):
        runs.store.folder(run.id).drop_from(0)
        for taken, packed in snapshots.items():
            runs.store.folder(run.id).write_snapshot(taken, packed)
        assert run.snapshots == list(snapshots)
        assert run.snapshot(step).w.equal(expected.w)


def test_a_snapshot_has_what_was_changed_at_its_step_in_force(runs):
    run = runs.run(small(), CHANGES)
    assert [run.snapshot(step).hyper.eta for step in (6, 7, 8)] == [0.05, 0.02, 0.02]
    assert [run.snapshot(step).hyper.rule for step in (18, 19)] == ["sam", "gd"]


def test_a_snapshot_can_go_on(runs):
    run = runs.run(small(batch_size=10), CHANGES[:1])
    problem, state = se.build_problem(run.config), run.snapshot(FORKED)
    rows = [row.row(run.history.dtype) for row in measurements(run.config, problem, state)]  # pyright: ignore[reportAttributeAccessIssue]
    expected = run.history.rows_after(FORKED - 1)
    assert np.array(rows, expected.dtype).tobytes() == expected.tobytes()


def test_a_changed_fork_is_the_run_with_that_intervention(runs):
    run = runs.run(small())
    fork = run.fork(FORKED, eta=0.3, rule="gd")
    changed = se.Intervention(FORKED, {"eta": 0.3, "rule": "gd"}, {"eta": 0.05, "rule": "sam"})
    assert fork.interventions == (changed,)
    assert bits(fork.history) == bits(se.run(small(), interventions=[changed]))
    assert bits(fork.history) != bits(run.history)


def test_a_fork_keeps_what_was_in_force_and_forgets_what_came_later(runs):
    run = runs.run(small(), CHANGES)
    fork = run.fork(7)
    assert [item.step for item in fork.interventions] == [7]
    assert bits(fork.history) == bits(se.run(small(), interventions=CHANGES[:1]))
    back = run.fork(7, eta=0.05)
    assert back.interventions == ()
    assert bits(back.history) == bits(se.run(small()))


@pytest.mark.parametrize("step", [0, STEPS])
def test_at_either_end(runs, step):
    run = runs.run(small())
    fork = run.fork(step)
    assert bits(fork.history)[: len(bits(run.history))] == bits(run.history)
    assert len(fork.history) == (STEPS if step == 0 else 2 * STEPS)
    assert bits(fork.history) == bits(se.run(fork.config))


def test_the_fork_of_a_fork_begins_at_a_state_of_its_ancestors(runs, monkeypatch):
    run = runs.run(small())
    runs.store.folder(run.id).write_snapshot(9, at(small(), 9).pack())
    child = run.fork(15, eta=0.02)
    grandchild = child.fork(20, rho=0.1)
    assert bits(grandchild.history) == bits(se.run(small(), interventions=grandchild.interventions))
    replayed = []
    replay_to = "samedge_core.runs.restore.replay_to"
    monkeypatch.setattr(replay_to, lambda c, p, state, *a, **k: replayed.append(state.step))
    for found in (child, grandchild):
        found.snapshot(12)
    assert replayed == [9, 9]


def test_a_fork_of_what_another_process_still_records(runs, tmp_path):
    forks = []

    def fork(row: se.Measurement) -> None:
        if row.step == 12:
            with open_runs(tmp_path / "home") as others:
                (going,) = others
                assert going.entry.status == "recording"
                forks.append(going.fork(0, steps=6))

    run = runs.run(small(), on_row=fork)
    assert bits(forks[0].history) == bits(run.history.before(6))


@pytest.mark.parametrize("step", [-1, STEPS + 1])
def test_a_step_that_is_not_recorded_is_refused(runs, step):
    run = runs.run(small())
    message = rf"from 0 to 24, the recorded ones and the next, got {step}"
    with pytest.raises(se.StepError, match=message):
        run.fork(step)
    with pytest.raises(se.StepError, match=message):
        run.snapshot(step)


def test_a_fork_that_can_not_be_is_refused(runs):
    run = runs.run(small())
    with pytest.raises(se.ConfigError, match="got -1"):
        run.fork(3, eta=-1)
    with pytest.raises(ValueError, match="seed can't change mid-run"):
        run.fork(3, seed=1)
    with pytest.raises(se.ConfigError, match=r"steps must be more than 3, .* got 3"):
        run.fork(3, steps=3)
    assert len(runs) == 1


def test_where_a_run_has_diverged_there_is_no_state(runs):
    steep = {"eigenvalues": [1e6]}
    run = runs.run(se.RunConfig("quadratic", steep, rule="usam", eta=1e6, rho=1e3, steps=9))
    last = run.history.last_step
    assert not np.isfinite(run.history.columns()["loss"][-1])
    assert run.snapshot(last).step == last
    with pytest.raises(se.StepError, match=rf"ends with step {last}, before step {last + 1}"):
        run.snapshot(last + 1)


def test_resuming_is_exact(runs):
    run = runs.run(small(steps=10, batch_size=10))
    again = run.resume(steps=STEPS, eta=0.02)
    assert again.id == run.id
    change = se.Intervention(10, {"eta": 0.02})
    assert bits(again.history) == bits(se.run(small(batch_size=10), interventions=[change]))
    with pytest.raises(se.ResumeError, match="raise the cap"):
        again.resume()


def test_runs_of_the_pages_are_forked_and_resumed_to_the_very_same_bits(tmp_path):
    config = small(batch_size=10)
    runs = open_runs(tmp_path / "home")
    registry = RunRegistry(Settings(max_workers=1, spares=0), open_store(tmp_path / "home"))
    made = registry.start(config.replace(steps=18))
    until(registry, made, lambda view: view.phase is Phase.ENDED)
    registry._recorder.write(made)
    theirs = runs[made]
    assert bits(theirs.fork(FORKED).history) == bits(theirs.history)
    assert bits(theirs.resume(steps=STEPS).history) == bits(se.run(config))
    # and the other way round
    mine = runs.run(config.replace(steps=12))
    assert registry.open(mine.id)
    fork = registry.fork(mine.id, 7)
    until(registry, fork, lambda view: view.phase is Phase.ENDED)
    assert bits(registry.history(fork)) == bits(mine.history)
    registry.resume(mine.id)
    until(registry, mine.id, lambda view: view.phase is Phase.ENDED)
    assert bits(registry.history(mine.id)) == bits(se.run(config))
    registry.close()
    assert bits(runs[mine.id].history) == bits(se.run(config))
    runs.close()


def test_threads_are_those_that_the_run_began_with(runs):
    run = runs.run(small(steps=3))
    used = []
    torch.set_num_threads(2)
    try:
        run.fork(1, on_row=lambda row: used.append(torch.get_num_threads()))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert used == [1, 1]


# --- found ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some(tmp_path_factory) -> Iterator[Runs]:
    """Three runs, oldest first: GD, SAM and a fork of it."""
    with open_runs(tmp_path_factory.mktemp("some")) as runs:
        runs.run(small(rule="gd", steps=3)).label(title="Plain descent", tags=["paper"])
        sam = runs.run(small(steps=6))
        sam.label(title="Sharp one", starred=True, tags=["paper", "sam"])
        sam.fork(2, eta=0.01)
        yield runs


def test_runs_are_listed_newest_first(some):
    assert len(some) == 3
    assert [run.entry.rule for run in some] == ["sam", "sam", "gd"]
    created = [run.entry.created for run in some]
    assert created == sorted(created, reverse=True)
    assert "<Runs: 3 in " in repr(some)


def test_runs_are_found_by_what_is_said_of_them(some):
    def titles(*text, **conditions) -> list[str]:
        return [run.entry.title for run in some.find(*text, **conditions)]

    assert titles("sharp") == ["Sharp one"]
    assert titles(tags="paper") == titles(tags=["paper"]) == ["Sharp one", "Plain descent"]
    assert titles(tags=["paper", "sam"]) == ["Sharp one"]
    assert titles(rule="gd") == ["Plain descent"]
    assert titles(problem="two-weight") == []
    assert titles(starred=True) == ["Sharp one"]
    assert titles(sort="last_step", descending=False, limit=1) == ["Plain descent"]
    with pytest.raises(TypeError, match="eta"):
        some.find(eta=1)
    with pytest.raises(ValueError, match="sort must be one of"):
        some.find(sort="beauty")


def test_a_run_is_found_by_the_beginning_of_its_id(some):
    for run in some:
        others = [other.id for other in some if other.id != run.id]
        length = next(
            n
            for n in itertools.count(1)
            if not any(other.startswith(run.id[:n]) for other in others)
        )
        assert some[run.id[:length]].id == some[run.id].id == run.id
        assert run.id in some
    assert "zz" not in some


def test_an_id_that_is_none_says_which_there_are(some, runs):
    newest = [run.id for run in some]
    with pytest.raises(KeyError) as caught:
        some["xyz"]
    assert str(caught.value) == (
        f"no run has an id that begins with 'xyz'; the newest of 3: {', '.join(newest)}"
    )
    with pytest.raises(RunKeyError, match="begins with ''"):
        some[""]
    with pytest.raises(TypeError, match="a run's id is a text, got 0"):
        some[0]
    with pytest.raises(RunKeyError, match="no run has the id 'a': there are none in "):
        runs["a"]


def test_an_id_of_several_runs_says_which(runs, monkeypatch):
    ids = iter(["abc1", "abc2", "abd3"])
    monkeypatch.setattr("samedge_core.store.Store.new_id", staticmethod(lambda: next(ids)))
    for _ in range(3):
        runs.run(small(steps=1))
    with pytest.raises(RunKeyError, match="the ids of 2 runs begin with 'abc': abc1, abc2"):
        runs["abc"]
    assert runs["abd"].id == "abd3"


def test_short_ids_tell_runs_apart():
    assert short_length([]) == short_length(["0" * 22]) == 8
    assert short_length(["0" * 22, "1" * 22, "0" * 11 + "1" * 11]) == 12


def test_the_family(some):
    fork, sam, plain = some
    assert fork.origin == Origin(sam.id, 2, "fork")
    assert sam.origin is None
    assert [run.id for run in fork.family] == [run.id for run in sam.family] == [sam.id, fork.id]
    assert [run.id for run in plain.family] == [plain.id]


def test_a_run_says_what_it_is(some):
    fork, sam, _ = some
    assert repr(sam) == (
        f"<StoredRun {sam.id[:8]}: SAM on digits-mlp, η 0.05, ρ 0.05, seed 0, 6 of 6 steps, "
        "step cap, 'Sharp one'>"
    )
    assert "'" not in repr(fork)
    assert sam.config == small(steps=6)
    assert sam.record.machine["threads"] == 1
    assert isinstance(sam.history.to_frame(), pd.DataFrame)
    assert sam.history is sam.history


def test_listing_reads_no_rows(some, monkeypatch):
    monkeypatch.setattr(some.store, "load", lambda run: pytest.fail("read"))
    for run in some:
        assert all([repr(run), run.config, run.snapshots])


def test_a_run_whose_rows_the_quota_has_taken(runs):
    run = runs.run(small(steps=2))
    runs.store.settings = type(runs.store.settings)(
        runs.store.settings.home, runs.store.settings.database, quota=1
    )
    runs.store.keep_quota()
    assert len(runs) == 0
    gone = runs[run.id]
    assert gone.config == run.config
    for act in (lambda: gone.history, lambda: gone.snapshot(1), lambda: gone.fork(1), gone.resume):
        with pytest.raises(se.SavedError, match="are gone: the quota has taken them"):
            act()


# --- kept -----------------------------------------------------------------------------------


def test_labels(runs):
    run = runs.run(small(steps=1))
    run.label(title="Mine", note="of today", tags=["a", "b"], starred=True)
    assert (run.entry.title, run.entry.tags, run.entry.starred) == ("Mine", ("a", "b"), True)
    assert runs[run.id].entry.note == "of today"
    with pytest.raises(ValueError, match=r"labels are title, .* got \['colour'\]"):
        run.label(colour="red")


def test_exports(runs, tmp_path):
    run = runs.run(small(), CHANGES)
    run.label(title="Mine")
    for suffix in ("csv", "parquet", "json", "html", "py"):
        run.export(tmp_path / f"run.{suffix}")
    frame = run.history.to_frame()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "run.parquet"), frame)
    text = (tmp_path / "run.json").read_text()
    replay = replay_file.from_json(text)
    assert bits(se.run(replay.config, interventions=replay.interventions)) == bits(run.history)
    about = json.loads(text)["about"]
    assert (about["id"], about["title"]) == (run.id, "Mine")
    assert about["versions"]["torch"] == torch.__version__
    with pytest.raises(ValueError, match=r"one of \.csv, .* got '\.xls'"):
        run.export(tmp_path / "run.xls")


def test_deleting(runs):
    run = runs.run(small(steps=1))
    run.label(pinned=True)
    with pytest.raises(DeleteError, match=f"{run.id} is pinned: unpin it first"):
        run.delete()
    run.label(pinned=False)
    run.delete()
    assert len(runs) == 0
    assert run.id not in runs.store
    with pytest.raises(RunKeyError, match="has been deleted"):
        run.delete()


def test_what_is_deleted_comes_back_within_a_day(runs):
    run = runs.run(small(steps=3))
    run.label(title="Mine", tags=["a"], note="of today", starred=True)
    rows = bits(run.history)
    run.delete()
    back = runs.restore(run.id[:10])
    assert back.id == run.id
    assert bits(back.history) == rows
    entry = back.entry
    assert (entry.title, entry.note, entry.starred) == ("Mine", "of today", True)
    assert back.resume(steps=5).history.last_step == 4
    with pytest.raises(RunKeyError, match="was deleted within a day"):
        runs.restore(run.id)


def test_what_is_being_recorded_is_not_deleted(runs, tmp_path):
    def delete(row: se.Measurement) -> None:
        if row.step == 2:
            with open_runs(tmp_path / "home") as others, pytest.raises(DeleteError) as caught:
                next(iter(others)).delete()
            assert "is being recorded: stop it first" in str(caught.value)

    run = runs.run(small(steps=4), on_row=delete)
    assert len(run.history) == 4


def test_a_run_that_fails_at_once_is_an_error(runs, monkeypatch):
    def failing(*arguments):
        raise RuntimeError("not enough memory")

    monkeypatch.setattr("samedge_core.training.loop.update", failing)
    with pytest.raises(RuntimeError, match="the run failed: RuntimeError: not enough memory"):
        runs.run(small())


def test_what_a_kill_has_left_can_be_forked_and_resumed(runs):
    with pytest.raises(KeyboardInterrupt):
        runs.run(small(), on_row=stopped_at(3))
    (run,) = runs
    assert isinstance(run, StoredRun)
    assert (run.entry.status, len(run.history)) == ("interrupted", 1)
    assert bits(run.fork(1).history) == bits(se.run(small()))
    assert bits(run.resume().history) == bits(se.run(small()))


def test_looking_does_not_load_torch(tmp_path):
    code = (
        "import sys; import samedge_core as se; "
        f"runs = se.open_runs({str(tmp_path)!r}); len(runs), list(runs), runs.find('a'); "
        "print([n for n in ('torch', 'streamlit', 'sklearn') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
