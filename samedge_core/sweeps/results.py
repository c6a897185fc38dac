"""SweepResult: the rows of a sweep as a table and as pictures; importable without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from samedge_core.fields import ConfigError, abridged
from samedge_core.sweeps.agreement import Agreement, agreement, repeats
from samedge_core.sweeps.rows import COLUMNS, QUANTITIES, Row
from samedge_core.sweeps.sweep import Sweep

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SweepResult:
    """A sweep and the rows that there are of it, which need not be all.

    Attributes:
        predicted: rows of what a flow says of the runs, as far as that was computed.
    """

    sweep: Sweep
    rows: Sequence[Row]
    predicted: Sequence[Row] = ()

    def to_frame(self) -> pd.DataFrame:
        """A row a cell and seed, in the order of the cells: the axes, seed, fate and numbers; where
        there are predictions, the same of these as `predicted_...`."""
        import pandas as pd  # takes half a second

        names = [axis.name for axis in self.sweep.axes]
        records: list[dict[str, Any]] = []
        for row in sorted(self.rows, key=lambda row: row.cell):
            cell = self.sweep.cells[row.cell]
            at = (cell.ix, cell.iy)
            axes = {axis.name: axis.values[i] for axis, i in zip(self.sweep.axes, at, strict=False)}
            numbers = {name: getattr(row, name) for name in COLUMNS}
            of = self._said.get(row.cell)
            said = {f"predicted_{name}": getattr(of, name) for name in COLUMNS[1:] if of}
            records.append({"cell": row.cell, **axes, "seed": cell.seed, **numbers, **said})
        columns = [*COLUMNS[1:], *(f"predicted_{name}" for name in COLUMNS[1:] if self.predicted)]
        frame = pd.DataFrame(records, columns=["cell", *names, "seed", *columns])
        whole = {"reached_edge_at", "predicted_reached_edge_at", "predicted_steps"} & {*columns}
        return frame.astype(dict.fromkeys(whole, "Int64"))

    def grid(self, quantity: str, over_seeds: Callable[..., Any] = np.median) -> NDArray:
        """One of QUANTITIES in each cell of the diagram, (ny, nx): the median over its seeds, or
        another summary; NaN where there is no row that knows it.

        Raises:
            ConfigError: no quantity is called so.
        """
        return self._per_cell(quantity, over_seeds)

    def spread(self, quantity: str) -> NDArray:
        """How far the seeds of each cell lie apart, largest less smallest, (ny, nx).

        Raises:
            ConfigError: no quantity is called so.
        """
        return self._per_cell(quantity, np.ptp)

    def fates(self) -> NDArray[np.object_]:
        """The commonest fate of the seeds of each cell, (ny, nx) texts; empty without a row."""
        return self._commonest(self.rows)

    def predicted_fates(self) -> NDArray[np.object_]:
        """The same of what a flow says of them."""
        return self._commonest(self.predicted)

    def agreement(self) -> Agreement:
        """In how many runs the predicted fate is the run's own, and in which it is not."""
        return self._agreement(self.rows)

    def misnamed(self) -> NDArray[np.int64]:
        """For how many seeds of each cell another fate is predicted than there is, (ny, nx)."""
        nx, ny = self.sweep.shape
        counts = np.zeros((ny, nx), np.int64)
        for place, rows in self._by_place(self.rows).items():
            found = self._agreement(rows)
            counts[place] = found.compared - found.right
        return counts

    def _agreement(self, rows: Sequence[Row]) -> Agreement:
        pairs = [(row, self._said[row.cell]) for row in rows if row.cell in self._said]
        return agreement((row.fate, said.fate, repeats(said.what)) for row, said in pairs)

    @cached_property
    def _said(self) -> dict[int, Row]:
        return {row.cell: row for row in self.predicted}

    def _commonest(self, rows: Sequence[Row]) -> NDArray[np.object_]:
        nx, ny = self.sweep.shape
        fates = np.full((ny, nx), "", object)
        for (iy, ix), here in self._by_place(rows).items():
            fates[iy, ix] = Counter(row.fate for row in here).most_common(1)[0][0]
        return fates

    def slice(self, quantity: str, *, row: int | None = None, column: int | None = None) -> NDArray:
        """A quantity along one row (nx,) or one column (ny,) of the diagram."""
        grid = self.grid(quantity)
        return grid[row] if row is not None else grid[:, column]

    def _per_cell(self, quantity: str, summary: Callable[..., Any]) -> NDArray:
        if quantity not in QUANTITIES:
            allowed = ", ".join(QUANTITIES)
            raise ConfigError(
                "quantity", f"quantity must be one of {allowed}, got {abridged(quantity)}"
            )
        nx, ny = self.sweep.shape
        grid = np.full((ny, nx), np.nan)
        for (iy, ix), rows in self._by_place(self.rows).items():
            values = [getattr(row, quantity) for row in rows]
            known = [value for value in values if value is not None and np.isfinite(value)]
            if known:
                grid[iy, ix] = summary(known)
        return grid

    def _by_place(self, rows: Sequence[Row]) -> dict[tuple[int, int], list[Row]]:
        places: dict[tuple[int, int], list[Row]] = {}
        for row in rows:
            cell = self.sweep.cells[row.cell]
            places.setdefault((cell.iy, cell.ix), []).append(row)
        return places
