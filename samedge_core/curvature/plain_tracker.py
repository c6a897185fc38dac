"""PlainTracker: the leading Hessian eigenvalues along a run, without anything that is compiled.

A warm-started block Davidson method without preconditioner: from the leading Ritz vectors of two
steps before and some noise, the basis grows along the residual of the first pair that has not
converged, which makes it a Lanczos process. Each vector of the basis is multiplied by H at this w,
so that all values are Rayleigh quotients of it. It takes some ten products where `SharpnessTracker`
takes two, and stands in for it while that is being compiled.

Source: Davidson, J. Comput. Phys. 17, 1975.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.curvature.operator import LinearOperator

TOLERANCE = 1e-3  # of residuals, relative to the sharpness: so near an eigenvalue lies at least
FURTHER = 2  # Ritz vectors carried on beyond those asked for: the next leaders
PROBES = 2  # products at least beyond the start vectors: what would lead next is found in time
COLD = 20  # products of a first search at least: what lacks in the start vectors is found late
TINY = 100  # units of rounding: what is left of a vector in the basis


class PlainTracker:
    """Follows the leading `top_k` eigenpairs from one w to the next, as `SharpnessTracker` does.

    >>> from samedge_core.curvature.operator import HessianOperator
    >>> a = torch.diag(torch.tensor([1.0, -5.0, 3.0], dtype=torch.float64))
    >>> h = HessianOperator(lambda w: 0.5 * w @ a @ w, torch.ones(3, dtype=torch.float64))
    >>> round(PlainTracker(seed=0).measure(h).value, 12)
    -5.0
    """

    def __init__(self, *, top_k: int = 1, seed: int = 0, cap: int | None = None) -> None:
        """`cap` is the most products one measurement may use (default 30, and 10 for each further
        eigenvalue; twice that for a cold start)."""
        if top_k < 1:
            raise ValueError(f"top_k must be >= 1, got {top_k}")
        self._top_k = top_k
        self._cap = cap or 30 + 10 * (top_k - 1)
        self._generator = torch.Generator().manual_seed(seed)
        self._kept: dict[int, Tensor] = {}  # by parity: Ritz vectors as rows
        self._measured = 0

    def measure(self, operator: LinearOperator, *, step: int | None = None) -> EigenEstimate:
        """The leading eigenpairs of `operator`; NaN and not converged when it is not finite.

        At the edge the iterates hop with period 2: `step` tells the parity; by default, each
        measurement is a step.
        """
        began = time.perf_counter()
        parity = (self._measured if step is None else step) % 2
        self._measured += 1
        known = self._kept.get(parity, self._kept.get(1 - parity))
        starts = [] if known is None else list(known.to(operator.device))
        starts.append(self._noise(operator))
        least, cap = COLD, 2 * self._cap
        if known is not None:
            least, cap = len(starts) + PROBES, self._cap
        search = _Search(operator, min(cap, operator.size))
        wanted = min(self._top_k, operator.size)
        watched = min(wanted + FURTHER, operator.size)
        while not search.full:
            pair = search.unfinished(wanted)
            if not starts and pair is None:
                if search.products >= least:
                    break
                pair = search.unfinished(watched)
            z = starts.pop(0) if starts else search.residual(pair or 0)
            # where there is nothing new, what is left to see lies elsewhere
            if not (search.expand(z) or search.expand(self._noise(operator))) or not search.finite:
                break
        if not search.finite:
            self._kept = {}
            nothing, none = np.full(wanted, np.nan), torch.empty(0, operator.size)
            seconds = time.perf_counter() - began
            return EigenEstimate(nothing, nothing, none, False, search.products, seconds)
        vectors = search.vectors(watched)
        self._kept[parity] = vectors.cpu()
        residuals = np.array([float(search.residual(i).norm()) for i in range(wanted)])
        converged = search.unfinished(wanted) is None
        seconds = time.perf_counter() - began
        values = search.values[:wanted]
        return EigenEstimate(
            values, residuals, vectors[:wanted], converged, search.products, seconds
        )

    def state(self) -> dict[str, Any]:
        """What `restore` needs: tensors and numbers only, in main memory."""
        kept = {str(parity): vectors for parity, vectors in self._kept.items()}
        noise = self._generator.get_state()
        return {"generator": noise, "measured": self._measured, "plain": kept}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue as if every earlier measurement had been made here.

        Raises:
            KeyError: the state is a SharpnessTracker's.
        """
        self._kept = {int(parity): vectors for parity, vectors in state["plain"].items()}
        self._generator.set_state(state["generator"])
        self._measured = state["measured"]

    def _noise(self, operator: LinearOperator) -> Tensor:
        noise = torch.randn(operator.size, generator=self._generator, dtype=operator.dtype)
        return noise.to(operator.device)


class _Search:
    """A basis B whose vectors were all multiplied, and the eigenpairs of B H B^T.

    Attributes:
        values: Ritz values, largest magnitude first.
        products: Hessian-vector products taken, the size of the basis.
        finite: whether all of these were.
    """

    def __init__(self, operator: LinearOperator, room: int) -> None:
        self._operator = operator
        self._room = room
        shape = (room, operator.size)
        self._basis = torch.empty(shape, dtype=operator.dtype, device=operator.device)
        self._images = torch.empty_like(self._basis)
        self._projected = np.zeros((room, room))
        self.values, self._pairs = np.empty(0), np.empty((0, 0))
        self.products, self.finite = 0, True

    @property
    def full(self) -> bool:
        """Whether no further product may be taken."""
        return self.products == self._room

    def expand(self, z: Tensor) -> bool:
        """Multiply what `z` has outside the basis; whether there was anything."""
        n = self.products
        basis, size = self._basis[:n], z.norm()
        for _ in range(2):  # once leaves rounding errors of the size of what was taken off
            z = z - basis.T @ (basis @ z)
        if not z.norm() > TINY * torch.finfo(z.dtype).eps * size:
            return False
        self._basis[n] = z / z.norm()
        self._images[n] = self._operator.matvec(self._basis[n])
        row = (self._basis[: n + 1] @ self._images[n]).cpu().double().numpy()
        self.products, self.finite = n + 1, bool(np.isfinite(row).all())
        if self.finite:
            self._projected[n, : n + 1] = self._projected[: n + 1, n] = row
            values, pairs = np.linalg.eigh(self._projected[: n + 1, : n + 1])
            order = np.argsort(-np.abs(values), kind="stable")
            self.values, self._pairs = values[order], pairs[:, order]
        return True

    def unfinished(self, wanted: int) -> int | None:
        """The first of the pairs that are wanted whose residual is above the tolerance."""
        for i in range(wanted):
            if i >= self.products:
                return i
            if float(self.residual(i).norm()) > TOLERANCE * abs(self.values[0]):
                return i
        return None

    def residual(self, i: int) -> Tensor:
        """H x - theta x of a Ritz pair (P,)."""
        i = min(i, self.products - 1)
        mix, n = self._mix(i), self.products
        return mix @ self._images[:n] - self.values[i] * (mix @ self._basis[:n])

    def vectors(self, most: int) -> Tensor:
        """The leading Ritz vectors as rows."""
        return self._mix(slice(most)).T @ self._basis[: self.products]

    def _mix(self, which: int | slice) -> Tensor:
        mix = np.ascontiguousarray(self._pairs[:, which])
        return torch.from_numpy(mix).to(self._basis.device, self._basis.dtype)
