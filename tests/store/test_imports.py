"""A run from elsewhere is taken in whole and usable, or refused and the store is as before."""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as run_with
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from samedge_core.analysis.summary import summarise
from samedge_core.fields import LARGEST_INT, ConfigError
from samedge_core.sharing import export
from samedge_core.sharing.files import SavedError
from samedge_core.store import Origin, RunFolder, Store, imports, open_store
from samedge_core.store.archive import MOST_ROWS, ArchiveError, bring_in
from samedge_core.store.branching import state_before
from samedge_core.store.record import MOST_INTERVENTIONS
from samedge_core.store.settings import StoreSettings
from samedge_core.training import packing
from samedge_core.training.config import RunConfig
from samedge_core.training.diagnosis import diagnose
from samedge_core.training.history import Intervention
from tests.store import made
from tests.store.hostile import (
    INPUTS,
    ROWS,
    STATE,
    STEPS,
    Files,
    equal_rows,
    run_files,
    with_values,
    zipped,
)
from tests.store.made import record
from tests.store.test_store import recorded


@pytest.fixture(scope="module", autouse=True)
def no_fsync() -> Iterator[None]:
    """Nothing here cuts the power, and it takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Files:
    """The files of a good run."""
    return run_files(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[Store]:
    """With two runs of its own."""
    with closing(open_store(tmp_path_factory.mktemp("home"))) as store:
        for own in ("own", "other"):
            recorded(store, own)
        yield store


def looks(store: Store) -> tuple[object, ...]:
    """All that an import may not change."""
    files = sorted(str(file) for file in store.runs.rglob("*"))
    return files, [entry.id for entry in store.find().entries], store.catalogue.known_tags()


def refused(store: Store, content: io.BytesIO, match: str) -> None:
    before = looks(store)
    with pytest.raises(ArchiveError, match=match):
        bring_in(store, content)
    assert looks(store) == before
    assert not list((store.settings.home / "incoming").iterdir())


def usable(store: Store, run: str) -> None:
    """All that a page does with a run can be done, and it is deleted then."""
    entry = store.catalogue.entry(run)
    assert entry
    listing = store.find()
    record, history = store.load(run)
    assert run in {one.id for one in listing.entries}
    assert RunConfig.from_json(entry.config) == record.config
    assert record.config.options.get("path", "") == ""
    state_before(store, record, history.last_step + 1)
    for suffix in (".json", ".csv"):
        assert export.EXPORTS[suffix](history, {})
    store.label(run, pinned=False)
    assert store.delete([run]) == [run]


# --- packed again ---------------------------------------------------------------------------


def test_a_run_that_a_mac_or_windows_has_packed_again_is_taken_in(run, store):
    mac = {f"samedge-run/{name}": content for name, content in run.items()}
    mac |= {f"__MACOSX/samedge-run/._{name.split('/')[-1]}": b"\0\5\x16\7" for name in run}
    mac |= {"samedge-run/.DS_Store": b"Bud1", "samedge-run/rows/": b"", "samedge-run/": b""}
    for files in (
        mac,
        {f"./{name}": content for name, content in run.items()},
        {f"a folder/é/{name}": content for name, content in run.items()},
        {name.replace("/", "\\"): content for name, content in run.items()} | {"rows\\": b""},
        run | {"Thumbs.db": b"x", "desktop.ini": b"x", "rows/.DS_Store": b"x", "._run.json": b"x"},
    ):
        found = bring_in(store, zipped(files))
        assert store.load(found)[1].last_step == STEPS - 1
        usable(store, found)


def test_two_runs_in_one_zip_are_refused(run, store):
    both = {f"{name}/{file}": content for name in "ab" for file, content in run.items()}
    refused(store, zipped(both), r"a run has run\.json, .*got 'b/")


@pytest.mark.parametrize(
    ("packing", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")]
)
def test_another_packing_is_refused_by_its_name(run, store, packing, name):
    refused(store, zipped(run, packing), f"packed as {name}: pack it again as usual")


def test_an_encrypted_zip_is_refused_with_the_remedy(run, store):
    content = bytearray(zipped(run).getvalue())
    for at in range(len(content)):
        if content[at : at + 4] == b"PK\1\2":
            content[at + 8] |= 1
    refused(store, io.BytesIO(content), "encrypted: pack it again without a password")


def test_a_directory_is_not_read_however_long(run, store, monkeypatch):
    many = {f"{number:0200}": b"" for number in range(12_000)}
    refused(store, zipped(many), r"at most 2,000,000 bytes, got 2,[0-9,]+")


def test_a_damaged_zip_is_refused_at_any_place(run, store):
    draw = np.random.default_rng(5)
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        good = zipped(run, kind).getvalue()
        for _ in range(INPUTS // 2):
            bad = bytearray(good)
            for at in draw.integers(len(bad), size=1 + draw.integers(4)):
                bad[at] = draw.integers(256)
            if draw.random() < 0.2:
                del bad[draw.integers(len(bad)) :]
            taken_or_refused(store, io.BytesIO(bad))


def taken_or_refused(store: Store, content: io.BytesIO) -> None:
    """The one promise."""
    before = looks(store)
    try:
        usable(store, bring_in(store, content))
    except ArchiveError as error:
        if len(str(error)) > 1500:
            raise
    assert looks(store) == before


# --- the record -----------------------------------------------------------------------------

HUGE = [10**18, 2**63 - 1, 2**63, 10**400, -1, -(10**30), 0, 1e999, 1e300, 1e12, -0.5, 1.5]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("created", float("nan"), "numbers must be finite, got NaN"),
        ("created", 1e300, r"created must be seconds since 1970, .*got 1e\+300"),
        ("created", -1, "created must be"),
        ("stretch", 2**63, "stretch must be a whole number from 1 to 10,000,000"),
        ("stretch", 0, "stretch must be"),
        ("parameters", LARGEST_INT + 1, "parameters must be"),
        ("origin", {"parent": "a", "step": 3, "branch": "rewind"}, "can't come from itself"),
        ("origin", {"parent": "b", "step": -1, "branch": "fork"}, "a fork's step must be"),
        ("origin", {"parent": "b" * 99, "step": 1, "branch": "fork"}, "up to 64 letters"),
        ("stop", {"reason": "stopped", "step": 10**30, "what": ""}, "a stop's step must be"),
        (
            "interventions",
            [{"step": -5, "changes": {"eta": 1}, "before": {}}],
            "from 0 to 10,000,0",
        ),
        ("interventions", [{"step": 1}] * (MOST_INTERVENTIONS + 1), "may be 10,000, got 10,001"),
        ("machine", {"threads": 2**70}, "machine must be texts of up to 1,000 characters"),
        ("machine", {"threads": [[]]}, "machine must be"),
        ("machine", {str(i): i for i in range(101)}, "machine may have 100 entries, got 101"),
        ("versions", {"torch": "1" * 2000}, "versions must be"),
    ],
)
def test_values_out_of_their_range_are_refused(run, store, name, value, message):
    files = run | {"run.json": with_values(run["run.json"], {name: value})}
    refused(store, zipped(files), message)


def with_steps(run: Files, steps: int) -> Files:
    config = json.loads(run["run.json"])["config"] | {"steps": steps}
    return run | {"run.json": with_values(run["run.json"], {"config": config})}


def without(run: Files, name: str) -> Files:
    return {other: content for other, content in run.items() if other != name}


INCOMPLETE = {
    r"has 0 rows, but its record says stopped at step 12": lambda run: without(run, ROWS),
    r"has 12 rows, but its record says stopped at step 13": lambda run: stopped(run, "stopped", 13),
    r"has 12 rows, but its record says diverged at step 3": lambda run: stopped(run, "diverged", 3),
    r"has at most 11 rows, as it has steps, got 12": lambda run: with_steps(run, STEPS - 1),
    r"a state after 12 steps needs their rows, got 0": lambda run: stopped(without(run, ROWS)),
    r"w must have the shape \(454,\), got \(7,\)": lambda run: (
        run | {STATE: packing.pack({"w": np.zeros(7)})}
    ),
}


def stopped(run: Files, reason: str = "", step: int = 0) -> Files:
    stop = {"reason": reason, "step": step, "what": "as the record says"} if reason else None
    return run | {"run.json": with_values(run["run.json"], {"stop": stop})}


@pytest.mark.parametrize("message", INCOMPLETE)
def test_a_run_that_lacks_what_it_says_it_has_is_refused(run, store, message):
    refused(store, zipped(INCOMPLETE[message](run)), message)


def test_a_long_text_is_cut(run, store):
    stop = {"reason": "failed", "step": 3, "what": "x\0é" * 10_000}
    found = bring_in(
        store, zipped(run | {"run.json": with_values(run["run.json"], {"stop": stop})})
    )
    entry = store.catalogue.entry(found)
    assert entry
    assert entry.stop_what
    assert len(entry.stop_what) < 10_010
    usable(store, found)


def test_a_long_record_is_refused_unread(run, store):
    for content in (b" " * 5_000_001, b"[" * 100_000, b'{"a":' * 50_000):
        refused(store, zipped(run | {"run.json": content}), r"run\.json is damaged")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(HUGE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = [*json.loads(record().to_json())]


@run_with(
    max_examples=INPUTS,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_record_is_taken_in_and_usable_or_refused(run, store, data):
    known = json.loads(run["run.json"])
    name = data.draw(st.sampled_from(NAMES))
    value = data.draw(values)
    if isinstance(known[name], dict) and known[name] and data.draw(st.booleans()):
        inner = data.draw(st.sampled_from([*known[name]]))
        value = known[name] | {inner: value}
    files = run | {"run.json": with_values(run["run.json"], {name: value})}
    taken_or_refused(store, zipped(files))


def test_any_damaged_file_is_taken_in_and_usable_or_refused(run, store):
    draw = np.random.default_rng(11)
    for _ in range(INPUTS):
        name = str(draw.choice([*run]))
        bad = bytearray(run[name])
        for at in draw.integers(len(bad), size=1 + draw.integers(4)):
            bad[at] = draw.integers(256)
        taken_or_refused(store, zipped(run | {name: bytes(bad)}))


def test_rows_that_no_server_can_bear_are_refused(run, store):
    name = f"rows/{0:010}-{MOST_ROWS:010}.parquet"
    files = {name: equal_rows(20)} | {n: c for n, c in run.items() if n != ROWS}
    refused(store, zipped(files), r"has at most 250,000 steps, got 250,001")
    refused(store, zipped(run | {ROWS: equal_rows(20)}), r"it has 20 rows for 12 steps")


def test_any_numbers_in_rows_are_usable_or_refused(tmp_path, store):
    extremes = [0.0, -0.0, -1.0, 1e300, -1e300, np.inf, -np.inf, np.nan, 5e-324, 1.0]
    for seed in range(INPUTS // 5):
        draw = np.random.default_rng(seed)
        rows = made.rows(100 * seed, 100 * seed + STEPS - 1, 1)
        rows["step"] = np.arange(STEPS)
        for name in rows.dtype.names or ():
            if rows.dtype[name].kind == "f" and draw.random() < 0.5:
                with np.errstate(over="ignore"):
                    rows[name] = draw.choice(extremes, STEPS)
        if seed % 2:
            rows["grad_norm"] = np.abs(rows["grad_norm"])
        folder = RunFolder(tmp_path / f"{seed}")
        folder.create()
        eta, rho = 10.0 ** draw.integers(-300, 6), draw.choice([0, 1e-300, 1e3])
        config = made.SMALL.replace(eta=float(eta), rho=float(rho))
        folder.write_record(record("a", config, created=1.0))
        folder.append(rows)
        content = {f.relative_to(folder.path).as_posix(): f for f in folder.path.rglob("*.*")}
        zip_file = zipped({name: file.read_bytes() for name, file in content.items()})
        if (rows["grad_norm"] < 0).any():
            refused(store, zip_file, r"must have grad_norm >= 0, got -")
        else:
            found = bring_in(store, zip_file)
            history = store.load(found)[1]
            assert diagnose(history) is not None
            assert summarise(history).steps == STEPS
            usable(store, found)


def test_a_state_with_a_long_header_is_refused(run, store):
    long = b"{" + b" " * 2_000_000 + b"}"
    content = len(long).to_bytes(8, "little") + long
    refused(store, zipped(run | {STATE: content}), r"snapshots/0000000012\.safetensors is damaged")


# --- entered whole or not at all ------------------------------------------------------------


def test_a_catalogue_that_fails_leaves_nothing_of_it(run, store, monkeypatch):
    def locked(*values, **more):
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    with monkeypatch.context() as patch:
        patch.setattr(store.catalogue, "put", locked)
        refused(store, zipped(run), "the catalogue can't take it in now: try again")
    usable(store, bring_in(store, zipped(run)))


# --- what names a file ----------------------------------------------------------------------

OWN = RunConfig(problem="own-images", options={"path": "/etc/secret.npz"}, rule="gd", steps=100)


def test_a_run_from_elsewhere_names_no_file_of_this_machine(tmp_path, store):
    files = run_files(tmp_path, "theirs", config=OWN)
    assert b"/etc/secret.npz" in files["run.json"]
    found = bring_in(store, zipped(files))
    record, history = store.load(found)
    assert (record.config.options["path"], len(history)) == ("", STEPS)
    assert b"secret" not in (store.folder(found).path / "run.json").read_bytes()
    with pytest.raises(ConfigError, match=r"must name a file that exists, got '.*none\.npz'"):
        store.choose_file(found, tmp_path / "none.npz")
    (tmp_path / "mine.txt").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"the path of a \.npz file"):
        store.choose_file(found, tmp_path / "mine.txt")
    (tmp_path / "mine.npz").write_bytes(b"")
    chosen = store.choose_file(found, tmp_path / "mine.npz")
    assert chosen.options["path"] == str(tmp_path / "mine.npz")
    assert store.load(found)[0].config == store.load(found)[1].config == chosen
    with pytest.raises(ConfigError, match="lacks none"):
        store.choose_file(found, tmp_path / "mine.npz")
    store.label(found, pinned=False)
    store.delete([found])


def test_a_folder_laid_there_by_hand_names_no_file_either(tmp_path):
    files = run_files(tmp_path / "home" / "runs", "laid", config=OWN)
    assert files
    with closing(open_store(tmp_path / "home")) as store:
        assert store.damaged == {}
        assert store.load("laid")[0].config.options["path"] == ""
        assert b"secret" in (store.folder("laid").path / "run.json").read_bytes()  # untouched


def test_what_was_recorded_here_keeps_its_file(tmp_path):
    with closing(open_store(tmp_path)) as store:
        recorded(store, "own", config=OWN)
        assert store.load("own")[0].config == OWN
    with closing(open_store(tmp_path)) as store:
        assert store.load("own")[1].config == OWN


# --- room for what visitors bring -----------------------------------------------------------


@pytest.fixture
def small(tmp_path, run, monkeypatch) -> Iterator[Store]:
    """With room for two runs of visitors and two of its own."""
    size = len(run[ROWS]) + len(run[STATE])
    monkeypatch.setattr(imports, "LEAST", int(2.5 * size))
    settings = replace(StoreSettings.at(tmp_path / "small"), quota=int(2.5 * size))
    with closing(Store(settings)) as store:
        yield store


def test_imports_push_out_imports_and_nothing_else(small, run):
    for own in ("own", "other"):
        recorded(small, own)
    brought = [bring_in(small, zipped(run), visitor=True) for _ in range(4)]
    small.keep_quota()
    entries = small.find().entries
    there = {entry.id for entry in entries}
    assert there == {"own", "other", *brought[2:]}
    assert not any(entry.starred or entry.pinned for entry in entries)  # as the zip says
    for one in brought[2:]:
        small.label(one, pinned=True)
    with pytest.raises(ArchiveError, match=r"2 that are starred or pinned take .*delete some"):
        bring_in(small, zipped(run), visitor=True)
    assert {entry.id for entry in small.find().entries} == there


def test_imports_have_a_number_too(small, run, monkeypatch):
    monkeypatch.setattr(imports, "MOST", 1)
    brought = [bring_in(small, zipped(run), visitor=True) for _ in range(3)]
    assert [entry.id for entry in small.find().entries] == brought[2:]


# --- parents --------------------------------------------------------------------------------


def test_a_parent_that_began_otherwise_is_none(tmp_path, store):
    other = record("other").config.replace(seed=5)
    for config, parent in ((other, None), (record().config, "other")):
        files = run_files(tmp_path / str(config.seed), config=config, origin=Origin("other", 10))
        found = bring_in(store, zipped({n: c for n, c in files.items() if n != STATE}))
        entry = store.catalogue.entry(found)
        assert entry
        assert (entry.parent, entry.root) == (parent, parent or found)
        kept = state_before(store, store.load(found)[0], 10)
        assert (kept and kept.run) == parent
        usable(store, found)


def test_a_parent_that_comes_later_and_began_otherwise_gives_no_state(tmp_path, store):
    files = run_files(tmp_path, config=record().config.replace(seed=5), origin=Origin("late", 10))
    found = bring_in(store, zipped({n: c for n, c in files.items() if n != STATE}))
    recorded(store, "late")
    assert state_before(store, store.load(found)[0], 10) is None
    usable(store, found)
    store.delete(["late"])


def test_a_run_from_the_future_began_now(run, store):
    files = run | {"run.json": with_values(run["run.json"], {"created": 2e11})}
    found = bring_in(store, zipped(files))
    entry = store.catalogue.entry(found)
    assert entry
    assert entry.created <= time.time()
    usable(store, found)


def test_interventions_out_of_order_are_refused(run, store):
    items = (Intervention(5, {"eta": 0.5}), Intervention(2, {"eta": 0.25}))
    listed = json.loads(replace(record("a"), interventions=items).to_json())["interventions"]
    files = run | {"run.json": with_values(run["run.json"], {"interventions": listed})}
    refused(store, zipped(files), "interventions must be in order")
    with pytest.raises(SavedError, match="missing"):
        store.load("a")
