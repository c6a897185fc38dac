"""Replay of a run's steps from an earlier state. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from samedge_core.problems.problem import Problem
from samedge_core.training.config import RunConfig
from samedge_core.training.history import Intervention, Measurement
from samedge_core.training.loop import measurements
from samedge_core.training.plan import changes_at
from samedge_core.training.state import TrainState
from samedge_core.training.stop import Stop


class _Reached(Exception):
    """Raised before the update of the wanted step, after its changes."""


def replay_to(
    config: RunConfig,
    problem: Problem,
    state: TrainState,
    step: int,
    interventions: Iterable[Intervention] = (),
    *,
    on_row: Callable[[Measurement], None] = lambda row: None,
) -> Stop | None:
    """Advance `state` in place to `step`, before its update, with the changes made there in force.

    Returns the Stop if the run ends with the step before, else None: the run continues from there.

    Args:
        interventions: of the whole run; those before the state are left out.
        on_row: called with the row of each replayed step.

    Raises:
        ValueError: `step` lies before `state`, or the run ends before it.
    """
    first = state.step
    if step < first:
        raise ValueError(f"step must be {first:,} at least, where the state is, got {step:,}")
    planned = changes_at(interventions)

    def changes(at: int) -> Iterator[Mapping[str, Any]]:
        yield from planned(at)
        if at == step:
            raise _Reached

    loop = measurements(config, problem, state, changes=changes)
    try:
        while True:
            item = next(loop)
            if isinstance(item, Measurement):
                on_row(item)
    except _Reached:
        return None
    except StopIteration as end:
        if state.step < step:
            what = f"the run ends with step {state.step:,}, before step {step:,}: {end.value.what}"
            raise ValueError(what) from None
        return end.value
