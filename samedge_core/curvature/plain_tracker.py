"""PlainTracker: the leading Hessian eigenvalues along a run, without anything that is compiled.

A warm-started block Davidson method without preconditioner, that is a Lanczos process from several
start vectors: the leading Ritz vectors of two steps before, and noise. The basis grows along the
residual of the first pair that has not converged. Each of its vectors is multiplied by H at this w,
so all values are Rayleigh quotients of that H. A measurement takes about ten products where
`SharpnessTracker` takes two; runs that start before that is compiled use it.

Source: Davidson, J. Comput. Phys. 17, 1975.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.curvature.operator import LinearOperator

TOLERANCE = 1e-3  # of residuals, relative to the sharpness: an eigenvalue lies within
FURTHER = 2  # Ritz vectors kept beyond those asked for: the next to lead
PROBES = 2  # least products beyond the start vectors: finds in time what would lead next
COLD = 20  # least products of a first search: directions missing in the start appear late
TINY = 100  # units of rounding: a vector with less outside the basis adds nothing


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
        least, cap = (COLD, 2 * self._cap) if known is None else (len(starts) + PROBES, self._cap)
        size = operator.size
        cap = min(cap, size)
        wanted, watched = min(self._top_k, size), min(self._top_k + FURTHER, size)
        search = _Search(operator, cap, watched)
        while search.finite and search.products < cap:
            if starts:
                z = starts.pop(0)
            else:
                pair = search.unfinished(wanted)
                if pair is None and search.products >= least:
                    break
                pair = search.unfinished(watched) if pair is None else pair
                z = search.residuals[pair or 0]
            # a residual inside the basis is rounding: the remaining directions lie elsewhere
            if not (search.expand(z) or search.expand(self._noise(operator))):
                break
        converged = search.finite and search.unfinished(wanted) is None
        if search.finite:
            self._kept[parity] = search.vectors.cpu()
            values, errors, vectors = search.values, search.errors, search.vectors
        else:
            self._kept = {}
            values = errors = np.full(wanted, np.nan)
            vectors = torch.empty(0, size)
        found = (values[:wanted], errors[:wanted], vectors[:wanted], converged)
        return EigenEstimate(*found, search.products, time.perf_counter() - began)

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
    """An orthonormal basis B whose products with H are known, and the leading eigenpairs of
    B H B^T.

    Attributes:
        products: Hessian-vector products taken, the size of the basis.
        finite: whether all of them were.
        values, vectors: at most `most` Ritz values (k,), largest magnitude first, and vectors
            (k, P).
        residuals, errors: H x - theta x of each pair (k, P), and its norm (k,).
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    vectors: Tensor
    residuals: Tensor

    def __init__(self, operator: LinearOperator, room: int, most: int) -> None:
        self._operator, self._most = operator, most
        shape = (room, operator.size)
        self._basis = torch.empty(shape, dtype=operator.dtype, device=operator.device)
        self._images = torch.empty_like(self._basis)
        self._projected = np.zeros((room, room))
        self.products, self.finite = 0, True

    def expand(self, z: Tensor) -> bool:
        """Append the part of `z` (P,) outside the basis; False where that is rounding only."""
        n, size = self.products, z.norm()
        for _ in range(2):  # once leaves rounding errors of the size of what was subtracted
            z = z - self._basis[:n].T @ (self._basis[:n] @ z)
        if not z.norm() > TINY * torch.finfo(z.dtype).eps * size:
            return False
        self._basis[n] = z / z.norm()
        self._images[n] = self._operator.matvec(self._basis[n])
        self.products = n = n + 1
        basis, images, projected = self._basis[:n], self._images[:n], self._projected[:n, :n]
        projected[-1] = projected[:, -1] = (basis @ images[-1]).cpu().double().numpy()
        self.finite = bool(np.isfinite(projected[-1]).all())
        if self.finite:
            values, pairs = np.linalg.eigh(projected)
            leading = np.argsort(-np.abs(values), kind="stable")[: self._most]
            mix = torch.from_numpy(pairs.T[leading]).to(basis)
            self.values, self.vectors = values[leading], mix @ basis
            self.residuals = mix @ images
            self.residuals -= torch.from_numpy(self.values).to(basis)[:, None] * self.vectors
            self.errors = self.residuals.norm(dim=1).cpu().double().numpy()
        return True

    def unfinished(self, wanted: int) -> int | None:
        """The first of the `wanted` pairs whose residual is above the tolerance, else None; the
        last pair where the basis has fewer."""
        above = np.flatnonzero(self.errors[:wanted] > TOLERANCE * abs(self.values[0]))
        if len(above):
            return int(above[0])
        return len(self.values) - 1 if len(self.values) < wanted else None
