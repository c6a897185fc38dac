"""The pictures of lessons: what is sent of them while their runs go on."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pages.parts.components.wire import encode
from pages.parts.lessons.pictures import _newest
from pages.parts.quadratic import draw, two_weights
from pages.parts.quadratic.settings import DEFAULTS
from samedge_core.experiments.lessons import LESSONS

MOST_BYTES = 20_000  # of an update, as CONTRIBUTING says


VALLEYS = {
    name: config.steps
    for name, lesson in LESSONS.items()
    if (config := lesson.replays(lesson.knob.default)[0].config).problem == "two-weight"
}


@pytest.mark.parametrize("steps", VALLEYS.values(), ids=VALLEYS)
def test_of_a_run_in_the_valley_an_update_holds_what_is_drawn_and_is_small(steps):
    values = {**DEFAULTS, "part": "valley", "walk": steps}
    run = two_weights.runs(values)
    picture = two_weights.figures(values, run)[0]
    update = replace(picture, traces=[_newest(trace) for trace in picture.traces])
    assert len(json.dumps(encode(update))) < MOST_BYTES < len(json.dumps(encode(picture)))
    trails = [trace for trace in update.traces if "trail" in trace.get("meta", {})]
    assert len(trails) == 3 * len(run)
    for trace in trails:
        shown, most = trace["meta"]["step"], trace["meta"]["trail"]
        assert most in (1, draw.TRAIL)
        assert shown[-1] == steps
        assert shown[0] == steps + 1 - most
        assert len(trace["x"]) == len(trace["y"]) == len(shown)
    now = next(trace for trace in trails if trace["name"] == "SAM now")
    np.testing.assert_array_equal([now["x"][0], now["y"][0]], run["sam"].w[-1])


def test_what_is_no_trail_is_sent_whole():
    line = draw.line("minima", [0.0, 1.0], [1.0, 2.0], "sharpness")
    assert _newest(line) is line
