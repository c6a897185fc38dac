"""The bar of a run, against what the run has recorded."""

import re
import subprocess
import sys

import numpy as np
import pytest

import samedge_core as se
from samedge_core.training.progress import every, with_bar

CONFIG = se.RunConfig(problem="two-weight", rule="gd", eta=0.1, steps=7)


def test_a_bar_counts_the_steps_and_ends_with_the_last_figures(capsys):
    history = se.run(CONFIG, progress=True)
    said = capsys.readouterr().err.split("\r")[-1]
    row = history.latest()
    assert "7/7" in said
    shown = [f"{name} {row[name]:.4g}" for name in ("loss", "sharpness", "edge")]
    assert ", ".join(shown) in said


def test_a_bar_changes_nothing_of_the_run(capsys):
    change = se.Intervention(3, {"eta": 0.2})
    shown = se.run(CONFIG, interventions=[change], progress=True)
    plain = se.run(CONFIG, interventions=[change])
    assert len(shown.interventions) == 1
    assert shown.stop == plain.stop
    for name, column in plain.columns().items():
        np.testing.assert_array_equal(shown.columns()[name], column)


def test_no_bar_unless_asked_for(capsys):
    se.run(CONFIG)
    assert capsys.readouterr().err == ""


def test_a_failure_on_the_way_closes_the_bar_and_is_seen(capsys):
    def fails(rows):
        if rows[0].step == 2:
            raise RuntimeError("as asked")

    with pytest.raises(RuntimeError, match="as asked"):
        se.run(CONFIG, on_rows=fails, progress=True)
    assert re.search(r"[12]/7", capsys.readouterr().err)


def test_what_the_items_return_comes_through(capsys):
    def two():
        yield se.Measurement(0, loss=1.0, grad_norm=1.0)
        return "the end"

    items, history = two(), se.History(CONFIG)
    shown = with_bar(items, history)
    history.append(next(shown))
    with pytest.raises(StopIteration) as end:
        next(shown)
    assert end.value.value == "the end"


def test_every_so_many_seconds(monkeypatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    due = every(2.0)
    seen = []
    for now in (100.0, 101.0, 102.5, 104.0, 104.5):  # noqa: B007
        seen.append(due())
    assert seen == [True, False, True, False, True]


def test_importing_the_loop_does_not_load_tqdm():
    code = "import sys, samedge_core.training.progress; print('tqdm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
