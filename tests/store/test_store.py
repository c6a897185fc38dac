"""Store: whatever is in the home is listed, and only what may go is deleted."""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from samedge_core.sharing.files import SavedError
from samedge_core.store import Query, Store, open_store
from samedge_core.store.catalogue import ALIVE_SECONDS
from samedge_core.store.deleted import KEPT_SECONDS
from samedge_core.store.settings import StoreSettings
from samedge_core.store.writer import RunWriter
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention
from samedge_core.training.stop import Stop, StopReason
from tests.store.made import SMALL, history, record, state

STOPPED = Stop(StopReason.STOPPED, 10, "by hand")


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with closing(open_store(tmp_path)) as store:
        yield store


def recorded(
    store: Store,
    run: str,
    *,
    stop: Stop | None = STOPPED,
    steps: int = 10,
    config: RunConfig = SMALL,
    **changes,
) -> None:
    """A run in the store, as a writer leaves it."""
    live = history(steps, config)
    live.stop = stop
    live.intervene(Intervention(4, {"eta": 0.5}, {"eta": 1.0}))
    writer = RunWriter(store, record(run, config, created=1.0, **changes))
    news = writer.take(live, (steps, state()))
    assert news is not None
    writer.save(news)


def listed(store: Store, **query) -> dict[str, str]:
    """Status by run."""
    return {entry.id: entry.status for entry in store.find(Query(**query)).entries}


def ago(store: Store, run: str, seconds: float) -> None:
    store.catalogue.put(run, {"updated": time.time() - seconds})


# --- opening --------------------------------------------------------------------------------


def test_without_its_catalogue_everything_is_listed_again(tmp_path):
    with closing(open_store(tmp_path)) as store:
        for run, stop in (("a", STOPPED), ("b", None)):
            recorded(store, run, stop=stop)
        before = {entry.id: entry for entry in store.find().entries}
    (tmp_path / "catalogue.sqlite").unlink()
    with closing(open_store(tmp_path)) as store:
        after = {entry.id: entry for entry in store.find().entries}
        assert (listed(store), store.damaged) == ({"a": "ended", "b": "interrupted"}, {})
    for run, entry in after.items():
        known = replace(
            before[run],
            updated=entry.updated,
            server=None,
            deviation=entry.deviation,
            status=entry.status,
        )
        assert known == entry
        assert known.spark.tobytes() == entry.spark.tobytes()


def test_damaged_folders_are_named_and_skipped(tmp_path, caplog):
    with closing(open_store(tmp_path)) as store:
        for run in "abcde":
            recorded(store, run)
    runs = tmp_path / "runs"
    (tmp_path / "catalogue.sqlite").unlink()
    (runs / "b" / "run.json").write_text("{")
    next((runs / "c" / "rows").iterdir()).write_bytes(b"")
    shutil.copytree(runs / "a", runs / "acopy")
    (runs / "not a run").mkdir()
    (runs / "e" / "run.json").unlink()
    (runs / ".DS_Store").write_bytes(b"")
    with caplog.at_level(logging.WARNING), closing(open_store(tmp_path)) as store:
        assert listed(store) == {"a": "ended", "d": "ended"}
        assert set(store.damaged) == {"b", "c", "acopy", "not a run", "e"}
        for name, said in store.damaged.items():
            assert str(runs / name) in said
            assert said in caplog.text
        assert "is a copy of the run a" in store.damaged["acopy"]
        assert store.delete(["b"]) == ["b"]
        assert "b" not in store.damaged
        assert not (runs / "b").exists()


def test_a_run_that_was_cut_short_before_its_record_is_no_damage(tmp_path):
    with closing(open_store(tmp_path)) as store:
        store.folder("a").create()
        (store.folder("b").path / "rows").mkdir(parents=True)
        store.folder("c").create()
        (store.folder("c").path / ".run.json.new").write_text("{")
    with closing(open_store(tmp_path)) as store:
        assert (listed(store), store.damaged) == ({}, {})
        recorded(store, "c")
    with closing(open_store(tmp_path)) as store:
        assert (listed(store), store.damaged) == ({"c": "ended"}, {})


def test_a_run_that_was_cut_short_before_its_first_row_is_listed(tmp_path):
    with closing(open_store(tmp_path)) as store:
        store.folder("a").create()
        store.folder("a").write_record(record())
    with closing(open_store(tmp_path)) as store:
        assert (listed(store), store.damaged) == ({"a": "interrupted"}, {})
        assert store.find().entries[0].last_step == -1
        assert len(store.load("a")[1]) == 0


def test_names_that_lead_elsewhere_are_refused(store):
    for name in ("../a", "", ".", "a/b", "a.b"):
        assert name not in store
        with pytest.raises(ValueError, match="must be letters and digits"):
            store.folder(name)
    assert store.new_id().isalnum()
    assert len({store.new_id() for _ in range(100)}) == 100


# --- loading --------------------------------------------------------------------------------


def test_a_run_comes_back_as_it_was_recorded(store):
    recorded(store, "a")
    got, read = store.load("a")
    expected = history(10)
    assert read.rows_after(-1).tobytes() == expected.rows_after(-1).tobytes()
    assert (read.stop, read.interventions) == (STOPPED, [*got.interventions])
    with pytest.raises(SavedError, match="missing"):
        store.load("nothing")


def test_a_run_without_a_stop_that_nobody_records_was_interrupted(tmp_path, monkeypatch):
    with closing(open_store(tmp_path)) as first, closing(open_store(tmp_path)) as second:
        recorded(first, "a", stop=None)
        assert listed(second) == {"a": "recording"}
        assert second.load("a")[1].stop is None
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + ALIVE_SECONDS + 1)
        assert listed(second) == {"a": "interrupted"}
        what = "the server ended at step 10"
        assert second.load("a")[1].stop == Stop(StopReason.INTERRUPTED, 9, what)


def test_a_damaged_state_is_passed_over_for_the_one_before(store, caplog):
    folder = store.folder("a")
    folder.create()
    for step in (3, 6, 9):
        folder.write_snapshot(step, state(b"%d" % step))
    assert store.state_before("a", 8) == (6, state(b"6"))
    for file in folder.path.rglob("*6.*"):
        file.write_bytes(b"damaged")
    assert store.state_before("a", 8) == (3, state(b"3"))
    assert "0000000006" in caplog.text
    assert store.state_before("a", 9) == (9, state(b"9"))
    assert store.state_before("a", 2) is None


# --- deleting -------------------------------------------------------------------------------


def test_pinned_and_recorded_runs_are_not_deleted(store):
    for run in "abc":
        recorded(store, run)
    recorded(store, "d", stop=None)
    store.catalogue.label("b", pinned=True)
    store.catalogue.label("c", starred=True, tags=["x"])
    assert store.delete(["a", "b", "c", "d", "nothing"]) == ["a", "c", "nothing"]
    assert sorted(listed(store, removed=True)) == ["b", "d"]
    assert sorted(file.name for file in (store.settings.home / "runs").iterdir()) == ["b", "d"]
    assert store.catalogue.known_tags() == []


def test_a_day_after_it_was_deleted_a_run_is_gone(store):
    for run in "ab":
        recorded(store, run)
        store.delete([run])
        time.sleep(0.01)  # the clock of files may stand still for some milliseconds
    assert store.deleted.ids() == ["b", "a"]
    long_ago = time.time() - KEPT_SECONDS - 1
    os.utime(store.settings.home / "deleted" / "a", (long_ago, long_ago))
    assert store.restore(["a", "b", "nothing"]) == ["b"]
    assert listed(store) == {"b": "ended"}
    store.keep_quota()
    assert list((store.settings.home / "deleted").iterdir()) == []


def test_a_run_of_the_same_id_that_is_there_stays(store):
    recorded(store, "a")
    store.delete(["a"])
    recorded(store, "a")
    assert store.restore(["a"]) == []
    assert store.deleted.ids() == ["a"]


def test_a_run_that_comes_back_knows_its_file(store, tmp_path):
    file = tmp_path / "data.npz"
    file.touch()
    options = {"path": str(file)}
    recorded(store, "a", config=RunConfig(problem="own-images", options=options, rule="gd"))
    store.delete(["a"])
    assert store.restore(["a"]) == ["a"]
    assert store.load("a")[0].config.options["path"] == str(file)
    store.delete(["a"])
    file.unlink()
    assert store.restore(["a"]) == ["a"]
    assert store.load("a")[0].config.options["path"] == ""


@pytest.fixture
def small(tmp_path) -> Iterator[Store]:
    """Room for two of its runs."""
    with closing(open_store(tmp_path / "measured")) as store:
        recorded(store, "x")
        each = sum(store.catalogue.bytes_used())
    settings = replace(StoreSettings.at(tmp_path / "small"), quota=int(2.5 * each))
    with closing(Store(settings)) as store:
        yield store


def on_disk(store: Store) -> list[str]:
    return sorted(file.name for file in (store.settings.home / "runs").iterdir())


def test_the_oldest_runs_go_first_and_their_entries_stay(small):
    for run, age in zip("abcd", (10, 40, 30, 20), strict=True):
        recorded(small, run)
        ago(small, run, age)
    assert [entry.id for entry in small.keep_quota()] == ["b", "c"]
    assert on_disk(small) == ["a", "d"]
    assert listed(small, removed=True) == {
        "a": "ended",
        "b": "removed",
        "c": "removed",
        "d": "ended",
    }
    assert sum(small.catalogue.bytes_used()) <= small.settings.quota
    assert small.keep_quota() == []
    assert "b" not in small
    entry = small.catalogue.entry("b")
    assert (entry.last_step, entry.row_bytes, entry.snapshots) == (9, 0, 0)


def test_the_quota_never_takes_pinned_starred_or_recorded_runs(small):
    for run in "abde":
        recorded(small, run)
    recorded(small, "c", stop=None)
    small.catalogue.label("a", pinned=True)
    small.catalogue.label("b", starred=True)
    for run, age in zip("abcde", (50, 40, 30, 20, 10), strict=True):
        ago(small, run, age)
    assert [entry.id for entry in small.keep_quota()] == ["d", "e"]
    assert on_disk(small) == ["a", "b", "c"]


def test_what_the_quota_took_is_not_taken_in_again(small, tmp_path):
    recorded(small, "a")
    ago(small, "a", 99)
    for run in "bc":
        recorded(small, run)
    small.keep_quota()
    with closing(Store(small.settings)) as again:
        assert listed(again, removed=True)["a"] == "removed"
        assert again.delete(["a"]) == ["a"]
        assert "a" not in listed(again, removed=True)


def test_a_home_that_can_not_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        open_store(Path(tmp_path / "file" / "home"))


def test_beyond_the_quota_what_was_deleted_goes_first(small):
    for run in "ab":
        recorded(small, run)
    small.delete(["a"])
    recorded(small, "c")
    assert small.keep_quota() == []
    assert small.deleted.ids() == []
    assert listed(small) == {"b": "ended", "c": "ended"}
