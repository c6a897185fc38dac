"""Every walk along parents ends: where a run is its own, in rings of several, in long chains."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from pages.parts.runs import family
from samedge_core.cli.tables import family_text
from samedge_core.store import Entry, Origin, Query, RunRecord, Store, open_store
from samedge_core.store.branching import MOST_ANCESTORS, state_before
from samedge_core.store.tables import runs
from tests.store.hostile import with_values
from tests.store.made import SMALL, record
from tests.store.test_store import recorded

LONG = 100_000
SECONDS = 2.0


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[Store]:
    """With the ring a, b, c, and the start of a chain of LONG entries: 0, the oldest, to 99999."""
    with closing(open_store(tmp_path_factory.mktemp("home"))) as store:
        for run, parent in zip("abc", "cab", strict=True):
            recorded(store, run, origin=Origin(parent, 5, "rewind"))
        chain = {"id": "i", "parent": "i - 1", "parent_step": "5", "root": "'0'"}
        columns = ", ".join(chain.get(column.name, column.name) for column in runs.c)
        numbers = f"SELECT 0 i UNION ALL SELECT i + 1 FROM n WHERE i < {LONG - 1}"
        with closing(sqlite3.connect(store.settings.home / "catalogue.sqlite")) as connection:
            connection.execute(
                f"WITH RECURSIVE n AS ({numbers}) INSERT INTO runs SELECT {columns} FROM runs, n "
                "WHERE id = 'a'"
            )
            connection.commit()
        yield store


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < SECONDS


def of(store: Store, run: str) -> Entry:
    entry = store.catalogue.entry(run)
    assert entry
    return entry


def test_a_run_does_not_come_from_itself():
    with pytest.raises(ValueError, match="can't come from itself"):
        record("a", origin=Origin("a", 3))
    text = with_values(record("a").to_json().encode(), {"origin": {"parent": "a", "step": 3}})
    with pytest.raises(ValueError, match="can't come from itself"):
        RunRecord.from_json(text.decode())


@pytest.mark.parametrize("run", ["a", "b", "c", str(LONG - 1)])
def test_the_state_before_a_step_is_looked_for_in_a_few_ancestors(store, run, monkeypatch):
    asked = []
    monkeypatch.setattr(store, "state_before", lambda run, step: asked.append(run))
    made = replace(record("x", SMALL, origin=Origin(run, 5)))
    assert state_before(store, made, 5) is None
    assert 3 <= len(asked) <= MOST_ANCESTORS + 1


def test_the_root_of_a_ring_is_one_of_it(store):
    assert store.root(record("x", origin=Origin("a", 1))) in "abc"


def test_a_ring_is_drawn(store):
    ring = [of(store, run) for run in "abc"]
    assert sorted(family.lanes(ring)) == ["a", "b", "c"]
    assert family.figure(["a"], ring).traces
    assert (
        sorted(line.split()[1] for line in family_text(ring, 8, chosen="x").splitlines()[0:0]) == []
    )
    assert {line.split()[0] for line in family_text(ring, 8, chosen="x").splitlines()} == {*"abc"}


def test_a_long_chain_is_drawn_and_listed(store):
    shown = store.find(Query(root=of(store, str(LONG - 1)).root, limit=200)).entries
    assert len(family.lanes(shown)) == len(shown) == 200
    chain = store.find(Query(ids=[str(i) for i in range(3000)], limit=None, sort="seed")).entries
    lines = family_text(chain, 8, chosen="0").splitlines()
    assert len(lines) == 3000
    assert max(map(len, lines)) < 200


def test_a_fork_of_a_ring_is_a_run_like_any_other(store):
    recorded(store, "d", origin=Origin("a", 5, "rewind"))
    assert store.load("d")[0].origin == Origin("a", 5, "rewind")
    assert of(store, "d").root in "abc"
    assert store.delete(["d"]) == ["d"]
