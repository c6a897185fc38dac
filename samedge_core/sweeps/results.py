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
from samedge_core.sweeps.rows import COLUMNS, QUANTITIES, Row
from samedge_core.sweeps.sweep import Sweep

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SweepResult:
    """A sweep and the rows that there are of it, which need not be all."""

    sweep: Sweep
    rows: Sequence[Row]

    def to_frame(self) -> pd.DataFrame:
        """A row a cell and seed, in the order of the cells: the axes, seed, fate and numbers."""
        import pandas as pd  # takes half a second

        names = [axis.name for axis in self.sweep.axes]
        records: list[dict[str, Any]] = []
        for row in sorted(self.rows, key=lambda row: row.cell):
            cell = self.sweep.cells[row.cell]
            at = (cell.ix, cell.iy)
            axes = {axis.name: axis.values[i] for axis, i in zip(self.sweep.axes, at, strict=False)}
            numbers = {name: getattr(row, name) for name in COLUMNS}
            records.append({"cell": row.cell, **axes, "seed": cell.seed, **numbers})
        frame = pd.DataFrame(records, columns=["cell", *names, "seed", *COLUMNS[1:]])
        return frame.astype({"reached_edge_at": "Int64"})

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
        nx, ny = self.sweep.shape
        fates = np.full((ny, nx), "", object)
        for (iy, ix), rows in self._by_place.items():
            fates[iy, ix] = Counter(row.fate for row in rows).most_common(1)[0][0]
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
        for (iy, ix), rows in self._by_place.items():
            values = [getattr(row, quantity) for row in rows]
            known = [value for value in values if value is not None and np.isfinite(value)]
            if known:
                grid[iy, ix] = summary(known)
        return grid

    @cached_property
    def _by_place(self) -> dict[tuple[int, int], list[Row]]:
        places: dict[tuple[int, int], list[Row]] = {}
        for row in self.rows:
            cell = self.sweep.cells[row.cell]
            places.setdefault((cell.iy, cell.ix), []).append(row)
        return places
