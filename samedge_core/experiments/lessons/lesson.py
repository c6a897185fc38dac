"""Lesson: a question, the runs that answer it, and how the answer is read off them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from samedge_core.experiments.lessons.observations import Outcome
from samedge_core.experiments.lessons.sketch import Canvas
from samedge_core.training.history import History
from samedge_core.training.plan import Replay


@dataclass(frozen=True)
class Knob:
    """The one setting of a lesson that a reader turns.

    Attributes:
        label: in the terms of the controls, with its symbol.
        values: that show something, in order.
        default: the one that the question is about.
        asks: what to look for at the other values.
        at: how a verdict names the runs of a value, "at η = {}", with the value for the braces.
    """

    label: str
    values: tuple[float, ...]
    default: float
    asks: str
    at: str

    def said(self, value: float) -> str:
        """Which runs they are that have this value, in words."""
        return self.at.format(f"{value:g}")


@dataclass(frozen=True)
class Lesson:
    """A question with its answers. The right one is not stored: it is read off the runs.

    Attributes:
        name: slug, for links.
        lead: what one has to know beforehand; Markdown, with formulas between dollar signs.
        replays: by the knob's value, the runs to make, side by side.
        observe: by their histories, when they have ended.
        why: the explanation, true at every value of the knob.
        log_y: draw the charts with logarithmic axes.
        canvas: where the reader draws a curve instead of choosing an answer; of a single run.
    """

    name: str
    title: str
    lead: str
    question: str
    answers: tuple[str, ...]
    knob: Knob
    replays: Callable[[float], tuple[Replay, ...]]
    observe: Callable[[Sequence[History]], Outcome]
    why: str
    log_y: bool = False
    canvas: Canvas | None = None

    def made_at(self, value: float, made: Sequence[Replay]) -> bool:
        """Whether these are its runs at this value of the knob, without changes by hand. They may
        still be running, or have been extended."""
        planned = self.replays(value)
        return len(made) == len(planned) and all(map(_begun, planned, made))


def _begun(planned: Replay, made: Replay) -> bool:
    """Whether the run follows the plan, as far as it has come."""
    changes = tuple((item.step, item.changes) for item in made.interventions if item.changes)
    plan = tuple((item.step, item.changes) for item in planned.interventions)
    same = made.config.replace(steps=planned.config.steps) == planned.config
    return same and changes == plan[: len(changes)]
