"""A registry with a store: what is on disk is what happened, however runs stop and go on."""

import errno
import io
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from samedge_core.sharing import files
from samedge_core.store import Entry, Store, open_store
from samedge_core.store.archive import bring_in, take_out
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.history import History
from samedge_core.training.loop import run
from samedge_core.training.stop import StopReason
from samedge_core.worker.recording import WRITE_SECONDS
from samedge_core.worker.registry import RunRegistry
from samedge_core.worker.settings import Settings
from samedge_core.worker.view import Phase
from tests.store import made
from tests.worker.harness import PATIENCE, sooner_or_later, until

SMALL = {"n": 40, "width": 6}
CONFIG = RunConfig(options=SMALL, batch_size=10, top_k=2, cadence="adaptive", steps=60)
ENDLESS = RunConfig(problem="two-weight", eta=0.1, steps=1_000_000)


def serving(home: Path, **settings) -> RunRegistry:
    return RunRegistry(Settings(**{"max_workers": 3, "spares": 1, **settings}), open_store(home))


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[RunRegistry]:
    registry = serving(tmp_path_factory.mktemp("home"), spares=2)
    yield registry
    registry.close()


def store_of(registry: RunRegistry) -> Store:
    assert registry.store is not None
    return registry.store


def entry_of(registry: RunRegistry, run_id: str) -> Entry:
    entry = store_of(registry).catalogue.entry(run_id)
    assert entry is not None
    return entry


def bits(history: History) -> bytes:
    return history.rows_after(-1).tobytes()


def ended(registry: RunRegistry, run_id: str, last_step: int) -> History:
    until(registry, run_id, lambda v: v.phase is Phase.ENDED and v.last_step == last_step)
    return registry.history(run_id)


def has_ended(registry: RunRegistry, run_id: str, last_step: int) -> bool:
    """As the catalogue knows it, which is the last to be written."""
    entry = store_of(registry).catalogue.entry(run_id)
    return entry is not None and (entry.status, entry.last_step) == ("ended", last_step)


def assert_on_disk(registry: RunRegistry, run_id: str) -> None:
    """Soon, all that the registry knows of an ended run."""
    live, store = registry.history(run_id), store_of(registry)
    end = time.monotonic() + PATIENCE
    while not has_ended(registry, run_id, live.last_step):
        assert time.monotonic() < end
        time.sleep(0.02)
    record, read = store.load(run_id)
    assert bits(read) == bits(live)
    assert (read.stop, read.interventions) == (live.stop, live.interventions)
    assert (record.config, record.parameters) == (live.config, live.parameters)
    assert store.folder(run_id).snapshots()[-1] == live.last_step + 1


def test_the_rows_on_disk_are_those_of_the_run_also_after_resume_at_the_cap(registry):
    run_id = registry.start(CONFIG)
    ended(registry, run_id, 59)
    assert_on_disk(registry, run_id)
    assert registry.view(run_id).unrecorded == ""
    registry.change(run_id, Changes.of({"eta": 0.5}))
    registry.resume(run_id)
    live = ended(registry, run_id, 119)
    assert_on_disk(registry, run_id)
    assert [(i.step, dict(i.changes)) for i in live.interventions] == [(60, {"eta": 0.5})]
    again = run(CONFIG.replace(steps=120), interventions=live.interventions)
    assert bits(live) == bits(again)


def test_a_running_run_is_listed_as_recording_and_never_ahead_of_itself(registry):
    run_id, store = registry.start(ENDLESS, pace=300), store_of(registry)
    until(registry, run_id, lambda v: store.catalogue.entry(run_id))
    entry = entry_of(registry, run_id)
    assert (entry.status, entry.server, entry.stop_reason) == ("recording", store.server, None)
    read = store.folder(run_id).history(store.folder(run_id).record())
    assert read.last_step >= 0
    assert bits(registry.history(run_id)).startswith(bits(read))
    registry.stop(run_id)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    assert_on_disk(registry, run_id)


def test_recording_goes_on_after_a_worker_is_lost(registry):
    run_id = registry.start(CONFIG, pace=30)
    view = until(registry, run_id, lambda v: v.last_step > 20)
    assert view.worker_pid is not None
    os.kill(view.worker_pid, signal.SIGKILL)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    assert registry.history(run_id).stop_reason is StopReason.WORKER_LOST
    registry.pace(run_id, None)
    registry.resume(run_id)
    live = ended(registry, run_id, 59)
    assert_on_disk(registry, run_id)
    assert bits(live) == bits(run(CONFIG))


def test_a_run_goes_on_in_another_server_as_if_nothing_had_been(tmp_path):
    first = serving(tmp_path)
    run_id = first.start(CONFIG, pace=30)
    until(first, run_id, lambda v: v.last_step > 10)
    first.change(run_id, Changes.of({"rho": 0.02}))
    until(first, run_id, lambda v: v.marks and v.last_step > v.marks[0][0] + 10)
    first.close()
    before = first.history(run_id)
    second = serving(tmp_path)
    try:
        assert entry_of(second, run_id).status == "interrupted"
        assert second.open(run_id)
        view = second.view(run_id)
        assert view.stop is not None
        assert view.stop.reason is StopReason.INTERRUPTED
        assert bits(second.history(run_id)) == bits(before)  # `close` has written all of it
        second.resume(run_id)
        live = ended(second, run_id, 59)
        changes = [item for item in live.interventions if item.changes]
        assert [item.label for item in live.interventions] == ["ρ 0.05 → 0.02", "new worker"]
        assert bits(live) == bits(run(CONFIG, interventions=changes))
        assert_on_disk(second, run_id)
    finally:
        second.close()


def test_a_full_disk_is_told_and_everything_is_written_once_it_has_room(
    registry, monkeypatch, caplog
):
    was, full = files.replace, [False]

    def replace(file: Path, content: bytes) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, "No space left on device", str(file))
        was(file, content)

    monkeypatch.setattr(files, "replace", replace)
    run_id = registry.start(ENDLESS, pace=200)
    until(registry, run_id, lambda v: v.last_step > 50)
    full[0] = True
    view = until(registry, run_id, lambda v: v.unrecorded)
    assert view.unrecorded == "OSError: No space left on device"  # no path of the server
    until(registry, run_id, lambda v: v.last_step > view.last_step + 300)
    assert len(caplog.records) == 1  # though it was tried again and again
    full[0] = False
    until(registry, run_id, lambda v: not v.unrecorded)
    registry.stop(run_id)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    assert_on_disk(registry, run_id)


def test_a_run_of_another_live_server_can_be_seen_and_forked_but_not_resumed(registry):
    home = store_of(registry).settings.home
    run_id = registry.start(ENDLESS, pace=300)
    catalogue = store_of(registry).catalogue
    until(registry, run_id, lambda v: (known := catalogue.entry(run_id)) and known.last_step > 150)
    other = serving(home)
    try:
        assert entry_of(other, run_id).status == "recording"
        assert other.open(run_id)
        view = other.view(run_id)
        assert view.stop is not None
        assert view.stop.reason is StopReason.ELSEWHERE
        with pytest.raises(ValueError, match=r"nother server goes on with this run.*fork it here"):
            other.resume(run_id)
        fork = other.fork(run_id, 100, Changes.of({"eta": 0.05}))
        until(other, fork, lambda v: v.last_step > 120)
        shared = other.history(fork).rows_after(-1)[:100].tobytes()
        assert shared == registry.history(run_id).rows_after(-1)[:100].tobytes()
        assert registry.view(run_id).phase is Phase.RUNNING
    finally:
        other.close()
        registry.stop(run_id)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    assert_on_disk(registry, run_id)


def test_a_run_that_went_on_elsewhere_meanwhile_is_not_written_over(tmp_path):
    """This server has opened it; another one goes on and ends before this one is told to resume."""
    first, second = serving(tmp_path, spares=0), serving(tmp_path, spares=0)
    try:
        run_id = first.start(CONFIG.replace(steps=20))
        ended(first, run_id, 19)
        assert_on_disk(first, run_id)
        assert second.open(run_id)
        first.resume(run_id)
        ended(first, run_id, 39)
        assert_on_disk(first, run_id)
        with pytest.raises(
            ValueError, match="another server has gone on with this run, to step 39"
        ):
            second.resume(run_id)
        assert entry_of(second, run_id).status == "ended"
        record, read = store_of(second).load(run_id)
        assert bits(read) == bits(first.history(run_id))
        assert record.stop == first.history(run_id).stop
    finally:
        first.close()
        second.close()


def test_what_is_deleted_is_forgotten_here_and_in_a_server_that_had_opened_it(tmp_path):
    here, there = serving(tmp_path, spares=0), serving(tmp_path, spares=0)
    try:
        run_id = here.start(CONFIG.replace(steps=20))
        ended(here, run_id, 19)
        assert_on_disk(here, run_id)
        assert there.view(run_id).last_step == 19  # looking takes it up
        here.resume(run_id)  # the catalogue is told at the next write only: it can be deleted still
        assert here.delete([run_id, "never"]) == [run_id, "never"]
        assert run_id not in here
        assert here.live_workers() == 0
        with pytest.raises(ValueError, match="it was deleted"):
            there.resume(run_id)
        assert not there.open(run_id)
        assert run_id not in there
        with pytest.raises(KeyError):
            there.view(run_id)
        time.sleep(2 * WRITE_SECONDS)
        assert not here.open(run_id)
        assert run_id not in store_of(here)
        assert store_of(here).catalogue.entry(run_id) is None
    finally:
        here.close()
        there.close()


def test_a_run_whose_folder_goes_is_told_of_once_and_not_tried_again(registry, caplog):
    run_id, store = registry.start(ENDLESS, pace=200), store_of(registry)
    until(registry, run_id, lambda v: store.catalogue.entry(run_id))
    shutil.rmtree(store.folder(run_id).path)
    view = until(registry, run_id, lambda v: v.unrecorded)
    assert view.unrecorded == "the run was deleted while it was being recorded"
    until(registry, run_id, lambda v: v.last_step > view.last_step + 300)
    assert [r.levelname for r in caplog.records if "store" in r.name or "recording" in r.name] == [
        "WARNING"
    ]
    assert registry.open(run_id)  # what is known of it is still listed
    store.catalogue.delete([run_id])
    assert not registry.open(run_id)
    assert run_id not in registry


def test_what_the_quota_took_is_written_anew_when_its_run_goes_on(registry):
    run_id, store = registry.start(CONFIG), store_of(registry)
    ended(registry, run_id, 59)
    assert_on_disk(registry, run_id)
    shutil.rmtree(store.folder(run_id).path)
    store.catalogue.put(run_id, {"removed": 1.0})
    assert registry.open(run_id)
    registry.resume(run_id)
    ended(registry, run_id, 119)
    assert_on_disk(registry, run_id)
    assert registry.view(run_id).unrecorded == ""


def test_nothing_is_lost_when_a_run_is_forgotten_and_opened_again(tmp_path):
    registry = serving(tmp_path, max_records=1, spares=0)
    try:
        run_id = registry.start(CONFIG.replace(steps=30))
        before = ended(registry, run_id, 29)
        other = registry.start(ENDLESS, pace=10)
        end = time.monotonic() + PATIENCE
        while run_id in registry or not has_ended(registry, run_id, 29):
            registry.view(other)
            assert time.monotonic() < end
            time.sleep(0.02)
        registry.stop(other)
        time.sleep(2 * WRITE_SECONDS)
        assert registry.open(run_id)
        assert bits(registry.history(run_id)) == bits(before)
        registry.resume(run_id)
        live = ended(registry, run_id, 59)
        assert bits(live) == bits(run(CONFIG.replace(steps=60)))
        assert_on_disk(registry, run_id)
    finally:
        registry.close()


def test_recording_survives_a_history_that_can_not_be_told(registry, monkeypatch):
    """Whatever one run's news raise, the thread goes on, and with the other runs, too."""
    run_id = registry.start(ENDLESS, pace=50)
    until(registry, run_id, lambda v: v.last_step >= 0)
    with monkeypatch.context() as patch:
        patch.setattr("samedge_core.store.writer.about", lambda *args, **kwargs: 1 / 0)
        view = until(registry, run_id, lambda v: v.unrecorded)
        assert "ZeroDivisionError" in view.unrecorded
    until(registry, run_id, lambda v: not v.unrecorded)
    registry.stop(run_id)
    until(registry, run_id, lambda v: v.phase is Phase.ENDED)
    assert_on_disk(registry, run_id)


def test_a_run_that_is_forgotten_before_it_could_be_written_is_kept_until_it_is(registry):
    recorder = registry._recorder
    run_id, store = registry.start(CONFIG.replace(steps=30)), store_of(registry)
    live = ended(registry, run_id, 29)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "replace", lambda file, content: 1 / 0)
        live.stop = None  # something that is not on disk yet
        recorder.forget(run_id)
        assert not recorder.follows(run_id)
        time.sleep(3 * WRITE_SECONDS)
        assert recorder.failure(run_id)
    time.sleep(3 * WRITE_SECONDS)
    assert recorder.failure(run_id) == ""
    assert store.folder(run_id).record().stop is None


def test_a_repetition_that_ends_sooner_leaves_what_was_recorded(registry, tmp_path):
    store, config = store_of(registry), RunConfig(problem="two-weight", rule="gd", eta=0.1)
    alone = run(config)  # converges long before step 49
    foreign, last = made.record(store.new_id(), config), 49
    folder, rows = store.folder(foreign.id), made.history(last + 1, config)
    folder.create()
    folder.write_record(foreign)
    folder.append(rows.rows_after(-1))
    store.take_in(foreign, rows)
    assert registry.open(foreign.id)
    registry.resume(foreign.id)
    stop = until(registry, foreign.id, lambda v: v.phase is Phase.ENDED).stop
    assert alone.stop
    assert stop
    assert (stop.reason, stop.step) == (StopReason.INTERRUPTED, last)
    assert stop.what.startswith(f"{alone.stop.what}, while the steps to 49 were repeated")
    sooner_or_later(lambda: folder.record().stop == stop)
    with closing(open_store(tmp_path)) as other:
        brought = bring_in(other, io.BytesIO(take_out(folder)))
        assert bits(other.load(brought)[1]) == bits(rows)
