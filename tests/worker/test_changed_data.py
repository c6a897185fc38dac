"""A run on a file of one's own goes on with the examples that it began with, or not at all."""

import shutil

import numpy as np
import pytest

from samedge_core.problems.data import DataError
from samedge_core.store import open_store
from samedge_core.store.record import DATA
from samedge_core.training.config import RunConfig
from samedge_core.training.stop import StopReason
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.harness import sooner_or_later, until

CHANGED = r"^data\.npz has changed since the run: sha256 \w{12}\.\.\., was \w{12}\.\.\.: choose"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    registry = RunRegistry(
        Settings(max_workers=2, spares=1), open_store(tmp_path_factory.mktemp("h"))
    )
    yield registry
    registry.close()


def write(file, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(30, 6)).astype(np.float32)
    np.savez(file, x=x, y=(x[:, 0] > 0).astype(int) + (x[:, 1] > 0))


def begun(registry, tmp_path) -> str:
    """A run that has taken its five steps."""
    file = tmp_path / "data.npz"
    write(file, 0)
    shutil.copy(file, tmp_path / "original.npz")
    options = {"path": str(file), "width": 6, "depth": 1}
    run = registry.start(RunConfig(problem="own-images", options=options, eta=0.1, steps=5))
    until(registry, run, lambda view: view.phase is Phase.ENDED)
    write(file, 1)
    return run


def test_what_would_go_on_with_other_examples_is_refused_by_name(registry, tmp_path):
    run = begun(registry, tmp_path)
    with pytest.raises(DataError, match=CHANGED):
        registry.resume(run)
    with pytest.raises(DataError, match=CHANGED):
        registry.fork(run, 3)
    registry.inspect(run, 3)
    assert "data.npz has changed" in registry.view(run).inspection.failure
    stop = registry.view(run).stop
    assert stop is not None
    assert stop.reason is StopReason.STEP_CAP
    shutil.copy(tmp_path / "original.npz", tmp_path / "data.npz")
    registry.resume(run)
    until(registry, run, lambda view: view.last_step == 9)
    sooner_or_later(lambda: registry.store.folder(run).last_step == 9)
    assert DATA in registry.store.load(run)[0].machine


def test_a_change_after_the_look_of_the_server_is_seen_by_the_worker(
    registry, tmp_path, monkeypatch
):
    run = begun(registry, tmp_path)
    monkeypatch.setattr(registry, "_check_data", lambda run: None)
    rows = registry.history(run).rows_after(-1).tobytes()
    registry.resume(run)
    stop = until(registry, run, lambda view: view.phase is Phase.ENDED and view.stop).stop
    assert stop is not None
    assert stop.reason is StopReason.INTERRUPTED
    assert "data.npz has changed" in stop.what
    assert registry.history(run).rows_after(-1).tobytes() == rows
    registry.inspect(run, 3)
    failed = until(registry, run, lambda view: view.inspection.failure)
    assert "data.npz has changed" in failed.inspection.failure
    shutil.copy(tmp_path / "original.npz", tmp_path / "data.npz")
    registry.resume(run)
    until(registry, run, lambda view: view.last_step == 9)
