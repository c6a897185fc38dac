"""Which rows of a long run are drawn; tests/training/test_history.py has those of a History."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.training.thinning import thin


@pytest.mark.parametrize("period", [1, 2, 3, 7])
def test_thinning_keeps_the_rims_of_an_oscillation(period):
    values = np.cos(2 * np.pi * np.arange(10_001) / period) * np.linspace(1, 2, 10_001)
    shown = thin([values], 400)
    assert len(shown) <= 400
    for start in range(0, 10_000, 1000):
        stretch = slice(start, start + 1000)
        inside = shown[(shown >= start) & (shown < start + 1000)]
        assert values[inside].max() == pytest.approx(values[stretch].max(), rel=0.01)
        assert values[inside].min() == pytest.approx(values[stretch].min(), rel=0.01)
    np.testing.assert_array_equal(thin([values[:400]], 400), np.arange(400))


COLUMNS = st.lists(
    st.lists(st.floats(allow_nan=True), min_size=200, max_size=200), min_size=1, max_size=3
)


@given(COLUMNS, st.integers(10, 150), st.lists(st.integers(-5, 210), max_size=3))
def test_ends_extremes_and_rows_around_changes_stay(columns, most, around):
    watched = [np.array(column) for column in columns]
    shown = thin(watched, most, around)
    assert len(shown) <= most
    assert (np.diff(shown) > 0).all()
    assert {0, 199} <= set(shown.tolist())
    for values in watched:
        known = values[np.isfinite(values)]
        kept = values[shown][np.isfinite(values[shown])]
        if len(known):
            assert (kept.min(), kept.max()) == (known.min(), known.max())
    room = (most - 2 - 2 * len(watched)) // 2
    if room >= 3:
        assert {row for row in around if 0 <= row < 200} <= set(shown.tolist())


@pytest.mark.parametrize("most", range(1, 9))
def test_of_what_does_not_fit_the_newest_rows_stay(most):
    values = np.arange(100.0)
    shown = thin([values, -values, values], most, [50])
    assert len(shown) <= most
    assert shown[-1] == 99
