import numpy as np
import pytest

from samedge_core.sweeps.order import Order
from samedge_core.sweeps.rows import Row
from samedge_core.sweeps.sweep import Axis, Sweep
from samedge_core.training.config import RunConfig

BASE = RunConfig(problem="two-weight", rule="sam")


def sweep(nx: int, ny: int, seeds: int = 1) -> Sweep:
    axes = [Axis.span(BASE, "eta", 0.1, 1, nx)]
    axes += [Axis.span(BASE, "rho", 0.1, 1, ny)] if ny > 1 else []
    return Sweep(BASE, tuple(axes), tuple(range(seeds)))


def inside(sweep: Sweep, index: int) -> bool:
    """A disk about a corner: neither rows nor columns are special."""
    nx, ny = sweep.shape
    cell = sweep.cells[index]
    return (cell.ix / nx) ** 2 + (cell.iy / ny) ** 2 < 0.5


def row(sweep: Sweep, index: int) -> Row:
    return Row(index, "converged" if inside(sweep, index) else "diverged", 1)


@pytest.mark.parametrize(("nx", "ny", "seeds"), [(16, 16, 1), (7, 5, 3), (2, 9, 2), (30, 1, 1)])
def test_every_cell_is_handed_out_once(nx, ny, seeds):
    grid = sweep(nx, ny, seeds)
    order, found = Order(grid), []
    while cells := order.next(5):
        found += cells
        order.saw(row(grid, i) for i in cells)
    assert sorted(found) == list(range(len(grid.cells)))
    assert order.left == 0


def test_first_comes_a_picture_of_four_by_four_with_its_corners():
    grid = sweep(64, 64)
    first = Order(grid).next(99)
    places = {(grid.cells[i].ix, grid.cells[i].iy) for i in first}
    assert len(places) == len(first) == 16
    assert {x for x, _ in places} == {y for _, y in places} == {0, 21, 42, 63}


def test_all_seeds_of_a_place_come_together():
    grid = sweep(9, 9, seeds=3)
    cells = Order(grid).next(7)
    assert len(cells) == 6
    assert len({(grid.cells[i].ix, grid.cells[i].iy) for i in cells}) == 2


def test_cells_between_unlike_fates_come_before_the_rest():
    grid = sweep(64, 64)
    order, computed = Order(grid), []
    while cells := order.next(64, patient=True):
        computed += cells
        order.saw(row(grid, i) for i in cells)
    fates = np.array([inside(grid, i) for i in range(64 * 64)]).reshape(64, 64)
    known = np.zeros(64 * 64, bool)
    known[computed] = True
    known = known.reshape(64, 64)
    # five times fewer cells and more, as the boundary is a line
    assert len(computed) < 64 * 64 / 5
    edges = (fates[:, 1:] != fates[:, :-1]) & known[:, 1:] & known[:, :-1]
    # along most of the boundary both of its sides are computed
    assert edges.any(axis=1).sum() > 0.6 * (fates[:, 1:] != fates[:, :-1]).any(axis=1).sum()
    assert order.next(64, patient=True) == []
    assert len(order.next(64)) > 0  # then all the rest


def test_where_all_fates_are_alike_the_coarse_picture_is_all_that_matters():
    grid = sweep(32, 32)
    order = Order(grid)
    order.saw(Row(i, "converged", 1) for i in order.next(99))
    assert order.next(99, patient=True) == []


def test_seeds_that_disagree_are_a_boundary():
    grid = sweep(32, 32, seeds=2)
    order = Order(grid)
    first = order.next(99)
    fates = ("converged", "diverged")
    mixed = first[:2]
    order.saw(Row(i, fates[i % 2] if i in mixed else fates[0], 1) for i in first)
    near = order.next(99, patient=True)
    assert near
    assert {(grid.cells[i].ix, grid.cells[i].iy) for i in near} <= {
        (x, y) for x in range(11) for y in range(11)
    }


def test_an_order_that_starts_again_asks_for_the_rest_alone():
    grid = sweep(6, 6, seeds=2)
    done = [row(grid, i) for i in range(0, 72, 3)]
    order, found = Order(grid, done), []
    while cells := order.next(10):
        found += cells
    assert sorted(found) == [i for i in range(72) if i % 3]


def test_among_some_cells_only_those_are_handed_out():
    grid = sweep(8, 8)
    some = [5, 6, 21, 40, 63]
    order, found = Order(grid, [row(grid, 6)], among=some), []
    assert order.left == 4
    while cells := order.next(2):
        found += cells
        order.saw(row(grid, i) for i in cells)
    assert sorted(found) == [5, 21, 40, 63]
