"""A saved run comes back bit for bit, and damaged files say what is wrong with them."""

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
from samedge_core import saved
from samedge_core.saved import SavedError

STATE = b"not looked at by write"


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
    saved.write(tmp_path / "run", record(), STATE, results=False)
    return tmp_path / "run"


# --- there and back -------------------------------------------------------------------------


def test_stored_rows_come_back_bit_for_bit(folder):
    history = saved.read(folder)
    assert history.dtype == record().dtype
    assert {history.dtype[name].name for name in history.dtype.names or ()} >= {"float32"}
    assert raw(history) == raw(record())


def test_everything_else_comes_back_too(folder):
    history, expected = saved.read(folder), record()
    assert history.config == expected.config
    assert history.interventions == expected.interventions
    assert history.stop == expected.stop
    assert history.parameters == 245
    pd.testing.assert_frame_equal(history.to_frame(), expected.to_frame(), check_exact=True)


def test_a_run_without_rows_or_stop_comes_back(tmp_path):
    saved.write(tmp_path, se.History(se.RunConfig()), None, results=True)
    history = saved.read(tmp_path)
    assert (len(history), history.stop, history.parameters) == (0, None, None)
    assert not (tmp_path / "state.pt").exists()


def test_the_tables_hold_every_column(folder):
    saved.write(folder, record(), STATE, results=True)
    expected = record().to_frame()
    pd.testing.assert_frame_equal(
        pd.read_parquet(folder / "history.parquet"), expected, check_exact=True
    )
    text = pd.read_csv(folder / "history.csv")
    assert list(text) == list(expected)
    # text has one kind of float
    text = text.astype({name: expected[name].dtype for name in expected})
    pd.testing.assert_frame_equal(text, expected, check_exact=True)
    assert (folder / "history.csv").read_text().startswith("step,loss,accuracy,")


def test_the_summary_is_plain_json_with_null_for_nan(folder):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    saved.write(folder, record(), STATE, results=True)
    summary = json.loads((folder / "summary.json").read_text(), parse_constant=refuse)
    assert summary["parameters"] == 245
    assert summary["held_out_loss"] is None
    assert summary["rule"] == "gd"


def test_checkpoints_leave_the_results_alone(tmp_path):
    saved.write(tmp_path, record(), STATE, results=False)
    assert {file.name for file in tmp_path.iterdir()} == {
        "config.json", "history.parquet", "state.pt",
    }  # fmt: skip


# --- killed on the way ----------------------------------------------------------------------


def test_a_kill_while_writing_a_file_leaves_the_old_one(folder, monkeypatch):
    def killed(number: int) -> None:
        raise KeyboardInterrupt

    longer = record()
    longer.append(se.Measurement(100, loss=1.0, grad_norm=1.0))
    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        saved.write(folder, longer, b"new", results=True)
    assert raw(saved.read(folder)) == raw(record())
    assert (folder / "state.pt").read_bytes() == STATE
    monkeypatch.undo()
    saved.write(folder, longer, b"new", results=True)  # what the kill left is no hindrance
    assert len(saved.read(folder)) == 101


def test_the_state_is_never_ahead_of_the_rows(folder, monkeypatch):
    written = []
    monkeypatch.setattr(saved, "_replace", lambda file, content: written.append(file.name))
    saved.write(folder, record(), STATE, results=True)
    assert written.index("history.parquet") < written.index("state.pt")
    # the report of a finished run is there before its state says that it is finished
    assert written.index("report.html") < written.index("state.pt")
    assert written[-1] == "config.json"


def test_a_folder_holds_a_run_once_all_of_it_is_there(tmp_path):
    assert not saved.holds_run(tmp_path / "nothing")
    assert not saved.holds_run(tmp_path)
    saved.write(tmp_path, record(), STATE, results=False)
    assert saved.holds_run(tmp_path)


# --- damaged and foreign files --------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "history.parquet"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(SavedError, match=f"{name} is missing: .*run holds no complete run"):
        saved.read(folder)


@pytest.mark.parametrize("name", ["config.json", "history.parquet"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1, 2]", b"PAR1PAR1", b"{}"])
def test_foreign_content_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(SavedError, match=f"{name} is damaged or not part of a saved run"):
        saved.read(folder)


def test_the_reason_is_told(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eta": -1}))
    with pytest.raises(SavedError, match=r"eta must be a number > 0 .*, got -1"):
        saved.read(folder)


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
            assert raw(saved.read(folder)) == expected
        except SavedError:
            noticed += 1
    assert noticed > len(good) / 53 / 4


def test_cut_files_are_noticed(folder):
    good = (folder / "history.parquet").read_bytes()
    (folder / "history.parquet").write_bytes(good[: len(good) // 2])
    with pytest.raises(SavedError, match=r"history\.parquet is damaged"):
        saved.read(folder)


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
        saved.read(folder)


def test_steps_that_do_not_increase_are_refused(folder):
    _rewrite(folder, step=np.zeros(100, dtype="i8"))
    with pytest.raises(SavedError, match="steps must increase"):
        saved.read(folder)


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
        saved.read(folder)


def test_a_damaged_state_is_noticed(tmp_path):
    file = tmp_path / "state.pt"
    with pytest.raises(SavedError, match=r"state\.pt is missing"):
        saved.read_state(tmp_path)
    file.write_bytes(b"no archive")
    with pytest.raises(SavedError, match="not a zip file"):
        saved.read_state(tmp_path)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w", b"0123456789")
    assert saved.read_state(tmp_path) == file.read_bytes()
    file.write_bytes(file.read_bytes().replace(b"0123456789", b"0123456780"))
    with pytest.raises(SavedError, match="w in it is damaged"):
        saved.read_state(tmp_path)
