"""Spectrum: all eigenvalues of a Hessian, or an estimate of their density; no torch.

`samedge_core.curvature.lanczos_quadrature` makes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd


NEAR = 3.0  # times the spectral radius: marks further away are not on the axis
RESOLUTION = 0.008  # of the range of the spectra: a bump is then some pixels wide
FINENESS = 2.5  # points a width
NEGATIVE = 0.01  # of the spectral radius: what is nearer to 0 than that counts as 0

Array = NDArray[np.float64]
Estimate = tuple[Array, Array]
"""A mean over probes and its standard error (0 for an exact spectrum), of equal shape."""


@dataclass(frozen=True)
class Spectrum:
    """A Hessian's eigenvalue distribution as weighted nodes, one row for each probe.

    A probe's row is a distribution on the line: its weights sum to 1. The mean of the rows
    estimates the distribution of the P eigenvalues; their scatter says how far to trust it. An
    exact spectrum is one row of all P eigenvalues, each of weight 1/P.

    Attributes:
        exact: the nodes are the eigenvalues.
        nodes, weights: shape (probes, k); ascending in each row. Where the Krylov space of a probe
            ended early, what is left of its row has weight 0.
        size: P.
        products: Hessian-vector products computed for it.
        seconds: wall time; the one figure here that a repetition does not reproduce.

    >>> s = Spectrum.of_eigenvalues([3.0, -1.0, 0.0, 0.0])
    >>> [float(s.count_above(x)[0]) for x in (-2, -0.5, 1)]
    [4.0, 3.0, 1.0]
    >>> [float(x) for x in s.trace()]
    [2.0, 0.0]
    """

    exact: bool
    nodes: Array
    weights: Array
    size: int
    products: int
    seconds: float = 0.0

    @classmethod
    def of_eigenvalues(
        cls, values: ArrayLike, *, products: int = 0, seconds: float = 0.0
    ) -> Spectrum:
        """Return the exact spectrum of P eigenvalues."""
        nodes = np.sort(np.asarray(values, dtype=np.float64))[None, :]
        size = nodes.shape[1]
        return cls(True, nodes, np.full_like(nodes, 1 / size), size, products, seconds)

    @property
    def probes(self) -> int:
        """Random vectors that were used; 1 for an exact spectrum."""
        return len(self.nodes)

    @property
    def steps(self) -> int:
        """Lanczos steps of each probe; P for an exact spectrum."""
        return self.nodes.shape[1]

    @cached_property
    def _present(self) -> Array:
        return self.nodes[self.weights > 0]

    @property
    def lowest(self) -> float:
        """The least node: the least eigenvalue, or an upper bound of it that is close when that
        eigenvalue stands apart."""
        return float(self._present.min())

    @property
    def highest(self) -> float:
        """The largest node: the largest eigenvalue, or a lower bound of it, as above."""
        return float(self._present.max())

    @property
    def radius(self) -> float:
        """The largest |node|."""
        return max(abs(self.lowest), abs(self.highest))

    def mean_of(self, values: ArrayLike) -> Estimate:
        """Return the mean over the eigenvalues of a function, and its standard error (...), given
        the values at the nodes (..., probes, k)."""
        rows = (self.weights * np.asarray(values)).sum(-1)  # (..., probes)
        mean = rows.mean(-1)
        if self.exact:
            return mean, np.zeros_like(mean)
        if self.probes == 1:
            return mean, np.full_like(mean, math.nan)  # nothing to judge it by
        return mean, rows.std(-1, ddof=1) / math.sqrt(self.probes)

    def density(self, grid: ArrayLike, width: float) -> Estimate:
        """Return eigenvalues per unit of lambda at `grid` (n,) and their standard error, each
        eigenvalue spread as a Gaussian of standard deviation `width`; the integral is P.

        A peak of one eigenvalue is 1 / (width sqrt(2 pi)) high.
        """
        if not width > 0:
            raise ValueError(f"width must be > 0, got {width}")
        grid = np.asarray(grid, dtype=np.float64)
        scale = self.size / (width * math.sqrt(2 * math.pi))
        means, errors = np.empty_like(grid), np.empty_like(grid)
        for i, x in enumerate(grid):  # one at a time: grid x probes x k numbers would be many
            bumps = np.exp(-0.5 * np.square((x - self.nodes) / width))
            means[i], errors[i] = self.mean_of(bumps)
        return scale * means, scale * errors

    def trace(self) -> Estimate:
        """Return tr H and its standard error."""
        return self._total(self.nodes)

    def count_above(self, x: float) -> Estimate:
        """Return the number of eigenvalues > x and its standard error.

        Few eigenvalues make a skewed estimate: of k of them, each probe sees about chi-squared
        with k degrees of freedom. Where the estimate is low, the error from the scatter
        is low too; the true one is sqrt(2 k / probes).
        """
        return self._total(self.nodes > x)

    def least_above(self, x: float) -> int:
        """Return a lower bound of the number of eigenvalues > x, whatever the probes: no Krylov
        space has more Ritz values there than H has eigenvalues (Cauchy's interlacing)."""
        return int(((self.nodes > x) & (self.weights > 0)).sum(axis=1).max())

    def count_below(self, x: float) -> Estimate:
        """Return the number of eigenvalues < x and its standard error."""
        return self._total(self.nodes < x)

    def count_above_in_words(self, x: float) -> str:
        """The number of eigenvalues > x: "3", "7.2 ± 0.4", or "at least 2 (estimate 1.6 ± 0.7)"."""
        least, estimate = self.least_above(x), in_words(self.count_above(x))
        return estimate if self.exact or not least else f"at least {least} (estimate {estimate})"

    @property
    def negative_limit(self) -> float:
        """Eigenvalues below it are clearly negative: the many at 0 scatter to both sides of it."""
        return -NEGATIVE * self.radius

    def negative_percent(self) -> Estimate:
        """The share of the eigenvalues that are clearly negative, in per cent, and its error."""
        mean, error = self.count_below(self.negative_limit)
        percent = 100 / self.size
        return mean * percent, error * percent

    def to_frame(self) -> pd.DataFrame:
        """Return a row a node: probe (from 1; 0 for an exact spectrum), node, weight."""
        import pandas as pd

        probe = np.arange(self.probes)[:, None] + (0 if self.exact else 1)
        present = self.weights > 0
        columns = {"probe": np.broadcast_to(probe, self.nodes.shape)}
        columns |= {"node": self.nodes, "weight": self.weights}
        return pd.DataFrame({name: values[present] for name, values in columns.items()})

    def _total(self, values: ArrayLike) -> Estimate:
        mean, error = self.mean_of(values)
        return self.size * mean, self.size * error


def in_words(estimate: Estimate) -> str:
    """A mean with its standard error, which a few probes determine to one digit; an exact value
    has none.

    >>> in_words((np.array(12.345), np.array(0.42)))
    '12.3 ± 0.4'
    """
    mean, error = (float(part) for part in estimate)
    if not error > 0:
        return f"{mean:.4g}"
    digits = -math.floor(math.log10(error))
    shown = max(0, digits)
    return f"{round(mean, digits):,.{shown}f} ± {round(error, digits):,.{shown}f}"


@dataclass(frozen=True)
class SpectrumAxis:
    """Where spectra are drawn together: the same grid and the same width for all.

    Attributes:
        grid: eigenvalues lambda (n,).
        width: standard deviation of the Gaussian that an eigenvalue is drawn as.
    """

    grid: Array
    width: float

    @classmethod
    def around(cls, spectra: Sequence[Spectrum], marks: Iterable[float] = ()) -> SpectrumAxis:
        """Return an axis over these spectra and those `marks` that lie near them: one far away
        would leave the spectra no room."""
        low, high = min(s.lowest for s in spectra), max(s.highest for s in spectra)
        radius = max(s.radius for s in spectra) or 1.0
        # half the radius, so that eigenvalues that (nearly) coincide are not drawn as needles
        width = RESOLUTION * max(high - low, radius / 2)
        near = [mark for mark in marks if abs(mark) <= NEAR * radius]
        low, high = min([low, *near]), max([high, *near])
        start, end = low - 5 * width, high + 5 * width  # the Gaussian of an outlier ends there
        return cls(np.linspace(start, end, math.ceil(FINENESS * (end - start) / width)), width)

    def holds(self, mark: float) -> bool:
        """Whether `mark` lies on the axis."""
        return bool(self.grid[0] <= mark <= self.grid[-1])

    def heights(self, spectrum: Spectrum) -> Estimate:
        """Return the density in units of one eigenvalue's peak, and its standard error: a separate
        eigenvalue is 1 high, k at one place are k high."""
        peak = 1 / (self.width * math.sqrt(2 * math.pi))
        mean, error = spectrum.density(self.grid, self.width)
        return mean / peak, error / peak
