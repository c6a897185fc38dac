"""Where the charts of the compared runs cut a line off."""

from typing import Any

import numpy as np
import pytest

from pages.parts.runs.overlay import COLOURS, DASHES, _ceiling
from pages.parts.runs.records import MOST
from samedge_core.analysis.compare import Line


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
