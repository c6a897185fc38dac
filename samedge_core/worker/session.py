"""Session: one run, or a part of its steps, inside the worker. Needs torch."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from samedge_core.problems.own_data import check_unchanged
from samedge_core.training.computed import Computed, Examples
from samedge_core.training.config import Changes
from samedge_core.training.costs import Costs, Spacing, Throttle
from samedge_core.training.history import Intervention, Measurement, row_dtype
from samedge_core.training.loop import build_problem, measurements
from samedge_core.training.plan import changes_at
from samedge_core.training.state import TrainState
from samedge_core.training.stop import Stop, StopReason
from samedge_core.worker import messages
from samedge_core.worker.channel import Channel
from samedge_core.worker.drawing import Drawing
from samedge_core.worker.inspecting import in_words, look_ahead
from samedge_core.worker.limit import Limit, reserved

FLUSH_SECONDS = 0.05  # rows wait at most this long; the page polls far less often
SNAPSHOT_SECONDS = 1.0  # what a lost worker must compute again, at least
SNAPSHOT_SHARE = 0.05  # of the time, at most, goes into snapshots; large models pack slowly


class _Waiting(Exception):
    """Raised in a look ahead when a command waits, which goes first."""


class Session:
    """Takes the steps of a run, carries out commands between them, and reports."""

    def __init__(
        self,
        channel: Channel,
        commands: queue.SimpleQueue[messages.Command],
        begin: messages.Begin,
        limit: Limit,
    ) -> None:
        self._limit = limit
        self._channel = channel
        self._commands = commands
        self._begin = begin
        self._id = begin.session
        self._replayed = changes_at(begin.replay)
        self._budget = 0 if begin.paused else math.inf  # steps until the next pause
        self._pace = begin.pace
        self._pending: list[Changes] = []
        self._next: messages.Begin | None = None
        self._ended = self._looks_ahead = False
        self._dtype = row_dtype(begin.config.top_k)
        self._rows: list[tuple] = []
        self._costs, self._batch_seconds = Costs(), math.nan
        self._steps_since, self._flushed_at = 0, time.monotonic()
        self._snapshots = Throttle(SNAPSHOT_SECONDS, SNAPSHOT_SHARE)
        self._due = 0.0
        self._speed = 0.0

    def run(self) -> messages.Begin | None:
        """Run until the Stop or the next Begin, which is returned."""
        begin = self._begin
        problem = build_problem(begin.config, begin.arithmetic)
        check_unchanged(begin.config.options, problem.data_sha256, begin.data_sha256)
        self._problem, self._parameters = problem, problem.size
        self._limit.reserve(reserved(problem, begin.config.top_k))
        self._state = (
            TrainState.unpack(begin.snapshot, begin.config, problem)
            if begin.snapshot
            else TrainState.initial(begin.config, problem)
        )
        self._spacing = Spacing(self._state.step)
        self._drawing = Drawing(begin.config, problem, self._drawn)
        if self._state.step >= begin.until:
            self._drawing.saw(self._state.step, self._state.w)
            self._drawing.draw()
        loop = measurements(begin.config, problem, self._state, changes=self._changes)
        self._flush()
        while True:
            self._obey()
            if self._next or self._ended:
                stop = Stop(StopReason.STOPPED, self._state.step, "stopped by hand")
                break
            try:
                # a step replaces the tensor, it does not write into it
                began, w = time.perf_counter(), self._state.w
                self._record(next(loop), began, w)
            except StopIteration as end:
                stop = end.value
                break
        self._flush()
        self._snapshot()
        self._drawing.draw()
        self._channel.send(messages.Ended(self._id, stop))
        return self._next

    def _changes(self, step: int) -> Iterator[Mapping[str, Any]]:
        """Replayed interventions at their own steps, then the Changes received since."""
        yield from self._replayed(step)
        if step >= self._begin.until:
            # as one: there and back again at one step is no change at all
            pending, self._pending = self._pending, []
            yield Changes({name: change[name] for change in pending for name in change})

    def _obey(self) -> None:
        """Carry out all waiting commands; wait here while paused or ahead of the pace."""
        while not (self._next or self._ended):
            waiting = self._wait_seconds()
            if waiting > FLUSH_SECONDS or math.isinf(waiting):
                self._flush()
            if math.isinf(waiting):
                self._snapshot()
                self._drawing.draw()
            if waiting > 0 and self._looks_ahead and self._commands.empty():
                self._look_ahead()
                continue
            try:
                timeout = None if math.isinf(waiting) else waiting
                command = self._commands.get(block=waiting > 0, timeout=timeout)
            except queue.Empty:
                return
            self._take(command)

    def _wait_seconds(self) -> float:
        if self._state.step < self._begin.until:
            return 0.0
        if self._budget <= 0:
            return math.inf
        return max(0.0, self._due - time.monotonic()) if self._pace else 0.0

    def _take(self, command: messages.Command) -> None:
        match command:
            case messages.Begin():
                self._next = command
            case messages.End():
                self._ended = True
            case messages.Advance(steps):
                self._budget = steps
                self._due = 0.0
                self._flush()  # whether it is running: a step may take seconds
            case messages.Change(changes):
                self._pending.append(changes)
            case messages.Pace(steps_per_second):
                self._pace = steps_per_second
                self._due = 0.0
            case messages.LookAhead():
                self._looks_ahead = True

    def _look_ahead(self) -> None:
        """Report the inspection of the step that comes next; later, where a command comes first."""

        def go_on(what: str, done: int, total: int) -> None:
            if not self._commands.empty():
                raise _Waiting

        ahead = [*self._replayed(self._state.step), *self._pending]
        changes = {name: change[name] for change in ahead for name in change}
        found, failure = None, ""
        try:
            found = look_ahead(self._begin.config, self._problem, self._state, changes, go_on)
        except _Waiting:
            return
        except Exception as error:  # noqa: BLE001 - the look has failed, not the run
            failure = in_words(error, self._limit)
        self._looks_ahead = False
        self._channel.send(messages.Ahead(self._id, found, failure))

    def _record(self, item: Measurement | Intervention, began: float, w: Tensor) -> None:
        """Take what the step from w (P,) has given, and report when it is time."""
        took = time.perf_counter() - began  # waiting for the pace or in a pause is not part of it
        now = time.monotonic()
        if isinstance(item, Intervention):
            self._flush()
            self._channel.send(messages.Intervened(self._id, item))
            return
        if item.step >= self._begin.until:
            self._budget -= 1
        if self._pace:
            # a late step does not make the next ones hurry
            self._due = max(self._due, now - 1 / self._pace) + 1 / self._pace
        self._drawing.saw(item.step, w)
        self._rows.append(item.row(self._dtype))
        self._steps_since += 1
        took -= item.evaluation_seconds + item.batch_seconds
        self._costs.add(took, item.seconds, item.hvps)
        self._batch_seconds = item.batch_seconds or self._batch_seconds
        if now - self._flushed_at >= FLUSH_SECONDS:
            self._flush()
        if self._snapshots.due():
            self._snapshot()
        if item.step >= self._begin.until and self._drawing.due():
            self._flush()  # a picture must not arrive before the row of its step
            self._drawing.draw()

    def _flush(self) -> None:
        """Send the new rows and a Status."""
        now = time.monotonic()
        if self._rows:
            self._channel.send(messages.Rows(self._id, np.array(self._rows, dtype=self._dtype)))
            self._rows.clear()
        elapsed = now - self._flushed_at
        if self._steps_since and elapsed > 0:
            current = self._steps_since / elapsed
            # flushes are short: average over about a second
            weight = min(1.0, elapsed) if self._speed else 1.0
            self._speed += weight * (current - self._speed)
        self._steps_since, self._flushed_at = 0, now
        running = self._budget > 0
        speed = self._speed if running else 0.0
        cost = replace(self._costs.recent(), batches=self._batch_seconds)
        step = self._state.step
        self._channel.send(messages.Status(self._id, running, step, speed, cost, self._parameters))

    def _snapshot(self) -> None:
        self._flush()  # a state must not arrive before the rows that lead to it
        with self._snapshots.task():
            # nothing to keep from a state that has left the finite range
            if bool(self._state.w.isfinite().all()):
                step, packed = self._state.step, self._state.pack()
                apart = self._spacing.steps(step)
                self._channel.send(messages.Snapshot(self._id, step, packed, apart))

    def _drawn(self, examples: Examples | None, computed: Computed) -> None:
        self._channel.send(messages.Drawn(self._id, examples, computed))
