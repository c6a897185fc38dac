"""A rule is one entry and one update: what toy_rule.py defines is run, drawn, listed and compared.

In a process of its own, since what knows rules reads their table once.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict:
    """What became of the toy rule: GD with a halved step, edge 4/eta, at eta = 0.2."""
    environment = {**os.environ, "SAMEDGE_HOME": str(tmp_path_factory.mktemp("toy"))}
    command = [sys.executable, "-m", "tests.theory.toy_rule"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_run_takes_its_steps_and_records_its_edge(found):
    half, gd = found["loss"]
    assert half == gd  # eta/2 is exact
    edges, sharpness = found["columns"]["half_edge"], found["sharpness"]
    assert edges == [4 / 0.2] * 6
    assert found["columns"]["edge"] == edges
    assert found["columns"]["ratio"] == pytest.approx([s / 20 for s in sharpness], rel=1e-15)
    assert found["evals"] == list(range(6))
    assert found["multiplier"] == -1  # at its edge


def test_the_formula_line_has_its_edge_with_numbers(found):
    expected = r"\text{Half-edge} = \frac{4}{\eta} = \frac{4}{0.2} = \mathbf{20}"
    assert found["formula"].strip("$\n") == expected


def test_the_live_charts_get_its_edge_and_how_it_is_drawn(found):
    assert found["sent"]["half_edge"] == 20
    assert set(found["lines"]) == {"gd_edge", "half_edge"}
    assert found["lines"]["half_edge"] == {
        "name": "Half-edge",
        "role": "grad",
        "stroke": {"dash": "3px,1px", "width": 2.2},
        "shape": "hv",
    }


def test_the_command_line_lists_it(found):
    assert "half" in found["allowed"]
    assert " half " in found["listed"].splitlines()[1]


def test_comparisons_figures_and_hints_know_it(found):
    assert found["edges"] == [4 / eta for eta in found["etas"]]
    assert found["etas"] == [0.1, 0.2, 0.4]
    assert found["names"] == ["Half η 0.1", "Half η 0.2", "Half η 0.4"]
    assert {"Half-edge", "2/η"} <= set(found["drawn"])
    (hint,) = found["hints"]
    assert "the top eigenvalue, 6, is not below Half-edge = 4, " in hint
    assert hint.endswith("Try an η below 0.667.")  # 4/6
