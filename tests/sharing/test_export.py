"""Results hold the run, and replace older ones whole or not at all."""

import json
import math

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import samedge_core as se
from samedge_core.problems.registry import OWN_PROBLEM
from samedge_core.sharing import export, replay_file
from samedge_core.sharing.files import SavedError
from samedge_core.sharing.replay_file import ExchangeError

ABOUT = {"id": "3f2a91c0", "title": "A run"}


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
    for name in ("replay.json", "run.py", "run.ipynb"):
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
        ("a.ipynb", b'{\n "cells": ['),
    ],
)
def test_the_suffix_says_what_is_exported(tmp_path, name, begins):
    export.export(record(), tmp_path / "new" / name, ABOUT)
    assert (tmp_path / "new" / name).read_bytes().startswith(begins)


@pytest.mark.parametrize(("name", "got"), [("a.txt", "'.txt'"), ("a", "none in 'a'")])
def test_another_suffix_is_refused(tmp_path, name, got):
    with pytest.raises(ValueError, match=rf"one of \.csv, .*, \.ipynb, got {got}"):
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
