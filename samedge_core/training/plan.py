"""What a run will do, from its settings and the interventions on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from samedge_core.curvature.kernels import Arithmetic
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention


@dataclass(frozen=True)
class Replay:
    """What it takes to replay a run: `samedge_core.run(config, interventions=interventions,
    arithmetic=arithmetic)`. Arithmetic None: a replay may use either."""

    config: RunConfig
    interventions: tuple[Intervention, ...] = ()
    arithmetic: Arithmetic | None = "compiled"


def as_recorded(
    config: RunConfig, interventions: Iterable[Intervention]
) -> tuple[Intervention, ...]:
    """The interventions as a run of `config` records them.

    Sorted by step, with `before` filled in; without changes to what is in force anyway, and without
    what lies at or after the step cap, which never happens.
    """
    current = config.hyperparameters
    recorded = []
    for item in sorted(interventions, key=lambda item: item.step):
        made = Intervention.effective(item.step, item.changes, current)
        if made and 0 <= item.step < config.steps:
            recorded.append(made)
            current = replace(current, **made.changes)
    return tuple(recorded)


def changes_at(
    interventions: Iterable[Intervention],
) -> Callable[[int], Sequence[Mapping[str, Any]]]:
    """The function from a step to what is to change at it."""
    planned: dict[int, list[Mapping[str, Any]]] = {}
    for item in interventions:
        planned.setdefault(item.step, []).append(item.changes)
    return lambda step: planned.get(step, ())
