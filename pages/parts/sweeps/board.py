"""The numbers of a sweep's cells as they are finished, and which of them a browser has."""

import time
import uuid
import warnings
from collections import deque
from collections.abc import Mapping

import numpy as np
import streamlit as st

from pages.parts.components.diagram import Cells
from samedge_core.sweeps.agreement import Agreement, agreement, repeats
from samedge_core.sweeps.rows import FATES, QUANTITIES, Row
from samedge_core.sweeps.store import PREDICTED, RecordedSweep

EMPTY = 255  # as in static/cells.js
RATIO = "predicted_ratio"  # beside the quantities
KEPT = "sweeps:boards"  # in the session
MOST_KEPT = 4
LEAST = 8  # rows, before they tell a pace

Spread = tuple[np.ndarray, np.ndarray, np.ndarray]  # median, least and largest over the seeds


class Board:
    """The cells of a stored sweep: `numbers` of shape (quantities, cells, seeds); `fates`,
    `predicted` and its `ratios` of shape (cells, seeds); a cell's place is iy * nx + ix. `doubts`
    tells, by index, which assumptions of a prediction failed."""

    def __init__(self, recorded: RecordedSweep) -> None:
        nx, ny = recorded.sweep.shape
        self.recorded = recorded
        self.id = f"{recorded.id}:{uuid.uuid4().hex[:8]}"
        self.seeds = len(recorded.sweep.seeds)
        self.version = 0
        self.numbers = np.full((len(QUANTITIES), nx * ny, self.seeds), np.nan)
        self.fates = np.full((nx * ny, self.seeds), EMPTY, np.uint8)
        self.predicted, self.ratios = self.fates.copy(), np.full(self.fates.shape, np.nan)
        self.doubts: dict[int, str] = {}
        self._changed = np.full(nx * ny, -1)  # the version that has brought a cell's last row
        self._sent: dict[str, int] = {}
        self._starts: list[tuple[float, float]] = []
        self._position = self._said = 0
        self._pace: deque[tuple[float, int]] = deque(maxlen=30)  # moments, and rows missing then

    def read(self) -> None:
        """Take in the rows that have come since."""
        rows, self._position = self.recorded.rows_after(self._position)
        said, self._said = self.recorded.rows_after(self._said, PREDICTED)
        if not rows and not said:
            return
        self.version += 1
        for row in rows:
            self._take(row)
        for row in said:
            self._take_prediction(row)

    def _take(self, row: Row) -> None:
        place, seed = divmod(row.cell, self.seeds)
        values = [getattr(row, name) for name in QUANTITIES]
        self.numbers[:, place, seed] = [np.nan if value is None else value for value in values]
        self.fates[place, seed] = FATES.index(row.fate)
        self._changed[place] = self.version
        self._starts.append((row.start_sharpness, row.start_grad_norm))

    def _take_prediction(self, row: Row) -> None:
        place, seed = divmod(row.cell, self.seeds)
        self.predicted[place, seed] = FATES.index(row.fate)
        self.ratios[place, seed] = row.ratio
        if doubt := row.what.partition("; ")[2]:
            self.doubts[row.cell] = doubt
        self._changed[place] = self.version

    def agreement(self) -> Agreement:
        """Of all runs that are computed and predicted."""
        names = [*FATES, *[""] * (EMPTY + 1 - len(FATES))]
        pairs = zip(self.fates.flat, self.predicted.flat, strict=True)
        return agreement(
            (names[a], names[b], repeats(self.doubts.get(i, ""))) for i, (a, b) in enumerate(pairs)
        )

    def start(self) -> np.ndarray:
        """The sharpness and gradient norm before the first step, their medians over all rows; NaN
        where no row tells them."""
        starts = np.array(self._starts).reshape(-1, 2)
        known = starts[np.isfinite(starts).all(axis=1)]
        return np.median(known, axis=0) if len(known) else np.full(2, np.nan)

    def seconds_left(self, missing: int) -> float | None:
        """How long the missing rows take, as those took that have come since it was first read."""
        if self._pace and missing > self._pace[-1][1]:  # of predictions, after the runs
            self._pace.clear()
        self._pace.append((time.monotonic(), missing))
        (began, then), (now, still) = self._pace[0], self._pace[-1]
        done = then - still
        return missing * (now - began) / done if done >= LEAST else None

    def known(self) -> list[str]:
        """The quantities of which there is a number."""
        return [n for n, of in zip(QUANTITIES, self.numbers, strict=True) if np.isfinite(of).any()]

    def over_seeds(self, quantity: str) -> Spread:
        """A quantity in each cell, or the predicted RATIO: three arrays of shape (cells,)."""
        if quantity == RATIO:
            return _spread(self.ratios)
        return _spread(self.numbers[list(QUANTITIES).index(quantity)])

    def commonest(self, fates: np.ndarray | None = None) -> np.ndarray:
        """The commonest fate of each cell's seeds, as its place in FATES; EMPTY without a row. Of
        other `fates`, such as `predicted`, the same."""
        fates = self.fates if fates is None else fates
        counts = (fates[..., None] == np.arange(len(FATES))).sum(axis=1)
        return np.where(counts.any(axis=1), counts.argmax(axis=1), EMPTY).astype(np.uint8)

    def news(self, key: str) -> Cells:
        """The cells that the diagram `key` of this session has not been sent yet."""
        sent = self._sent.get(key, -1)
        cells = np.flatnonzero(self._changed > sent)
        self._sent[key] = self.version
        numbers, said = self.numbers[:, cells], self._said > 0
        if said:
            numbers = np.concatenate([numbers, self.ratios[None, cells]])
        middle, low, high = _spread(numbers)
        fates, predicted = self.fates[cells], self.predicted[cells]
        wrong = (fates != predicted) & (np.maximum(fates, predicted) < FATES.index("failed"))
        several = self.seeds > 1
        return Cells(
            self.id,
            sent,
            self.version,
            cells,
            self.commonest(fates),
            _named(middle),
            _named(low) if several else {},
            _named(high) if several else {},
            self.commonest(predicted) if said else None,
            np.minimum(wrong.sum(axis=1), EMPTY).astype(np.uint8) if said else None,
        )

    def forget_sent(self, key: str) -> None:
        """Send all cells again: the browser lacks some."""
        self._sent.pop(key, None)


def board_of(recorded: RecordedSweep) -> Board:
    """The board of a sweep in this session, with all rows that there are."""
    boards: dict[str, Board] = st.session_state.setdefault(KEPT, {})
    name = f"{recorded.id}:{recorded.created}"
    board = boards.pop(name, None) or Board(recorded)
    boards[name] = board
    while len(boards) > MOST_KEPT:
        boards.pop(next(iter(boards)))
    board.read()
    return board


def _spread(numbers: np.ndarray) -> Spread:
    if numbers.shape[-1] == 1:
        only = numbers[..., 0]
        return only, only, only
    with warnings.catch_warnings():  # a cell without any number stays NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        return (
            np.nanmedian(numbers, axis=-1),
            np.nanmin(numbers, axis=-1),
            np.nanmax(numbers, axis=-1),
        )


def _named(numbers: np.ndarray) -> Mapping[str, np.ndarray]:
    return dict(zip((*QUANTITIES, RATIO), numbers, strict=False))  # the last of predictions alone
