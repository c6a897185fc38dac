"""A run as a zip file comes back as it was; anything else is refused, and nothing is left of it."""

import io
import stat
import zipfile
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from samedge_core.store import Store, open_store, unzipping
from samedge_core.store.archive import ArchiveError, bring_in, take_out
from samedge_core.store.writer import RunWriter
from samedge_core.training.stop import Stop, StopReason
from tests.store.made import history, record, state

STEPS = 12


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with closing(open_store(tmp_path / "here")) as store:
        yield store


@pytest.fixture
def other(tmp_path) -> Iterator[Store]:
    with closing(open_store(tmp_path / "elsewhere")) as store:
        yield store


@pytest.fixture
def packed(store) -> bytes:
    """The archive of the run "a"."""
    live = history(STEPS)
    live.stop = Stop(StopReason.STOPPED, STEPS, "stopped by hand")
    writer = RunWriter(store, record("a"))
    news = writer.take(live, (STEPS, state()))
    assert news
    writer.save(news)
    return take_out(store.folder("a"))


def refused(store: Store, content: bytes, match: str) -> None:
    """With that message, and nothing is left of it."""
    before = sorted(store.settings.home.rglob("*.*"))
    with pytest.raises(ArchiveError, match=match):
        bring_in(store, io.BytesIO(content))
    assert sorted(store.settings.home.rglob("*.*")) == before
    assert list((store.settings.home / "incoming").iterdir()) == []
    assert store.find().total == 0


def altered(packed: bytes, name: str, content: bytes | None) -> bytes:
    """The archive with one file replaced, added or (None) left out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as old, zipfile.ZipFile(buffer, "w") as new:
        for known in old.namelist():
            if known != name:
                new.writestr(known, old.read(known))
        if content is not None:
            new.writestr(name, content)
    return buffer.getvalue()


def test_a_run_comes_to_another_store_as_it_was(store, packed, other):
    assert bring_in(other, io.BytesIO(packed)) == "a"
    (here, live), (there, read) = store.load("a"), other.load("a")
    assert there == here
    assert read.rows_after(-1).tobytes() == live.rows_after(-1).tobytes()
    assert other.folder("a").snapshot(STEPS) == state()
    entry, expected = other.catalogue.entry("a"), store.catalogue.entry("a")
    assert entry
    assert expected
    same = ("config", "last_step", "loss", "group_key", "row_bytes", "status", "stop_reason")
    assert [getattr(entry, n) for n in same] == [getattr(expected, n) for n in same]
    assert entry.spark.tobytes() == expected.spark.tobytes()


def test_where_its_id_is_taken_it_gets_another(store, packed):
    new = bring_in(store, io.BytesIO(packed))
    assert new != "a"
    assert {entry.id for entry in store.find().entries} == {"a", new}
    assert store.load(new)[0].id == new
    assert (
        store.load(new)[1].rows_after(-1).tobytes() == store.load("a")[1].rows_after(-1).tobytes()
    )


@pytest.mark.parametrize(
    "name",
    [
        "../run.json",
        "/etc/x",
        "rows/../../x.parquet",
        "rows/x.parquet",
        "snapshots/1.pt",
        "notes.txt",
        "rows\\1-2.parquet",
    ],
)
def test_a_file_of_another_name_is_refused(packed, other, name):
    buffer = io.BytesIO(packed)
    with zipfile.ZipFile(buffer, "a") as zipped:
        zipped.writestr(name, b"x")
    refused(other, buffer.getvalue(), "a run has run.json, rows/A-B.parquet")


def test_a_link_is_no_way_out(packed, other, tmp_path):
    buffer, link = io.BytesIO(packed), zipfile.ZipInfo("snapshots/0000000001.safetensors")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(buffer, "a") as zipped:
        zipped.writestr(link, str(tmp_path))
    refused(other, buffer.getvalue(), r"0000000001\.safetensors is damaged")


def test_a_name_that_comes_twice_is_refused(packed, other):
    buffer = io.BytesIO(packed)
    with zipfile.ZipFile(buffer, "a") as zipped, pytest.warns(UserWarning, match="Duplicate"):
        zipped.writestr("run.json", b"{}")
    refused(other, buffer.getvalue(), "each once")


def test_the_limits_hold_for_what_comes_out(packed, other, monkeypatch):
    monkeypatch.setattr(unzipping, "MOST_BYTES", 1_000_000)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("run.json", bytes(20_000_000))
    assert len(bomb.getvalue()) < 50_000
    refused(other, bomb.getvalue(), "at most 1 MB in all")
    monkeypatch.setattr(unzipping, "MOST_ENTRIES", 2)
    refused(other, packed, "at most 2 files, got 3")


def test_rows_that_unfold_to_more_than_their_name_says_are_refused(packed, other):
    many = io.BytesIO()
    pq.write_table(pa.table({"step": np.zeros(1_000_000, "i8")}), many)
    name = f"rows/{0:010}-{STEPS - 1:010}.parquet"
    content = altered(packed, name, many.getvalue())
    refused(other, content, "it has 1,000,000 rows for 12 steps")


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", b"PK\3\4" + bytes(100)])
def test_what_is_no_zip_is_refused(other, content):
    refused(other, content, "no zip file of a run")


def test_a_pickle_in_place_of_a_state_is_refused(packed, other):
    evil = b"cposix\nsystem\n(S'true'\ntR."
    name = f"snapshots/{STEPS:010}.safetensors"
    refused(other, altered(packed, name, evil), r"snapshots/0000000012\.safetensors is damaged")


def test_a_zip_in_place_of_a_state_is_refused(packed, other):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as zipped:
        zipped.writestr("data.pkl", b"cposix\nsystem\n")
    name = f"snapshots/{STEPS:010}.safetensors"
    refused(other, altered(packed, name, inner.getvalue()), "no packed state")


def test_without_its_record_it_is_no_run(packed, other):
    refused(other, altered(packed, "run.json", None), r"^run\.json is missing")


def test_a_damaged_archive_is_refused_at_any_place(packed, other):
    for at in range(0, len(packed), len(packed) // 60):
        damaged = bytearray(packed)
        damaged[at] ^= 0x10
        try:
            run = bring_in(other, io.BytesIO(bytes(damaged)))
        except ArchiveError:
            assert other.find().total == 0
        else:  # a bit that says nothing, such as a date
            assert (
                other.load(run)[1].rows_after(-1).tobytes()
                == history(STEPS).rows_after(-1).tobytes()
            )
            assert other.delete([run]) == [run]
