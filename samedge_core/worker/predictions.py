"""RunPrediction: the predictions of one run, as the server keeps them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from samedge_core.prediction.prediction import Prediction
from samedge_core.store.predictions import MOST_STRETCHES
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.config import Changes
from samedge_core.training.history import History, Intervention
from samedge_core.training.stop import StopReason
from samedge_core.worker import messages
from samedge_core.worker.process import WorkerProcess

Stretches = tuple[Prediction, ...]


class Wanted(NamedTuple):
    """A prediction from the step `begin` on, with these settings, to the step cap, by a flow."""

    begin: int
    hyper: Hyperparameters
    steps: int
    flow: str

    def begun(self, made: Prediction) -> bool:
        """Whether a prediction is this one as far as it goes."""
        return (made.begin, made.hyper, made.flow) == (self.begin, self.hyper, self.flow)

    def made(self, made: Prediction) -> bool:
        """Whether a prediction is this one and goes as far; one that ended by itself does."""
        stop = made.stop
        to_its_end = stop and (stop.reason is not StopReason.STEP_CAP or stop.step >= self.steps)
        return bool(to_its_end) and self.begun(made)


@dataclass(frozen=True)
class PredictionView:
    """What a page sees of a run's predictions.

    Attributes:
        stretches: one from each step at which settings came into force, in order; while it is
            computed, the last one has no outcome and is replaced as it grows. One to an earlier
            step cap stays until the one to the cap in force has come as far.
        pending: whether the last one is being computed.
        failure: why there is none from the last change on, in words, or empty.
        waits: whether it begins as soon as there is room for its process.
    """

    stretches: Stretches = ()
    pending: bool = False
    failure: str = ""
    waits: bool = False


class RunPrediction:
    """One prediction at a time, each computed by a process of its own, which is killed to cancel.

    That process takes the steps up to the first predicted one again and leaves the run alone. The
    caller holds `lock`.
    """

    def __init__(
        self,
        lock: threading.RLock,
        made: Iterable[Prediction] = (),
        keep: Callable[[Stretches], None] = lambda made: None,
    ) -> None:
        """`keep` is called, under the lock, with all predictions whenever one has ended."""
        self._lock, self._keep = lock, keep
        self._stretches = [*made]
        self._asked: Wanted | None = None
        self._coming: Prediction | None = None  # as far as it has come
        self._failure = ""
        self._waits = False
        self._process: WorkerProcess | None = None

    @property
    def pending(self) -> bool:
        """Whether one is being computed; it then has a process of its own."""
        return self._process is not None

    @property
    def stretches(self) -> Stretches:
        """See `PredictionView`."""
        return tuple(self._stretches)

    def view(self) -> PredictionView:
        """The predictions as of now."""
        return PredictionView(self.stretches, self.pending, self._failure, self._waits)

    def lacks(self, wanted: Wanted) -> bool:
        """Whether this prediction is neither there, nor coming, nor has it failed. Those from later
        steps are dropped: it replaces them."""
        if wanted == self._asked:
            return False
        self.cancel()
        self._stretches = [one for one in self._stretches if one.begin <= wanted.begin]
        return not (self._stretches and wanted.made(self._stretches[-1]))

    def ask(
        self,
        history: History,
        before: messages.Snapshot | None,
        wanted: Wanted,
        *,
        data_sha256: str | None,
        room: float,
    ) -> None:
        """Start computing, from a state before the step (None: from step 0)."""
        begin = wanted.begin
        first, packed = (before.step, before.packed) if before else (0, None)
        replay = [i for i in history.interventions if first <= i.step <= begin and i.changes]
        coming = Changes(vars(wanted.hyper))
        if change := Intervention.effective(begin, coming, history.hyperparameters):
            replay.append(change)
        self._keep_for(wanted)
        self._asked, self._coming, self._failure = wanted, None, ""
        task = messages.Predict(
            history.config,
            packed,
            tuple(replay),
            begin,
            history.arithmetic,
            wanted.flow,
            data_sha256,
            room,
        )
        self._process = WorkerProcess(self._on_report, self._on_lost)
        self._process.send(task)

    def _keep_for(self, wanted: Wanted) -> None:
        """Those before this one, and the same one to an earlier step cap."""
        earlier = [one for one in self._stretches if one.begin < wanted.begin]
        shorter = [one for one in self._stretches if one.outcome and wanted.begun(one)]
        self._stretches = [*earlier[1 - MOST_STRETCHES :], *shorter]

    def refuse(self, why: str, asked: Wanted | None = None) -> None:
        """Show why there is none; what was `asked` is not tried again."""
        self._failure, self._asked = why, asked

    def wait(self) -> None:
        """Show that there is no room for its process now; it is to be asked for again."""
        self._waits = True

    def cancel(self) -> None:
        """End the one that is being computed; what there is of it stays, until it is asked for
        again."""
        self._asked, self._failure, self._waits = None, "", False
        self._end()

    def _end(self) -> None:
        if self._process:
            self._process.close()
            self._process = None
            self._keep(self.stretches)

    def _on_report(self, process: WorkerProcess, report: messages.Report) -> None:
        with self._lock:
            if process is not self._process:
                return  # it was cancelled
            match report:
                case messages.Predicted(news):
                    self._coming = _joined(self._coming, news)
                    self._show(self._coming)
                case messages.PredictionDone(failure):
                    self._failure = failure
                    self._end()

    def _show(self, coming: Prediction) -> None:
        before = [one for one in self._stretches if one.begin < coming.begin]
        ended = [one for one in self._stretches[len(before) :] if one.outcome]
        if coming.outcome or all(one.last_step <= coming.last_step for one in ended):
            self._stretches = [*before, coming]

    def _on_lost(self, process: WorkerProcess) -> None:
        with self._lock:
            if process is self._process:
                self._failure = "the process that computed the prediction was lost"
                self._end()


def _joined(before: Prediction | None, news: Prediction) -> Prediction:
    """A new one with the rows of both: pages may be reading the one before."""
    made = Prediction(news.config, news.flow, news.hyper, news.begin)
    made.extend(before.points if before else ())
    made.extend(news.points)
    made.outcome = news.outcome
    return made
