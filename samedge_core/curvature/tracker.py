"""SharpnessTracker: the leading Hessian eigenvalues along a run, for about two products a step.

It rests on two facts, measured on runs at the edge (`benchmarks/`; P = 17,610, four eigenvalues
within 2 %). The leading eigenvectors turn within a space of a few dimensions: all but 1e-5 to 5e-4
of v1 lies in the span of the six leading ones of two steps before. And what the Hessian does within
that space changes by 0.1 to 2 % in that time. So most of it need not be measured again. Carried
along are an orthonormal basis B of some ten vectors and a model T of B H B^T (`Subspace`). A
measurement

1. multiplies the vector that should lead by T, extrapolated from the last two. This gives its
   Rayleigh quotient, an exact row of T, and by how much T was off: the *drift*;
2. goes on while T, thus corrected, names a leader that was not multiplied;
3. multiplies what an image has outside B, when that may raise its Ritz value by more than `ERROR`
   above the leader's (by the residual squared over the gap to the eigenvalues outside);
4. is optimistic about the rest: if T moved by the drift at every measurement since it was exact,
   could another pair lead by now? If so, what of it was not multiplied is. So a crossing within B
   is not missed, whatever its speed, and nothing is paid for pairs that are far below;
5. every third time, or always when the drift is large, sends a *scout* outside B: what B does not
   hold of the scout's last image, and of the leader's. Over some measurements this is a Lanczos
   process outside B. Without it, an eigenvector that was never in B stays out, and its mixing with
   v1 is invisible: near the top such a mixture has almost no residual;
6. turns the basis where the residuals point, which costs no product.

The value is the largest Ritz value of what was multiplied *now*: a Rayleigh quotient of H at this
w, never above the operator norm. T only decides what to multiply. When it is off by more than
`LOST`, it is thrown away, and a block search (Davidson) starts from the three leading vectors and
the sum of the others; so it is at the first measurement, from noise.

There is a model for each of two *phases*, since at the edge the iterates hop with period 2: there
v1 overlaps 0.99 with v1 of two steps ago, but at a ReLU kink only 0.1 with the last one. One tells
the other what leads or nearly leads; where its own model, not measured lately, has that far lower,
it looks itself.

Limitations: an eigenvector from outside B that overtakes at once is seen when a scout finds it,
some nine measurements later. Within B, one that moves at many times the drift can be late. On
runs that are hard to follow, `benchmarks/misses.py`, this happened at 3 of 9,750 steps.

Sources: Davidson, J. Comput. Phys. 17, 1975; Wu and Simon (thick-restart Lanczos), SIMAX 22, 2000.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from samedge_core.curvature.estimate import EigenEstimate
from samedge_core.curvature.operator import HessianOperator, LinearOperator
from samedge_core.curvature.subspace import Array, Subspace, as_array

__all__ = ["SharpnessTracker", "sharpness"]

# relative to the sharpness
ERROR = 4e-4  # what may be missing by the estimates below; 1e-3 is promised
GAP = 0.1  # eigenvalues outside the basis lie this far below the leading one, or are scouted
LOST = 0.08  # a model that is off by more is none
WARM_TOLERANCE, COLD_TOLERANCE = 3e-3, 1e-4  # of residuals in a search without a model
COLD_FURTHER = 1e-3  # of the other pairs that a model starts with; above it, two may pass for one

KEPT, SLACK = 10, 4  # basis vectors kept, at least, and how many more before it is cut back
STARTS, OUTSIDE = 3, 6  # of a warm search: vectors carried, products outside them at least
COLD_PAIRS, COLD_MINIMUM = 6, 20
SCOUT_MOVED, SCOUT_EVERY = 0.015, 3  # scouts go when the model has moved so far, or so often
CONTENDS = 0.97  # Ritz values above this are told to the other phase ...
# ... which looks itself, if by its model they are so much lower and that is older
DOUBTED, RECENTLY = 0.03, 1.5
NEWCOMER = 0.3  # share of a leader outside the other phase's basis that makes it news there
NOISE = 0.1  # share of noise in a scout or in an expansion of carried vectors
SCOUT_ALONG = 3  # weight of the leader's residual in a scout, against the scout's own image
FOLLOWED = 0.8  # least overlap of two leaders that are extrapolated
CLOSE = 0.8  # Ritz vectors above this are improved by their residuals
RECENT = 0.4  # weight of the newest drift in its running mean
FIRST_DRIFT = 0.01


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
        self._kept = max(KEPT, top_k + 2)
        self._room = self._kept + SLACK + self._cap
        self._generator = torch.Generator().manual_seed(seed)
        self._phases: dict[int, _Phase] = {}
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
            known, converged = self._search(operator, starts, cold=True)
        else:
            converged = self._follow(operator, known)
            if known.lost:
                spent = known.space.products
                starts = [*known.space.vector(known.space.pairs[:STARTS]), known.rest()]
                known, converged = self._search(operator, starts, cold=False)
        space = known.space
        if not space.finite:
            self._phases = {}
            return self._nothing(operator, spent + space.products, began)
        wanted = min(self._top_k, operator.size)
        residuals = np.array([space.residual(i)[2] for i in range(min(wanted, space.products))])
        estimate = EigenEstimate(
            _padded(space.ritz[:wanted], wanted),
            _padded(residuals, wanted),
            space.ritz_vectors(wanted),
            converged,
            spent + space.products,
            time.perf_counter() - began,
        )
        found = _Found.of(space, new=known.new_leader)
        known.end(lambda: self._noise(operator), self._kept)
        if known.space.room != min(self._room, operator.size):  # of a search
            known = _Phase.restore(known.state(), self._room)
        self._phases[phase] = known
        other = self._phases.get(1 - phase)
        if other:
            other.tell(found)
        return estimate

    def state(self) -> dict[str, Any]:
        """What `restore` needs: tensors and numbers only, in main memory."""
        phases = {str(phase): known.state() for phase, known in self._phases.items()}
        return {
            "generator": self._generator.get_state(),
            "measured": self._measured,
            "phases": phases,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue as if every earlier measurement had been made here."""
        self._generator.set_state(state["generator"])
        self._measured = state["measured"]
        self._phases = {int(k): _Phase.restore(v, self._room) for k, v in state["phases"].items()}

    def _follow(self, operator: LinearOperator, known: _Phase) -> bool:
        """Multiply what the model needs, in the order told above; has it converged?"""
        space = known.space
        known.begin(operator, self._noise)
        while space.finite and not known.lost:
            direction = self._next(space, known.drift)
            if direction is None:
                direction = known.newcomer()
            if direction is None:
                direction = known.scouted()
            if direction is None:
                return True
            if space.products >= self._cap:
                return False
            space.multiply(direction)
        return False

    def _next(self, space: Subspace, drift: float) -> Array | None:
        """Coordinates of what must be multiplied now; None when all that is asked for is known."""
        scale, wanted = abs(space.ritz[0]), min(self._top_k, space.size)
        known = _padded(np.abs(space.ritz[:wanted]), wanted, -np.inf)
        for i in np.flatnonzero(np.abs(space.values[:wanted]) - known > ERROR * scale):
            direction = space.untouched(space.pairs[i])
            if direction is not None:
                return direction
        for i in range(space.products):
            # by how much the residual may raise it before it is above what is known
            margin = max(0.0, known[-1] - abs(space.ritz[i])) + ERROR * scale
            least = math.sqrt(margin * GAP * scale)
            if space.outside_at_most(i) > least and space.residual(i)[1] > least:
                direction = space.grow(space.residual(i)[0])
                if direction is not None:
                    return direction
        if wanted == 1 and space.stays_below(known[0] + ERROR * scale, drift * scale):
            return None
        values, pairs = space.optimistic(drift * scale)
        for i in range(wanted + 1):
            if values[i] > known[min(i, wanted - 1)] + ERROR * scale:
                direction = space.untouched(pairs[i])
                if direction is not None:
                    return direction
        return None

    def _search(
        self, operator: LinearOperator, starts: Sequence[Tensor], *, cold: bool
    ) -> tuple[_Phase, bool]:
        """Without a model: a block of start vectors, expanded by residuals; has it converged?"""
        cap = 2 * self._cap if cold else self._cap
        minimum = COLD_MINIMUM if cold else len(starts) + OUTSIDE
        space, queue = Subspace(cap, starts[0]), list(starts)
        space.begin(operator)
        while space.finite and not space.full:
            pair = None if queue else self._unfinished(space, cold=cold)
            if not queue and pair is None and space.products >= minimum:
                break
            z = queue.pop(0) if queue else self._expansion(space, pair, cold=cold)
            direction = space.grow(z)
            if direction is None:  # nothing new there: what is left to see lies elsewhere
                direction = space.grow(self._noise(operator))
            if direction is None:
                break
            space.multiply(direction)
        unfinished = self._unfinished(space, cold=cold) if space.finite else 0
        converged = unfinished is None or unfinished >= min(self._top_k, operator.size)
        return _Phase(space), converged

    def _unfinished(self, space: Subspace, *, cold: bool) -> int | None:
        """The first pair whose residual is above its tolerance."""
        wanted = min(self._top_k, space.room)
        strict = COLD_TOLERANCE if cold else WARM_TOLERANCE
        for i in range(min(max(wanted, COLD_PAIRS), space.room) if cold else wanted):
            tolerance = (strict if i < wanted else COLD_FURTHER) * abs(space.ritz[0])
            if i >= space.products or space.residual(i)[2] > tolerance:
                return i
        return None

    def _expansion(self, space: Subspace, pair: int | None, *, cold: bool) -> Tensor:
        """Where a search goes on: along the residual of this pair or, when all are finished, of
        that which may rise highest; with noise where the block was carried."""
        if pair is None:
            reach = [abs(space.ritz[i]) + space.residual(i)[1] for i in range(space.products)]
            pair = int(np.argmax(reach))
        outside, norm, _ = space.residual(min(pair, space.products - 1))
        if norm == 0:
            return torch.zeros_like(outside)
        return outside if cold else outside / norm + NOISE * self._noise(space.operator)

    def _other_phase(self) -> _Phase | None:
        """What is known of the other phase, as a first guess for this one."""
        other = next(iter(self._phases.values()), None)
        return other and _Phase.restore(other.state(), self._room)

    def _noise(self, operator: LinearOperator) -> Tensor:
        # drawn in main memory, so that a seed gives the same noise on every device
        noise = torch.randn(operator.size, generator=self._generator, dtype=operator.dtype)
        return (noise / noise.norm()).to(operator.device)

    def _nothing(self, operator: LinearOperator, products: int, began: float) -> EigenEstimate:
        unknown = np.full(min(self._top_k, operator.size), np.nan)
        none = torch.empty(0, operator.size, dtype=operator.dtype)
        return EigenEstimate(unknown, unknown, none, False, products, time.perf_counter() - began)


class _Found(NamedTuple):
    """What one phase tells the other: Ritz values, relative to the sharpness, and vectors."""

    values: Array
    vectors: Tensor
    new_leader: bool

    @classmethod
    def of(cls, space: Subspace, *, new: bool) -> _Found:
        """The leader, and the next one where it contends."""
        scale = abs(space.ritz[0])
        count = int(np.count_nonzero(np.abs(space.ritz[:2]) > CONTENDS * scale))
        return cls(np.abs(space.ritz[:count]) / (scale or 1.0), space.ritz_vectors(count), new)


class _Phase:
    """What is carried from one measurement to the next.

    Attributes:
        space: the basis and the model.
        drift: by how much, relative to the sharpness, the model is off after one measurement.
        lost: it was off by more than `LOST`.
    """

    def __init__(self, space: Subspace) -> None:
        self.space = space
        self.drift = FIRST_DRIFT
        self.lost = False
        self._moved = 0.0  # since the last scout
        self._news: Tensor | None = None
        self._leaders: list[Array] = []  # coordinates of the last two leading vectors
        self._scout: Tensor | None = None
        self._scouted: int | None = None  # number of the scout's product in this measurement
        self._off = 0.0

    def begin(self, operator: LinearOperator, noise: Callable[[LinearOperator], Tensor]) -> None:
        """Multiply the vector that should lead, and see how far the model was off."""
        space = self.space
        space.begin(operator)
        self._scouted = None
        if self._scout is None:
            self._scout = noise(operator)
        off = space.multiply(self._leader())
        if space.finite:
            scale = abs(space.ritz[0])
            self._off = off / scale if scale > 0 else 0.0
            self.lost = self._off > LOST
            self.drift = max(self.drift, self._off)
            self._moved += max(self._off, SCOUT_MOVED / (SCOUT_EVERY - 0.5))

    def rest(self) -> Tensor:
        """All of the basis (P,) but what a search starts from: what rises there may lead by now."""
        return self.space.vector(self.space.pairs[STARTS:].sum(0))

    @property
    def new_leader(self) -> bool:
        """Whether this measurement's leader is another than the last one's."""
        if len(self._leaders) < 2:
            return True
        before, last = self._leaders
        return bool(abs(before @ last) < FOLLOWED)

    def _leader(self) -> Array:
        if self.new_leader:  # it has no direction to be followed in
            return self.space.pairs[0]
        before, last = self._leaders
        overlap = before @ last
        ahead = 2 * last - np.sign(overlap) * before
        return ahead / math.sqrt(ahead @ ahead)

    def tell(self, found: _Found) -> None:
        """What the other phase found is to be looked at here, too, where it is news."""
        space, self._news = self.space, None
        top = abs(space.values[0])
        for value, vector in zip(found.values, found.vectors, strict=True):
            c = as_array(space.basis @ vector.to(space.basis.device))
            inside = c @ c
            if 1 - inside > NEWCOMER:
                news = found.new_leader and value == 1.0
            else:
                low = abs(c @ space.model @ c) < (value - DOUBTED) * inside * top
                news = low and c @ space.staleness @ c > RECENTLY * inside
            if news:
                self._news = vector
                return

    def newcomer(self) -> Array | None:
        """Coordinates of what the other phase found, of what is not multiplied yet."""
        news, self._news = self._news, None
        if news is None:
            return None
        space = self.space
        news = news.to(space.basis.device)
        c = as_array(space.basis @ news)
        if 1 - c @ c > NEWCOMER:
            return space.grow(news)
        return space.untouched(c)

    def scouted(self) -> Array | None:
        """Coordinates of the scout, new in the basis; None when it is not its turn."""
        if self._scouted is not None or self._moved < SCOUT_MOVED:
            return None
        self._moved = 0.0
        assert self._scout is not None
        outside, norm, _ = self.space.residual(0)
        scout = self._scout.to(outside.device)
        self._scouted = self.space.products
        return self.space.grow(
            torch.add(scout, outside, alpha=SCOUT_ALONG / norm) if norm > 0 else scout
        )

    def _follow_up(self) -> None:
        """The next scout: what the image of this one has outside the basis."""
        if self._scouted is not None and self._scouted < self.space.products:
            image = self.space.image_outside(self._scouted)
            norm = float(image.norm())
            if norm > 0:
                self._scout = image / norm

    def end(self, noise: Callable[[], Tensor], kept: int) -> None:
        """Make ready for the next measurement."""
        space = self.space
        self._follow_up()
        if self._scouted is not None and self._scout is not None:
            self._scout = self._scout + NOISE * noise()
        space.improve(int(np.count_nonzero(np.abs(space.ritz) > CLOSE * abs(space.ritz[0]))))
        self.drift += RECENT * (self._off - self.drift)
        self._leaders = [*self._leaders[-1:], space.pairs[0]]
        self._leaders = [_padded(c, space.size, 0.0) for c in self._leaders]
        if space.size > kept + SLACK:
            pairs = space.shrink(kept)
            self._leaders = [pairs @ c for c in self._leaders]

    def state(self) -> dict[str, Any]:
        """Tensors and numbers only, in main memory."""
        return {
            **self.space.state(),
            "drift": float(self.drift),
            "moved": float(self._moved),
            "news": self._news.cpu() if self._news is not None else None,
            "leaders": [torch.from_numpy(c.copy()) for c in self._leaders],
            "scout": self._scout.cpu() if self._scout is not None else None,
        }

    @classmethod
    def restore(cls, state: dict[str, Any], room: int) -> _Phase:
        """The inverse of `state`."""
        phase = cls(Subspace.restore(state, room))
        phase.drift, phase._moved, phase._news = state["drift"], state["moved"], state["news"]
        phase._leaders = [c.numpy().copy() for c in state["leaders"]]
        phase._scout = state["scout"]
        return phase


def _padded(values: Array, length: int, filling: float = np.nan) -> Array:
    missing = length - len(values)
    return np.concatenate([values, np.full(missing, filling)]) if missing else values


def sharpness(
    loss: Callable[[Tensor], Tensor], w: Tensor, *, top_k: int = 1, seed: int = 0
) -> EigenEstimate:
    """Leading Hessian eigenvalues of any twice differentiable `loss` at w (P,), from a cold start.

    >>> float(round(sharpness(lambda w: (w**2).sum(), torch.ones(4)).sharpness, 5))
    2.0
    """
    return SharpnessTracker(top_k=top_k, seed=seed).measure(HessianOperator(loss, w))
