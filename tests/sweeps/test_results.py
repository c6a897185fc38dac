import math

import numpy as np
import pytest

import samedge_core as se
from samedge_core.sweeps.rows import Row

BASE = se.RunConfig(problem="two-weight", rule="gd")
SWEEP = se.Sweep(BASE, {"eta": (0.1, 0.2, 0.4), "a": (1.0, 2.0)}, seeds=(5, 8))


def row(cell: int, fate: str = "converged", **numbers) -> Row:
    return Row(cell, fate, 10, **numbers)


RESULT = se.SweepResult(
    SWEEP,
    [
        row(11, "diverged", reached_edge_at=4, ratio=1.5),
        row(0, loss=1.0),
        row(1, "diverged", loss=3.0),
        row(2, loss=0.5),
        row(3, loss=math.nan),
    ],
)


def test_the_frame_has_a_row_a_cell_and_seed_in_their_order():
    frame = RESULT.to_frame()
    assert list(frame.columns[:6]) == ["cell", "eta", "a", "seed", "fate", "steps"]
    assert frame["cell"].tolist() == [0, 1, 2, 3, 11]
    assert frame["eta"].tolist() == [0.1, 0.1, 0.2, 0.2, 0.4]
    assert frame["a"].tolist() == [1.0, 1.0, 1.0, 1.0, 2.0]
    assert frame["seed"].tolist() == [5, 8, 5, 8, 8]
    assert frame["reached_edge_at"].dropna().tolist() == [4]


def test_a_sweep_without_rows_has_an_empty_frame():
    frame = se.SweepResult(SWEEP, []).to_frame()
    assert len(frame) == 0
    assert "eta" in frame


def test_a_grid_has_medians_over_the_seeds_and_nothing_where_there_is_nothing():
    nan = math.nan
    np.testing.assert_equal(RESULT.grid("loss"), [[2.0, 0.5, nan], [nan, nan, nan]])
    np.testing.assert_equal(RESULT.grid("loss", max)[0, 0], 3.0)
    np.testing.assert_equal(RESULT.grid("reached_edge_at")[1], [nan, nan, 4])
    np.testing.assert_equal(RESULT.spread("loss")[0], [2.0, 0.0, nan])


def test_fates_are_the_commonest_of_the_seeds():
    fates = se.SweepResult(SWEEP, [row(0), row(1), row(4, "dead")]).fates()
    assert fates.tolist() == [["converged", "", "dead"], ["", "", ""]]


def test_predictions_are_further_columns_and_are_held_against_the_runs():
    said = [
        row(1, "converged", ratio=0.5, what="all; the flow leaps at steps 3 to 4, and takes"),
        row(0, "converged"),
        row(11, "diverged", reached_edge_at=4),
        row(9, "dead"),  # of a cell whose run is not computed
    ]
    result = se.SweepResult(SWEEP, RESULT.rows, said)
    frame = result.to_frame()
    assert frame["predicted_fate"].fillna("").tolist() == [
        *("converged", "converged"),
        *("", "", "diverged"),
    ]
    assert frame["predicted_steps"].dropna().tolist() == [10, 10, 10]
    assert frame["predicted_ratio"].tolist()[1] == 0.5
    assert frame["predicted_reached_edge_at"].dtype == "Int64"
    assert result.predicted_fates().tolist() == [["converged", "", ""], ["", "dead", "diverged"]]
    assert result.misnamed().tolist() == [[1, 0, 0], [0, 0, 0]]
    assert result.agreement().words == (
        "The flow names the fate of 2 of 3 runs; wrong: 1 diverged (predicted: converged)."
    )
    assert not [name for name in RESULT.to_frame() if name.startswith("predicted")]


def test_a_slice_is_a_row_or_a_column_of_the_diagram():
    np.testing.assert_equal(RESULT.slice("loss", row=0), [2.0, 0.5, math.nan])
    np.testing.assert_equal(RESULT.slice("loss", column=1), [0.5, math.nan])


def test_an_unknown_quantity_is_refused():
    with pytest.raises(se.ConfigError, match=r"quantity must be one of ratio, .*, got 'width'"):
        RESULT.grid("width")
