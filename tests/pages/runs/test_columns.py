"""What the cells of the table of runs show."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from pages.parts.runs.columns import _spark


def cell(values: list[float], last_step: int) -> list[list[float]]:
    entry: Any = SimpleNamespace(spark=np.array(values, dtype="f4"), last_step=last_step)
    return _spark(entry)


def test_a_sparkline_has_two_rims_which_are_one_where_each_value_is_known():
    assert cell([0.5, 1.0, 9.0], 2) == [[0.5, 1.0, 1.6]] * 2
    assert cell([-np.inf, 0.5, 1.25, 0.25, 9.0], 5000) == [[0.5, 0.25], [1.25, 1.6]]
    assert cell([], -1) == [[], []]


def test_one_from_before_there_were_rims_is_a_band_too():
    # the rows with the extremes of each stretch, a line through which showed waves of its own
    assert cell([0.9, 1.1, np.nan, 1.1, 0.9, 1.0], 5000) == [[0.9, 0.9], [1.1, 1.1]]
