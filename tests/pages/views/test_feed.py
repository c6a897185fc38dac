"""What the live charts are sent of a run whose rule changes on the way."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from pages.parts.components.live import View, encode
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
