"""Batches: a seeded, restorable order of mini-batches."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from samedge_core.fields import ConfigError


class Batch(NamedTuple):
    """Inputs x (n, ...) and targets y (n,) or (n, outputs)."""

    x: Tensor
    y: Tensor


def subsample(batch: Batch, share: float) -> Batch:
    """ceil(share n) of n examples, the same ones for equal n; the batch itself for 1."""
    n = len(batch.x)
    if share == 1:
        return batch
    generator = torch.Generator().manual_seed(n)
    chosen = torch.randperm(n, generator=generator)[: math.ceil(share * n)].sort().values
    chosen = chosen.to(batch.x.device)
    return Batch(batch.x[chosen], batch.y[chosen])


class Batches:
    """Mini-batches of `data`: a fresh permutation each epoch, the short last batch dropped.

    The generator is part of a run's state: `state()` and `restore()` continue the very same order.
    """

    def __init__(self, data: Batch, batch_size: int, *, seed: int) -> None:
        n = len(data.x)
        if not 1 <= batch_size <= n:
            allowed = f"from 1 to the data size {n:,}"
            raise ConfigError("batch_size", f"batch_size must be {allowed}, got {batch_size:,}")
        self._data = data
        self._n = n
        self._batch_size = batch_size
        self._generator = torch.Generator().manual_seed(seed)
        self._order = torch.randperm(n, generator=self._generator)
        self._next = 0

    @property
    def epoch(self) -> int:
        """How many batches it takes at least to hold every example."""
        return math.ceil(self._n / self._batch_size)

    def next(self) -> Batch:
        """The next mini-batch, x (batch_size, ...) and its y."""
        if self._next + self._batch_size > self._n:
            self._order = torch.randperm(self._n, generator=self._generator)
            self._next = 0
        start = self._next
        self._next += self._batch_size
        chosen = self._order[start : self._next].to(self._data.x.device)
        return Batch(self._data.x[chosen], self._data.y[chosen])

    def state(self) -> dict[str, Any]:
        """What `restore` needs: tensors and integers only."""
        generator = self._generator.get_state()
        return {"generator": generator, "order": self._order.clone(), "next": self._next}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self._generator.set_state(state["generator"])
        self._order = state["order"].clone()
        self._next = state["next"]
