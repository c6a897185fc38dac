"""What travels to the live charts."""

import numpy as np

from pages.parts.components.live import Cursor, RunUpdate, View, encode


def test_a_message_tells_branches_from_runs_and_carries_what_the_scrubber_shows():
    columns = {
        "step": np.arange(3),
        "eta": np.full(3, 0.1),
        "rho": np.zeros(3),
        "edge": np.array([20.0, 19.0, np.nan]),
        "hvps": np.arange(3),
        "beta": np.full(3, 0.9),
    }
    exact = {"step": 1.0, "edge": 19.0, "ratio": np.inf, "loss": np.nan, "hvps": 1.0}
    run = RunUpdate("child", "SAM", "sam", -1, 2, True, columns, exact=exact)
    branch = RunUpdate("parent", "SAM", "sam", 0, 2, True, columns, abandoned=True)
    message = encode([run, branch], View(), Cursor(step=2, count=1))
    assert [item["abandoned"] for item in message["runs"]] == [False, True]
    sent = message["runs"][0]["columns"]
    assert set(sent) == {"step", "eta", "rho", "edge"}
    assert (sent["eta"], sent["rho"]) == (0.1, 0.0)  # a constant costs a number
    # JSON has no other numbers
    assert message["runs"][0]["exact"] == {"step": 1.0, "edge": 19.0}
    assert message["cursor"] == {"step": 2, "count": 1}
    assert encode([run], View())["cursor"] is None  # no scrubber
