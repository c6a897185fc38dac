"""Results hold the run; old folders come back bit for bit, or say what is wrong with them."""

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import samedge_core as se
from samedge_core.problems.registry import OWN_PROBLEM
from samedge_core.sharing import export, replay_file
from samedge_core.sharing.files import SavedError
from samedge_core.sharing.replay_file import ExchangeError
from tests import old_folder

STATE = b"not looked at by read"
ABOUT = {"id": "3f2a91c0", "title": "A run"}
OLD_RUN = Path(__file__).parents[1] / "old_run"  # saved by version 4961948, resumed once


def record(*, dtype: str = "float32", top_k: int = 3) -> se.History:
    """Rows whose values and NaNs have bits that a conversion would lose."""
    config = se.RunConfig(options={"n": 20, "width": 3}, top_k=top_k, dtype=dtype, steps=200)
    history = se.History(config)
    history.parameters = 245
    draw = np.random.default_rng(0)
    odd_nan = np.array([0x7FF8_0000_0000_0123], dtype="u8").view("f8")[0]
    for step in range(100):
        history.append(
            se.Measurement(
                step,
                loss=draw.random() * 1e-300,
                grad_norm=math.inf if step == 99 else draw.random(),
                accuracy=draw.random(),
                lambda_max=-draw.random() if step % 3 else odd_nan,
                align_grad=draw.random(),
                converged=bool(step % 2),
                hvps=step,
                others=(draw.random(), -draw.random()),
            )
        )
    history.intervene(se.Intervention(50, {"eta": 0.1 + 0.2, "rule": "gd"}, {"eta": 1.0}))
    history.intervene(se.Intervention(60))
    history.stop = se.Stop(se.StopReason.STOPPED, 100, "stopped by hand")
    return history


def raw(history: se.History) -> bytes:
    """The bits of the stored rows."""
    columns = history.columns()
    return b"".join(columns[name].tobytes() for name in history.dtype.names or ())


@pytest.fixture
def folder(tmp_path) -> Path:
    """As an earlier version saved it."""
    old_folder.write(tmp_path / "run", record(), STATE)
    return tmp_path / "run"


# --- results --------------------------------------------------------------------------------


def test_the_tables_hold_every_column(tmp_path):
    export.write_results(tmp_path, record(), ABOUT)
    expected = record().to_frame()
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "history.parquet"), expected, check_exact=True
    )
    text = pd.read_csv(tmp_path / "history.csv")
    assert list(text) == list(expected)
    # text has one kind of float
    text = text.astype({name: expected[name].dtype for name in expected})
    pd.testing.assert_frame_equal(text, expected, check_exact=True)
    assert (tmp_path / "history.csv").read_text().startswith("step,loss,accuracy,")


def test_the_parquet_file_says_what_its_rows_are_of(tmp_path):
    export.write_results(tmp_path, record(), ABOUT)
    metadata = pq.read_table(tmp_path / "history.parquet").schema.metadata
    told = json.loads(metadata[b"samedge"])
    assert told["config"] == json.loads(record().config.to_json())
    assert told["about"] == ABOUT
    assert told["stop"]["reason"] == "stopped"
    assert [item["step"] for item in told["interventions"]] == [50, 60]


def test_the_summary_is_plain_json_with_null_for_nan(tmp_path):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    export.write_results(tmp_path, record(), ABOUT)
    summary = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert summary["parameters"] == 245
    assert summary["held_out_loss"] is None
    assert summary["rule"] == "gd"


def test_the_replay_is_one(tmp_path):
    export.write_results(tmp_path, record(), ABOUT)
    text = (tmp_path / "replay.json").read_text()
    replay = replay_file.from_json(text)
    assert replay.config == record().config
    assert [dict(item.changes) for item in replay.interventions] == [
        {"eta": 0.1 + 0.2, "rule": "gd"}
    ]
    assert json.loads(text)["about"] == ABOUT


def test_results_are_all_there_and_replace_older_ones(tmp_path):
    names = [name for name in export.RESULTS if name != export.RUN]
    assert export.write_results(tmp_path / "a" / "b", record(), ABOUT) == names
    longer = record()
    longer.append(se.Measurement(100, loss=1.0, grad_norm=1.0))
    assert export.write_results(tmp_path / "a" / "b", longer, ABOUT) == names
    assert sorted(file.name for file in (tmp_path / "a" / "b").iterdir()) == sorted(names)
    assert len(pd.read_csv(tmp_path / "a" / "b" / "history.csv")) == 101


def test_a_run_on_a_file_of_ones_own_has_no_replay(tmp_path, own_files):
    history = se.History(se.RunConfig(problem="own-text", options=own_files["own-text"]))
    (tmp_path / "replay.json").write_text("of another run")
    assert "replay.json" not in export.write_results(tmp_path, history, ABOUT)
    assert not (tmp_path / "replay.json").exists()
    with pytest.raises(ExchangeError, match="a file of one's own"):
        export.export(history, tmp_path / "replay.json", ABOUT)


def test_a_run_of_ones_own_problem_says_so_and_is_no_replay_or_script(tmp_path):
    history = se.History(se.RunConfig(problem=OWN_PROBLEM, dtype="float64", batch_size=600))
    assert "replay.json" not in export.write_results(tmp_path, history, ABOUT)
    for name in ("replay.json", "run.py"):
        with pytest.raises(ExchangeError, match="can't contain a problem of one's own"):
            export.export(history, tmp_path / name, ABOUT)
        assert not (tmp_path / name).exists()
    assert f"on {OWN_PROBLEM}" in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "summary.json").read_text())["problem"] == OWN_PROBLEM
    told = json.loads(pq.read_schema(tmp_path / "history.parquet").metadata[b"samedge"])
    assert (told["config"]["problem"], told["config"]["options"]) == (OWN_PROBLEM, {})


def test_a_run_without_rows_or_stop_has_results(tmp_path):
    export.write_results(tmp_path, se.History(se.RunConfig()), {})
    assert len(pd.read_csv(tmp_path / "history.csv")) == 0


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.csv", b"step,loss"),
        ("a.PARQUET", b"PAR1"),
        ("a.json", b"{"),
        ("a.html", b"<!DOCTYPE html>"),
        ("a.py", b"# A run\n"),
    ],
)
def test_the_suffix_says_what_is_exported(tmp_path, name, begins):
    export.export(record(), tmp_path / "new" / name, ABOUT)
    assert (tmp_path / "new" / name).read_bytes().startswith(begins)


@pytest.mark.parametrize(("name", "got"), [("a.txt", "'.txt'"), ("a", "none in 'a'")])
def test_another_suffix_is_refused(tmp_path, name, got):
    with pytest.raises(ValueError, match=rf"one of \.csv, .*, \.py, got {got}"):
        export.export(record(), tmp_path / name, ABOUT)


def test_a_folder_says_whose_results_it_is_for(tmp_path):
    out = tmp_path / "out"
    assert export.run_of(out) is None
    export.set_run(out, "3f2a91c0")
    assert export.run_of(out) == "3f2a91c0"
    (out / "run.txt").write_text("../../etc")
    with pytest.raises(SavedError, match=r"run\.txt is damaged .* letters and digits, got '\.\./"):
        export.run_of(out)


def test_a_kill_while_writing_a_file_leaves_the_old_one(tmp_path, monkeypatch):
    def killed(number: int) -> None:
        raise KeyboardInterrupt

    export.write_results(tmp_path, record(), ABOUT)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    longer = record()
    longer.append(se.Measurement(100, loss=1.0, grad_norm=1.0))
    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        export.write_results(tmp_path, longer, ABOUT)
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir() if f.suffix != ".new"} == before
    monkeypatch.undo()
    export.write_results(tmp_path, longer, ABOUT)  # what the kill left is no hindrance
    assert len(pd.read_csv(tmp_path / "history.csv")) == 101
    assert {file.name for file in tmp_path.iterdir()} == set(before)


# --- old folders ----------------------------------------------------------------------------


def test_stored_rows_come_back_bit_for_bit(folder):
    history = export.read(folder)
    assert history.dtype == record().dtype
    assert {history.dtype[name].name for name in history.dtype.names or ()} >= {"float32"}
    assert raw(history) == raw(record())


def test_everything_else_comes_back_too(folder):
    history, expected = export.read(folder), record()
    assert history.config == expected.config
    assert history.interventions == expected.interventions
    assert history.stop == expected.stop
    assert history.parameters == 245
    pd.testing.assert_frame_equal(history.to_frame(), expected.to_frame(), check_exact=True)


def test_a_folder_that_an_earlier_version_saved_is_read():
    history = export.read(OLD_RUN)
    assert (history.config.problem, history.config.steps, len(history)) == ("two-weight", 20, 20)
    assert history.interventions == [se.Intervention(12, {"eta": 0.25}, {"eta": 0.3})]
    assert history.stop_reason is se.StopReason.STEP_CAP
    assert history.parameters == 2
    assert export.read_state(OLD_RUN) == (OLD_RUN / "state.pt").read_bytes()


def test_a_folder_holds_a_run_once_all_of_it_is_there(tmp_path, folder):
    assert not export.holds_old_run(tmp_path / "nothing")
    assert not export.holds_old_run(tmp_path)
    assert export.holds_old_run(folder)


# --- damaged and foreign files --------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "history.parquet"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(SavedError, match=f"{name} is missing: .*run holds no complete run"):
        export.read(folder)


@pytest.mark.parametrize("name", ["config.json", "history.parquet"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1, 2]", b"PAR1PAR1", b"{}"])
def test_foreign_content_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(SavedError, match=f"{name} is damaged or not part of a saved run"):
        export.read(folder)


def test_the_reason_is_told(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eta": -1}))
    with pytest.raises(SavedError, match=r"eta must be a number > 0 .*, got -1"):
        export.read(folder)


def test_flipped_bytes_are_noticed_or_harmless(folder):
    file = folder / "history.parquet"
    good = file.read_bytes()
    expected = raw(record())
    noticed = 0
    for position in range(0, len(good), 53):
        bad = bytearray(good)
        bad[position] ^= 0x41
        file.write_bytes(bad)
        try:
            assert raw(export.read(folder)) == expected
        except SavedError:
            noticed += 1
    assert noticed > len(good) / 53 / 4


def test_cut_files_are_noticed(folder):
    good = (folder / "history.parquet").read_bytes()
    (folder / "history.parquet").write_bytes(good[: len(good) // 2])
    with pytest.raises(SavedError, match=r"history\.parquet is damaged"):
        export.read(folder)


def _rewrite(folder: Path, record: object = None, **columns) -> None:
    """history.parquet with some columns or the metadata replaced."""
    file = folder / "history.parquet"
    table = pq.read_table(file)
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    if record is not None:
        table = table.replace_schema_metadata({b"samedge": json.dumps(record)})
    pq.write_table(table, file)


def test_columns_of_another_type_are_refused(folder):
    _rewrite(folder, loss=np.zeros(100, dtype="f4"))
    with pytest.raises(SavedError, match="column loss must be float64, got float32"):
        export.read(folder)


def test_steps_that_are_missing_are_refused(folder):
    _rewrite(folder, step=np.arange(1, 101))
    with pytest.raises(SavedError, match="a row for every step from 0 on"):
        export.read(folder)


def test_steps_that_do_not_increase_are_refused(folder):
    _rewrite(folder, step=np.zeros(100, dtype="i8"))
    with pytest.raises(SavedError, match="steps must increase"):
        export.read(folder)


GOOD = {"schema": 1, "parameters": None, "interventions": [], "stop": None}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "list"),
        ({}, "schema"),
        ({"schema": 2}, "schema must be 1, got 2"),
        ({"stop": {"reason": "bored", "step": 1, "what": ""}}, "'bored' is not a valid StopReason"),
        ({"interventions": [{"step": 101, "changes": {}, "before": {}}]}, "0 to 100, got 101"),
        ({"interventions": [{"step": math.inf, "changes": {}, "before": {}}]}, "OverflowError"),
        ({"interventions": [{"step": 1, "changes": {"seed": 2}, "before": {}}]}, "seed can't"),
        ({"interventions": [{"step": 1, "changes": {"eta": "<b>"}, "before": {}}]}, "got '<b>'"),
        ({"interventions": [{"step": 1, "changes": {}, "before": {"eta": "<b>"}}]}, "got '<b>'"),
    ],
)
def test_a_record_that_is_none_is_refused(folder, bad, message):
    _rewrite(folder, {**GOOD, **bad} if isinstance(bad, dict) and bad else bad)
    with pytest.raises(SavedError, match=message):
        export.read(folder)


def test_a_damaged_state_is_noticed(tmp_path):
    file = tmp_path / "state.pt"
    with pytest.raises(SavedError, match=r"state\.pt is missing"):
        export.read_state(tmp_path)
    file.write_bytes(b"PK, but no archive")
    with pytest.raises(SavedError, match="not a zip file"):
        export.read_state(tmp_path)
    file.write_bytes(b"something else")
    with pytest.raises(SavedError, match="no packed state"):
        export.read_state(tmp_path)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w", b"0123456789")
    assert export.read_state(tmp_path) == file.read_bytes()
    file.write_bytes(file.read_bytes().replace(b"0123456789", b"0123456780"))
    with pytest.raises(SavedError, match="w in it is damaged"):
        export.read_state(tmp_path)
