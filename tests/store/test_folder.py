"""RunFolder: what was written comes back to the bit, whenever it was cut short, or is named."""

import hashlib
import itertools
import json
import math
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.sharing import export, files
from samedge_core.sharing.files import SavedError
from samedge_core.store import RunFolder, open_store
from samedge_core.training import packing
from samedge_core.training.history import History, Intervention
from samedge_core.training.stop import Stop, StopReason
from tests.store.made import SMALL, record, rows, state

TOP_K = 3
CONFIG = SMALL.replace(top_k=TOP_K)
RECORD = record(config=CONFIG, created=1.0)


@pytest.fixture(scope="module", autouse=True)
def no_fsync():
    """Nothing here cuts the power, and it takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.write_record(RECORD)
    return folder


def bits(history: History) -> bytes:
    return history.rows_after(-1).tobytes()


def read(folder: RunFolder) -> bytes:
    return bits(folder.history(folder.record()))


def append_in(folder: RunFolder, sizes: list[int], start: int = 0) -> int:
    """Rows in chunks of these sizes; returns the step after the last one."""
    for size in sizes:
        folder.append(rows(start, start + size - 1))
        start += size
    return start


# --- there and back -------------------------------------------------------------------------


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_rows_in_any_chunks_come_back_bit_for_bit(tmp_path_factory, sizes):
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.create()
    folder.write_record(RECORD)
    end = append_in(folder, sizes)
    assert read(folder) == rows(0, end - 1).tobytes()
    assert folder.last_step == end - 1


def test_the_rows_hold_what_a_conversion_would_lose():
    made = rows(0, 99)
    assert {made.dtype[name].kind for name in made.dtype.names or ()} == set("ifb")
    assert {made.dtype[name].itemsize for name in made.dtype.names or ()} == {1, 4, 8}
    assert np.isinf(made["grad_norm"]).any()
    for name, bits in (("loss", "u8"), ("accuracy", "u4")):
        usual = np.full(1, np.nan, made.dtype[name]).view(bits)
        assert (made[name].copy().view(bits)[np.isnan(made[name])] != usual).any()


def test_parts_and_rewritten_rows_grow_with_the_logarithm(folder, monkeypatch):
    was, written = RunFolder._write, []

    def write(self: RunFolder, rows: np.ndarray) -> None:
        written.append(len(rows))
        was(self, rows)

    monkeypatch.setattr(RunFolder, "_write", write)
    for step in range(256):
        folder.append(rows(step, step))
        assert len(folder.parts()) <= 1 + math.log2(step + 2)
    assert sum(written) <= 256 * (1 + math.log2(256))
    assert read(folder) == rows(0, 255).tobytes()


def test_rows_that_are_there_already_are_not_written_again(folder):
    append_in(folder, [10])
    folder.append(rows(5, 14))
    folder.append(rows(0, 14))
    assert read(folder) == rows(0, 14).tobytes()


def test_the_record_and_the_rest_come_back(folder):
    told = replace(
        RECORD,
        parameters=454,
        interventions=(Intervention(3, {"eta": 0.5}, {"eta": 1.0}),),
        stop=Stop(StopReason.STOPPED, 5, "by hand"),
    )
    append_in(folder, [5])
    folder.write_record(told)
    got, history = folder.recorded()
    assert got == told
    assert (history.interventions, history.stop) == ([*told.interventions], told.stop)
    assert (history.config, history.parameters) == (CONFIG, 454)


def test_a_change_that_no_row_has_come_to_has_not_happened(folder):
    changes = [Intervention(step, {"eta": 0.5 + step}) for step in (2, 5, 6)]
    folder.write_record(replace(RECORD, interventions=tuple(changes)))
    append_in(folder, [5])
    got, history = folder.recorded()
    assert history.interventions == list(got.interventions) == changes[:2]


def test_a_folder_that_is_written_meanwhile_is_read_as_of_one_moment(folder, monkeypatch):
    """A reader who has listed the parts finds them merged; and a change before its rows."""
    append_in(folder, [4, 1])
    listed = folder.parts()
    later = iter([lambda: folder.append(rows(5, 9)), lambda: folder.append(rows(10, 30))])
    was = RunFolder.parts

    def parts(self):
        found = was(self)
        with monkeypatch.context() as undone:
            undone.setattr(RunFolder, "parts", was)
            next(later, lambda: None)()
        return found

    monkeypatch.setattr(RunFolder, "parts", parts)
    assert read(folder) == rows(0, 30).tobytes()
    assert not all(part.file.exists() for part in listed)


def test_the_record_belongs_to_the_rows_that_it_comes_with(folder, monkeypatch):
    append_in(folder, [5])
    changed = replace(RECORD, interventions=(Intervention(5, {"eta": 0.5}, {"eta": 1.0}),))
    was = RunFolder.history

    def history(self, record):
        if record == RECORD:
            folder.write_record(changed)
            folder.append(rows(5, 9))
        return was(self, record)

    monkeypatch.setattr(RunFolder, "history", history)
    got, read_history = folder.recorded()
    assert (got, read_history.interventions) == (changed, [*changed.interventions])


# --- killed on the way ----------------------------------------------------------------------


@dataclass
class Kill:
    """Whether it came in time."""

    done: bool = False


@contextmanager
def killed_at(monkeypatch, number: int) -> Iterator[Kill]:
    """The `number`-th operation that changes the disk doesn't happen, nor any later one."""
    count, kill = itertools.count(), Kill()

    def mortal(was):
        def act(*args, **kwargs):
            if next(count) >= number:
                raise Killed
            return was(*args, **kwargs)

        return act

    with monkeypatch.context() as patch:
        patch.setattr(export, "replace", mortal(files.replace))
        for name in ("unlink", "mkdir", "replace"):
            patch.setattr(Path, name, mortal(getattr(Path, name)))
        patch.setattr("os.fsync", mortal(lambda descriptor: None))
        try:
            yield kill
        except Killed:
            kill.done = True


def whole_life(folder: RunFolder) -> None:
    """Everything that is ever done to a folder, with merges of several parts and thinning."""
    folder.create()
    folder.write_record(RECORD)
    start = 0
    for size in (8, 3, 1, 1, 1, 2):
        folder.append(rows(start, start + size - 1))
        start += size
        folder.write_record(replace(RECORD, parameters=start))
        folder.write_snapshot(start, state())
        folder.thin(3 * len(state()))


def test_a_kill_between_any_two_operations_leaves_a_prefix(tmp_path, monkeypatch):
    everything = rows(0, 15).tobytes()
    unbegun, number, killed = 0, 0, True
    while killed:
        folder = RunFolder(tmp_path / str(number))
        with killed_at(monkeypatch, number) as kill:
            whole_life(folder)
        killed = kill.done
        if not folder.begun:
            unbegun += 1
            folder.create()
            folder.write_record(RECORD)
        left = read(folder)
        assert everything.startswith(left)
        assert killed or left == everything
        assert all(step <= folder.last_step + 1 for step in folder.snapshots())
        assert {folder.snapshot(step) for step in folder.snapshots()} <= {state()}
        assert_goes_on(folder)
        number += 1
    assert number > 60
    assert unbegun > 3  # three folders to make, and a record to write and move there


def assert_goes_on(folder: RunFolder) -> None:
    """What a kill has left is cleared away and is no hindrance."""
    before = folder.last_step
    folder.create()
    assert not list(folder.path.rglob("*.new"))
    listed = {part.file for part in folder.parts()}
    assert {*(folder.path / "rows").iterdir()} == listed
    folder.append(rows(before + 1, before + 20))
    assert read(folder) == rows(0, before + 20).tobytes()


def test_a_merge_that_fails_half_way_and_is_tried_again(folder, monkeypatch):
    """Unlike after a kill, nobody clears up in between."""
    number, killed = 0, True
    while killed:
        folder.create()
        append_in(folder, [20, 8, 3], start=folder.last_step + 1)
        step = folder.last_step + 1
        with killed_at(monkeypatch, number) as kill:
            folder.append(rows(step, step + 1))
        killed = kill.done
        folder.append(rows(step, step + 2))
        assert read(folder) == rows(0, step + 2).tobytes()
        number += 1
    assert number > 4


# --- damaged and foreign files --------------------------------------------------------------


@pytest.fixture
def one_part(folder) -> Path:
    append_in(folder, [20])
    (part,) = folder.parts()
    return part.file


def test_flipped_bits_are_noticed_or_harmless(folder, one_part):
    good, expected, noticed = one_part.read_bytes(), rows(0, 19).tobytes(), 0
    positions = range(0, len(good), 11)
    for position in positions:
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        one_part.write_bytes(bad)
        message = named_by(folder)
        if message:
            assert one_part.name in message
            noticed += 1
        else:
            assert read(folder) == expected
    assert noticed > len(positions) / 2


def named_by(folder: RunFolder) -> str:
    """What reading says; nothing when it goes well."""
    try:
        read(folder)
    except SavedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("content", [b"", b"PAR1PAR1", b"\xff" * 1000])
def test_foreign_rows_are_named(folder, one_part, content):
    one_part.write_bytes(content)
    with pytest.raises(SavedError, match=f"{one_part.name} is damaged or not part of a saved run"):
        read(folder)


def test_cut_rows_are_named(folder, one_part):
    good = one_part.read_bytes()
    for length in range(0, len(good), 997):
        one_part.write_bytes(good[:length])
        with pytest.raises(SavedError, match=one_part.name):
            read(folder)


def test_rows_under_another_name_or_with_a_gap_are_named(folder, one_part):
    moved = one_part.rename(one_part.with_name("0000000000-0000000018.parquet"))
    with pytest.raises(SavedError, match=r"0018\.parquet .*not those of its name"):
        read(folder)
    moved.unlink()
    folder.append(rows(30, 39))
    with pytest.raises(SavedError, match=r"0030-.*the rows of the steps 0 to 29 are missing"):
        read(folder)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1, 2]", b"{}", b"null", b'"x"'])
def test_a_foreign_record_is_named(folder, content):
    (folder.path / "run.json").write_bytes(content)
    with pytest.raises(SavedError, match=r"run\.json is damaged or not part of a saved run"):
        folder.record()


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(SavedError, match=r"run\.json is missing: .*none holds no complete run"):
        RunFolder(tmp_path / "none").record()


def test_changes_that_are_not_in_order_are_named(folder):
    changes = (Intervention(3, {"eta": 0.5}), Intervention(2, {"eta": 0.5}))
    folder.write_record(replace(RECORD, interventions=changes))
    append_in(folder, [9])
    with pytest.raises(SavedError, match=r"run\.json .*interventions must be in order"):
        read(folder)


def test_damaged_states_are_named(folder):
    folder.write_snapshot(7, state())
    file = folder.path / "snapshots" / "0000000007.safetensors"
    good = file.read_bytes()
    for bad in (b"", good[:-10], good.replace(b"0123456789", b"0123456780"), b"no state"):
        file.write_bytes(bad)
        with pytest.raises(SavedError, match=r"0000000007\.safetensors is damaged"):
            folder.snapshot(7)
    with pytest.raises(SavedError, match=r"0000000008\.safetensors is missing"):
        folder.snapshot(8)


def test_files_that_people_leave_are_left_alone(folder):
    append_in(folder, [5])
    folder.write_snapshot(5, state())
    left = [
        folder.path / "rows" / name
        for name in ("0 copy.parquet", "1-2-3.parquet", "5.parquet", "0-4.parquet.bak", "notes")
    ] + [folder.path / "snapshots" / "0000000005 (copy).pt", folder.path / "notes.txt"]
    for file in left:
        file.write_bytes(b"mine")
    sizes = folder.sizes()
    folder.create()
    assert all(file.read_bytes() == b"mine" for file in left)
    assert read(folder) == rows(0, 4).tobytes()
    assert (folder.snapshots(), folder.sizes()) == ([5], sizes)
    assert sizes == (folder.parts()[0].file.stat().st_size, len(state()))


# --- snapshots ------------------------------------------------------------------------------


def test_the_last_snapshot_before_a_step_is_found(folder):
    for step in (3, 10, 25):
        folder.write_snapshot(step, state())
    found = {step: folder.nearest(step) for step in (2, 3, 9, 10, 24, 99)}
    assert found == {2: None, 3: 3, 9: 3, 10: 10, 24: 10, 99: 25}
    folder.drop_from(10)
    assert folder.snapshots() == [3]


@pytest.mark.parametrize("kept", [1, 2, 3, 10])
def test_thinning_keeps_the_budget_the_newest_and_an_even_spread(folder, kept):
    budget = kept * len(state()) + 1
    for step in range(1, 200):
        folder.write_snapshot(step, state())
        folder.thin(budget)
        snapshots = folder.snapshots()
        assert snapshots[-1] == step
        assert len(snapshots) == min(kept, step)
        # the newest apart, whose turn to go has not come, two neighbouring gaps are together
        # never shorter than the longest one; single ones were seen to differ by 3.2 at most
        gaps = np.diff([0, *snapshots[:-1]])
        assert len(gaps) < 2 or (gaps[1:] + gaps[:-1]).min() >= gaps.max()
        assert len(gaps) < 2 or gaps.max() <= 4 * gaps.min()


def test_the_newest_snapshot_stays_whatever_the_budget(folder):
    for step in (5, 10):
        folder.write_snapshot(step, state())
    folder.thin(1)
    assert folder.snapshots() == [10]


def test_thinning_counts_bytes(folder):
    sizes = {10: 100, 20: 5000, 30: 100, 40: 200}
    for step, size in sizes.items():
        folder.write_snapshot(step, b"x" * size)
    folder.thin(5300)
    assert sum(sizes[step] for step in folder.snapshots()) <= 5300
    assert folder.snapshots()[-1] == 40


def test_states_are_as_far_apart_as_asked_once_they_take_room(folder):
    for step in range(10, 400, 10):
        folder.write_snapshot(step, b"x" * 500_000)
        folder.thin(64_000_000, 90)
    kept = np.array([0, *folder.snapshots()])
    assert kept[-1] == 390
    # six fit into what is spared; from there on nobody repeats more than 90 steps, nor keeps twice
    gaps = np.diff(kept[kept >= 60])
    assert gaps.max() == 90
    assert (gaps[:-1] == 90).all()
    assert 500_000 * len(folder.snapshots()) < 6_000_000


def test_without_a_distance_no_state_goes_before_the_budget_is_used(folder):
    for step in range(1, 9):
        folder.write_snapshot(step, b"x" * 500_000)
        folder.thin(64_000_000)
    assert folder.snapshots() == list(range(1, 9))


# --- other versions -------------------------------------------------------------------------


def write_part(folder: RunFolder, made: np.ndarray, **more) -> None:
    """As a version would that has these columns."""
    columns = {name: pa.array(made[name]) for name in made.dtype.names or ()}
    first, last = made["step"][[0, -1]]
    file = folder.path / "rows" / f"{first:010}-{last:010}.parquet"
    pq.write_table(pa.table(columns | {k: pa.array(v) for k, v in more.items()}), file)


def without(made: np.ndarray, *names: str) -> np.ndarray:
    return made[[name for name in made.dtype.names or () if name not in names]]


def test_columns_of_an_older_version_are_not_measured_where_they_are_missing(folder):
    missing = ("held_out_loss", "loss", "hvps", "converged", "lambda_3")
    write_part(folder, without(rows(0, 9), *missing))
    folder.append(rows(10, 12))
    (history,) = [folder.history(folder.record())]
    got, expected = history.rows_after(-1), rows(0, 12)
    for name in got.dtype.names or ():
        if name not in missing:
            assert got[name].tobytes() == expected[name].tobytes(), name
    assert np.isnan([*got["loss"][:10], *got["held_out_loss"][:10], *got["lambda_3"][:10]]).all()
    assert not got["hvps"][:10].any()
    assert not got["converged"][:10].any()
    assert got[10:].tobytes() == expected[10:].tobytes()


def test_and_stay_so_when_they_are_merged(folder):
    write_part(folder, without(rows(0, 2), "hvps", "loss"))
    before = read(folder)
    folder.append(rows(3, 9))
    assert len(folder.parts()) == 1
    assert read(folder) == before + rows(3, 9).tobytes()


def test_columns_of_a_newer_version_are_left_out(folder):
    write_part(folder, rows(0, 9), curvature=np.arange(10.0), words=["x"] * 10)
    assert read(folder) == rows(0, 9).tobytes()


def test_rows_without_steps_or_of_another_type_are_refused(folder):
    made = rows(0, 9)
    write_part(folder, made)
    (part,) = folder.parts()
    pq.write_table(pq.read_table(part.file).drop_columns(["step"]), part.file)
    with pytest.raises(SavedError, match=part.file.name):
        read(folder)
    wrong = {name: made[name] for name in made.dtype.names or ()} | {"loss": np.zeros(10, "f4")}
    pq.write_table(pa.table(wrong), part.file)
    with pytest.raises(SavedError, match="column loss must be float64, got float32"):
        read(folder)


def test_a_column_that_was_written_and_is_gone_is_damage(folder, one_part):
    table = pq.read_table(one_part)
    pq.write_table(table.drop_columns(["loss"]), one_part)
    with pytest.raises(SavedError, match="its columns are not those that were written"):
        read(folder)
    other = table.set_column(table.column_names.index("loss"), "loss", pa.array(np.zeros(20)))
    pq.write_table(other, one_part)
    with pytest.raises(SavedError, match="column loss is damaged"):
        read(folder)


def test_what_schema_1_wrote_opens_for_ever(tmp_path):
    """See fixtures/README.md."""
    shutil.unpack_archive(Path(__file__).parent / "fixtures" / "schema-1.zip", tmp_path)
    expected = json.loads((tmp_path / "expected.json").read_text())
    folder = RunFolder(tmp_path / "runs" / expected["id"])
    record, history = folder.recorded()
    assert (record.id, record.created) == (expected["id"], expected["created"])
    config = json.loads(record.config.to_json())
    assert {name: config[name] for name in expected["config"]} == expected["config"]
    assert [(i.step, i.label) for i in record.interventions] == [(20, "η 0.1 → 0.05")]
    assert history.stop == Stop(StopReason.STEP_CAP, 60, "the step cap of 60 is reached")
    rows = history.rows_after(-1)
    assert rows["step"].tolist() == list(range(60))
    written = expected["sha256"]
    assert {name: hashlib.sha256(rows[name].tobytes()).hexdigest() for name in written} == written
    assert folder.snapshots() == expected["snapshots"]
    assert all(folder.snapshot(step) for step in folder.snapshots())
    with closing(open_store(tmp_path)) as store:
        (entry,) = store.find().entries
    assert (entry.title, entry.note, entry.tags, entry.pinned) == (
        "the first",
        "schema 1",
        ("kept",),
        True,
    )
    assert (entry.id, entry.last_step, entry.loss) == (expected["id"], 59, expected["loss"])
    assert (entry.status, entry.stop_reason, entry.interventions) == ("ended", "step cap", 1)


def test_a_state_under_the_name_of_another_step_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "a")
    folder.create()
    folder.write_snapshot(3, packing.pack({"step": 3, "w": np.zeros(2)}))
    folder.write_snapshot(5, packing.pack({"step": 3, "w": np.zeros(2)}))
    folder.check_snapshot(3, 2)
    with pytest.raises(SavedError, match="it is not the state after 5 steps"):
        folder.check_snapshot(5, None)
