import json
import math

import pytest

from samedge_core.fields import ConfigError
from samedge_core.sweeps.rows import COLUMNS, FATES, LONGEST_WHAT, QUANTITIES, Row


def test_a_row_comes_back_from_json_to_the_bit():
    row = Row(7, "at its edge", 2000, 350, 1.0123456789012345, 0.1 + 0.2, what="all steps")
    again = Row.from_values(json.loads(json.dumps(row.to_values(), allow_nan=False)))
    assert again.ratio == row.ratio
    assert again.deviation == row.deviation
    assert again.reached_edge_at == 350
    assert math.isnan(again.loss)
    assert again.to_values() == row.to_values()


def test_what_is_not_finite_is_not_known():
    assert Row(0, "diverged", 3, loss=math.inf).to_values()["loss"] is None


def test_a_long_text_is_cut():
    assert len(Row(0, "failed", 0, what="x" * 9999).to_values()["what"]) == LONGEST_WHAT


@pytest.mark.parametrize(
    "change",
    [
        {"fate": "lost"},
        {"steps": None},
        {"steps": 1.5},
        {"steps": -1},
        {"reached_edge_at": 10**400},
        {"loss": "low"},
        {"more": 1},
    ],
)
def test_values_of_another_kind_are_refused(change):
    with pytest.raises(ConfigError):
        Row.from_values({**Row(0, FATES[0], 1).to_values(), **change})


def test_what_is_no_object_is_refused():
    with pytest.raises(ConfigError, match="a row must be a JSON object, got"):
        Row.from_values([1])


def test_every_quantity_is_a_number_of_a_row():
    row = Row(0, FATES[0], 1)
    assert set(QUANTITIES) <= set(COLUMNS)
    for name in QUANTITIES:
        assert isinstance(getattr(row, name), float | int | None)
