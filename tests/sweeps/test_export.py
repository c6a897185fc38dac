import io
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

import samedge_core as se
from samedge_core.sweeps.export import EXPORTS, RESULTS, export, write_results
from samedge_core.sweeps.figure import figure
from samedge_core.sweeps.rows import Row

SVG = "{http://www.w3.org/2000/svg}"
BASE = se.PRESETS["sam-chebyshev"].config
SWEEP = se.Sweep(BASE, {"eta": (0.1, 0.2, 0.4), "rho": se.Axis("rho", (0.01, 0.1), log=True)})
KNOWN = ("at its edge", "below its edge", "diverged", "dead", "converged")
RESULT = se.SweepResult(
    SWEEP,
    [
        Row(
            i, fate, 100, ratio=0.5 + i / 10, deviation=0.1, loss=10.0**-i, what='a "quoted", <b> &'
        )
        for i, fate in enumerate(KNOWN)
    ],
)


def test_rows_come_back_from_parquet_and_csv():
    frame = RESULT.to_frame()
    parquet = pd.read_parquet(io.BytesIO(export(RESULT, ".parquet")))
    pd.testing.assert_frame_equal(parquet, frame)
    csv = pd.read_csv(io.BytesIO(export(RESULT, ".csv")))
    for name in ("eta", "rho", "ratio", "loss"):
        np.testing.assert_array_equal(csv[name], frame[name])  # every digit
    assert csv["what"].tolist() == frame["what"].tolist()
    assert se.Sweep.from_values(json.loads(export(RESULT, ".json"))) == SWEEP


def test_predictions_are_in_every_file():
    said = [Row(i, KNOWN[max(i, 1)], 100, ratio=0.5) for i in range(3)]
    result = se.SweepResult(SWEEP, RESULT.rows, said)
    frame = result.to_frame()
    parquet = pd.read_parquet(io.BytesIO(export(result, ".parquet")))
    pd.testing.assert_frame_equal(parquet, frame)
    assert b"predicted_fate" in export(result, ".csv")
    assert "names the fate of 2 of 3 runs" in export(result, ".html").decode()
    assert "predicted otherwise" in figure(result)
    assert "predicted otherwise" not in figure(RESULT)


def rectangles(text: str) -> list[dict[str, str]]:
    return [one.attrib for one in ElementTree.fromstring(text).iter(f"{SVG}rect")]


def test_the_figure_has_a_rectangle_a_cell_and_nothing_between():
    drawn = rectangles(figure(RESULT, "loss"))
    cells = [one for one in drawn if one.get("width") not in ("640", "12")]
    assert len(cells) == len(RESULT.rows)  # the missing cell is blank
    right = {round(float(one["x"]) + float(one["width"]), 1) for one in cells}
    left = {round(float(one["x"]), 1) for one in cells}
    assert len(left & right) == 2  # each begins where the one before it ends
    assert len({one["fill"] for one in cells}) == 5
    texts = [one.text for one in ElementTree.fromstring(figure(RESULT)).iter(f"{SVG}text")]
    for text in ("Step size η", "SAM radius ρ", "0.4", "0.01", "diverged", "1.5", "0"):
        assert text in texts
    assert "failed" not in texts


def test_the_colour_of_an_edge_is_that_of_the_page():
    """Yellow is a ratio of 1, whatever the others are."""
    drawn = rectangles(figure(se.SweepResult(SWEEP, [Row(0, "at its edge", 9, ratio=1.0)])))
    assert sum(one["fill"] == "#fde725" for one in drawn if one.get("width") != "12") == 1
    assert drawn[-1]["fill"] == "#9d0208"  # the top of the bar


def test_what_diverged_has_no_colour_of_its_last_number():
    drawn = rectangles(figure(RESULT, "loss"))
    assert sum(one["fill"] == "#9a9a9a" for one in drawn) == 1


@pytest.mark.parametrize("rows", [[], [Row(0, "diverged", 3)]])
def test_a_figure_without_numbers_has_no_scale(rows):
    assert "NaN" not in figure(se.SweepResult(SWEEP, rows))
    assert "nan" not in figure(se.SweepResult(SWEEP, rows))


def test_one_axis_is_a_row_of_cells():
    sweep = se.Sweep(BASE, {"eta": (0.1, 0.2)})
    drawn = figure(se.SweepResult(sweep, [Row(0, "converged", 1, ratio=1.0)]))
    assert any(one.get("height") == "420.00" for one in rectangles(drawn))


def test_the_results_are_written_and_the_report_needs_no_network(tmp_path):
    assert write_results(tmp_path / "new", RESULT) == RESULTS
    assert {file.name for file in (tmp_path / "new").iterdir()} == set(RESULTS)
    page = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert "5 of 6 runs are computed." in page
    assert "0.01 to 0.1, 2 values in equal ratios" in page
    assert page.count("<svg") == 3
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_notebook_holds_the_rows_and_draws_them():
    cells = json.loads(export(RESULT, ".ipynb", "loss"))["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    scope: dict = {}
    for source in code[:2]:
        exec(source, scope)
    assert scope["sweep"] == SWEEP
    pd.testing.assert_frame_equal(scope["result"].to_frame(), RESULT.to_frame())
    exec(code[2].replace("figure.show()", ""), scope)
    np.testing.assert_array_equal(scope["figure"].data[0].z, RESULT.grid("loss"))


def test_another_suffix_is_refused():
    with pytest.raises(ValueError, match=r"exported as one of \.csv, .*, got '\.exe'"):
        export(RESULT, ".exe")
    assert set(EXPORTS) == {".csv", ".parquet", ".json", ".svg", ".html", ".ipynb"}
