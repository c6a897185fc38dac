"""SharpnessTracker: the leading Hessian eigenvalues along a run, for about two products a step.

It rests on three facts, measured on runs at the edge (`benchmarks/`; P = 17,610, four eigenvalues
within 2 %). The leading eigenvectors turn within a space of a few dimensions: all but 1e-5 to 5e-4
of v1 lies in the span of the six leading ones of two steps before. What the Hessian does within
that space changes by 0.1 to 2 % in that time. And half of that change, or more, is what it changed
by the time before. So most of it need not be measured again. Carried along are an orthonormal basis
B of some ten vectors, a model T of B H B^T, and the rate at which T changes (`Subspace`). A
measurement

1. carries T on at its rate and multiplies the vector that leads by it. This gives its Rayleigh
   quotient, an exact row of T, by how much T was *off*, and by how much it *moved*;
2. goes on while T, thus corrected, names a leader that was not multiplied;
3. multiplies what an image has outside B, when that may raise its Ritz value by more than `ERROR`
   above the leader's (by the residual squared over the gap to the eigenvalues outside, which is
   learned from what was outside before);
4. is optimistic about the rest: if T was off by as much at every measurement since it was exact,
   or moved by as much where its rate is not learned, could another pair lead by now? If so, what
   of it was not multiplied is. So a crossing within B is not missed, whatever its speed, where
   both move alike, and nothing is paid for pairs that are far below;
5. *looks*, after a search twice and then every fourth time, at the pair that would lead first if
   all had risen at one speed since they were multiplied: while the leader stands still, nothing
   else tells how fast others move. By how much T was off there is remembered for some twenty
   measurements;
6. every fourth time, or as soon as T has moved by 1.5 %, sends a *scout* outside B: what B does not
   hold of the scout's last image, and of the leader's. Over some measurements this is a Lanczos
   process outside B. Without it, an eigenvector that was never in B stays out, and its mixing with
   v1 is invisible: near the top such a mixture has almost no residual;
7. turns the basis where the residuals point, which costs no product.

The value is the largest Ritz value of what was multiplied *now*: a Rayleigh quotient of H at this
w, never above the operator norm. T only decides what to multiply. When it is off by `TOO_FAR_OFF`
or more, it is thrown away, and a block search (Davidson) starts from the three leading vectors,
the sum of the others, and noise; at the first measurement, from noise. What a search leaves out
of the leading vectors is found by scouts only: it finds six.

There is a model for each of two *phases* (`Phase`), since at the edge the iterates hop with period
2: there v1 overlaps 0.99 with v1 of two steps ago, but at a ReLU kink only 0.1 with the last one.
One tells the other what leads or nearly leads; where its own model, not measured lately, has that
far lower, it looks itself.

From one product to the next all of this is compiled, and one call (`go_on`): s are the arrays of a
`Subspace` (`Space`), and p what a `Phase` carries besides (`Carried`).

Limitations: an eigenvector from outside B that overtakes at once is seen when scouts find it, up to
ten measurements later; where more lie near the top than B has room for, later still. Within B, one
that moves at many times the drift can be late: `benchmarks/README.md` counts both.

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

from samedge_core.curvature import model
from samedge_core.curvature import space as sp
from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.curvature.operator import HessianOperator, LinearOperator
from samedge_core.curvature.phase import (
    GAP,
    LACKED,
    LOST,
    MOST_KEPT,
    MOVED,
    OFF,
    SLACK,
    Phase,
    absorb,
    gap,
    look,
    newcomer,
    scout,
)
from samedge_core.curvature.space import FINITE, PRODUCTS, SIZE
from samedge_core.curvature.subspace import Subspace

# relative to the sharpness
ERROR = 4e-4  # what may be missing by the estimates below; 1e-3 is promised
LEAST_GAP = 0.004  # below a further one they lie as far as the last that was kept, or this
KEPT, FURTHER = 8, 2  # basis vectors kept, at least; and at least so many more than are wanted
# of a search without a model: the residuals of what is wanted, and of the other pairs that a model
# starts with, above which two may pass for one, and the second is not found for long
SOUGHT, SOUGHT_FURTHER = 1e-4, 1e-3
SOUGHT_PAIRS, LEAST_SOUGHT = 6, 20  # so many pairs, by at least so many products
VERSION = 5  # of `state`

MORE, NO_MORE, STOPPED = range(3)  # of `go_on`

compiled = njit(cache=True)


@compiled
def go_on(s, p, top_k, cap):
    """Learn what came of the last product, and make the next one ready: is there any? STOPPED where
    it is asked for, but can't be."""
    absorb(s, p)
    if not s.counts[FINITE] or p.numbers[LOST]:
        return STOPPED
    if not (_asked(s, p, top_k) or newcomer(s, p) or look(s, p) or scout(s, p)):
        return NO_MORE
    if s.counts[PRODUCTS] >= cap:
        return STOPPED
    sp.ready(s)
    return MORE


@compiled
def _asked(s, p, top_k):
    """Choose what must be multiplied now; not when all that is asked for is known."""
    size, products = s.counts[SIZE], s.counts[PRODUCTS]
    scale, wanted = abs(s.ritz[0]), min(top_k, size)
    off, moved = p.numbers[OFF] * scale, p.numbers[MOVED] * scale
    values = np.full(wanted, -np.inf)
    for i in range(min(wanted, products)):
        values[i] = abs(s.ritz[i])
    # nothing in the basis may be above what is known, by the model or by optimism
    settled = wanted == 1 and model.stays_below(
        s.stack, size, values[0] + ERROR * scale, off, moved
    )
    if not settled:
        sp.solve(s)
        for i in range(wanted):
            above = abs(s.values[i]) - values[i] > ERROR * scale
            if above and sp.untouched(s, s.pairs[i, :size]):
                return True
    if _lacking(s, p, values[-1], wanted):
        return True
    if settled:
        return False
    optimistic, pairs = model.optimistic(s.stack, size, off, moved)
    for i in range(wanted + 1):
        above = optimistic[i] > values[min(i, wanted - 1)] + ERROR * scale
        if above and sp.untouched(s, pairs[i]):
            return True
    return False


@compiled
def _lacking(s, p, known, wanted):
    """Choose what a Ritz vector has outside the basis, where that may raise it above `known`."""
    scale = abs(s.ritz[0])
    most = model.reach(s.mix, s.outside, s.counts[PRODUCTS])
    for i in range(len(most)):
        margin = max(0.0, known - abs(s.ritz[i])) + ERROR * scale
        level = max(known, abs(s.ritz[i]))  # that it has, or must reach
        below = gap(p) if wanted == 1 else _gap_below(s, level, wanted)
        least = np.sqrt(margin * below * scale)
        if most[i] > least and sp.residual(s, i) > least and sp.grow(s, s.lacks[i]):
            p.numbers[LACKED] = s.counts[PRODUCTS]
            return True
    return False


@compiled
def _gap_below(s, level, wanted):
    """How far, relative to the sharpness, eigenvalues outside the basis lie below this level: far
    down the spectrum they are close. What was new to the basis since it was cut back may lie
    anywhere."""
    scale, kept = abs(s.ritz[0]), max(KEPT, wanted + FURTHER)
    below = level - abs(s.values[min(kept, s.counts[SIZE]) - 1])
    return min(GAP, max(LEAST_GAP, below / scale if scale > 0 else below))


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
        self._cap = cap or 30 + 10 * (top_k - 1)
        self._kept = max(KEPT, top_k + FURTHER)
        self._room = max(self._kept, MOST_KEPT) + SLACK + self._cap
        self._generator = torch.Generator().manual_seed(seed)
        self._phases: dict[int, Phase] = {}
        self._measured = 0

    def measure(self, operator: LinearOperator, *, step: int | None = None) -> EigenEstimate:
        """The leading eigenpairs of `operator`; NaN and not converged when it is not finite.

        `step` tells the phase, by its parity; by default, each measurement is a step.
        """
        began = time.perf_counter()
        phase = (self._measured if step is None else step) % 2
        self._measured += 1
        known, spent = self._phases.get(phase) or self._other_phase(), 0
        if known is None:
            starts = [self._noise(operator) for _ in range(2)]
            known, converged = self._search(operator, starts)
        else:
            converged = self._follow(operator, known)
            if known.lost:
                spent = known.space.products
                starts = [*known.starts(), self._noise(operator)]
                known, converged = self._search(operator, starts)
        space = known.space
        if not space.finite:
            self._phases = {}
            return self._nothing(operator, spent + space.products, began)
        products = spent + space.products
        pairs, found = known.end(self._noise, self._kept, min(self._top_k, operator.size))
        if space.room != min(self._room, operator.size):  # of a search
            known = Phase.restore(known.state(), self._room)
        self._phases[phase] = known
        other = self._phases.get(1 - phase)
        if other:
            other.tell(found)
        vectors = pairs.vectors.to(operator.device)
        seconds = time.perf_counter() - began
        return EigenEstimate(*pairs[:2], vectors, converged, products, seconds)

    def state(self) -> dict[str, Any]:
        """What `restore` needs: tensors and numbers only, in main memory."""
        phases = {str(phase): known.state() for phase, known in self._phases.items()}
        return {
            "generator": self._generator.get_state(),
            "version": VERSION,
            "measured": self._measured,
            "phases": phases,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue as if every earlier measurement had been made here."""
        self._generator.set_state(state["generator"])
        self._measured = state["measured"]
        # of an earlier version, nothing is carried on: the next measurement is a cold one
        phases = state["phases"] if state.get("version") == VERSION else {}
        self._phases = {int(k): Phase.restore(v, self._room) for k, v in phases.items()}

    def _follow(self, operator: LinearOperator, known: Phase) -> bool:
        """Multiply what the model needs, in the order told above; has it converged?"""
        known.begin(operator, self._noise)
        arrays, asked = (known.space.arrays, known.carried), MORE
        while asked == MORE:
            known.space.multiply_next()
            asked = go_on(*arrays, self._top_k, self._cap)
        return asked == NO_MORE

    def _search(self, operator: LinearOperator, starts: Sequence[Tensor]) -> tuple[Phase, bool]:
        """Without a model: a block of start vectors, expanded by residuals; has it converged?"""
        space, queue = Subspace(2 * self._cap, starts[0]), list(starts)
        space.begin(operator)
        while space.finite and not space.full:
            pair = None if queue else self._unfinished(space)
            if not queue and pair is None and space.products >= LEAST_SOUGHT:
                break
            z = queue.pop(0) if queue else self._expansion(space, pair)
            direction = space.grow(z)
            if direction is None:  # nothing new there: what is left to see lies elsewhere
                direction = space.grow(self._noise(operator))
            if direction is None:
                break
            space.multiply(direction)
        unfinished = self._unfinished(space) if space.finite else 0
        converged = unfinished is None or unfinished >= min(self._top_k, operator.size)
        return Phase(space), converged

    def _unfinished(self, space: Subspace) -> int | None:
        """The first pair whose residual is above its tolerance."""
        wanted = min(self._top_k, space.room)
        for i in range(min(max(wanted, SOUGHT_PAIRS), space.room)):
            tolerance = (SOUGHT if i < wanted else SOUGHT_FURTHER) * abs(space.ritz[0])
            if i >= space.products or space.residual(i).norm > tolerance:
                return i
        return None

    def _expansion(self, space: Subspace, pair: int | None) -> Tensor:
        """Where a search goes on: along the residual of this pair or, when all are finished, of
        that which may rise highest."""
        if pair is None:
            reach = [abs(space.ritz[i]) + space.residual(i).norm for i in range(space.products)]
            pair = int(np.argmax(reach))
        # all of the basis is multiplied, so that residuals lie outside of it
        residual = space.residual(min(pair, space.products - 1))
        return torch.zeros_like(residual.vector) if residual.outside == 0 else residual.vector

    def _other_phase(self) -> Phase | None:
        """What is known of the other phase, as a first guess for this one."""
        other = next(iter(self._phases.values()), None)
        return other and Phase.restore(other.state(), self._room)

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
