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
    """The arguments that replay a run: `samedge_core.run(config, interventions=interventions,
    arithmetic=arithmetic)`; arithmetic None takes the one that is ready."""

    config: RunConfig
    interventions: tuple[Intervention, ...] = ()
    arithmetic: Arithmetic | None = "compiled"


def as_recorded(
    config: RunConfig, interventions: Iterable[Intervention]
) -> tuple[Intervention, ...]:
    """Return the interventions as a run of `config` records them.

    Sorted by step, with `before` filled in; without values that are in force already, and without
    those at or after the step cap, which the run never reaches.
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
    """Return the function from a step to the changes planned for it."""
    planned: dict[int, list[Mapping[str, Any]]] = {}
    for item in interventions:
        planned.setdefault(item.step, []).append(item.changes)
    return lambda step: planned.get(step, ())
