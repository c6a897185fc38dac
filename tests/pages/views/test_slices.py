"""What a step does along a line, in words: against the bottom of its parabola."""

from dataclasses import replace

import numpy as np
import pytest

from pages.parts.views.slices import figures_of, in_words
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.inspection import Inspection, Mark, Slice


def of_a_step(eta: float, curvature: float, slope: float = 0.5) -> Inspection:
    """GD on a line: the way to the bottom is slope/curvature, the step eta slope."""
    marks = (Mark("iterate", 0, 1, 1, 0), Mark("next", -eta * slope, 1, 1, 0))
    line = Slice("v1", np.array([-1.0, 1.0]), np.ones(2), 1.0, slope, curvature, marks)
    values = np.array([curvature])
    hyper = Hyperparameters("gd", eta, 0.0, 0.0)
    return Inspection(3, hyper, 1.0, slope, values, values, True, values, (line,))


@pytest.mark.parametrize(
    ("eta", "curvature", "expected"),
    [
        (0.1, 5, "goes 50% of the way to the bottom of the parabola and stays on this side"),
        (0.3, 5, "goes 1.5 times the way to the bottom of the parabola"),
        (0.4, 5, "2 times the way to the bottom of the parabola"),
        (0.5, 5, "2.5 times the way to the bottom of the parabola"),
        (0.1, -5, "goes −0.05; the loss curves downward, there is no bottom"),
    ],
)
def test_how_far_a_step_goes(eta, curvature, expected):
    (text,) = in_words(of_a_step(eta, curvature))
    assert text.startswith(f"Along v₁ (slope 0.5, curvature {curvature}".replace("-", "−"))
    assert expected in text


@pytest.mark.parametrize(("eta", "height"), [(0.3, "below"), (0.4, "as high as"), (0.5, "above")])
def test_where_it_ends(eta, height):
    (text,) = in_words(of_a_step(eta, 5))
    assert text.endswith(f"to a point {height} w.")


def test_at_the_bottom_and_beyond_the_finite_range():
    (text,) = in_words(of_a_step(0.1, 5, slope=0.0))
    assert "which lies at the bottom" in text
    lost = of_a_step(0.1, 5)
    line = lost.slices[0]
    made = replace(lost, slices=(replace(line, marks=line.marks[:1]),))
    assert "leaves the finite range" in next(in_words(made))


def test_without_a_step_the_figures_keep_their_place():
    empty, full = figures_of(None, "", height=300), figures_of(of_a_step(0.1, 5), "", height=300)
    assert [figure.name for figure in empty] == ["Loss along v₁", "Loss along g"]
    assert (empty[0].name, empty[0].height) == (full[0].name, full[0].height)
