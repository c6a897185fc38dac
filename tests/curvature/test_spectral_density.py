"""What is read off a spectrum: sums, counts, densities, and where they are drawn."""

import math

import numpy as np
import pytest

from samedge_core.curvature.spectral_density import Spectrum, SpectrumAxis

EXACT = Spectrum.of_eigenvalues([4.0, -1.0, 0.0, 0.0, 0.5])
# two probes of three nodes; the second one's Krylov space ended after two
ESTIMATE = Spectrum(
    False,
    np.array([[-1.0, 0.0, 4.0], [0.0, 3.0, 0.0]]),
    np.array([[0.1, 0.7, 0.2], [0.6, 0.4, 0.0]]),
    size=10,
    products=5,
)


def test_counts_and_trace_of_an_exact_spectrum_have_no_error():
    assert EXACT.trace() == (pytest.approx(3.5), 0)
    assert [float(EXACT.count_above(x)[0]) for x in (-1, -1.5, 0, 4)] == pytest.approx([4, 5, 2, 0])
    assert [float(EXACT.count_below(x)[0]) for x in (-1, 0, 5)] == pytest.approx([0, 1, 5])
    assert (EXACT.lowest, EXACT.highest, EXACT.radius) == (-1, 4, 4)


def test_an_estimate_is_the_mean_over_probes_with_its_standard_error():
    # traces 10 (-0.1 + 0.8) = 7 and 10 (1.2) = 12: mean 9.5, half of their difference 2.5
    assert ESTIMATE.trace() == (pytest.approx(9.5), pytest.approx(2.5))
    assert ESTIMATE.count_above(1) == (pytest.approx(3), pytest.approx(1))
    assert ESTIMATE.count_below(-0.5) == (pytest.approx(0.5), pytest.approx(0.5))


def test_no_probe_sees_more_eigenvalues_than_there_are():
    assert [ESTIMATE.least_above(x) for x in (-2, -0.5, 1, 3.5, 4)] == [3, 2, 1, 1, 0]
    assert [EXACT.least_above(x) for x in (-2, 0, 4)] == [5, 2, 0]


def test_what_is_left_of_a_row_that_ended_early_is_no_node():
    only = Spectrum(False, np.array([[2.0, 3.0, 0.0]]), np.array([[0.5, 0.5, 0.0]]), 7, 2)
    assert only.lowest == 2
    assert only.least_above(-1) == 2
    assert list(only.to_frame()["node"]) == [2, 3]


def test_one_probe_alone_has_no_error_to_tell():
    alone = Spectrum(False, ESTIMATE.nodes[:1], ESTIMATE.weights[:1], 10, 3)
    mean, error = alone.trace()
    assert mean == pytest.approx(7)
    assert math.isnan(error)


@pytest.mark.parametrize("found", [EXACT, ESTIMATE])
@pytest.mark.parametrize("width", [0.05, 1.0])
def test_the_density_integrates_to_the_number_of_eigenvalues(found, width):
    grid = np.linspace(-12, 15, 20_001)
    mean, error = found.density(grid, width)
    assert np.trapezoid(mean, grid) == pytest.approx(found.size, rel=1e-9)
    # its first moment is the trace
    assert np.trapezoid(mean * grid, grid) == pytest.approx(found.trace()[0], rel=1e-9)
    assert np.all(error >= 0)
    assert found.exact == (not error.any())


@pytest.mark.parametrize("width", [0, -1.0, math.nan])
def test_a_density_needs_a_width(width):
    with pytest.raises(ValueError, match="width must be > 0, got"):
        EXACT.density([0.0], width)


def test_an_eigenvalue_that_stands_apart_is_drawn_one_high():
    axis = SpectrumAxis.around([EXACT])
    mean, _ = axis.heights(EXACT)
    # the grid has a point within a fifth of a width of each peak: exp(-0.02)
    assert mean.max() == pytest.approx(2, rel=0.02)  # two at 0
    assert mean[axis.grid > 2].max() == pytest.approx(1, rel=0.02)
    assert (axis.grid[0], axis.grid[-1]) == (pytest.approx(-1.2), pytest.approx(4.2))


def test_near_marks_are_on_the_axis_and_far_ones_are_not():
    axis = SpectrumAxis.around([EXACT, Spectrum.of_eigenvalues([6.0])], [8.0, 100.0, math.nan])
    assert axis.holds(8)
    assert axis.holds(-1)
    assert not axis.holds(100)
    assert not axis.holds(math.nan)
    assert axis.grid[-1] < 9


@pytest.mark.parametrize("values", [[6.0], [0.0], [5.0, 5.0 + 1e-9], [1e30, -1e30], [1e-30]])
def test_any_spectrum_has_an_axis_of_reasonable_size(values):
    found = Spectrum.of_eigenvalues(values)
    axis = SpectrumAxis.around([found], [2.0])
    assert all(axis.holds(value) for value in values)
    assert len(axis.grid) < 3000
    mean, _ = axis.heights(found)
    assert np.isfinite(mean).all()
    assert mean.max() > 0.9


def test_the_table_has_a_row_for_each_node():
    frame = ESTIMATE.to_frame()
    assert list(frame.columns) == ["probe", "node", "weight"]
    assert list(frame["probe"]) == [1, 1, 1, 2, 2]
    assert frame["weight"].to_list() == pytest.approx([0.1, 0.7, 0.2, 0.6, 0.4])
    assert set(EXACT.to_frame()["probe"]) == {0}
