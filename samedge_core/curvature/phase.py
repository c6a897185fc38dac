"""Phase: what the tracker carries from one measurement to the next, for steps of one parity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from samedge_core.curvature.model import KNOWN
from samedge_core.curvature.operator import LinearOperator
from samedge_core.curvature.subspace import Array, Subspace

__all__ = ["NOISE", "SLACK", "Found", "Phase", "padded"]

Noise = Callable[[LinearOperator], Tensor]  # a random unit vector (P,)

# relative to the sharpness
LOST = 0.08  # a model that is off by more is none
CONTENDS = 0.97  # Ritz values above this are told to the other phase ...
# ... which looks itself, if by its model they are so much lower and that is older
DOUBTED, RECENTLY = 0.03, 1.5
CLOSE = 0.8  # Ritz vectors above this are improved by their residuals
FIRST_DRIFT = 0.01

SCOUT_MOVED, SCOUT_EVERY = 0.015, 4  # scouts go when the model has moved so far, or so often
SCOUT_ALONG = 3  # weight of the leader's residual in a scout, against the scout's own image
NOISE = 0.1  # share of noise in a scout or in an expansion of carried vectors
SLACK = 3  # basis vectors more than are kept before it is cut back
STARTS = 3  # carried vectors that a search starts from
NEWCOMER = 0.3  # share of a leader outside the other phase's basis that makes it news there
FOLLOWED = 0.8  # least overlap of two leaders that are one
RECENT = 0.4  # weight of the newest drift in its running mean
LOOK_EVERY = 8  # measurements between looks at another pair than the leader
FADING = 0.05  # share that is forgotten each time of how far the model was off at others


class Found(NamedTuple):
    """What one phase tells the other: Ritz values, relative to the sharpness, and vectors."""

    values: Array
    vectors: Tensor
    new_leader: bool

    @classmethod
    def of(cls, space: Subspace, before: Array | None) -> Found:
        """The leader, which is new unless its coordinates were those `before`, and the next one
        where it contends."""
        scale, now = abs(space.ritz[0]), space.coordinates[0]
        count = int(np.count_nonzero(np.abs(space.ritz[:2]) > CONTENDS * scale))
        new = before is None or abs(before @ now[: len(before)]) < FOLLOWED
        return cls(np.abs(space.ritz[:count]) / (scale or 1.0), space.ritz_vectors(count), new)


class Phase:
    """A subspace, and how well it foresees.

    Attributes:
        space: the basis and the model.
        off: by how much, relative to the sharpness, the model is off after one measurement, along
            the leader, or along whatever else was multiplied lately.
        moved: the same, had it not been carried on at its rate.
        lost: it was off by more than `LOST`.
    """

    def __init__(self, space: Subspace) -> None:
        self.space = space
        self.off = self.moved = FIRST_DRIFT
        self.lost = False
        self._others_off = 0.0  # the same, of other directions than the leader, slowly forgotten
        self._unlooked = 0  # measurements since another pair was looked at
        self._news: Tensor | None = None
        self._leader: Array | None = None  # coordinates of the last leading vector
        self._newest = 0.0, 0.0  # off and moved of this measurement
        self._scout: Tensor | None = None
        self._unscouted = 0.0  # how far the model moved since the last scout
        self._sent: int | None = None  # number of the scout's product in this measurement

    def begin(self, operator: LinearOperator, noise: Noise) -> None:
        """Multiply the vector that should lead, and see how far the model was off."""
        space = self.space
        space.begin(operator)
        self._sent = None
        if self._scout is None:
            self._scout = noise(operator)
        surprise = space.multiply(space.pairs[0])
        if not space.finite:
            return
        scale = abs(space.ritz[0])
        self._newest = (surprise.off / scale, surprise.moved / scale) if scale > 0 else (0.0, 0.0)
        self.off = max(self.off, self._newest[0], self._others_off)
        self.moved = max(self.moved, self._newest[1])
        self.lost = self._newest[0] > LOST
        self._unlooked += 1
        self._unscouted += max(self._newest[1], SCOUT_MOVED / (SCOUT_EVERY - 0.5))

    def multiply(self, c: Array) -> None:
        """A further product in this measurement."""
        space = self.space
        surprise = space.multiply(c)
        if space.finite and surprise.age < KNOWN and space.ritz[0] != 0:
            each_time = surprise.off / surprise.age / abs(space.ritz[0])
            self._others_off = max(self._others_off, each_time)
            self.off = max(self.off, each_time)

    def starts(self) -> list[Tensor]:
        """What a search starts from: the leading vectors of the model (P,), and all of the rest,
        where something may have risen that leads by now."""
        space = self.space
        return [*space.vector(space.pairs[:STARTS]), space.vector(space.pairs[STARTS:].sum(0))]

    def tell(self, found: Found) -> None:
        """What the other phase found is to be looked at here, too, where it is news."""
        space, self._news = self.space, None
        top = abs(space.values[0])
        for value, vector in zip(found.values, found.vectors, strict=True):
            c = space.coordinates_of(vector)
            inside, rayleigh, stale = space.forms(c)
            if 1 - inside > NEWCOMER:
                news = found.new_leader and value == 1.0
            else:
                low = abs(rayleigh) < (value - DOUBTED) * inside * top
                news = low and stale > RECENTLY * inside
            if news:
                self._news = vector
                return

    def newcomer(self) -> Array | None:
        """Coordinates of what the other phase found, of what is not multiplied yet."""
        news, self._news = self._news, None
        if news is None:
            return None
        space = self.space
        c = space.coordinates_of(news)
        if 1 - c @ c > NEWCOMER:
            return space.grow(news)
        return space.untouched(c)

    def look(self) -> Array | None:
        """Coordinates of the pair that would lead first, had all risen at the same speed since they
        were multiplied; None when it is not its turn.

        Where the leader stands still, nothing else tells how fast the others move.
        """
        if self._unlooked < LOOK_EVERY or self.space.size < 2:
            return None
        self._unlooked, space = 0, self.space
        ages = np.array([space.forms(pair)[2] for pair in space.pairs[1:]])
        gaps = np.abs(space.values[0]) - np.abs(space.values[1:])
        first = int(np.argmax(ages / np.maximum(gaps, np.finfo(float).tiny)))
        return space.untouched(space.pairs[1 + first])

    def scouted(self) -> Array | None:
        """Coordinates of the scout, new in the basis; None when it is not its turn."""
        if self._sent is not None or self._unscouted < SCOUT_MOVED:
            return None
        self._unscouted, self._sent = 0.0, self.space.products
        assert self._scout is not None
        residual, scout = self.space.residual(0), self._scout
        if residual.outside > 0:
            scout = torch.add(scout, residual.vector, alpha=SCOUT_ALONG / residual.outside)
        return self.space.grow(scout)

    def _follow_up(self, noise: Noise) -> None:
        """The next scout: what the image of this one has outside the basis, else noise."""
        if self._sent is None:
            return
        self._scout = noise(self.space.operator)
        if self._sent < self.space.products:
            image, outside = self.space.image(self._sent)
            if outside > 0:
                self._scout.mul_(NOISE).add_(image, alpha=1 / outside)

    def end(self, noise: Noise, kept: int) -> Found:
        """Make ready for the next measurement; returns what the other phase is told."""
        space = self.space
        self._follow_up(noise)
        found = Found.of(space, self._leader)
        space.improve(int(np.count_nonzero(np.abs(space.ritz) > CLOSE * abs(space.ritz[0]))))
        off, moved = self._newest
        self.off += RECENT * (off - self.off)
        self.moved += RECENT * (moved - self.moved)
        self._others_off *= 1 - FADING
        leader = space.pairs[0]
        self._leader = space.shrink(kept) @ leader if space.size > kept + SLACK else leader
        return found

    def state(self) -> dict[str, Any]:
        """Tensors and numbers only, in main memory."""
        return {
            **self.space.state(),
            "off": float(self.off),
            "moved": float(self.moved),
            "news": self._news,
            "leader": torch.from_numpy(self._leader.copy()) if self._leader is not None else None,
            "scout": self._scout,
            "unscouted": float(self._unscouted),
            "others_off": float(self._others_off),
            "unlooked": self._unlooked,
        }

    @classmethod
    def restore(cls, state: dict[str, Any], room: int) -> Phase:
        """The inverse of `state`."""
        phase = cls(Subspace.restore(state, room))
        phase.off, phase.moved, phase._news = state["off"], state["moved"], state["news"]
        phase._leader = state["leader"].numpy().copy() if state["leader"] is not None else None
        phase._scout, phase._unscouted = state["scout"], state["unscouted"]
        phase._others_off, phase._unlooked = state["others_off"], state["unlooked"]
        return phase


def padded(values: Array, length: int, filling: float = np.nan) -> Array:
    """`values` (n,) filled up to `length`."""
    missing = length - len(values)
    return np.concatenate([values, np.full(missing, filling)]) if missing else values
