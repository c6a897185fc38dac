"""Which cells may advance together; importable without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

from samedge_core.fields import abridged
from samedge_core.problems.memory import need
from samedge_core.problems.registry import made_from
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig

TOGETHER = ("chebyshev-mlp", "points-mlp", "deep-linear", "two-weight", "quadratic")
"""The problems whose cells advance together."""

STARTS = {"two-weight": ("a", "b")}
"""Options that decide the initial weights only, by problem."""

GROUP = 4096  # cells, at most
ROOM = 1.2e8  # bytes, as `problems.memory` counts: more leave the caches, fewer wait for torch
GPU = 100  # times as much there


def groups(configs: Sequence[RunConfig]) -> list[list[int]]:
    """Return the indices of `configs` in groups; cells of one group may advance together.

    They share network, data, number of steps and precision; rule, eta, rho, beta and seed may
    differ. A cell for which there is no ensemble (not `together`) is a group of its own.
    Large groups come in parts of about the same size.
    """
    found: dict[str, list[int]] = {}
    for index, config in enumerate(configs):
        found.setdefault(_key(config) if together(config) else str(index), []).append(index)
    return [part for group in found.values() for part in _parts(group, configs[group[0]])]


def together(config: RunConfig) -> bool:
    """Whether there is an ensemble for a cell; it may be the only one in it."""
    whole = config.batch_size in (0, config.options.get("n", 0)) and config.hessian_share == 1
    rule = RULES[config.rule]
    alike = (rule.reach or rule.gradients == 1) and not rule.preconditioned
    alike = bool(alike) and not config.weight_decay
    return config.problem in TOGETHER and whole and alike and config.schedule == "constant"


def check_together(configs: Sequence[RunConfig]) -> None:
    """Raise a ValueError unless `configs` can make one ensemble."""
    for config in configs:
        if not together(config) or _key(config) != _key(configs[0]):
            raise ValueError(
                "cells of an ensemble must share network, data, steps, precision and device, as "
                f"`groups` finds them; got {abridged(configs[0])} and {abridged(config)}"
            )


def _key(config: RunConfig) -> str:
    own = STARTS.get(config.problem, ())
    options = {name: value for name, value in config.options.items() if name not in own}
    of = made_from(
        config.problem, options, seed=config.seed, dtype=config.dtype, device=config.device
    )
    return json.dumps([*of, config.steps])


def _parts(group: list[int], config: RunConfig) -> list[list[int]]:
    if len(group) == 1:  # of a file of one's own, the size is not known here
        return [group]
    each = need(config.problem, config.options, dtype=config.dtype).bytes
    room = ROOM * (GPU if config.device == "cuda" else 1)
    count = -(-len(group) // max(1, min(GROUP, int(room / each))))
    ends = [len(group) * i // count for i in range(count + 1)]
    return [group[a:b] for a, b in pairwise(ends)]
