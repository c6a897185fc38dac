"""A registry without its store goes on, and records all of it once the store can be opened."""

import sqlite3
import time
from contextlib import closing

from samedge_core.store import Query, catalogue, open_store
from samedge_core.training.config import RunConfig
from samedge_core.training.loop import run
from samedge_core.worker import registry as registry_module
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.worker.harness import same_history, sooner_or_later, until

CONFIG = RunConfig(problem="two-weight", eta=0.1, steps=40)


def test_a_catalogue_that_is_locked_at_the_start_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr(registry_module, "REOPEN_SECONDS", 1.0)
    open_store(tmp_path).close()
    registry = RunRegistry(Settings(max_workers=2, spares=1))
    with closing(registry), closing(sqlite3.connect(tmp_path / "catalogue.sqlite")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        registry.record_in(lambda: open_store(tmp_path))
        assert registry.store is None
        assert "locked" in registry.no_store
        ended = registry.start(CONFIG)
        until(registry, ended, lambda view: view.phase is Phase.ENDED)
        said = registry.view(ended).unrecorded
        assert "locked" in said
        assert said.endswith("tried again every 1 s")
        holder.rollback()
        store = sooner_or_later(lambda: registry.store)
        assert store
        assert registry.no_store == ""
        after = registry.start(CONFIG)
        until(registry, after, lambda view: view.phase is Phase.ENDED)
        sooner_or_later(lambda: {one.id for one in store.find().entries} == {ended, after})
        for one in (ended, after):
            sooner_or_later(lambda one=one: store.find(Query(ids=[one], status="ended")).total)
            assert same_history(store.load(one)[1], run(CONFIG))
            assert registry.view(one).unrecorded == ""


def test_what_never_opens_is_said_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(registry_module, "REOPEN_SECONDS", 0.05)
    tries = []

    def fails():
        tries.append(1)
        raise OSError("no such disk")

    with closing(RunRegistry(Settings(max_workers=1, spares=0))) as registry:
        registry.record_in(fails)
        sooner_or_later(lambda: len(tries) > 3)
        assert registry.no_store == "no such disk"
    count = len(tries)
    assert caplog.text.count("no such disk") == 1
    time.sleep(0.3)
    assert len(tries) <= count + 1  # closed: it is tried no more
