"""Where the charts of the compared runs cut a line off."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pages.parts.runs import overlay
from pages.parts.runs.overlay import COLOURS, DASHES, _ceiling
from pages.parts.runs.records import MOST
from samedge_core.analysis.compare import QUANTITIES, Line

SMALL = ["Sharpness", "Gradient norm", "Loss"]


def drawn(*tops: float, quantity: str = "loss") -> Any:
    return [(None, {quantity: Line(np.arange(2.0), np.array([0.0, top]))}) for top in tops]


def test_one_that_diverges_does_not_flatten_the_others():
    assert _ceiling(drawn(1.0, 2.0, 3.0, 1e20), "loss") == pytest.approx(1.05 * 3)
    assert _ceiling(drawn(0.5, np.inf), "loss") == pytest.approx(1.05 * 0.5)


@pytest.mark.parametrize("tops", [(), (1e20,), (1.0, 9.0), (0.0, 0.0)])
def test_nothing_is_cut_that_is_comparable(tops):
    assert _ceiling(drawn(*tops), "loss") is None


def test_the_edge_is_always_seen():
    assert _ceiling(drawn(0.01, 0.02, 1.1, quantity="ratio"), "ratio") is None
    assert _ceiling(drawn(0.01, 0.02, 1e9, quantity="ratio"), "ratio") == pytest.approx(1.05)
    assert _ceiling(drawn(0.2, 0.2, 1.3, 50.0, quantity="ratio"), "ratio") == pytest.approx(1.365)


def test_twelve_lines_can_be_told_apart():
    looks = [(COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]) for i in range(MOST)]
    assert len(set(looks)) == MOST


def test_edge_value_and_threshold_are_drawn_where_a_rule_is_held_against_one(monkeypatch):
    rules = ("gd", "adam")
    groups: Any = [
        SimpleNamespace(name=name, runs=[SimpleNamespace(course=lambda _, of=name: (of,))])
        for name in rules
    ]
    line = Line(np.arange(2.0), np.array([1.0, 2.0]))
    monkeypatch.setattr(
        overlay.records, "lines", lambda runs, over: dict.fromkeys(QUANTITIES, line)
    )
    found = overlay._read(groups, "step")
    ratio, edge_value, sharpness, *_ = overlay._figures(found, "step", log_y=False, edges=True)
    assert ratio.layout["yaxis"]["title"]["text"] == "sharpness / edge<br>edge value / threshold"
    assert [trace["name"] for trace in edge_value.traces] == ["adam", "adam, threshold"]
    assert len(sharpness.traces) == 4
    only_gd = overlay._figures(found[:1], "step", log_y=False, edges=True)
    assert [figure.name for figure in only_gd] == ["Sharpness / edge", *SMALL]
