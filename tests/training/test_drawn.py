"""What is drawn of a history: the rows of a bucket against plain loops over them."""

import math

import numpy as np
import pytest

from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, Measurement
from tests.training.test_history import hopping

BASE = RunConfig(rule="sam", eta=0.5, rho=0.1, beta=0.8)


def test_few_rows_are_drawn_as_they_are():
    history = hopping(1000)
    drawn = history.drawn(start=799, most=100, stop=899)
    assert (drawn.low, drawn.high) == ({}, {})
    for name, values in history.columns(slice(800, 900)).items():
        np.testing.assert_array_equal(drawn.columns[name], values)


@pytest.mark.parametrize("chunk", [None, 64])
def test_of_many_rows_the_least_mean_and_most_of_buckets_are_drawn(chunk, monkeypatch):
    if chunk:
        monkeypatch.setattr("samedge_core.training.drawn.CHUNK", chunk)
    history = hopping(1503)
    drawn = history.drawn(start=2, most=100, ends=[1001])
    whole = history.columns()
    starts, ends = drawn.columns["step"], drawn.high["step"]
    assert (starts[0], ends[-1]) == (3, 1502)
    np.testing.assert_array_equal(starts[1:], ends[:-1] + 1)
    assert 25 <= len(starts) <= 36
    assert {700, 1002} <= set(starts.tolist())  # no bucket lies over a change, or over an end
    for at, (first, last) in enumerate(zip(starts, ends, strict=True)):
        rows = slice(first, last + 1)
        for name in ("sharpness", "loss", "ratio"):
            assert drawn.low[name][at] == whole[name][rows].min()
            assert drawn.high[name][at] == whole[name][rows].max()
        assert drawn.columns["sharpness"][at] == pytest.approx(2.0, abs=1e-12)
        assert drawn.columns["residual"][at] == whole["residual"][rows].max()
        assert drawn.columns["converged"][at] == whole["converged"][rows].min()
        assert drawn.columns["eta"][at] == whole["eta"][first]
        assert drawn.columns["time"][at] == whole["time"][first]
        assert drawn.high["time"][at] == whole["time"][last]
    assert not {"eta", "step", "rule"} & set(drawn.low)
    line = drawn.envelope("loss", breaks=[700])
    assert line.opens.sum() == 2
    np.testing.assert_array_equal(line.last, ends)


def test_further_eigenvalues_are_drawn_signed_or_as_magnitudes():
    config = BASE.replace(top_k=2)
    history = History(config)
    for step in range(400):
        history.append(Measurement(step, 1.0, 1.0, lambda_max=9.0, others=(5.0 * (-1) ** step,)))
    assert history.drawn(most=60).low["lambda_2"].tolist() == [5.0] + [-5.0] * 19
    magnitudes = history.drawn(most=60, magnitudes=True)
    assert magnitudes.columns["lambda_2"].tolist() == [5.0] * 20
    assert "lambda_2" not in magnitudes.low


def test_buckets_of_a_run_that_is_measured_seldom_hold_enough_measured_rows():
    config = BASE.replace(measure_every=3)
    history = History(config)
    for step in range(3000):
        value = 2 + (-1.0) ** (step // 3) if step % 3 == 0 else math.nan
        history.append(Measurement(step, 1.0, 1.0, lambda_max=value))
    first, *middle = history.drawn(most=900).columns["sharpness"]
    assert first == 3.0  # the first step is itself
    np.testing.assert_allclose(middle, 2.0, atol=1e-12)
