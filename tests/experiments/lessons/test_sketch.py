"""The reader's curve: its text, and its error beside numpy's."""

import math

import numpy as np
import pytest

import samedge_core as se
from samedge_core.experiments.lessons.sketch import (
    COLUMNS,
    LEVELS,
    Canvas,
    at_steps,
    error,
    verdict,
)
from samedge_core.fields import ConfigError
from samedge_core.prediction.deviation import Deviation
from samedge_core.training.history import History

CANVAS = Canvas(start=2.0, top=8.0, pace=100.0)
NOTHING = np.full(COLUMNS + 1, np.nan)
STEPS = 120
GD = se.RunConfig(problem="digits-mlp", rule="gd", eta=0.5, steps=STEPS)  # 2/eta = 4
SAM = se.RunConfig(problem="digits-mlp", rule="sam", eta=0.5, rho=0.1, steps=STEPS)
FLOW = Deviation(np.array([0, 1]), np.array([0.001, -0.003]), np.zeros(2))


def record(sharpness: np.ndarray, config: se.RunConfig = GD) -> History:
    """A run with these values, one a step."""
    history = History(config)
    for step, value in enumerate(sharpness):
        row = {"loss": 1.0, "grad_norm": 0.1, "converged": True, "lambda_max": value}
        history.append(se.Measurement(step, **row))
    return history


def flat(value: float, upto: int = COLUMNS) -> np.ndarray:
    curve = NOTHING.copy()
    curve[: upto + 1] = value
    return curve


def written(levels: list[int | None]) -> str:
    return "".join(
        "--" if one is None else np.base_repr(one, 36).lower().zfill(2) for one in levels
    )


def test_every_level_is_read_as_it_was_written():
    levels = [*np.linspace(0, LEVELS, COLUMNS).astype(int).tolist(), None]
    found = CANVAS.read(written(levels))
    np.testing.assert_allclose(found[:-1], np.array(levels[:-1]) * 8.0 / LEVELS)
    assert math.isnan(found[-1])
    np.testing.assert_array_equal(CANVAS.read(""), NOTHING)


@pytest.mark.parametrize(
    "text",
    [
        "00" * COLUMNS,
        "00" * (COLUMNS + 2),
        "-0" * (COLUMNS + 1),
        "zz" * (COLUMNS + 1),  # above the chart
        "A0" * (COLUMNS + 1),
        "٣٣" * (COLUMNS + 1),
        "00" * (COLUMNS + 1) + "\n",
        " 0" * (COLUMNS + 1),
        "x" * 100_000,
    ],
)
def test_what_is_no_curve_is_refused_with_what_is_allowed(text):
    allowed = "a curve has 61 times '--' or two digits of base 36 up to 'rs', got"
    with pytest.raises(ConfigError, match=allowed) as refused:
        CANVAS.read(text)
    assert len(str(refused.value)) < 400


def test_between_its_points_a_curve_is_straight():
    curve = np.linspace(1.0, 7.0, COLUMNS + 1)
    np.testing.assert_allclose(at_steps(curve, STEPS), 1.0 + 6.0 * np.arange(STEPS) / STEPS)


def test_its_error_is_that_of_numpy_over_the_drawn_steps():
    steps = np.arange(STEPS)
    run = 3.0 + np.sin(steps / 9.0) + 0.2 * (-1.0) ** steps  # hops cancel in the mean of two rows
    curve = np.linspace(2.0, 4.0, COLUMNS + 1)
    curve[:10], curve[50:] = np.nan, np.nan
    found = error(curve, STEPS, record(run))
    kept = steps[20:99]  # columns 10 to 49, two steps each
    drawn = np.interp(kept, np.linspace(0, STEPS, COLUMNS + 1)[10:50], curve[10:50])
    relative = drawn / ((run[kept] + run[kept + 1]) / 2) - 1
    np.testing.assert_array_equal(found.step, kept)
    np.testing.assert_allclose(found.sharpness, relative, rtol=1e-6)  # rows are Float32
    assert found.median == pytest.approx(np.median(np.abs(relative)), rel=1e-6)
    assert found.at == kept[np.argmax(np.abs(relative))]


@pytest.mark.parametrize(
    ("curve", "run", "config", "said"),
    [
        (flat(4.1), 3.9, GD, "where the run is at 3.9: there you have it."),
        (flat(7.0), 3.9, GD, "above its edge, 4, each hop is larger"),
        (flat(2.0), 3.9, GD, "at 3.9: sharpening goes on until an edge ends it."),
        (flat(3.9, 30), 2.0, GD, "at 2: it has not sharpened as far."),
        (flat(4.0), 3.0, SAM, "near 2/η, which is the edge of GD. SAM's edge is"),
    ],
)
def test_a_verdict_speaks_of_what_was_drawn(curve, run, config, said):
    words = verdict(curve, STEPS, record(np.full(STEPS, run), config), FLOW)
    off = 100 * abs(curve[0] / run - 1)
    assert words.startswith(f"Your curve is off by {off:.2g} % at the median")
    assert said in words
    assert words.endswith(
        "initial weights alone, is off by 0.2 % at the median, 0.3 % at most, at step 1."
    )


def test_a_run_that_was_higher_before_has_come_down():
    run = np.where(np.arange(STEPS) < 60, 3.9, 3.0)
    assert "the run at 3: it has come down from 3.9." in verdict(
        flat(3.9), STEPS, record(run), None
    )


def test_a_part_is_compared_as_far_as_it_was_drawn():
    words = verdict(flat(2.0, 30), STEPS, record(np.full(STEPS, 2.0)), None)
    assert "You have drawn 61 of 120 steps: only those are compared. It ends at 2" in words
    assert "flow" not in words
    whole = verdict(flat(2.0), STEPS, record(np.full(STEPS, 2.0)), None)
    assert "You have drawn" not in whole


def test_without_a_curve_there_is_the_flow_alone():
    words = verdict(NOTHING, STEPS, record(np.full(STEPS, 2.0)), FLOW)
    assert words.startswith("You have drawn no curve. The flow, which")


def test_beyond_the_end_of_a_run_nothing_is_said():
    words = verdict(flat(2.0), STEPS, record(np.full(20, 2.0)), None)
    assert words == "Your curve is off by 0 % at the median, 0 % at most, at step 0."
