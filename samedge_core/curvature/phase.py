"""Phase: what the tracker carries from one measurement to the next, for steps of one parity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from samedge_core.curvature import model, passes
from samedge_core.curvature import space as sp
from samedge_core.curvature.model import KNOWN, T
from samedge_core.curvature.operator import LinearOperator
from samedge_core.curvature.space import FINITE, NORM, PRODUCTS, SIZE
from samedge_core.curvature.subspace import Array, Subspace, as_vector

Noise = Callable[[LinearOperator], Tensor]  # a random unit vector (P,)

# relative to the sharpness
TOO_FAR_OFF = 0.08  # a model that is off by more is none
CONTENDS = 0.97  # Ritz values above this are told to the other phase ...
# ... which looks itself, if by its model they are so much lower and that is older
DOUBTED, RECENTLY = 0.03, 1.5
CLOSE = 0.8  # Ritz vectors above this are improved by their residuals
FIRST_DRIFT = 0.01

SCOUT_MOVED, SCOUT_EVERY = 0.015, 4  # scouts go when the model has moved so far, or so often
SCOUT_ALONG = 3  # weight of the leader's residual in a scout, against the scout's own image
NOISE = 0.1  # share of noise in a scout
HIGH, MOST_KEPT = 0.8, 10  # pairs above this mix with the leader: so many are kept, if there are
SLACK = 3  # basis vectors more than are kept before it is cut back
STARTS = 3  # carried vectors that a search starts from
NEWCOMER = 0.3  # share of a leader outside the other phase's basis that makes it news there
FOLLOWED = 0.8  # least overlap of two leaders that are one
RECENT = 0.4  # weight of the newest drift in its running mean
LOOK_EVERY = 4  # measurements between looks at another pair than the leader
NEAR = 0.07  # see `look`
FADING = 0.05  # share that is forgotten each time of how far the model was off at others
GAP = 0.1  # eigenvalues outside the basis lie this far below the leading one, or are scouted ...
# ... and further, if what was new to the basis lately did; so much of that is forgotten each time
FORGOTTEN = 1 / 8

# `Carried.numbers`
NUMBERS = range(14)
(
    OFF,
    MOVED,
    NEWEST_OFF,
    NEWEST_MOVED,
    OTHERS_OFF,
    UNLOOKED,
    UNSCOUTED,
    SENT,
    LACKED,
    BEYOND,
    LOST,
    SCOUTS,
    TOLD,
    LED,
) = NUMBERS

compiled = njit(cache=True)


class Carried(NamedTuple):
    """What a phase carries besides its subspace.

    Attributes:
        numbers:
            OFF, MOVED: as in `Phase`; NEWEST_OFF, NEWEST_MOVED: of this measurement.
            OTHERS_OFF: OFF of other directions than the leader, slowly forgotten.
            UNLOOKED: measurements since another pair was looked at; more after a search.
            UNSCOUTED: how far the model moved since the last scout.
            SENT: number of the scout's product in this measurement, or -1; LACKED: of the last
                one of what a Ritz vector lacked.
            BEYOND: Rayleigh quotient of what was new to the basis lately.
            LOST: as in `Phase`.
            SCOUTS, TOLD: whether there is a scout, and news.
            LED: of how many coordinates `leader` is; 0 for none.
        scout: (P,).
        news: what the other phase told, (P,).
        leader: coordinates of the last leading vector, (room,).
    """

    numbers: Array
    scout: NDArray[np.floating]
    news: NDArray[np.floating]
    leader: Array


class Pairs(NamedTuple):
    """Ritz values (k,) and norms of their residuals (k,), NaN where there are not so many, and
    `Space.eigenvectors` (k or fewer, P)."""

    values: Array
    residuals: Array
    vectors: Tensor


class Found(NamedTuple):
    """What one phase tells the other: Ritz values, relative to the sharpness, and their vectors, or
    more of these.

    The leader, which is new where its coordinates are not those before, and the next one where it
    contends.
    """

    values: Array
    vectors: NDArray[np.floating]
    new_leader: bool


@compiled
def begin(s, p):
    """A new Hessian; the vector that should lead is ready."""
    sp.begin(s)
    p.numbers[SENT] = p.numbers[LACKED] = -1
    sp.solve(s)
    s.chosen[:] = s.pairs[0]
    sp.ready(s)


@compiled
def absorb(s, p):
    """Learn what came of what was ready, and by how much the model was off."""
    off, moved, age = sp.absorb(s)
    if not s.counts[FINITE]:
        return
    scale, numbers = abs(s.ritz[0]), p.numbers
    off, moved = (off / scale, moved / scale) if scale > 0 else (0.0, 0.0)
    if s.counts[PRODUCTS] == 1:
        numbers[NEWEST_OFF], numbers[NEWEST_MOVED] = off, moved
        numbers[OFF] = max(numbers[OFF], off, numbers[OTHERS_OFF])
        numbers[MOVED] = max(numbers[MOVED], moved)
        numbers[LOST] = off > TOO_FAR_OFF
        numbers[UNLOOKED] += 1
        numbers[UNSCOUTED] += max(moved, SCOUT_MOVED / (SCOUT_EVERY - 0.5))
    elif age < KNOWN:
        numbers[OTHERS_OFF] = max(numbers[OTHERS_OFF], off / age)
        numbers[OFF] = max(numbers[OFF], off / age)
    else:
        _saw_beyond(s, numbers)


@compiled
def _saw_beyond(s, numbers):
    """Learn how far up it lies what was outside the basis until now."""
    number, k = s.counts[PRODUCTS] - 1, s.counts[SIZE] - 1
    scale = abs(s.ritz[0])
    high = min(1 - GAP, abs(s.stack[T, k, k]) / scale) if scale > 0 else 1 - GAP
    # of what the leader lacks at first: this is what `gap` is asked about next time
    first = number == 1 and numbers[LACKED] == number
    numbers[BEYOND] = high if first else max(high, numbers[BEYOND])


@compiled
def gap(p):
    """How far, relative to the sharpness, eigenvalues outside the basis lie below the leading one,
    as a residual sees them.

    Of a residual with Rayleigh quotient b, whose eigenvalues reach from 0 to 1 - GAP, the share
    1/(1 - l) of each, by which the leading value may rise, is below 1 + l / GAP, and its mean below
    1 + b / GAP.
    """
    return GAP / (GAP + p.numbers[BEYOND])


@compiled
def tell(s, p, values, vectors, new_leader):
    """As `Phase.tell`."""
    p.numbers[TOLD] = 0
    sp.solve(s)
    top = abs(s.values[0])
    for i in range(len(values)):
        c = passes.project(s.rows, s.counts[SIZE], vectors[i])
        within, rayleigh, stale = model.forms(s.stack, s.counts[SIZE], c)
        if 1 - within > NEWCOMER:
            news = new_leader and values[i] == 1.0
        else:
            low = abs(rayleigh) < (values[i] - DOUBTED) * within * top
            news = low and stale > RECENTLY * within
        if news:
            p.news[:] = vectors[i]
            p.numbers[TOLD] = 1
            return


@compiled
def newcomer(s, p):
    """Choose what the other phase told, or what of it is not multiplied yet; is there anything?"""
    if not p.numbers[TOLD]:
        return False
    p.numbers[TOLD] = 0
    c = passes.project(s.rows, s.counts[SIZE], p.news)
    if 1 - np.dot(c, c) > NEWCOMER:
        return sp.grow(s, p.news)
    return sp.untouched(s, c)


@compiled
def look(s, p):
    """Choose the pair that would lead first, had all risen at the same speed since they were
    multiplied; not when it is not its turn.

    Where the leader stands still, nothing else tells how fast the others move. Those much nearer
    than NEAR count as about as near: optimism watches them, and they would have every look.
    """
    size = s.counts[SIZE]
    if p.numbers[UNLOOKED] < LOOK_EVERY or size < 2:
        return False
    p.numbers[UNLOOKED] -= LOOK_EVERY
    sp.solve(s)
    first, soonest = 1, -1.0
    for i in range(1, size):
        age = model.forms(s.stack, size, s.pairs[i, :size])[2]
        gap = (1 + NEAR) * abs(s.values[0]) - abs(s.values[i])
        gap = max(gap, np.finfo(np.float64).tiny)
        if age / gap > soonest:
            first, soonest = i, age / gap
    return sp.untouched(s, s.pairs[first, :size])


@compiled
def scout(s, p):
    """Choose the scout, new in the basis; not when it is not its turn."""
    numbers = p.numbers
    if numbers[SENT] >= 0 or numbers[UNSCOUTED] < SCOUT_MOVED:
        return False
    numbers[UNSCOUTED], numbers[SENT] = 0.0, s.counts[PRODUCTS]
    outside, sent = sp.residual(s, 0), s.turned[0]
    sent[:] = p.scout
    if outside > 0:
        sent += sent.dtype.type(SCOUT_ALONG / outside) * s.lacks[0]
    return sp.grow(s, sent)


@compiled
def follow_up(s, p, noise):
    """The next scout: what the image of this one has outside the basis, else noise."""
    number = int(p.numbers[SENT])
    p.scout[:] = noise
    if number < s.counts[PRODUCTS] and s.outside[number] > 0:
        kind = noise.dtype.type
        p.scout[:] *= kind(NOISE)
        p.scout[:] += kind(1 / np.sqrt(s.outside[number])) * s.images[number]


@compiled
def end(s, p, kept, wanted):
    """As `Phase.end`: the fields of `Pairs`, then those of `Found`, whose vectors are the first of
    the pairs' or more."""
    numbers, size, products = p.numbers, s.counts[SIZE], s.counts[PRODUCTS]
    scale, told, close = abs(s.ritz[0]), 0, 0
    for i in range(products):
        told += i < 2 and abs(s.ritz[i]) > CONTENDS * scale
        close += abs(s.ritz[i]) > CLOSE * scale
    values, norms = np.full(wanted, np.nan), np.full(wanted, np.nan)
    for i in range(min(wanted, products)):
        sp.residual(s, i)
        values[i], norms[i] = s.ritz[i], s.lengths[i, NORM]
    relative = np.abs(s.ritz[:told])
    if scale > 0:
        relative /= scale
    led = int(numbers[LED])
    new = led == 0 or abs(np.dot(p.leader[:led], s.coordinates[0, :led])) < FOLLOWED
    sp.improve(s, close)
    numbers[OFF] += RECENT * (numbers[NEWEST_OFF] - numbers[OFF])
    numbers[MOVED] += RECENT * (numbers[NEWEST_MOVED] - numbers[MOVED])
    numbers[OTHERS_OFF] *= 1 - FADING
    numbers[BEYOND] += FORGOTTEN * (1 - GAP - numbers[BEYOND])
    vectors = sp.eigenvectors(s, max(told, min(wanted, products)))
    leader = s.pairs[0, :size].copy()
    high = 0
    for i in range(size):
        high += abs(s.values[i]) > HIGH * abs(s.values[0])
    kept = max(kept, min(high, MOST_KEPT))
    if size > kept + SLACK:
        leader = sp.shrink(s, kept) @ leader
    numbers[LED] = len(leader)
    p.leader[: len(leader)] = leader
    return values, norms, vectors, relative, new


class Phase:
    """A subspace, and how well it foresees.

    Attributes:
        space: the basis and the model.
        carried: all else.
    """

    def __init__(self, space: Subspace) -> None:
        self.space = space
        rows = space.arrays.rows
        self.carried = Carried(
            np.zeros(len(NUMBERS)),
            np.zeros_like(rows[0]),
            np.zeros_like(rows[0]),
            np.zeros(len(rows)),
        )
        self.carried.numbers[[OFF, MOVED, BEYOND]] = FIRST_DRIFT, FIRST_DRIFT, 1 - GAP
        # A search tells where all stand, not how fast they move: the next two measurements look.
        # The other phase begins with a copy: a step old at the first of them, and then two.
        self.carried.numbers[UNLOOKED] = 2 * LOOK_EVERY - 2
        self.carried.numbers[[SENT, LACKED]] = -1

    @property
    def off(self) -> float:
        """By how much, relative to the sharpness, the model is off after one measurement, along the
        leader, or along whatever else was multiplied lately."""
        return float(self.carried.numbers[OFF])

    @property
    def moved(self) -> float:
        """The same, had it not been carried on at its rate."""
        return float(self.carried.numbers[MOVED])

    @property
    def lost(self) -> bool:
        """Whether it was off by more than `TOO_FAR_OFF`."""
        return bool(self.carried.numbers[LOST])

    def begin(self, operator: LinearOperator, noise: Noise) -> None:
        """Make ready the vector that should lead."""
        if not self.carried.numbers[SCOUTS]:
            self.carried.scout[:] = as_vector(noise(operator))
            self.carried.numbers[SCOUTS] = 1
        self.space.operator = operator
        begin(self.space.arrays, self.carried)

    def starts(self) -> list[Tensor]:
        """What a search starts from: the leading vectors of the model (P,), and all of the rest,
        where something may have risen that leads by now."""
        space = self.space
        return [*space.vector(space.pairs[:STARTS]), space.vector(space.pairs[STARTS:].sum(0))]

    def tell(self, found: Found) -> None:
        """What the other phase found is to be looked at here, too, where it is news."""
        tell(self.space.arrays, self.carried, *found)

    def end(self, noise: Noise, kept: int, wanted: int = 1) -> tuple[Pairs, Found]:
        """Make ready for the next measurement; returns the leading pairs, and what the other phase
        is told."""
        arrays, carried = self.space.arrays, self.carried
        if carried.numbers[SENT] >= 0:
            follow_up(arrays, carried, as_vector(noise(self.space.operator)))
        values, residuals, vectors, relative, new = end(arrays, carried, kept, wanted)
        pairs = Pairs(values, residuals, torch.from_numpy(vectors[:wanted]))
        return pairs, Found(relative, vectors, new)

    def state(self) -> dict[str, Any]:
        """Tensors and numbers only, in main memory."""
        numbers, carried = self.carried.numbers, self.carried
        led = int(numbers[LED])
        return {
            **self.space.state(),
            "off": self.off,
            "moved": self.moved,
            "news": _copy(carried.news) if numbers[TOLD] else None,
            "leader": _copy(carried.leader[:led]) if led else None,
            "scout": _copy(carried.scout) if numbers[SCOUTS] else None,
            "unscouted": float(numbers[UNSCOUTED]),
            "others_off": float(numbers[OTHERS_OFF]),
            "beyond": float(numbers[BEYOND]),
            "unlooked": int(numbers[UNLOOKED]),
        }

    @classmethod
    def restore(cls, state: dict[str, Any], room: int) -> Self:
        """The inverse of `state`."""
        phase = cls(Subspace.restore(state, room))
        numbers, carried = phase.carried.numbers, phase.carried
        numbers[[OFF, MOVED]] = state["off"], state["moved"]
        numbers[UNSCOUTED], numbers[UNLOOKED] = state["unscouted"], state["unlooked"]
        numbers[OTHERS_OFF], numbers[BEYOND] = state["others_off"], state["beyond"]
        for name, flag in (("news", TOLD), ("scout", SCOUTS), ("leader", LED)):
            if state[name] is not None:
                part = state[name].numpy()
                numbers[flag] = len(part) if flag == LED else 1
                getattr(carried, name)[: len(part)] = part
        return phase


def _copy(part: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(part.copy())
