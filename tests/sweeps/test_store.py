import json
import os
import threading
import time

import pytest

from samedge_core.sharing.files import SavedError
from samedge_core.sweeps import store
from samedge_core.sweeps.rows import Row
from samedge_core.sweeps.store import PREDICTED, SweepError, Sweeps, open_sweeps
from tests.sweeps import sleeping

ROWS = [Row(0, "converged", 5, loss=0.5), Row(3, "diverged", 2)]


@pytest.fixture
def sweeps(tmp_path) -> Sweeps:
    return Sweeps(tmp_path)


def cells(rows):
    return [row.cell for row in rows]


def test_a_stored_sweep_is_found_and_read_again(sweeps):
    recorded = sweeps.create(sleeping.sweep(), "my sweep")
    assert sweeps.create(sleeping.sweep()).created == recorded.created
    (found,) = sweeps.find()
    assert (found.id, found.title, found.sweep) == (recorded.id, "my sweep", sleeping.sweep())
    assert sweeps[recorded.id[:5]].id == recorded.id
    assert found.state == "stopped"
    assert found.missing == 24


def test_newest_first(sweeps):
    old = sweeps.create(sleeping.sweep(0.1))
    time.sleep(0.01)
    new = sweeps.create(sleeping.sweep(0.2))
    assert [one.id for one in sweeps.find()] == [new.id, old.id]


def test_rows_are_read_from_where_one_has_read_to(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    assert recorded.rows_after(0) == ([], 0)
    recorded.append(ROWS[:1])
    rows, position = recorded.rows_after(0)
    assert cells(rows) == [0]
    assert recorded.rows_after(position) == ([], position)
    with (recorded.folder / store.ROWS).open("ab") as file:
        file.write(json.dumps(ROWS[1].to_values()).encode()[:20])  # what a kill has left
    assert recorded.rows_after(position) == ([], position)
    with recorded.driving():
        recorded.append(ROWS[1:])
    rows, position = recorded.rows_after(position)
    assert cells(rows) == [3]
    assert position == (recorded.folder / store.ROWS).stat().st_size


@pytest.mark.parametrize("line", [b"{}", b"no JSON", b'{"cell": 24}', b"\xff"])
def test_a_damaged_row_is_told_with_its_file(sweeps, line):
    recorded = sweeps.create(sleeping.sweep())
    row = {**ROWS[0].to_values(), **json.loads(line)} if b"cell" in line else None
    (recorded.folder / store.ROWS).write_bytes((json.dumps(row).encode() if row else line) + b"\n")
    with pytest.raises(SavedError, match=r"rows\.jsonl is damaged"):
        recorded.rows()


def test_what_a_driver_does_is_its_state(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    other = sweeps[recorded.id]
    with recorded.driving():
        assert other.state == "waiting"
        recorded.set_running([4, 2], workers=2)
        assert (other.state, other.running(), other.workers) == ("computing", {2, 4}, 2)
        with pytest.raises(SweepError, match="is being computed already"), other.driving():
            pass
        with pytest.raises(SweepError, match="is being computed: stop it first"):
            sweeps.delete(recorded.id)
        assert not recorded.is_asked_to_stop()
        other.ask_to_stop()
        assert recorded.is_asked_to_stop()
    assert (other.state, other.running(), other.workers) == ("stopped", set(), 0)
    with recorded.driving():
        assert not recorded.is_asked_to_stop()
        recorded.append(Row(i, "converged", 1) for i in range(24))
    assert other.state == "finished"


def test_predictions_are_wanted_and_are_a_file_of_their_own(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    every = [Row(i, "diverged", 3) for i in range(recorded.sweep.count)]
    recorded.append(every)
    assert (recorded.state, recorded.predicts, recorded.unpredicted) == ("finished", False, 0)
    assert sweeps.create(sleeping.sweep(), predict=True).id == recorded.id  # the same sweep
    assert (recorded.state, recorded.unpredicted) == ("stopped", recorded.sweep.count)
    recorded.append(every, PREDICTED)
    assert recorded.state == "finished"
    assert len(recorded.result().predicted) == len(recorded.result().rows) == len(every)
    with (recorded.folder / PREDICTED).open("ab") as file:
        file.write(b'{"cell":')
    with recorded.driving():  # drops the torn line
        pass
    assert len(recorded.rows(PREDICTED)) == len(every)


def test_looking_at_a_state_does_not_keep_a_driver_out(sweeps):
    recorded, ended = sweeps.create(sleeping.sweep()), threading.Event()

    def look():
        while not ended.is_set():
            sweeps[recorded.id].state  # noqa: B018

    lookers = [threading.Thread(target=look) for _ in range(4)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(20):
            with recorded.driving():
                pass
    finally:
        ended.set()
        for looker in lookers:
            looker.join()


def test_why_a_driver_has_failed_is_kept_until_the_next(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    with pytest.raises(OSError, match="disk"), recorded.driving():
        raise OSError("the disk is full")
    assert (recorded.state, recorded.error) == ("failed", "the disk is full")
    with recorded.driving():
        assert recorded.error == ""
    assert recorded.state == "stopped"


def test_a_sweep_that_was_asked_for_waits(sweeps, monkeypatch):
    recorded = sweeps.create(sleeping.sweep())
    (recorded.folder / store.ASKED).touch()
    assert recorded.state == "waiting"
    (recorded.folder / store.LOG).write_text("No module named dask\n")
    monkeypatch.setattr(store, "STARTING", 0.0)  # it has not come
    assert (recorded.state, recorded.error) == ("failed", "No module named dask")


def test_a_stop_that_is_asked_for_while_a_driver_starts_is_heard_and_an_old_one_is_not(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    recorded.ask_to_stop()
    with recorded.driving():
        assert recorded.is_asked_to_stop()
    with recorded.driving():
        assert not recorded.is_asked_to_stop()
    recorded.ask_to_stop()
    long_ago = time.time() - store.STARTING - 1
    os.utime(recorded.folder / store.STOP, (long_ago, long_ago))
    with recorded.driving():
        assert not recorded.is_asked_to_stop()


def test_one_driver_of_a_home_has_the_turn(sweeps):
    one, other = sweeps.create(sleeping.sweep(0.1)), sweeps.create(sleeping.sweep(0.2))
    turn = one.take_turn()
    assert turn is not None
    assert other.take_turn() is None
    turn.release()
    again = other.take_turn()
    assert again is not None
    again.release()


def test_a_deleted_sweep_comes_back_within_a_day(sweeps):
    recorded = sweeps.create(sleeping.sweep(), "kept")
    recorded.append(ROWS)
    sweeps.delete(recorded.id)
    assert sweeps.find() == []
    assert recorded.id not in sweeps
    with pytest.raises(SweepError, match="no sweep begins with"):
        sweeps[recorded.id]
    back = sweeps.restore(recorded.id)
    assert back.title == "kept"
    assert cells(back.rows()) == [0, 3]
    sweeps.delete(recorded.id)
    sweeps.create(sleeping.sweep())
    with pytest.raises(SweepError, match="has been started again since"):
        sweeps.restore(recorded.id)
    sweeps.delete(recorded.id)
    day_ago = time.time() - store.KEPT_ASIDE - 1
    os.utime(sweeps.folder / "deleted" / recorded.id, (day_ago, day_ago))
    sweeps.find()
    with pytest.raises(SweepError, match="in the last 24 hours"):
        sweeps.restore(recorded.id)


def test_over_the_quota_the_oldest_go_that_nobody_computes(tmp_path):
    size = Sweeps(tmp_path / "one").create(sleeping.sweep(0.1)).bytes
    sweeps = Sweeps(tmp_path / "two", quota=4 * size - size // 2)
    made = [sweeps.create(sleeping.sweep(seconds)) for seconds in (0.1, 0.2, 0.3)]
    assert len(sweeps.find()) == 3
    sweeps.delete(made[2].id)
    with made[0].driving():
        sweeps.create(sleeping.sweep(0.4))  # what is kept aside goes before what is not
        assert not (sweeps.folder / "deleted" / made[2].id).exists()
        newest = sweeps.create(sleeping.sweep(0.5))
    assert made[1].id not in sweeps
    assert made[0].id in sweeps
    assert newest.id in sweeps


@pytest.mark.parametrize("id", ["", "..", "a/b", "ffff", "x" * 99])
def test_an_id_of_no_sweep_is_refused(sweeps, id):
    sweeps.create(sleeping.sweep())
    assert id not in sweeps
    for act in (sweeps.__getitem__, sweeps.delete, sweeps.restore):
        with pytest.raises(SweepError, match="no sweep"):
            act(id)


@pytest.mark.parametrize(
    "change",
    [{"title": 3}, {"sweep": {}}, {"created": "today"}, {"created": 1e300}, {"more": 1}, None],
)
def test_a_damaged_sweep_is_named_and_the_others_are_found(sweeps, change):
    good, bad = sweeps.create(sleeping.sweep(0.1)), sweeps.create(sleeping.sweep(0.2))
    file = bad.folder / store.SWEEP
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, **change}) if change else "")
    assert [one.id for one in sweeps.find()] == [good.id]
    assert "is damaged" in sweeps.damaged[bad.id]


@pytest.mark.parametrize("name", [store.ROWS, store.ERROR, store.LOG])
def test_a_folder_in_place_of_a_file_does_not_hide_the_sweep(sweeps, name):
    recorded = sweeps.create(sleeping.sweep())
    (recorded.folder / name).mkdir()
    assert [one.state for one in sweeps.find()] == ["stopped"]
    if name == store.ROWS:
        with pytest.raises(SavedError, match=r"rows\.jsonl is damaged"):
            recorded.rows()


def test_a_strange_file_among_the_deleted_is_left_alone(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    sweeps.delete(recorded.id)
    stray = sweeps.folder / "deleted" / "notes"
    stray.touch()
    os.utime(stray, (1, 1))
    assert sweeps.find() == []
    sweeps.create(sleeping.sweep(0.1))
    assert stray.exists()


def test_a_file_that_goes_while_sizes_are_added_counts_nothing(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    before = recorded.bytes
    (recorded.folder / ".running.json.new").symlink_to("gone")  # its stat fails as that of one gone
    assert recorded.bytes == before


def test_what_another_page_has_deleted_is_neither_renamed_nor_stopped(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    sweeps.delete(recorded.id)
    for act in (recorded.ask_to_stop, lambda: recorded.rename("new")):
        with pytest.raises(SweepError, match=f"the sweep {recorded.id} has been deleted"):
            act()
    assert sweeps.restore(recorded.id).title == ""


def test_titles_pass_their_gate(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    recorded.rename("η over ρ")
    assert sweeps[recorded.id].title == "η over ρ"
    with pytest.raises(ValueError, match="title must have at most 200"):
        recorded.rename("x" * 201)


def test_two_pages_that_rename_at_once_leave_a_whole_file(sweeps):
    recorded = sweeps.create(sleeping.sweep())
    refused: list[Exception] = []

    def rename(title: str) -> None:
        try:
            for _ in range(50):
                sweeps[recorded.id].rename(title)
        except (OSError, ValueError) as error:
            refused.append(error)

    pages = [threading.Thread(target=rename, args=(title,)) for title in ("one", "other", "third")]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    assert not refused
    assert sweeps[recorded.id].title in ("one", "other", "third")


def test_the_home_is_that_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMEDGE_HOME", str(tmp_path / "there"))
    recorded = open_sweeps().create(sleeping.sweep())
    assert recorded.folder.parent == tmp_path / "there" / "sweeps"
    assert 0 < recorded.bytes < 10_000
