"""What the live charts are sent of a run whose rule changes on the way."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pages.parts.components.live import RunUpdate, View, encode
from pages.parts.views import feed
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, Intervention, Measurement


def test_edges_are_sent_where_they_were_in_force_and_rho_where_it_is_used():
    history = History(RunConfig(rule="sam", eta=0.5, rho=0.1))
    for step in range(6):
        history.append(Measurement(step, 1.0, grad_norm=1.0, lambda_max=2.0))
    history.intervene(Intervention(2, {"rule": "gd"}))
    history.intervene(Intervention(4, {"rule": "usam"}))
    columns = history.columns()
    view: Any = SimpleNamespace(
        id="a",
        config=history.config,
        hyper=history.hyperparameters,
        start=-1,
        last_step=5,
        columns=columns,
        low={},
        high={},
        marks=(),
    )
    update = feed.update(view)
    found = {name: np.flatnonzero(~np.isnan(v)).tolist() for name, v in update.columns.items()}
    assert found["sam_edge"] == [0, 1]
    assert found["usam_edge"] == [4, 5]
    assert found["gd_edge"] == found["edge"] == [0, 1, 2, 3, 4, 5]
    assert found["rho"] == [0, 1, 4, 5]
    assert "polyak_edge" not in found
    np.testing.assert_array_equal(update.columns["sam_edge"][:2], columns["sam_edge"][:2])
    lines = encode([update], View())["edges"]
    assert {name: line["name"] for name, line in lines.items()} == {
        "gd_edge": "2/η",
        "sam_edge": "SAM-edge",
        "usam_edge": "USAM-edge",
    }
    assert lines["sam_edge"]["stroke"] == {"dash": "10px,4px", "width": 2.6}
    assert [line["shape"] for line in lines.values()] == ["hv", "linear", "hv"]


def test_no_bucket_lies_on_both_sides_of_what_the_browser_may_have(monkeypatch):
    history = History(RunConfig(rule="sam", eta=0.5, rho=0.1))
    for step in range(900):
        hop = (-1.0) ** step
        history.append(Measurement(step, 2.0 + hop, grad_norm=1.0, lambda_max=4.0 + hop))
    monkeypatch.setattr(feed, "registry", lambda: SimpleNamespace(history=lambda _: history))

    @dataclass(frozen=True)
    class Seen:
        id: str = "a"
        start: int = 99
        last_step: int = 888  # the run has gone on since
        columns: Any = None
        low: Any = None
        high: Any = None

    view: Any = Seen()
    rows = feed._with_rows(view, newest=500, most=100)
    starts, ends = rows.columns["step"], rows.high["step"]
    assert (starts[0], ends[-1]) == (100, 888)
    assert 500 in ends
    assert 501 in starts
    assert rows.columns["loss"] == pytest.approx(2.0)
    columns = feed._shown(rows.columns)
    low, high = (feed._within(rim, rows.columns) for rim in (rows.low, rows.high))
    assert {"sam_edge", "usam_edge"} & set(columns) == {"sam_edge"}
    assert set(low) == {"loss", "sharpness", "lambda_max", "ratio", "operator_ratio"}
    update = RunUpdate("a", "SAM", "sam", 99, 888, False, columns, low=low, high=high)
    (sent,) = encode([update], View())["runs"]
    assert set(sent["low"]) == {"loss", "sharpness", "ratio"}
    assert set(sent["high"]) == {"loss", "sharpness", "ratio", "step", "time", "evals"}
    assert len(json.dumps(sent)) < 10_000  # of 20 KB an update, with room for a second run


def test_edge_value_and_threshold_are_drawn_where_a_rule_is_held_against_one():
    history = History(RunConfig(rule="gd", eta=0.002))
    history.append(Measurement(0, 1.0, grad_norm=1.0, lambda_max=4.0))
    history.intervene(Intervention(1, {"rule": "rmsprop"}, {"rule": "gd"}))
    history.append(Measurement(1, 1.0, grad_norm=1.0, edge_value=900.0, edge_residual=1.0))
    history.intervene(Intervention(2, {"rule": "adam"}, {"rule": "rmsprop"}))
    history.append(Measurement(2, 1.0, grad_norm=1.0, edge_value=950.0, lambda_max=5.0))
    shown = feed._shown(history.columns())
    np.testing.assert_array_equal(shown["edge_value"], [np.nan, 900, 950])
    np.testing.assert_allclose(shown["threshold"], [np.nan, 1000, 19000])
    np.testing.assert_array_equal(shown["gd_edge"], [1000, np.nan, np.nan])
    np.testing.assert_array_equal(shown["sharpness"], [4, np.nan, 5])
    np.testing.assert_allclose(shown["ratio"], [0.004, 0.9, 0.05])
    update = RunUpdate("a", "GD", "adam", -1, 2, True, shown, weight_decay=0.5)
    lines = encode([update], View())["edges"]
    names = {name: line["name"] for name, line in lines.items()}
    assert names == {"gd_edge": "2/η − weight decay", "threshold": "threshold"}
    assert history.marks == (
        (1, "GD → RMSProp, moments start at zero"),
        (2, "RMSProp → Adam, moments start at zero"),
    )
