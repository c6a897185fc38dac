"""SharpnessTracker: the leading Hessian eigenvalues along a run, for about two products a step.

`docs/tracker.md` says how it works, and what it rests on. A measurement extrapolates the projected
Hessian of the last one (`hessian_model`), multiplies the vector that leads by it, and goes on as
`expansion` says, with a model for each parity of the steps (`parity`). Where a model was wrong by
`TrackerSettings.invalid` or more, and at first, a block search (Davidson) starts from its leading
vectors, the sum of the others, and noise.

The value is the largest Ritz value of what was multiplied in this measurement: a Rayleigh quotient
of H at this w, never above the operator norm. The model only decides what to multiply.

Limitations, counted in `benchmarks/README.md`: the model can't see an eigenvector from outside the
basis that overtakes at once. Probes find it, some ten measurements later or more; until then it is
low, and counts as converged. Within the basis, one that moves at many times the drift can be late:
where six move at random by .7 % each time, 2 % of the measurements are low, by up to 2 %. Where
more lie near the top than the basis has room for, it says that it has not converged.

Sources: Davidson, J. Comput. Phys. 17, 1975; Wu and Simon (thick-restart Lanczos), SIMAX 22, 2000.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from samedge_core.curvature import bounds
from samedge_core.curvature import hessian_model as hm
from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.curvature.expansion import next_direction
from samedge_core.curvature.hessian_model import HessianModel, as_vector
from samedge_core.curvature.operator import HessianOperator, LinearOperator
from samedge_core.curvature.parity import Parity, absorb, root_of
from samedge_core.curvature.settings import MEASURED, TrackerSettings

VERSION = 6  # of `state`

MORE, DONE, STOPPED = range(3)  # of `go_on`

compiled = njit(cache=True)


@compiled
def go_on(m, carried, constants, top_k, cap):
    """Absorb the newest Hessian-vector product and choose the next direction; returns MORE, DONE,
    or STOPPED where the cap is reached, the model is invalid, or a product is not finite. Arguments
    as in `parity`; `top_k` and `cap` are integers."""
    settings = constants[0]
    absorb(m, carried, settings)
    if not m.counts[0].finite or carried.state[0].invalid:
        return STOPPED
    if not next_direction(m, carried, settings, top_k):
        return DONE
    if m.counts[0].products >= cap:
        return STOPPED
    hm.write_direction(m)
    return MORE


class SharpnessTracker:
    """Follows the leading `top_k` eigenpairs of a symmetric operator from one w to the next.

    >>> a = torch.diag(torch.tensor([1.0, -5.0, 3.0], dtype=torch.float64))
    >>> h = HessianOperator(lambda w: 0.5 * w @ a @ w, torch.ones(3, dtype=torch.float64))
    >>> round(SharpnessTracker(seed=0).measure(h).value, 12)
    -5.0
    """

    def __init__(
        self,
        *,
        top_k: int = 1,
        seed: int = 0,
        cap: int | None = None,
        settings: TrackerSettings = MEASURED,
    ) -> None:
        """`cap` is the most products one measurement may use (default 30, and 10 for each further
        eigenvalue; twice that for a cold start)."""
        if top_k < 1:
            raise ValueError(f"top_k must be >= 1, got {top_k}")
        self._top_k, self._settings = top_k, settings
        self._cap = cap or 30 + 10 * (top_k - 1)
        self._kept = max(settings.kept, top_k + settings.further)
        self._room = max(self._kept, settings.kept + settings.further) + settings.slack + self._cap
        self._generator = torch.Generator().manual_seed(seed)
        self._parities: dict[int, Parity] = {}
        self._measured = 0

    def measure(self, operator: LinearOperator, *, step: int | None = None) -> EigenEstimate:
        """The leading eigenpairs of `operator`; NaN and not converged when it is not finite.

        `step` gives the parity; by default, each measurement is a step.
        """
        began = time.perf_counter()
        parity = (self._measured if step is None else step) % 2
        self._measured += 1
        known, spent = self._parities.get(parity) or self._other_parity(), 0
        if known is None:
            known, converged = self._search(operator, [self._noise(operator) for _ in range(2)])
        else:
            converged = self._follow(operator, known)
            if known.invalid:
                spent = known.model.counts["products"][0]
                starts = [*known.starts(), self._noise(operator)]
                known, converged = self._search(operator, starts)
        products = int(spent + known.model.counts["products"][0])
        if not known.model.counts["finite"][0]:
            self._parities = {}
            return self._nothing(operator, products, began)
        pairs, found = known.end(self._noise, self._kept, min(self._top_k, operator.size))
        converged = converged and not pairs.crowded
        if len(known.model.basis) != min(self._room, operator.size):  # of a search
            known = Parity.restore(known.state(), self._room, self._settings)
        self._parities[parity] = known
        if other := self._parities.get(1 - parity):
            other.take_hints(found, known.root)
        vectors = pairs.vectors.to(operator.device)
        seconds = time.perf_counter() - began
        return EigenEstimate(*pairs[:2], vectors, converged, products, seconds)

    def state(self) -> dict[str, Any]:
        """What `restore` needs: tensors and numbers only, in main memory."""
        return {
            "generator": self._generator.get_state(),
            "version": VERSION,
            "measured": self._measured,
            # the name that stored runs have
            "phases": {str(parity): known.state() for parity, known in self._parities.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue as if every earlier measurement had been made here."""
        self._generator.set_state(state["generator"])
        self._measured = state["measured"]
        # of an earlier version, nothing is carried on: the next measurement is a cold one
        stored = state["phases"] if state.get("version") == VERSION else {}
        self._parities = {
            int(parity): Parity.restore(part, self._room, self._settings)
            for parity, part in stored.items()
        }

    def _follow(self, operator: LinearOperator, known: Parity) -> bool:
        """Multiply what the model asks for; has it converged?"""
        known.begin(operator, self._noise)
        asked = STOPPED if known.invalid else MORE
        while asked == MORE:
            hm.apply(known.model, operator)
            asked = go_on(known.model, known.carried, known.constants, self._top_k, self._cap)
        return asked == DONE

    def _search(self, operator: LinearOperator, starts: Sequence[Tensor]) -> tuple[Parity, bool]:
        """Search without a model, from a block of start vectors expanded by residuals; has it
        converged?"""
        m, queue, settings = hm.new_model(2 * self._cap, starts[0]), list(starts), self._settings
        while m.counts[0].finite and m.counts[0].dimension < len(m.basis):
            pair = None if queue else self._unfinished(m)
            if not queue and pair is None and m.counts[0].products >= settings.search_least:
                break
            z = as_vector(queue.pop(0)) if queue else self._expansion(m, pair)
            # where nothing is new, what is left to find lies elsewhere
            if not hm.append(m, z) and not hm.append(m, as_vector(self._noise(operator))):
                break
            hm.write_direction(m)
            hm.apply(m, operator)
            hm.absorb(m, settings.learned, settings.lasting)
        unfinished = self._unfinished(m) if m.counts[0].finite else 0
        converged = unfinished is None or unfinished >= min(self._top_k, operator.size)
        known = Parity(m, settings)
        known.root = root_of(operator)
        return known, converged

    def _unfinished(self, m: HessianModel) -> int | None:
        """The first pair whose residual is above its tolerance."""
        settings, room = self._settings, len(m.basis)
        wanted = min(self._top_k, room)
        outside = bounds.residual_bounds(m)  # all of the basis is multiplied: nothing is inside
        for i in range(min(max(wanted, settings.search_pairs), room)):
            share = settings.search_residual if i < wanted else settings.search_residual_further
            if i >= m.counts[0].products:
                return i
            # no pass over P; rounding hides a third of this share from it in single precision
            if i >= wanted and outside[i] < 0.5 * share * abs(m.ritz[0]):
                continue
            bounds.residual(m, i)
            if m.residual_norms[i] > share * abs(m.ritz[0]):
                return i
        return None

    def _expansion(self, m: HessianModel, pair: int | None) -> hm.Vectors:
        """The vector by which a search goes on: the residual of this pair or, when all are
        finished, of that which may rise highest."""
        products = m.counts[0].products
        if pair is None:
            for i in range(products):
                bounds.residual(m, i)
            pair = int(np.argmax(np.abs(m.ritz[:products]) + m.residual_norms[:products]))
        # all of the basis is multiplied, so that residuals lie outside of it
        pair = min(pair, products - 1)
        bounds.residual(m, pair)
        found = m.residuals[pair]
        return np.zeros_like(found) if m.residual_outside[pair] == 0 else found

    def _other_parity(self) -> Parity | None:
        """A copy of what is known of the other parity, as a first guess for this one."""
        other = next(iter(self._parities.values()), None)
        return other and Parity.restore(other.state(), self._room, self._settings)

    def _noise(self, operator: LinearOperator) -> Tensor:
        noise = torch.randn(operator.size, generator=self._generator, dtype=operator.dtype)
        return noise / noise.norm()

    def _nothing(self, operator: LinearOperator, products: int, began: float) -> EigenEstimate:
        unknown = np.full(min(self._top_k, operator.size), np.nan)
        none = torch.empty(0, operator.size, dtype=operator.dtype)
        return EigenEstimate(unknown, unknown, none, False, products, time.perf_counter() - began)


def sharpness(
    loss: Callable[[Tensor], Tensor], w: Tensor, *, top_k: int = 1, seed: int = 0
) -> EigenEstimate:
    """Return the leading Hessian eigenvalues of `loss` at w, found from random starts.

    Args:
        loss: any function of a vector (P,) with a scalar value, differentiable twice.
        w: where, (P,), float32 or float64; not changed. Computed in its precision, on its device.
        top_k: how many eigenvalues, largest magnitude first; all of them where P is smaller.
        seed: of the random starts; no global generator is read or moved.

    Returns:
        Signed `values` and `residuals` (k,), `vectors` (k, P), whether they `converged`, and the
        Hessian-vector products used. Where a product is not finite the value is NaN, unconverged.

    Cost: 1.15 gradients, then at most 60 + 20 (top_k - 1) Hessian-vector products of 1.2 to 2
    gradients each (31 for the digits network, P = 17,610, top_k = 1); in memory twice as many
    vectors (P,), and the graph of one gradient.

    Raises:
        TypeError: w, or what `loss` returns, is no tensor.
        ValueError: w is no vector of P >= 1 such numbers, `loss` returns no scalar, or top_k < 1.

    Source: Davidson, J. Comput. Phys. 17, 1975 (block version); the bound by the residual:
    Parlett, The Symmetric Eigenvalue Problem, 1998, theorem 4.5.1.

    The quartic sum of w_i^4 has the Hessian diag(12 w_i^2):

    >>> estimate = sharpness(lambda w: (w**4).sum(), torch.tensor([1.0, 2.0, -0.5]), top_k=2)
    >>> estimate.values.round(4).tolist()
    [48.0, 12.0]
    """
    operator = HessianOperator(loss, w)
    if w.dtype not in (torch.float32, torch.float64):
        kind = str(w.dtype).removeprefix("torch.")
        raise ValueError(f"w must be float32 or float64, got {kind}: call w.float() first")
    return SharpnessTracker(top_k=top_k, seed=seed).measure(operator)
