"""Several servers on one home: who is alive, and what they see of each other."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from samedge_core.store import Store
from samedge_core.store.presence import Presence
from samedge_core.store.settings import StoreSettings
from samedge_core.training.config import RunConfig
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.harness import until

ENDLESS = RunConfig(problem="two-weight", eta=0.1, steps=1_000_000)


def test_a_server_is_gone_once_it_has_left_and_not_before(tmp_path):
    first, second = Presence(tmp_path, "p"), Presence(tmp_path, "q")
    assert not second.is_gone("p")
    assert not second.is_gone("never")  # nothing is known of it
    first.leave()
    second.leave()
    assert list((tmp_path / "servers").iterdir()) == []


SERVER = """
import subprocess, sys
from pathlib import Path
from samedge_core.store.presence import Presence
presence = Presence(Path(sys.argv[1]), "p")
child = subprocess.Popen(["sleep", "60"])  # a worker that outlives it
print(child.pid, flush=True)
sys.stdin.readline()
"""


def test_a_killed_server_is_gone_at_once_whatever_its_workers_do(tmp_path):
    own = Presence(tmp_path, "q")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        child = int(server.stdout.readline())
        assert not own.is_gone("p")
        server.kill()
        server.wait()
        assert own.is_gone("p")
        subprocess.run(["kill", str(child)], check=True)
    own.leave()


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, tmp_path) -> StoreSettings:
    if request.param == "sqlite":
        return StoreSettings.at(tmp_path)
    return StoreSettings(tmp_path, request.getfixturevalue("server").new_database())


@pytest.fixture
def two(settings) -> Iterator[tuple[RunRegistry, RunRegistry]]:
    with ExitStack() as stack:
        made = [RunRegistry(Settings(spares=0), Store(settings)) for _ in range(2)]
        for registry in made:
            stack.enter_context(closing(registry))
        yield made[0], made[1]


def test_two_servers_see_each_others_runs_statuses_and_labels(two):
    stores: list[Store] = []
    runs = []
    for registry in two:
        assert registry.store is not None
        stores.append(registry.store)
        runs.append(registry.start(ENDLESS, pace=100))
    for registry, run in zip(two, runs, strict=True):
        until(registry, run, lambda v: v.last_step > 60)
    for store in stores:
        seen = {entry.id: (entry.status, entry.server) for entry in store.find().entries}
        owners = zip(runs, stores, strict=True)
        assert seen == {run: ("recording", owner.server) for run, owner in owners}
    stores[0].catalogue.label(runs[1], title="seen by the other", starred=True, tags=["x"])
    assert stores[0].delete(runs) == []
    two[1].stop(runs[1])
    until(two[1], runs[1], lambda v: v.phase is Phase.ENDED)
    two[1].close()
    entry = stores[0].catalogue.entry(runs[1])
    assert entry is not None
    assert (entry.status, entry.stop_reason, entry.tags) == ("ended", "stopped", ("x",))
    assert (entry.title, entry.starred) == ("seen by the other", True)
    assert two[0].open(runs[1])
    assert two[0].history(runs[1]).last_step == two[1].history(runs[1]).last_step
