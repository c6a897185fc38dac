"""One folder, whatever is wrong with it, leaves the others and the store as they are."""

import itertools
import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from samedge_core.store import Store, catalogue, open_store
from samedge_core.store.catalogue import CatalogueError
from tests.store.hostile import INPUTS, Files, lay, run_files, with_values
from tests.store.test_imports import NAMES, no_fsync, usable  # noqa: F401 - of this module, too
from tests.store.test_store import recorded


@pytest.fixture(scope="module")
def bad(tmp_path_factory) -> Files:
    """The files of the run "bad", still good."""
    return run_files(tmp_path_factory.mktemp("elsewhere"), "bad")


@pytest.fixture
def home(tmp_path) -> Path:
    """With the runs "a" and "z" of its own."""
    with closing(open_store(tmp_path)) as store:
        for run in "az":
            recorded(store, run)
    return tmp_path


def works(store: Store) -> None:
    """The two runs are listed and can be opened, and new ones recorded."""
    assert {"a", "z"} <= {entry.id for entry in store.find().entries}
    for run in "az":
        assert store.load(run)[1].last_step == 9
    recorded(store, "new")
    assert store.delete(["new"]) == ["new"]


def opened_with(home: Path, files: Files) -> str:
    """What the store says of the folder "bad"; it works, and the folder is where it says."""
    lay(files, home / "runs" / "bad")
    with closing(open_store(home)) as store:
        works(store)
        said = store.damaged.get("bad", "")
        aside = [folder.name for folder in store.aside.glob("*")]
        if said:
            assert "bad" not in {entry.id for entry in store.find().entries}
            assert str(home / "runs" / "bad") in said
            assert f"it is in {store.aside} now" in said
            assert aside == ["bad"]
            kept = {f.relative_to(store.aside / "bad").as_posix() for f in store.aside.rglob("*.*")}
            assert kept == {*files}  # nothing is deleted
            shutil.rmtree(store.aside / "bad")
        else:
            assert aside == []
            usable(store, "bad")
    return said


def test_any_value_in_a_record_leaves_the_store_working(home, bad):
    strange = [10**400, -1, 2**63, 1e300, float("nan"), "x" * 10**5, [], {}, None, True, [[1]]]
    names = [name for name in NAMES if name not in ("crc32", "schema")]  # a newer one stays
    pairs = list(itertools.product(names, strange))[:: 1 if INPUTS > 1000 else 7]
    named = 0
    for name, value in pairs:
        files = bad | {"run.json": with_values(bad["run.json"], {name: value})}
        named += bool(opened_with(home, files))
    assert named > len(pairs) / 2


def test_any_damage_leaves_the_store_working(home, bad):
    draw = np.random.default_rng(17)
    for _ in range(INPUTS // 10):
        name = str(draw.choice([*bad]))
        damaged = bytearray(bad[name])
        for at in draw.integers(len(damaged), size=1 + draw.integers(4)):
            damaged[at] = draw.integers(256)
        opened_with(home, bad | {name: bytes(damaged)})


def test_what_is_mended_comes_back_at_the_next_start(home, bad):
    lay(bad | {"run.json": b"{"}, home / "runs" / "bad")
    for _ in range(2):
        with closing(open_store(home)) as store:
            assert [*store.damaged] == ["bad"]
            works(store)
    lay(bad, home / "damaged" / "bad")
    with closing(open_store(home)) as store:
        assert store.damaged == {}
        assert not [*store.aside.glob("*")]
        usable(store, "bad")


def test_a_deleted_run_is_gone_from_there_too(home, bad):
    lay(bad | {"run.json": b"{"}, home / "runs" / "bad")
    with closing(open_store(home)) as store:
        assert store.delete(["bad"]) == ["bad"]
        assert not [*store.aside.glob("*")]


def test_the_folder_of_a_newer_version_stays_for_it(home, bad):
    lay(bad | {"run.json": with_values(bad["run.json"], {"schema": 2})}, home / "runs" / "bad")
    with closing(open_store(home)) as store:
        assert "a newer version of this program wrote it" in store.damaged["bad"]
        assert (store.runs / "bad" / "run.json").exists()
        works(store)


def test_what_can_not_be_read_just_now_stays(home, bad, monkeypatch):
    lay(bad, home / "runs" / "bad")
    real = os.stat

    def fails(path, *rest, **more):
        if str(path).endswith("bad/run.json"):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", fails)
        with closing(open_store(home)) as store:
            assert "Permission denied" in store.damaged["bad"]
            assert (store.runs / "bad").is_dir()
    with closing(open_store(home)) as store:
        assert store.damaged == {}


def test_odd_things_among_the_folders_are_passed_over(home, bad):
    runs = home / "runs"
    (runs / "lost+found").mkdir()
    (runs / "file").write_bytes(b"x")
    os.mkfifo(runs / "pipe")
    lay(bad, runs / "piped")
    (runs / "piped" / "run.json").unlink()
    os.mkfifo(runs / "piped" / "run.json")
    (runs / "ring").symlink_to(runs / "ring")
    with closing(open_store(home)) as store:
        assert {*store.damaged} == {"lost+found", "piped"}
        assert "it is no file" in store.damaged["piped"]
        works(store)


def test_a_run_that_is_listed_is_never_moved(home):
    (home / "runs" / "a" / "run.json").write_text("{")
    with sqlite3.connect(home / "catalogue.sqlite") as connection:
        connection.execute("UPDATE runs SET last_step = 3, stop_reason = NULL WHERE id = 'a'")
    connection.close()
    with closing(open_store(home)) as store:
        assert "run.json is damaged" in store.damaged["a"]
        assert (store.runs / "a").is_dir()
        assert store.catalogue.entry("a")


# --- a locked catalogue ---------------------------------------------------------------------


@pytest.fixture
def locked(home, monkeypatch) -> Iterator[sqlite3.Connection]:
    """The catalogue of the home, held by another process."""
    monkeypatch.setattr(catalogue, "BUSY_SECONDS", 0.2)
    with closing(sqlite3.connect(home / "catalogue.sqlite", check_same_thread=False)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield holder


def test_a_locked_catalogue_is_the_fault_of_no_folder(home, bad, locked):
    lay(bad, home / "runs" / "bad")
    with pytest.raises(CatalogueError, match="locked"):
        open_store(home)
    locked.rollback()
    with closing(open_store(home)) as store:
        assert store.damaged == {}
        works(store)
        usable(store, "bad")


def test_a_catalogue_that_is_locked_on_the_way_is_said(home, bad, monkeypatch):
    lay(bad, home / "runs" / "bad")
    monkeypatch.setattr(catalogue, "BUSY_SECONDS", 0.2)
    holder = sqlite3.connect(home / "catalogue.sqlite", check_same_thread=False)
    real = Store.beat

    def then_locked(self: Store) -> None:
        real(self)
        holder.execute("BEGIN IMMEDIATE")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "beat", then_locked)
        with pytest.raises(CatalogueError, match="locked"):
            open_store(home)
    holder.rollback()
    holder.close()
    with closing(open_store(home)) as store:
        assert store.damaged == {}
        usable(store, "bad")


def test_a_wait_for_a_lock_ends_with_it(home, locked, monkeypatch):
    monkeypatch.setattr(catalogue, "BUSY_SECONDS", 10)
    waits = threading.Timer(0.5, locked.rollback)
    waits.start()
    began = time.monotonic()
    with closing(open_store(home)) as store:
        assert time.monotonic() - began > 0.3
        works(store)
    waits.join()


def test_labels_that_are_damaged_are_named(home, bad):
    said = opened_with(home, bad | {"labels.json": json.dumps({"schema": 1, "title": 5}).encode()})
    assert "labels.json is damaged" in said
