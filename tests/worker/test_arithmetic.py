"""A run keeps the arithmetic that it began with, whatever is compiled by then."""

import threading
from contextlib import closing

import numpy as np
import psutil
import pytest

from samedge_core.curvature import kernels
from samedge_core.runs.local import LocalRun
from samedge_core.runs.restore import state_at
from samedge_core.sharing import export, replay_file
from samedge_core.store import open_store
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History
from samedge_core.training.loop import run
from samedge_core.training.state import TrainState
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.harness import until

STEPS, FORKED = 24, 13
CONFIG = RunConfig(options={"n": 40, "width": 6}, steps=STEPS, top_k=2)
ENDLESS = CONFIG.replace(steps=1_000_000, eta=0.05)


class Kernels:
    """Whether they are compiled, as the server sees it."""

    def __init__(self) -> None:
        self.compiled = False

    def ready(self, dtype: str) -> bool:
        return self.compiled


@pytest.fixture
def state(monkeypatch) -> Kernels:
    """Nothing is compiled, until it says so."""
    state = Kernels()
    monkeypatch.setattr(kernels, "ready", state.ready)
    monkeypatch.setattr(kernels, "compile_in_background", lambda: None)
    return state


@pytest.fixture
def registry(state, tmp_path):
    with closing(RunRegistry(Settings(max_workers=4, spares=1), open_store(tmp_path))) as registry:
        yield registry


def ended(registry: RunRegistry, run_id: str) -> History:
    until(registry, run_id, lambda view: view.phase is Phase.ENDED)
    return registry.history(run_id)


def bits(history: History) -> bytes:
    return history.rows_after(-1).tobytes()


@pytest.fixture(scope="module")
def plain() -> bytes:
    return bits(run(CONFIG, arithmetic="plain"))


@pytest.fixture(scope="module")
def compiled() -> bytes:
    return bits(run(CONFIG))


def test_the_two_have_other_digits_of_the_same_numbers(plain, compiled):
    assert plain != compiled
    one, other = run(CONFIG, arithmetic="plain").columns(), run(CONFIG).columns()
    # before rounding errors grow; the sharpness is right to 1e-3 in both
    np.testing.assert_allclose(one["loss"][:5], other["loss"][:5], rtol=1e-5)
    np.testing.assert_allclose(one["sharpness"][:5], other["sharpness"][:5], rtol=2e-3)


def test_a_run_that_starts_before_is_plain_and_stays_so(registry, state, plain, compiled):
    first = registry.start(CONFIG)
    assert registry.view(first).arithmetic == (
        "plain arithmetic: the fast kernels were still compiling when it started; "
        "compiling takes about two minutes, once"
    )
    assert bits(ended(registry, first)) == plain
    state.compiled = True
    fork = registry.fork(first, FORKED)
    assert bits(ended(registry, fork)) == plain
    assert "still compiling" in registry.view(fork).arithmetic
    assert registry.view(fork).arithmetic.endswith("; a new run takes the fast kernels")
    later = registry.start(CONFIG)
    assert registry.view(later).arithmetic == ""
    assert bits(ended(registry, later)) == compiled


@pytest.mark.parametrize("spares", [0, 1])
def test_compiling_begins_when_it_delays_no_worker(state, monkeypatch, spares):
    """Both would load torch at once; without spares, none is loading before the first run."""
    begun = []
    here = threading.current_thread
    monkeypatch.setattr(kernels, "compile_in_background", lambda: begun.append(here()))
    with closing(RunRegistry(Settings(spares=spares))) as registry:
        assert (here() in begun) == (spares == 0)
        ended(registry, registry.start(CONFIG))
        assert {*begun} - {here()}  # on the thread that hears of a worker


def test_what_is_recorded_says_so(registry, state, plain):
    first = ended_id(registry, registry.start(CONFIG))
    fork = ended_id(registry, registry.fork(first, FORKED))
    for run_id in (first, fork):
        store = registry.store
        assert store is not None
        until(registry, run_id, lambda view, store=store: view.id in store)
        record, history = store.load(run_id)
        assert record.arithmetic == history.arithmetic == "plain"


def ended_id(registry: RunRegistry, run_id: str) -> str:
    ended(registry, run_id)
    return run_id


def test_it_goes_on_after_a_lost_worker_to_the_same_bits(registry, state):
    run_id = registry.start(ENDLESS)
    until(registry, run_id, lambda view: view.last_step > 20 and view.kept)
    psutil.Process(registry.view(run_id).worker_pid).kill()
    until(registry, run_id, lambda view: view.phase is Phase.ENDED)
    state.compiled = True
    reached = registry.view(run_id).last_step
    registry.resume(run_id)
    until(registry, run_id, lambda view: view.last_step > reached + 5)
    registry.stop(run_id)
    found = ended(registry, run_id)
    again = run(ENDLESS.replace(steps=found.last_step + 1), arithmetic="plain")
    assert bits(found) == bits(again)


def test_a_step_is_inspected_in_it(registry, state):
    run_id = registry.start(CONFIG)
    history = ended(registry, run_id)
    state.compiled = True
    registry.inspect(run_id, FORKED, with_spectrum=False)
    view = until(registry, run_id, lambda view: view.inspection.made or view.inspection.failure)
    assert view.inspection.failure == ""
    assert view.inspection.made is not None
    row = history.columns(slice(FORKED, FORKED + 1))
    assert view.inspection.made.eigenvalues[0] == row["lambda_max"][0]
    assert view.inspection.made.eigenvalues[1] == row["lambda_2"][0]


def test_a_compiled_run_never_turns_plain(registry, state, compiled):
    state.compiled = True
    first = registry.start(CONFIG)
    ended(registry, first)
    state.compiled = False  # as after an update of this program
    assert bits(ended(registry, registry.fork(first, FORKED))) == compiled
    waiting = registry.fork(first, FORKED, paused=True)
    # in a worker that is still to compile them; here that finds them there
    assert "compiled first" in registry.view(waiting).arithmetic
    until(registry, waiting, lambda view: view.arithmetic == "")


def test_a_replay_is_in_that_of_its_run(registry, state, plain, compiled):
    for name, expected in (("plain", plain), ("compiled", compiled)):
        state.compiled = name == "compiled"
        history = ended(registry, registry.start(CONFIG))
        replay = replay_file.from_json(export.EXPORTS[".json"](history, {}))
        assert replay.arithmetic == name
        state.compiled = not state.compiled
        again = registry.start(replay.config, arithmetic=replay.arithmetic)
        assert bits(ended(registry, again)) == expected
        script = export.EXPORTS[".py"](history, {}).decode()
        assert ('se.run(config, arithmetic="plain")' in script) == (name == "plain")


# --- in a script ----------------------------------------------------------------------------


def test_local_runs_resume_and_fork_in_it(tmp_path, plain):
    with closing(open_store(tmp_path)) as store:
        first = LocalRun.new(CONFIG.replace(steps=FORKED), arithmetic="plain")
        first.run(store)
        run_id = first.record.id
        resumed = LocalRun.resumed(store, run_id, steps=STEPS)
        assert bits(resumed.run(store)) == plain
        forked = LocalRun.forked(store, run_id, FORKED - 2)
        assert bits(forked.run(store)) == plain
        assert {store.load(run.record.id)[0].arithmetic for run in (resumed, forked)} == {"plain"}
        _, problem, at = state_at(store, run_id, FORKED)
        assert problem.arithmetic == "plain"
        assert TrainState.unpack(at.pack(), CONFIG, problem).step == FORKED
