"""docs/first-steps.ipynb runs as it stands, in a kernel of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "first-steps.ipynb"

# in a process of its own: what Jupyter warns of is not this project's to mend
EXECUTE = """
import sys
import nbclient, nbformat

notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The code cells after a run, by what they begin with."""
    folder = tmp_path_factory.mktemp("notebook")
    done = folder / "done.ipynb"
    own = {name: str(folder / name) for name in ("SAMEDGE_HOME", "JUPYTER_RUNTIME_DIR")}
    subprocess.run(
        [sys.executable, "-c", EXECUTE, str(NOTEBOOK), str(done)],
        env={**os.environ, **own, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder)},
        check=True,
        timeout=600,
    )
    return [cell for cell in json.loads(done.read_text())["cells"] if cell["cell_type"] == "code"]


def outputs(cells, begins):
    (cell,) = [cell for cell in cells if "".join(cell["source"]).startswith(begins)]
    return cell["outputs"]


def printed(cells, begins):
    return "".join("".join(item.get("text", "")) for item in outputs(cells, begins))


def test_it_is_stored_without_outputs():
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_run_shows_a_bar_and_itself(cells):
    shown = outputs(cells, "config =")
    (html,) = ["".join(item["data"]["text/html"]) for item in shown if "data" in item]
    assert html.startswith("<b>SAM on MLP on digits</b><p><b>step cap</b>")
    assert "400/400" in printed(cells, "config =")


def test_the_numbers_are_a_table(cells):
    (table,) = outputs(cells, "frame =")
    assert "<table" in "".join(table["data"]["text/html"])


def test_the_edge_is_the_formulas_and_the_run_is_at_it(cells):
    edge, ratio = printed(cells, "last =").splitlines()
    measured, formula = (part.split()[-1] for part in edge.split(","))
    assert measured == formula
    assert float(ratio.split()[-1]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("begins", ["history.plot()", "halved.plot()"])
def test_the_charts_are_plotly_figures(cells, begins):
    shown = [item["data"] for item in outputs(cells, begins) if "data" in item]
    (figure,) = [data[kind] for data in shown for kind in data if "plotly" in kind]
    assert {trace["name"] for trace in figure["data"]} >= {"sharpness |λ₁|", "SAM-edge", "2/η"}


def test_the_fork_goes_to_its_own_edge(cells):
    (change,) = outputs(cells, "import tempfile")
    assert "Intervention(step=200, changes={'eta': 0.5}" in "".join(change["data"]["text/plain"])
    before, after = (line.split() for line in printed(cells, "for name").splitlines())
    sharpness, edge = float(after[-3].rstrip(",")), float(after[-1])
    assert sharpness == pytest.approx(edge, rel=0.05)
    assert sharpness > float(before[-1])


def test_the_sharpness_of_a_quartic(cells):
    (shown,) = outputs(cells, "estimate =")
    value, _, converged = "".join(shown["data"]["text/plain"]).strip("()").split(", ")
    assert float(value) == pytest.approx(12, rel=1e-6)
    assert converged == "True"
