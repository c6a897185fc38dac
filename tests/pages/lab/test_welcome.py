"""The valley of the first minute: what its sentence says is what its picture shows."""

import re

import numpy as np
import pytest

from pages.parts.components.valley import picture
from pages.parts.components.wire import encode
from pages.parts.lab.welcome import CURVATURE, ETA, HALF, LIMIT, RESTS, START, STEPS, run, sentence
from samedge_core.fields import ConfigError

ETAS = [0.01, 0.02, 0.1, 0.19, 0.2, 0.21, 0.3, 0.39, 0.399, 0.401, 0.41, 0.42, 0.6, 1.0]


@pytest.mark.parametrize("eta", ETAS)
def test_the_sentence_says_what_the_picture_shows(eta):
    text, w = sentence(eta), run(eta).w[:, 0]
    assert f"η = {eta:g} is " in text
    if eta == 0.2:
        assert "one step reaches the bottom" in text
        assert w.tolist() == [START, 0.0]
        return
    crosses, grows = w[1] < 0, abs(w[1]) > START
    assert crosses == ("hop" in text)
    assert grows == ("thrown out" in text) == ("above" in text)
    change = 100 * abs(abs(w[1] / w[0]) - 1)
    assert float(re.findall(r"([\d.]+) %", text)[0]) == pytest.approx(change, rel=5e-3)
    # it is played until it rests, has left, or the steps are used up
    size = np.abs(w)
    assert size[-1] > HALF or size[-1] < RESTS or len(w) == STEPS + 1
    assert ((size[:-1] <= HALF) & (size[:-1] >= RESTS)).all()


def test_a_step_too_short_to_be_told_is_not_no_shorter():
    assert "less than 0.001 % shorter" in sentence(1e-300)


def test_at_the_limit_it_hops_for_ever():
    assert LIMIT == 0.4
    assert "exactly 2/λ = 0.4" in sentence(0.4)
    w = run(0.4).w[:, 0]
    assert np.abs(w).tolist() == [START] * (STEPS + 1)
    assert (w[1:] * w[:-1] < 0).all()


@pytest.mark.parametrize("eta", ETAS)
def test_the_picture_has_the_iterates_on_the_curve_and_a_step_for_each(eta):
    shown = run(eta)
    drawn = picture("A step in a valley", shown, HALF)
    x, y = drawn["path"]["x"], drawn["path"]["y"]
    assert x.tolist() == shown.w[:, 0].tolist()
    np.testing.assert_allclose(y, CURVATURE / 2 * x**2, rtol=1e-15)
    np.testing.assert_allclose(drawn["curve"]["y"], CURVATURE / 2 * drawn["curve"]["x"] ** 2)
    assert drawn["top"] == pytest.approx(CURVATURE / 2 * HALF**2, rel=1e-15)
    assert drawn["scrub"].steps.tolist() == list(range(shown.steps + 1))
    assert drawn["left"] == bool(np.abs(x).max() > HALF)
    assert encode(drawn)["scrub"]["loop"] is True


def test_the_slider_covers_the_limit_and_refuses_what_is_no_step_size():
    low, high = ETA.suggested or (0, 0)
    assert low < LIMIT < high
    with pytest.raises(ConfigError, match="eta must be a number > 0 and <= 1, got 0"):
        ETA.check(0)
