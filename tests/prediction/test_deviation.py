"""Predicted against measured: which rows are held against each other, and what is said of them."""

import numpy as np
import pytest

import samedge_core as se
from samedge_core.prediction.deviation import Deviation, deviation

NAN = np.nan


def columns(step, sharpness, loss=None):
    loss = np.ones(len(step)) if loss is None else loss
    return {"step": np.array(step), "sharpness": np.array(sharpness), "loss": np.array(loss)}


def test_a_predicted_row_is_held_against_the_mean_of_two_measured_ones():
    measured = columns([0, 1, 2, 3], [1.0, 3.0, 5.0, 3.0], [4.0, 2.0, 2.0, 0.0])
    predicted = columns([0, 1, 2, 3], [2.1, 4.0, 3.8, 9.9], [3.0, 1.0, 1.0, 1.0])
    off = deviation(predicted, measured)
    assert off.step.tolist() == [0, 1, 2]  # of step 3 there is no next one
    assert off.sharpness == pytest.approx([0.05, 0.0, -0.05])
    assert off.loss == pytest.approx([0.0, -0.5, 0.0])
    assert off.median == pytest.approx(0.05)
    assert off.most == pytest.approx(0.05)
    assert off.at == 0
    assert off.words == "off by 5 % at the median, 5 % at most, at step 0"


def test_only_steps_count_of_which_the_next_was_measured_too():
    measured = columns([0, 1, 2, 3, 4, 5], [1.0, 1.0, NAN, 1.0, NAN, 1.0])
    predicted = columns([0, 1, 3, 5, 7], [1.1, 1.1, 1.1, 1.1, 1.1])
    assert deviation(predicted, measured).step.tolist() == [0]


def test_what_can_not_be_compared_is_said():
    every_other = columns([0, 2, 4], [1.0, 1.0, 1.0])
    off = deviation(columns([0, 1, 2], [1.0, 1.0, 1.0]), every_other)
    assert len(off) == 0
    assert np.isnan(off.median)
    assert np.isnan(off.most)
    assert off.at is None
    assert off.words == "not comparable: no two consecutive steps of the run were measured"


def test_a_prediction_that_left_all_numbers_is_not_near():
    off = deviation(columns([0, 1], [np.inf, 1.0]), columns([0, 1, 2], [1.0, 1.0, 1.0]))
    assert off.most == np.inf


def test_it_follows_the_record_of_a_run():
    config = se.PRESETS["sam-chebyshev"].config.replace(steps=40)
    off = se.predict(config).against(se.run(config))
    assert off.step.tolist() == list(range(39))
    assert off.median < 1e-3  # mean of two rows: .03 % from their midpoint
    assert np.median(np.abs(off.loss)) < 1e-4


def test_errors_beyond_one_are_said_without_an_exponent():
    off = Deviation(np.array([3, 4]), np.array([1.4, -13.0]), np.zeros(2))
    assert off.words == "off by 720 % at the median, 1,300 % at most, at step 4"
