"""What is drawn of a long run, and the rows of a table; test_history.py has those of a History."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samedge_core.training.thinning import Envelope, buckets, envelope, means, thin


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


# --- the envelope ---------------------------------------------------------------------------

LENGTHS = (10, 57, 400, 1201, 5000, 12_345, 99_999, 100_000)


def hop(period: int, steps: int, *, modulated: bool) -> tuple[np.ndarray, np.ndarray]:
    """Values that hop around a rising level by 1 (or from 0.5 to 1.5 and back), and that level."""
    step = np.arange(steps)
    size = 1 + 0.5 * np.sin(5 * step / steps) * modulated
    level = step / steps
    return level + size * np.cos(2 * np.pi * step / period + 0.4), level


def turns(line: np.ndarray, slack: float) -> int:
    """How often a line turns by more than `slack`."""
    slopes = np.diff(line)
    slopes = slopes[np.abs(slopes) > slack]
    return int(np.count_nonzero(slopes[1:] * slopes[:-1] < 0))


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("period", [2, 3])
@pytest.mark.parametrize("most", [90, 333, 1200])
def test_no_line_is_slower_than_the_hops_it_is_drawn_of(period, modulated, most):
    for steps in LENGTHS:
        values, level = hop(period, steps, modulated=modulated)
        found = envelope(np.arange(steps), values, most)
        _, y, _ = found.line()
        if steps <= most:
            np.testing.assert_array_equal(y, values)
            continue
        assert len(found.middle) <= most // 3
        # of a hop of height 2, so little that no screen shows it; the level itself never turns
        centre = (found.first + found.last) / 2
        assert np.abs(found.middle - np.interp(centre, np.arange(steps), level)).max() < 0.02
        assert turns(y, 0.01) == 0


@given(
    st.lists(st.floats(allow_nan=True), max_size=400),
    st.integers(1, 200),
    st.lists(st.integers(-3, 410), max_size=4),
)
def test_an_envelope_holds_every_finite_value_and_touches_its_rims(values, most, breaks):
    y = np.array(values)
    x = np.arange(len(y)) * 2.0
    known = np.isfinite(y)
    found = envelope(x, y, most, breaks)
    assert isinstance(found, Envelope)
    held = np.zeros(len(y), dtype=bool)
    for first, last, low, middle, high in zip(
        found.first, found.last, found.low, found.middle, found.high, strict=True
    ):
        inside = known & (x >= first) & (x <= last)
        assert not held[inside].any()
        held |= inside
        assert (y[inside].min(), y[inside].max()) == (low, high)
        assert low <= middle <= high
        # nothing lies on both sides of a break
        assert not any(first < 2 * at <= last for at in breaks)
    np.testing.assert_array_equal(held, known)
    if known.sum() <= most:
        np.testing.assert_array_equal(found.middle, y[known])
    at, low, high = found.band()
    assert (np.diff(at) >= 0).all()
    assert set(zip(low, high, strict=True)) == set(zip(found.low, found.high, strict=True))


@pytest.mark.parametrize("count", range(1, 40))
def test_means_are_those_of_the_definition(count):
    """The values smoothed by (1, 2, 2, 1) / 6, and the plain mean of what is left."""
    values = np.random.default_rng(count).random(count)
    kernel = {1: [1], 2: [1, 1], 3: [1, 2, 1]}.get(count, [1, 2, 2, 1])
    expected = np.convolve(values, kernel, "valid").mean() / sum(kernel)
    gaps = np.insert(values, count // 2, [np.nan, np.nan])
    for given_values in (values, gaps):
        (mean,) = means(given_values, np.array([0]))
        assert mean == pytest.approx(expected, rel=1e-12)


def test_a_mean_stays_between_the_values_and_a_constant_one_exact():
    constant, huge = np.full(11, 0.1), np.full(11, 1.7e308)
    assert means(constant, np.array([0])) == [0.1]
    assert means(huge, np.array([0])) == [1.7e308]
    assert np.isnan(means(np.full(3, np.nan), np.array([0]))).all()


@given(st.integers(1, 500), st.integers(1, 100), st.lists(st.integers(-5, 510), max_size=5))
def test_buckets_are_of_equal_length_but_for_breaks(rows, most, breaks):
    starts = buckets(rows, most, breaks)
    lengths = np.diff(np.append(starts, rows))
    assert starts[0] == 0
    assert (lengths > 0).all()
    if rows <= most:
        assert len(starts) == rows
        return
    inside = {at for at in breaks if 0 < at < rows}
    assert inside <= set(starts.tolist())
    assert len(starts) <= most + len(inside)
    if not inside:
        assert len(starts) == max(1, min(most, rows // 6))
        assert lengths.max() - lengths.min() <= 1
