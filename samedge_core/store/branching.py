"""Branching: the record and shared past of a run that leaves another one at a step.

Importable without torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from samedge_core.fields import ConfigError
from samedge_core.store import Origin, RunRecord, Store
from samedge_core.store.record import ARITHMETIC, DATA, PLAIN_BECAUSE, Branch, began_alike
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.config import NOTHING, Changes
from samedge_core.training.history import History, Intervention

MOST_ANCESTORS = 100  # looked at for a state: a chain of parents from elsewhere may be a ring


class StepError(ValueError):
    """A step that the run does not have; the message shows it and what is allowed."""


class Kept(NamedTuple):
    """The packed state of `run` after `step` steps."""

    run: str
    step: int
    packed: bytes


@dataclass(frozen=True)
class Branched:
    """A fork before its first own step.

    Attributes:
        record: with the changes at that step as planned.
        past: the rows and interventions before that step, which both share.
        wanted: the settings in force from that step on.
    """

    record: RunRecord
    past: History
    wanted: Hyperparameters


def branch_off(
    record: RunRecord,
    history: History,
    step: int,
    *,
    branch: Branch = "fork",
    steps: int | None = None,
    changes: Changes = NOTHING,
) -> Branched:
    """A fork of a run before the update of `step`, with the settings in force there and `changes`.

    Changes that the run makes later are its own. Where `step` is its cap, the new one may take as
    many steps again as it was first allowed.

    Args:
        steps: another step cap.

    Raises:
        StepError: a step that is not recorded.
        ConfigError: a cap that is not beyond the step.
    """
    check_step(history, step)
    config = history.config
    if steps is not None:
        config = config.capped(steps)
        if config.steps <= step:
            message = f"steps must be more than {step:,}, where the fork begins, got {steps}"
            raise ConfigError("steps", message)
    elif step >= config.steps:
        config = config.capped(step + record.stretch)
    past = history.before(step)
    past.config = config
    wanted = replace(history.entered(step), **changes)
    change = Intervention.effective(step, Changes(vars(wanted)), past.hyperparameters)
    made = RunRecord(
        Store.new_id(),
        config,
        record.stretch if steps is None else config.steps,
        origin=Origin(record.id, step, branch),
        planned=(change,) if change else (),
    )
    same = (name for name in (ARITHMETIC, PLAIN_BECAUSE, DATA) if name in record.machine)
    made = made.on(**{name: record.machine[name] for name in same})
    return Branched(made, past, wanted)


def check_step(history: History, step: int) -> None:
    """Check that the run has a state before the update of `step`.

    Raises:
        StepError: it is neither a recorded step nor the one after the last.
    """
    if not 0 <= step <= history.last_step + 1:
        allowed = f"from 0 to {history.last_step + 1:,}"
        raise StepError(f"step must be {allowed}, the recorded ones and the next, got {step:,}")


def state_before(store: Store, record: RunRecord, step: int) -> Kept | None:
    """The last kept state after at most `step` steps, of the run or of one that it comes from;
    None: begin at step 0."""
    kept, origin = _kept(store, record.id, step), record.origin
    for _ in range(MOST_ANCESTORS):
        parent = store.catalogue.entry(origin.parent) if origin else None
        if not (origin and parent and began_alike(parent.config, record.config)):
            break
        if kept and kept.step >= origin.step:
            break
        step = min(step, origin.step)  # what both share
        shared = _kept(store, origin.parent, step)
        if shared and (kept is None or shared.step > kept.step):
            kept = shared
        origin = parent.origin
    return kept


def _kept(store: Store, run: str, step: int) -> Kept | None:
    found = store.state_before(run, step)
    return Kept(run, *found) if found else None
