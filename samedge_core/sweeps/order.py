"""The order in which the cells of a sweep are computed: coarse to fine, at boundaries first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from samedge_core.sweeps.rows import FATES, Row
from samedge_core.sweeps.sweep import Sweep

COARSE = 4  # columns and rows of the first picture
_UNKNOWN = -1
_MIXED = len(FATES)  # and up: seeds that disagree, unlike any other place


class Order:
    """Hands out the cells without a row: a picture of 4 x 4 places first, then the places between
    others of unlike fate, then all the rest from coarse to fine. A place is a cell of the diagram,
    with all its seeds.

    A place of level k lies between up to four corners of lower levels. Where these agree and it has
    no row itself, it counts as having their fate; so finer places within are not handed out early.

    Args:
        among: the cells that may be handed out, by default all.
    """

    def __init__(
        self, sweep: Sweep, rows: Iterable[Row] = (), *, among: Sequence[int] | None = None
    ) -> None:
        (nx, ny), self._seeds = sweep.shape, len(sweep.seeds)
        (x, *x_ends), (y, *y_ends) = _lattice(nx), _lattice(ny)
        level = np.maximum.outer(y, x)  # (ny, nx)
        ix, iy = np.arange(nx), np.arange(ny)
        corners = [
            np.where(y == level.T, y_end, iy).T * nx + np.where(x == level, x_end, ix)
            for y_end in y_ends
            for x_end in x_ends
        ]
        self._level = level.ravel()
        self._corners = np.stack(corners, -1).reshape(-1, 4)
        self._levels = [np.flatnonzero(self._level == k) for k in range(level.max() + 1)]
        self._fate = np.full(sweep.count, _UNKNOWN)  # of each cell
        self._left = np.full(sweep.count, among is None)  # neither computed nor handed out
        self._left[[] if among is None else [*among]] = True
        self._ready = np.empty(0, np.intp)  # places between unlike fates
        self._unread = 0  # rows since these were looked for
        self.saw(rows)

    def saw(self, rows: Iterable[Row]) -> None:
        """Take in the fates of these cells."""
        for row in rows:
            self._unread += 1
            self._fate[row.cell] = FATES.index(row.fate)
            self._left[row.cell] = False

    @property
    def left(self) -> int:
        """How many cells are neither computed nor handed out."""
        return int(self._left.sum())

    def next(self, count: int, *, patient: bool = False) -> list[int]:
        """The indices of about `count` cells to compute now, whole places; none where all are
        handed out or, if `patient`, where fates that are still computed decide what comes next."""
        left = np.any(self._left.reshape(-1, self._seeds), axis=1, keepdims=True)[:, 0]
        coarse = self._levels[0][left[self._levels[0]]]
        chosen = coarse if len(coarse) else self._between(left, patient=patient)
        if not len(chosen) and not patient and left.any():
            chosen = np.flatnonzero(left & (self._level == self._level[left].min()))
        places = chosen[: max(1, count // self._seeds)]
        cells = (places[:, None] * self._seeds + np.arange(self._seeds)).ravel()
        cells = cells[self._left[cells]]
        self._left[cells] = False
        return cells.tolist()

    def _between(self, left: NDArray[np.bool_], *, patient: bool) -> NDArray[np.intp]:
        """The places that are left between corners of unlike fate; in a hurry, as seen at a
        hundredth of all rows ago, as a look takes a millisecond or more."""
        self._ready = self._ready[left[self._ready]]
        if not len(self._ready) and self._unread > (0 if patient else len(self._left) // 100):
            self._ready, self._unread = self._look_between(left), 0
        return self._ready

    def _look_between(self, left: NDArray[np.bool_]) -> NDArray[np.intp]:
        by_seed = self._fate.reshape(-1, self._seeds)
        fate = np.where((by_seed == by_seed[:, :1]).all(axis=1), by_seed[:, 0], _UNKNOWN)
        mixed = (by_seed != _UNKNOWN).all(axis=1) & (fate == _UNKNOWN)
        fate[mixed] = _MIXED + np.flatnonzero(mixed)
        ready = [np.empty(0, np.intp)]
        for places in self._levels[1:]:
            around = fate[self._corners[places]]  # (n, 4)
            alike = (around == around[:, :1]).all(axis=1)
            known = (around != _UNKNOWN).all(axis=1)
            ready.append(places[left[places] & known & ~alike])
            taken = np.where(alike, around[:, 0], _UNKNOWN)
            fate[places] = np.where(fate[places] == _UNKNOWN, taken, fate[places])
        return np.concatenate(ready)


def _lattice(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Of each of n columns, the level at which it joins the lattice, and the columns of lower
    levels beside it; of the first level, itself. Each level halves the gaps of the one before."""
    below, above, level = np.arange(n), np.arange(n), np.zeros(n, np.intp)
    lattice = sorted({round(i * (n - 1) / (COARSE - 1)) for i in range(COARSE)})
    k = 0
    while len(lattice) < n:
        k += 1
        for a, b in [gap for gap in pairwise(lattice) if gap[1] - gap[0] > 1]:
            middle = (a + b) // 2
            below[middle], above[middle], level[middle] = a, b, k
            lattice.append(middle)
        lattice.sort()
    return level, below, above
