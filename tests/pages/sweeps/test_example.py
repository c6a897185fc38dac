"""The finished diagram that a first visit shows, against runs of its cells."""

import pytest

from pages.parts.sweeps import example
from samedge_core.sweeps.cell import run_cell
from samedge_core.sweeps.rows import FATES


# one below its edge, one at it, one thrown out: on other machines the last digits part, and a
# median over the edge phase with them, by far less than a colour of the picture
@pytest.mark.parametrize("place", [0, 7 * 16 + 6, 15 * 16 + 15])
def test_the_example_shows_what_its_runs_do(place):
    sweep = example.sweep()
    row = run_cell(sweep.cells[place].config, sweep.samples)
    assert FATES[int(example.SHOWN["fates"][place])] == row.fate
    if row.fate != "diverged":
        assert example.SHOWN["ratios"][place] == pytest.approx(row.ratio, rel=0.02)
    start = (row.start_sharpness, row.start_grad_norm)
    assert example.SHOWN["start"] == pytest.approx(start, rel=2e-3)  # two estimates of 1e-3
