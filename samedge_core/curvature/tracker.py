"""SharpnessTracker: the leading Hessian eigenvalues along a run, from a subspace carried along.

Each measurement is a Rayleigh-Ritz search: start from the leading Ritz vectors of an earlier one,
expand by the residual of the pair that is furthest from done, stop on the residuals. From a single
random vector this is Lanczos, which is how the first measurement starts.

Why this algorithm (measured on consecutive SAM steps on digits, P = 17,610, where four eigenvalues
lie within 2 %; `benchmarks/preset_accuracy.py` repeats whole runs):

- A *block* of vectors is carried. Lanczos warm-started from one mix of them needs 9.5 products
  there and takes, now and then, the second eigenvalue for the first (error up to 4e-3); the block
  needs 7.2 and is within 1e-4, since a crossing inside the block can't be missed.
- The block is that of the measurement *before last*: at the edge the iterates hop with period 2,
  and v1 overlaps 0.99 with v1 of two steps ago, but at a ReLU kink only 0.1 with the last one.
- Four products at least go outside the block, along the largest residual and with some noise, so
  that a new leading eigenvector is seen when it comes from there.
- It stops on residuals: rules that stop on the change between iterates read 3-7 % low here.

Limitations: |theta| is a lower bound of the operator norm, so that errors are one-sided. An
eigenvector that overtakes at once and is orthogonal to the block can be missed for a step.

Source: Davidson, J. Comput. Phys. 17, 1975; Wu and Simon (thick-restart Lanczos), SIMAX 22, 2000.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samedge_core.curvature.operator import HessianOperator

__all__ = ["EigenEstimate", "LinearOperator", "SharpnessTracker", "sharpness"]

WARM_TOLERANCE, COLD_TOLERANCE = 3e-3, 1e-4  # of a residual, relative to the sharpness
CARRIED = 3  # Ritz vectors kept, at least
OUTSIDE = 4  # products spent outside the carried block, at least
COLD_MINIMUM = 20
ROUNDING = 100  # residuals below this many units of rounding hold no direction
NOISE = 0.1  # share of noise in an expansion of the carried block


class LinearOperator(Protocol):
    """A symmetric linear map on vectors of length `size`, of this dtype and on this device."""

    size: int
    dtype: torch.dtype
    device: torch.device

    def matvec(self, v: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class EigenEstimate:
    """Leading eigenpairs, largest magnitude first.

    Attributes:
        values: signed eigenvalues (k,), k = min(top_k, P).
        residuals: ||H v - theta v|| of each pair (k,): an eigenvalue lies within this distance.
        vectors: orthonormal Ritz vectors (at least k, P) as rows.
        converged: every one of the k residuals met the tolerance before the cap.
        products: Hessian-vector products used.
        seconds: wall time that took; the one figure here that no replay repeats.
    """

    values: NDArray[np.float64]
    residuals: NDArray[np.float64]
    vectors: Tensor
    converged: bool
    products: int
    seconds: float = 0.0

    @property
    def value(self) -> float:
        """The signed eigenvalue of largest magnitude."""
        return float(self.values[0])

    @property
    def sharpness(self) -> float:
        """The operator norm |lambda_1|, what the paper plots."""
        return abs(self.value)

    @property
    def residual(self) -> float:
        """Residual of the leading pair."""
        return float(self.residuals[0])


class SharpnessTracker:
    """Follows the leading `top_k` eigenpairs from one w to the next.

    >>> a = torch.diag(torch.tensor([1.0, -5.0, 3.0], dtype=torch.float64))
    >>> h = HessianOperator(lambda w: 0.5 * w @ a @ w, torch.ones(3, dtype=torch.float64))
    >>> round(SharpnessTracker(seed=0).measure(h).value, 12)
    -5.0
    """

    def __init__(self, *, top_k: int = 1, seed: int = 0, cap: int | None = None) -> None:
        """`cap` is the most products one measurement may use (default 30, and 10 for each further
        eigenvalue; twice that for a cold start)."""
        if top_k < 1:
            raise ValueError(f"top_k must be >= 1, got {top_k}")
        self._top_k = top_k
        self._carried = max(CARRIED, top_k + 1)
        self._cap = cap or 30 + 10 * (top_k - 1)
        self._generator = torch.Generator().manual_seed(seed)
        self._blocks: list[Tensor] = []  # Ritz vectors (carried, P) of the last two measurements

    def measure(self, operator: LinearOperator) -> EigenEstimate:
        """The leading eigenpairs of `operator`; NaN and not converged when it is not finite."""
        began = time.perf_counter()
        cold = not self._blocks
        search = _Search(operator, cap=2 * self._cap if cold else self._cap)
        for vector in [self._noise(operator)] if cold else self._blocks[0].to(operator.device):
            search.expand(vector)
        minimum = COLD_MINIMUM if cold else search.used + OUTSIDE
        tolerance = COLD_TOLERANCE if cold else WARM_TOLERANCE
        wanted = min(self._top_k, operator.size)
        while True:
            values, residuals = search.values, search.residuals
            missing = residuals[:wanted] > tolerance * np.abs(values[:1])
            converged = search.finite and len(values) >= wanted and not np.any(missing)
            if search.full or not search.finite or (converged and search.used >= minimum):
                break
            # unfinished pairs first; then where the block knows least
            pair = np.argmax(missing) if np.any(missing) else np.argmax(residuals)
            search.expand(self._direction(search, int(pair), cold=cold))
        vectors = search.vectors(self._carried) if search.finite else torch.empty(0, operator.size)
        self._blocks = [*self._blocks[-1:], vectors] if search.finite else []
        return EigenEstimate(
            _padded(values[:wanted], wanted),
            _padded(residuals[:wanted], wanted),
            vectors,
            converged,
            search.used,
            time.perf_counter() - began,
        )

    def state(self) -> dict[str, Any]:
        """What `restore` needs: tensors only, in main memory."""
        blocks = [block.cpu() for block in self._blocks]
        return {"generator": self._generator.get_state(), "blocks": blocks}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue as if every earlier measurement had been made here."""
        self._generator.set_state(state["generator"])
        self._blocks = list(state["blocks"])

    def _direction(self, search: _Search, pair: int, *, cold: bool) -> Tensor:
        """Where to expand: along the residual of `pair`, with noise where the block was carried."""
        noise = self._noise(search.operator)
        size = search.residuals[pair]
        if size <= ROUNDING * torch.finfo(noise.dtype).eps * abs(search.values[0]):
            return noise  # this pair is exact: what is left to see lies elsewhere
        return search.residual(pair) / size + (0.0 if cold else NOISE) * noise

    def _noise(self, operator: LinearOperator) -> Tensor:
        # drawn in main memory, so that a seed gives the same noise on every device
        noise = torch.randn(operator.size, generator=self._generator, dtype=operator.dtype)
        return (noise / noise.norm()).to(operator.device)


class _Search:
    """Rayleigh-Ritz in a growing subspace: an orthonormal basis S, H S, and S^T H S.

    Attributes:
        values: Ritz values theta by magnitude, (used,).
        residuals: ||H x - theta x|| of each pair, (used,).
        used: products so far.
        finite: no product has overflowed; values and residuals are NaN otherwise.
    """

    def __init__(self, operator: LinearOperator, *, cap: int) -> None:
        self.operator = operator
        self._cap = min(cap, operator.size)
        self._basis = torch.empty(
            self._cap, operator.size, dtype=operator.dtype, device=operator.device
        )
        self._images = torch.empty_like(self._basis)
        self._projected = np.zeros((self._cap, self._cap))
        self.values = self.residuals = np.empty(0)
        self.used = 0
        self.finite = True

    @property
    def full(self) -> bool:
        return self.used == self._cap

    def expand(self, direction: Tensor) -> None:
        """Add what of `direction` is new to the basis; one product. No more than the cap fit."""
        if self.full:
            return
        j, known = self.used, self._basis[: self.used]
        v = direction
        for _ in range(3):  # rounding errors bring back copies of found pairs otherwise
            v = v / v.norm()
            v = v - known.T @ (known @ v)
        self._basis[j] = v / v.norm()
        self._images[j] = self.operator.matvec(self._basis[j])
        self.used = j + 1
        column = (self._basis[: self.used] @ self._images[j]).cpu().double().numpy()
        self._projected[j, : self.used] = self._projected[: self.used, j] = column
        self.finite = bool(np.isfinite(column).all())
        if self.finite:
            self._solve()
        else:
            self.values = self.residuals = np.full(self.used, np.nan)

    def _solve(self) -> None:
        values, coefficients = np.linalg.eigh(self._projected[: self.used, : self.used])
        order = np.argsort(-np.abs(values), kind="stable")
        self.values = values[order]
        self._coefficients = self._tensor(coefficients[:, order].T)  # a pair a row
        differences = self._coefficients @ self._images[: self.used]
        differences -= self._tensor(self.values[:, None]) * self.vectors(self.used)
        self._differences = differences  # H x - theta x, (used, P)
        self.residuals = differences.norm(dim=1).cpu().double().numpy()

    def residual(self, pair: int) -> Tensor:
        """H x - theta x of a Ritz pair, shape (P,)."""
        return self._differences[pair]

    def vectors(self, count: int) -> Tensor:
        """The leading `count` Ritz vectors as rows, or as many as there are."""
        return self._coefficients[:count] @ self._basis[: self.used]

    def _tensor(self, array: NDArray[np.float64]) -> Tensor:
        # to the dtype first: not every device has float64
        return torch.from_numpy(array.copy()).to(self.operator.dtype).to(self.operator.device)


def _padded(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    return np.concatenate([values, np.full(length - len(values), np.nan)])


def sharpness(
    loss: Callable[[Tensor], Tensor], w: Tensor, *, top_k: int = 1, seed: int = 0
) -> EigenEstimate:
    """Leading Hessian eigenvalues of any twice differentiable `loss` at w (P,), from a cold start.

    >>> float(round(sharpness(lambda w: (w**2).sum(), torch.ones(4)).sharpness, 5))
    2.0
    """
    return SharpnessTracker(top_k=top_k, seed=seed).measure(HessianOperator(loss, w))
