"""An exported notebook is valid, holds the rows, and repeats the runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import samedge_core as se
from samedge_core.problems.registry import OWN_PROBLEM
from samedge_core.sharing import notebook as exported
from samedge_core.sharing.notebook import notebook
from samedge_core.sharing.replay_file import ExchangeError
from tests.test_notebook import EXECUTE

ROOT = Path(__file__).parents[2]
SMALL = se.RunConfig(options={"n": 40, "width": 6}, eta=0.7, rho=0.1, top_k=2, steps=12)
EVIL = "\u202e<b>\"*'''\n](x) ${7*7}"


def cells(content: bytes, kind: str = "code") -> list[str]:
    valid = nbformat.reads(content.decode(), as_version=4)
    nbformat.validate(valid)
    return [cell.source for cell in valid.cells if cell.cell_type == kind]


def stopped() -> se.History:
    """A run that somebody has stopped after 8 of 1,000 steps."""
    planned = SMALL.replace(steps=1000, seed=1, schedule="cosine")
    history = se.run(planned.capped(8))
    history.config = planned
    history.stop = se.Stop(se.StopReason.STOPPED, 8, "stopped by hand")
    return history


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What the code cells of a notebook of three runs show when it is executed."""
    folder = tmp_path_factory.mktemp("notebook")
    made = [se.Intervention(4, {"eta": 0.5}), se.Intervention(7, {"rule": "gd"})]
    runs = [
        ("changed", "a", se.run(SMALL, interventions=made)),
        (EVIL, "b", stopped()),
        ("adam", "d", se.run(SMALL.replace(rule="sam-adam", eta=0.002), interventions=made[1:])),
        ("diverged", "c", se.run(SMALL.replace(problem="quadratic", options={}, rule="gd", eta=3))),
    ]
    file, done = folder / "runs.ipynb", folder / "done.ipynb"
    file.write_bytes(notebook(runs))
    own = {name: str(folder / name) for name in ("SAMEDGE_HOME", "JUPYTER_RUNTIME_DIR")}
    subprocess.run(
        [sys.executable, "-c", EXECUTE, file, done],
        env={**os.environ, **own, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder)},
        cwd=folder,
        check=True,
        timeout=300,
    )
    code = [c for c in json.loads(done.read_text())["cells"] if c["cell_type"] == "code"]
    return [cell["outputs"] for cell in code]


def test_every_run_is_repeated_to_the_last_bit(outputs):
    said = ["".join(o["text"]) for shown in outputs for o in shown if o.get("name") == "stdout"]
    assert said == ["equal to the last bit: True\n"] * 4


def test_the_charts_are_of_the_recorded_rows(outputs):
    data = [o["data"] for shown in outputs for o in shown if "data" in o]
    table, overlay, charts = data
    assert "<table" in "".join(table["text/html"])
    (names,) = [[t["name"] for t in value["data"]] for k, value in overlay.items() if "plotly" in k]
    assert names == ["changed", EVIL, "adam", "diverged"]
    (traces,) = [value["data"] for kind, value in charts.items() if "plotly" in kind]
    assert {trace["name"] for trace in traces} >= {"sharpness |λ₁|", "SAM-edge, then 2/η"}


def test_names_of_others_are_texts_in_code_and_plain_in_markdown():
    content = notebook([(EVIL, "b", stopped())])
    code = "\n".join(cells(content))
    assert "\u202e" not in code
    compile(code, "cells", "exec")
    title = cells(content, "markdown")[0].splitlines()[0]
    assert title == r"""# \<b\>"\*''' \]\(x\) \${7\*7}""".replace("{", r"\{").replace("}", r"\}")


def test_a_stopped_run_is_repeated_as_far_as_it_came():
    assert "steps=8" in cells(notebook([("one", "b", stopped())]))[-1]


@pytest.mark.parametrize("reason", [se.StopReason.FAILED, se.StopReason.ELSEWHERE])
def test_so_is_one_that_failed_or_goes_on_elsewhere(reason):
    history = stopped()
    history.stop = se.Stop(reason, 7, "not by itself")
    assert "steps=8" in cells(notebook([("one", "b", history)]))[-1]


def test_one_run_has_no_overlay():
    one = cells(notebook([("one", "a", se.run(SMALL.replace(steps=2)))]))
    assert len(one) == 5
    assert not any("go.Figure" in text for text in one)


def test_what_it_cannot_hold_is_refused(monkeypatch):
    own = se.History(se.RunConfig(problem=OWN_PROBLEM, dtype="float64", batch_size=600))
    with pytest.raises(ExchangeError, match="a notebook can't contain a problem of one's own"):
        notebook([("own", "a", own)])
    monkeypatch.setattr(exported, "MOST_ROWS", 7)
    with pytest.raises(ExchangeError, match="a notebook may have 7 rows, got 8: Parquet or CSV"):
        notebook([("one", "b", stopped())])


def test_a_file_of_ones_own_has_to_be_put_in_its_place(own_files):
    history = se.History(se.RunConfig(problem="own-text", options=own_files["own-text"]))
    content = notebook([("own", "a", history)])
    assert "your-file.txt" in cells(content)[-1]
    assert "put the file of your own" in cells(content, "markdown")[-1]
    assert own_files["own-text"]["path"] not in content.decode()
