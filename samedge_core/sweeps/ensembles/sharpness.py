"""The operator norms of many Hessians at once, by a Lanczos process that the residual stops."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

TOLERANCE = 1e-3  # of residuals, relative to the sharpness: an eigenvalue lies within
CHECKED = (4, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 60)  # products; then residuals are known
TINY = 100  # units of rounding: a remainder below spans nothing new


class Point(Protocol):
    """Many w at once, with products of each one's Hessian; see `Networks`, `Losses`."""

    def hvp(self, v: Tensor) -> Tensor: ...
    def select(self, cells: Tensor) -> Point: ...


class Leading(NamedTuple):
    """Of each cell the eigenvalue of largest magnitude (C,) and whether it has converged (C,), in
    main memory; its unit vector (C, P); and the Hessian-vector products that all took together."""

    value: Tensor
    converged: Tensor
    vector: Tensor
    products: int


def leading(point: Point, start: Tensor) -> Leading:
    """Return the leading eigenpair of the Hessian of each cell, from a start vector (C, P) each.

    The residual ||H v - theta v|| of a converged one is at most TOLERANCE |theta|, as the trackers
    promise. All cells take a product together; those that have converged leave. The value is NaN
    where a product was not finite.
    """
    size = start.shape
    value = torch.full(size[:1], torch.nan, dtype=torch.float64)
    converged = torch.zeros(size[0], dtype=torch.bool)
    vector = torch.zeros_like(start)
    cells = torch.arange(size[0])
    if len(cells) == 1:  # never one alone: its products would be rounded in another way
        cells = cells.repeat(2)
        point, start = point.select(cells), start[cells]
    search, products = _Search(point, start), 0
    cap = min(CHECKED[-1], size[1])
    for number in range(1, cap + 1):
        search.expand()
        products += len(cells)
        if number < cap and number not in CHECKED:
            continue
        theta, residual, mix = search.solve()
        done = residual <= TOLERANCE * theta.abs()
        ended = done | theta.isnan() | (number == cap)
        value[cells[ended]], converged[cells[ended]] = theta[ended], done[ended]
        vector[cells[ended]] = search.vectors(mix)[ended]
        going = (~ended).nonzero()[:, 0]
        if not len(going):
            break
        if len(going) < len(cells):
            going = going.repeat(2) if len(going) == 1 else going
            search.keep(going)
            cells = cells[going]
    return Leading(value, converged, vector, products)


class _Search:
    """Orthonormal bases (C, m, P), and the projections of the Hessians on them: tridiagonal, with
    diagonals (C, m) and (C, m), of which the last entry couples to the next vector; in main memory,
    where such small problems are solved faster."""

    def __init__(self, point: Point, start: Tensor) -> None:
        cells, size = start.shape
        self._point, self._count = point, 0
        self._basis = start.new_empty(cells, min(CHECKED[1], size), size)
        self._next = start / start.norm(dim=1, keepdim=True)
        self._diagonals = torch.zeros(2, cells, CHECKED[-1], dtype=torch.float64)

    def expand(self) -> None:
        """Append a vector to each basis, by one product with each Hessian."""
        if self._count == self._basis.shape[1]:
            self._basis = torch.cat([self._basis, torch.empty_like(self._basis)], 1)
        q, n = self._next, self._count
        self._basis[:, n] = q
        self._count = n + 1
        basis = self._basis[:, : n + 1]
        image = self._point.hvp(q)
        within = torch.bmm(basis, image[:, :, None])  # of all, and so none comes a second time
        beyond = torch.baddbmm(image[:, None], within.mT, basis, alpha=-1)[:, 0]
        beta, rounding = beyond.norm(dim=1), TINY * torch.finfo(q.dtype).eps
        # a basis that holds all that H makes of it is followed by zeros
        beta = torch.where(beta <= rounding * image.norm(dim=1), 0, beta)
        self._next = torch.where(beta[:, None] == 0, 0, beyond / beta[:, None])
        self._diagonals[0, :, n], self._diagonals[1, :, n] = within[:, n, 0], beta

    def solve(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of each cell the Ritz value of largest magnitude (C,), its residual (C,), and the
        vector's coordinates in the basis (C, m); NaN where a product was not finite."""
        diagonal, coupling = self._diagonals[:, :, : self._count]
        bad = ~(diagonal + coupling).isfinite().all(1)
        projected = torch.diag_embed(diagonal) + torch.diag_embed(coupling[:, :-1], -1)
        projected[bad] = 0  # LAPACK refuses what is not finite
        values, mixes = torch.linalg.eigh(projected)
        values[bad] = torch.nan
        first = values.abs().argmax(1)
        each = torch.arange(len(first))
        theta, mix = values[each, first], mixes[each, :, first]
        return theta, coupling[:, -1] * mix[:, -1].abs(), mix

    def vectors(self, mix: Tensor) -> Tensor:
        """The vectors (C, P) with these coordinates."""
        return torch.bmm(mix[:, None].to(self._basis), self._basis[:, : self._count])[:, 0]

    def keep(self, cells: Tensor) -> None:
        """Go on with these cells only."""
        self._point, self._next = self._point.select(cells), self._next[cells]
        self._basis, self._diagonals = self._basis[cells], self._diagonals[:, cells]
