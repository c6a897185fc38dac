"""RunPrediction: the predictions of one run, as the server keeps them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from samedge_core.prediction.prediction import Prediction
from samedge_core.store.predictions import MOST_STRETCHES
from samedge_core.theory.rules import Hyperparameters
from samedge_core.training.config import Changes
from samedge_core.training.history import History, Intervention
from samedge_core.worker import messages
from samedge_core.worker.process import WorkerProcess

Stretches = tuple[Prediction, ...]


@dataclass(frozen=True)
class PredictionView:
    """What a page sees of a run's predictions.

    Attributes:
        stretches: one from each step at which settings came into force, in order; while it is
            computed, the last one has no outcome and is replaced as it grows.
        pending: whether the last one is being computed.
        failure: why there is none from the last change on, in words, or empty.
    """

    stretches: Stretches = ()
    pending: bool = False
    failure: str = ""


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
        self._asked: tuple[int, Hyperparameters] | None = None
        self._failure = ""
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
        return PredictionView(self.stretches, self.pending, self._failure)

    def lacks(self, begin: int, hyper: Hyperparameters) -> bool:
        """Whether a prediction from step `begin` on with these settings is neither there, nor
        coming, nor has it failed. Those from later steps are dropped: it replaces them."""
        if (begin, hyper) == self._asked:
            return False
        self.cancel()
        self._stretches = [one for one in self._stretches if one.begin <= begin]
        made = [one for one in self._stretches if one.outcome]
        return not (made and (made[-1].begin, made[-1].hyper) == (begin, hyper))

    def ask(
        self,
        history: History,
        before: messages.Snapshot | None,
        begin: int,
        hyper: Hyperparameters,
        *,
        data_sha256: str | None,
        room: float,
    ) -> None:
        """Start computing, from a state before the step (None: from step 0)."""
        first, packed = (before.step, before.packed) if before else (0, None)
        replay = [i for i in history.interventions if first <= i.step <= begin and i.changes]
        coming = Changes(vars(hyper))
        if change := Intervention.effective(begin, coming, history.hyperparameters):
            replay.append(change)
        earlier = [one for one in self._stretches if one.begin < begin]
        self._stretches = earlier[1 - MOST_STRETCHES :]
        self._asked, self._failure = (begin, hyper), ""
        task = messages.Predict(
            history.config, packed, tuple(replay), begin, history.arithmetic, data_sha256, room
        )
        self._process = WorkerProcess(self._on_report, self._on_lost)
        self._process.send(task)

    def refuse(self, why: str, asked: tuple[int, Hyperparameters] | None = None) -> None:
        """Show why none can be computed now; what was `asked` fails for good, else it may be asked
        for again."""
        self._failure, self._asked = why, asked

    def cancel(self) -> None:
        """End the one that is being computed; what there is of it stays, until it is asked for
        again."""
        self._asked, self._failure = None, ""
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
                    before = [one for one in self._stretches if one.begin < news.begin]
                    self._stretches = [*before, _joined(self._stretches[len(before) :], news)]
                case messages.PredictionDone(failure):
                    self._failure = failure
                    self._end()

    def _on_lost(self, process: WorkerProcess) -> None:
        with self._lock:
            if process is self._process:
                self._failure = "the process that computed the prediction was lost"
                self._end()


def _joined(before: Sequence[Prediction], news: Prediction) -> Prediction:
    """A new one with the rows of both: pages may be reading the one before."""
    made = Prediction(news.config, news.flow, news.hyper, news.begin)
    for part in (*before, news):
        made.extend(part.points)
    made.outcome = news.outcome
    return made
