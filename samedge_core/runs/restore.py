"""The state of a recorded run before any of its steps, bit for bit: the last kept state, and the
steps since then repeated."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from samedge_core.problems.own_data import check_unchanged
from samedge_core.problems.problem import Problem
from samedge_core.runs.process import threads_of, using_threads
from samedge_core.sharing import files
from samedge_core.sharing.export import ResumeError
from samedge_core.sharing.replay_file import CHOOSE_FILE, lacks_file
from samedge_core.store import RunRecord, Store
from samedge_core.store.branching import StepError, check_step, state_before
from samedge_core.store.folder import DIGITS
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History, Measurement
from samedge_core.training.loop import build_problem
from samedge_core.training.replay import replay_to
from samedge_core.training.state import TrainState
from samedge_core.training.stop import Stop

OnReplay = Callable[[int, int], None]

_log = logging.getLogger(__name__)


def state_at(
    store: Store, run: str, step: int, *, on_replay: OnReplay = lambda done, total: None
) -> tuple[RunConfig, Problem, TrainState]:
    """The configuration, problem and state of a recorded run before the update of `step`, with the
    changes at that step in force.

    Raises:
        SavedError: a file is missing or damaged.
        StepError: a step that is not recorded, or that the run did not reach.
    """
    record, history = store.load(run)
    check_step(history, step)
    problem, state, _ = caught_up(store, record, history, history, step, on_replay)
    return history.config, problem, state


def caught_up(
    store: Store,
    record: RunRecord,
    recorded: History,
    made: History,
    step: int,
    on_replay: OnReplay,
) -> tuple[Problem, TrainState, Stop | None]:
    """The problem, the state before the update of `step`, and the Stop if the run ends there.

    Args:
        recorded: the rows that the repeated steps must equal.
        made: gives the interventions and the step cap.

    Raises:
        DataError: the run's own file has changed since, or can't be used any more.
        SavedError: a kept state does not belong to this run.
        ResumeError: it was trained on a file that nobody has chosen here.
        StepError: the run ends before `step`.
    """
    config = made.config
    if lacks_file(config):
        raise ResumeError(CHOOSE_FILE)
    problem = build_problem(config, record.arithmetic)
    check_unchanged(config.options, problem.data_sha256, record.data_sha256)
    state = _kept(store, record, config, problem, step)
    first, compare = state.step, _comparing(recorded, state.step)

    def on_row(row: Measurement) -> None:
        compare(row)
        on_replay(row.step - first + 1, step - first)

    on_replay(0, step - first)
    with using_threads(threads_of(record)):
        try:
            end = replay_to(config, problem, state, step, made.interventions, on_row=on_row)
        except ValueError as error:
            raise StepError(str(error)) from error
    return problem, state, end


def _kept(
    store: Store, record: RunRecord, config: RunConfig, problem: Problem, step: int
) -> TrainState:
    """The last kept state before the update of `step`; without one, the initial state."""
    kept = state_before(store, record, step)
    if kept is None:
        return TrainState.initial(config, problem)
    folder = store.folder(kept.run).path
    with files.reading(next(folder.glob(f"snapshots/{kept.step:0{DIGITS}}.*"), folder)):
        state = TrainState.unpack(kept.packed, config, problem)
        if state.step != kept.step:
            raise ValueError(f"it is the state after {state.step:,} steps")
    return state


def _comparing(recorded: History, first: int) -> Callable[[Measurement], None]:
    """A function of the rows from step `first` on, taken again, that warns of the first one which
    is not as it was recorded."""
    expected, same = recorded.rows_after(first - 1), True

    def compare(row: Measurement) -> None:
        nonlocal same
        again = np.array([row.row(recorded.dtype)], dtype=recorded.dtype)
        was = expected[row.step - first]
        if np.isnan(was["hopping"]):  # an earlier version did not record it
            again["hopping"] = was["hopping"]
        if same and again.tobytes() != was.tobytes():
            same = False
            _log.warning(
                "step %d, taken again, is not what was recorded: torch, its number of threads or "
                "the machine is another one; what follows is exact on its own",
                row.step,
            )

    return compare
