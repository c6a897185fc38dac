"""RunWriter: the folder and the catalogue catch up with a history, and with whatever failed."""

import contextlib
import errno
import itertools
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from samedge_core.sharing import files
from samedge_core.store import Origin, RunRecord, Store, open_store
from samedge_core.store.entries import group_key
from samedge_core.store.settings import StoreSettings
from samedge_core.store.writer import RunWriter
from samedge_core.training.history import History, Intervention
from samedge_core.training.stop import Stop, StopReason
from tests.store.made import SMALL, history, record, state


@pytest.fixture
def store(tmp_path):
    with closing(open_store(tmp_path)) as store:
        yield store


def save(writer: RunWriter, history: History, state: tuple[int, bytes] | None = None) -> bool:
    """Whether there was something to write."""
    news = writer.take(history, state)
    if news:
        writer.save(news)
    return news is not None


def bits(history: History) -> bytes:
    return history.rows_after(-1).tobytes()


def longer(history_: History, steps: int) -> None:
    history_.extend(history(steps).rows_after(history_.last_step))


def test_what_has_happened_is_written_once(store):
    writer, live = RunWriter(store, record()), history(10)
    assert save(writer, live, (10, state()))
    assert not save(writer, live, (10, state()))
    longer(live, 15)
    live.intervene(Intervention(12, {"eta": 0.5}, {"eta": 1.0}))
    assert save(writer, live)
    live.stop = Stop(StopReason.STOPPED, 15, "by hand")
    assert save(writer, live, (15, state()))
    assert not save(writer, live, (15, state()))
    got, read = store.load("a")
    assert bits(read) == bits(live)
    assert (got.interventions, got.stop) == ((*live.interventions,), live.stop)
    assert store.folder("a").snapshots() == [10, 15]


def test_a_state_larger_than_what_a_run_may_keep_is_left_out(tmp_path):
    settings = replace(StoreSettings.at(tmp_path), snapshots=len(state()))
    with closing(Store(settings)) as store:
        writer, live = RunWriter(store, record()), history(10)
        assert save(writer, live, (9, state() + b"0"))
        assert store.folder("a").snapshots() == []
        assert save(writer, live, (10, state()))
        assert store.folder("a").snapshots() == [10]


def test_a_run_without_rows_is_not_written(store):
    assert not save(RunWriter(store, record()), history(0))
    assert "a" not in store


def test_the_catalogue_knows_how_it_goes(store):
    writer, live = RunWriter(store, record(origin=Origin("b", 3))), history(400)
    live.intervene(Intervention(200))
    live.intervene(Intervention(300, {"eta": 0.5, "rule": "gd"}, {"eta": 1.0, "rule": "sam"}))
    save(writer, live, (400, state()))
    entry, latest = store.catalogue.entry("a"), live.latest()
    assert (entry.status, entry.last_step, entry.steps) == ("recording", 399, SMALL.steps)
    assert (entry.eta, entry.rule, entry.interventions, entry.parameters) == (0.5, "gd", 1, 454)
    assert (entry.root, entry.parent, entry.parent_step, entry.branch) == ("b", "b", 3, "fork")
    for name in ("loss", "grad_norm", "sharpness", "edge", "ratio"):
        assert getattr(entry, name) == latest[name], name
    assert np.isnan([entry.deviation, entry.accuracy]).tolist() == [True, False]
    assert 0 < len(entry.spark) <= 64
    row_bytes, snapshot_bytes = store.folder("a").sizes()
    assert (entry.row_bytes, entry.snapshot_bytes, entry.snapshots) == (
        row_bytes,
        snapshot_bytes,
        1,
    )
    live.stop = Stop(StopReason.STOPPED, 400, "by hand")
    save(writer, live)
    entry = store.catalogue.entry("a")
    assert (entry.status, entry.stop_reason, entry.stop_what) == ("ended", "stopped", "by hand")
    assert np.isfinite(entry.deviation)


def test_a_family_has_one_root(store):
    for run, parent in (("a", None), ("b", "a"), ("c", "b")):
        origin = Origin(parent, 1) if parent else None
        save(RunWriter(store, record(run, origin=origin)), history(5))
    assert {store.catalogue.entry(run).root for run in "abc"} == {"a"}


def test_runs_that_differ_in_the_seed_alone_are_one_group():
    changes = (Intervention(3, {"eta": 0.5}), Intervention(5))
    key = group_key(record(interventions=changes))
    assert key == group_key(record("b", SMALL.replace(seed=7, steps=9), interventions=changes[:1]))
    assert key != group_key(record())
    assert key != group_key(record(config=SMALL.replace(eta=0.3), interventions=changes))


def test_going_on_writes_only_what_is_new(store):
    live = history(10)
    save(RunWriter(store, record()), live)
    longer(live, 12)
    writer = RunWriter(store, record(), written=9)
    news = writer.take(live)
    assert news is not None
    assert news.rows["step"].tolist() == [10, 11]
    writer.save(news)
    assert bits(store.load("a")[1]) == bits(live)


def test_going_on_after_the_quota_took_the_rows_writes_all_of_them(store):
    live = history(10)
    save(RunWriter(store, record()), live)
    store.folder("a").parts()[0].file.unlink()
    store.catalogue.put("a", {"removed": 1.0})
    longer(live, 12)
    save(RunWriter(store, record(), written=9), live)
    assert bits(store.load("a")[1]) == bits(live)
    assert store.catalogue.entry("a").removed is None


# --- cut short or failing -------------------------------------------------------------------


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


def life(store: Store, live: History) -> None:
    """Rows, an intervention that acts on later ones, the stop, and states."""
    writer = RunWriter(store, record(created=1.0))
    longer(live, 5)
    save(writer, live, (5, state()))
    live.intervene(Intervention(6, {"eta": 0.5}, {"eta": 1.0}))
    longer(live, 9)
    save(writer, live, (9, state()))
    live.stop = Stop(StopReason.STEP_CAP, 12, "the step cap of 12 is reached")
    longer(live, 12)
    save(writer, live, (12, state()))


def killing(patch: pytest.MonkeyPatch, number: int, error: BaseException) -> None:
    """The `number`-th write of a file fails, and all later ones."""
    count, was = itertools.count(), files.replace

    def mortal(file: Path, content: bytes) -> None:
        if next(count) >= number:
            raise error
        was(file, content)

    patch.setattr(files, "replace", mortal)


def test_after_a_kill_at_any_write_the_record_is_true_of_the_rows(tmp_path, monkeypatch):
    kills = 9  # the record twice more than the rows: with the change, and with the stop
    for number in range(kills + 1):
        with closing(open_store(tmp_path / str(number))) as store:
            live = history(0)
            with monkeypatch.context() as patch:
                killing(patch, number, Killed())
                try:
                    life(store, live)
                    assert number == kills
                except Killed:
                    assert number < kills
            if number:
                assert_true(*store.folder("a").recorded(), live)
                assert store.folder("a").snapshots() <= [5, 9, 12][: number // 3]


def assert_true(record: RunRecord, read: History, live: History) -> None:
    steps = len(read)
    assert bits(live).startswith(bits(read))
    acted = [item for item in live.interventions if item.step < steps]
    assert read.interventions[: len(acted)] == acted  # the one that acts next may be known or not
    assert read.stop == (live.stop if steps == 12 and read.stop else None)
    assert record.config == SMALL


@pytest.mark.parametrize("number", range(3))
def test_a_full_disk_loses_nothing_once_it_has_room(store, monkeypatch, number):
    """However many writes it has room for each time."""
    writer, live = RunWriter(store, record()), history(0)
    for steps in (5, 9, 12):
        longer(live, steps)
        if steps == 9:
            live.intervene(Intervention(6, {"eta": 0.5}, {"eta": 1.0}))
        if steps == 12:
            live.stop = Stop(StopReason.STEP_CAP, 12, "reached")
        for _ in range(2):
            with monkeypatch.context() as patch:
                killing(patch, number, OSError(errno.ENOSPC, "No space left on device"))
                try_to_save(writer, live)
    assert save(writer, live, (12, state())) or number == 2
    assert not save(writer, live, (12, state()))
    got, read = store.load("a")
    assert bits(read) == bits(live)
    assert (list(got.interventions), got.stop) == (live.interventions, live.stop)
    assert store.folder("a").snapshots()[-1] == 12
    assert store.catalogue.entry("a").status == "ended"


def try_to_save(writer: RunWriter, live: History) -> None:
    with contextlib.suppress(OSError):
        save(writer, live, (len(live), state()))


def test_a_catalogue_that_fails_is_brought_up_to_date_the_next_time(store, monkeypatch):
    writer, live = RunWriter(store, record()), history(10)
    live.stop = Stop(StopReason.STOPPED, 10, "by hand")

    def put(run: str, values: object) -> None:
        raise RuntimeError("the database is down")

    with monkeypatch.context() as patch:
        patch.setattr(store.catalogue, "put", put)
        with pytest.raises(RuntimeError, match="down"):
            save(writer, live)
    assert store.catalogue.entry("a") is None
    assert save(writer, live)
    entry = store.catalogue.entry("a")
    assert (entry.status, entry.last_step, len(entry.spark)) == ("ended", 9, 10)
    assert not save(writer, live)
