"""What runs show, as one of a lesson's answers and in words with their own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samedge_core.analysis.summary import summarise
from samedge_core.experiments.lessons.paths import in_the_valley
from samedge_core.training.history import History
from samedge_core.training.stop import StopReason

AT_EDGE = 0.1
"""The sharpness is at an edge while it is within this share of it."""
TAIL = 0.1  # share of the measured rows, the last ones, whose medians are "the end"
VANISHED, ARRIVED = 0.01, 0.05  # of what a loss or gradient norm began with
STILL = 0.02  # a sharpness that moves by less than this share stays where it began


@dataclass(frozen=True)
class Outcome:
    """The result of a lesson's runs.

    Attributes:
        answer: index of the answer that the runs confirm, or None.
        words: the measured numbers.
    """

    answer: int | None
    words: str


@dataclass(frozen=True)
class _Ends:
    """How a run begins (`first_…`), and medians over its last measured rows; of `hopping`, the
    largest value there."""

    steps: int
    diverged: bool
    eta: float
    first_loss: float
    loss: float
    first_sharpness: float
    sharpness: float
    gd_edge: float
    edge: float
    ratio: float
    first_grad_norm: float
    grad_norm: float
    hopping: float

    @property
    def hops(self) -> bool:
        """Whether there are hops across the valley, as far as that is recorded. A few are enough:
        they grow from rounding, and show late."""
        return self.hopping != 0

    @property
    def at_edge(self) -> bool:
        return not self.diverged and abs(self.ratio - 1) <= AT_EDGE and self.hops

    @property
    def rest(self) -> str:
        """What keeps a sharpness that is near its edge from being at it, in words."""
        near = not self.diverged and abs(self.ratio - 1) <= AT_EDGE
        return " But the steps do not hop across the valley there." if near > self.hops else ""


def _measured(history: History) -> dict[str, NDArray[Any]]:
    """The columns at the steps that were measured."""
    columns = history.columns()
    rows = ~(np.isnan(columns["sharpness"]) & np.isnan(columns["edge_value"]))
    if not rows.any():
        raise ValueError("a run must have a measured row for anything to be observed in it, got 0")
    return {name: column[rows] for name, column in columns.items()}


def _ends(history: History) -> _Ends:
    measured = _measured(history)
    rows = len(measured["step"])
    tail = slice(rows - max(1, int(TAIL * rows)), None)
    end = {
        n: float(np.median(measured[n][tail]))
        for n in ("loss", "sharpness", "gd_edge", "edge", "ratio", "grad_norm")
    }
    first = {f"first_{n}": float(measured[n][0]) for n in ("loss", "sharpness", "grad_norm")}
    return _Ends(
        steps=history.last_step + 1,
        diverged=history.stop_reason is StopReason.DIVERGED,
        eta=history.hyperparameters.eta,
        **first,
        **end,
        hopping=float(np.max(measured["hopping"][tail])),
    )


def growth(histories: Sequence[History]) -> Outcome:
    """0: the loss vanishes, 1: it grows, 2: neither."""
    (end,) = map(_ends, histories)
    factor, loss = 1 - end.eta * end.sharpness, summarise(histories[0]).loss
    words = (
        f"In {end.steps:,} steps the loss went from {end.first_loss:.3g} to {loss:.3g}. Here "
        f"ηλ = {end.eta * end.sharpness:.3g}: each step multiplies the distance along v₁ by "
        f"1 − ηλ = {factor:.3g}.".replace("= -", "= −")
    )
    times = loss / end.first_loss
    if end.diverged or times > 2:
        return Outcome(1, words)
    return Outcome(0 if times < VANISHED else 2, words)


def rise(histories: Sequence[History]) -> Outcome:
    """Whether the sharpness falls (0), stays (1) or rises (2)."""
    (end,) = map(_ends, histories)
    times = end.sharpness / end.first_sharpness
    words = (
        f"In {end.steps:,} steps the sharpness went from {end.first_sharpness:.3g} to "
        f"{end.sharpness:.3g}, {times:.2f} times what it was; 2/η is {end.gd_edge:.3g}. The loss "
        f"went from {end.first_loss:.3g} to {end.loss:.3g}."
    )
    return Outcome(0 if times < 1 - STILL else 2 if times > 1 + STILL else 1, words)


def way_down(histories: Sequence[History]) -> Outcome:
    """As `rise`, with c = a^2 - b^2 of a run on two weights, and the sharpness that follows."""
    found = rise(histories)
    iterates = in_the_valley(histories[0]).w
    (first, last) = (a**2 - b**2 for a, b in iterates[[0, -1]])
    predicted = float(np.hypot(first, 2))
    words = (
        f"{found.words} c = a² − b² was {first:.3g} at the start and is {last:.3g} at the end: "
        f"√(c² + 4) = {predicted:.4g}, and the sharpness is {_ends(histories[0]).sharpness:.4g}."
    )
    return Outcome(found.answer, words)


def progressive_sharpening(histories: Sequence[History]) -> Outcome:
    """0: the sharpness falls, 1: it stays, 2: it climbs to the edge and is there for a fifth of the
    steps at least, 3: the run diverges."""
    (end,) = map(_ends, histories)
    moved = end.sharpness / end.first_sharpness
    words = (
        f"In {end.steps:,} steps the sharpness went from {end.first_sharpness:.3g} to about "
        f"{end.sharpness:.3g}, where 2/η = {end.gd_edge:.3g}; the loss from {end.first_loss:.3g} "
        f"to {end.loss:.3g}.{end.rest}"
    )
    if end.diverged:
        return Outcome(3, words)
    if moved < 1 - AT_EDGE:
        return Outcome(0, words)
    if end.at_edge and _hovers(histories[0]) and moved > 1 + AT_EDGE:
        return Outcome(2, words)
    return Outcome(1 if moved <= 1 + AT_EDGE else None, words)


def meets_edge(histories: Sequence[History]) -> Outcome:
    """0: the sharpness passes its edge and comes back, 1: it comes to the edge and stays by it, 2:
    it does not come to it."""
    (history,) = histories
    end, measured = _ends(history), _measured(history)
    (there,) = np.nonzero(measured["ratio"] >= 1 - STILL)
    words = f"At the end the sharpness is about {end.sharpness:.3g} and its edge {end.edge:.3g}."
    if not len(there):
        return Outcome(2, words)
    most = there[0] + int(np.argmax(measured["ratio"][there[0] :]))
    words = (
        f"It came to its edge at step {measured['step'][there[0]]:,}, and was highest above it at "
        f"step {measured['step'][most]:,}: {measured['ratio'][most]:.3g} times the edge. {words}"
    )
    if end.diverged or end.ratio > 1 + AT_EDGE:
        return Outcome(None, words)
    if measured["ratio"][most] > 1 + AT_EDGE:
        return Outcome(0, words)
    return Outcome(1 if _hovers(history) else None, words)


def _hovers(history: History) -> bool:
    """Whether the sharpness has been about its edge since it first came there, and for long."""
    ratio = _measured(history)["ratio"]
    (there,) = np.nonzero(ratio >= 1 - AT_EDGE)
    if not len(there) or there[0] >= (1 - 2 * TAIL) * len(ratio):
        return False
    return bool(abs(np.median(ratio[there[0] :]) - 1) <= AT_EDGE)


def new_edge(histories: Sequence[History]) -> Outcome:
    """0: the sharpness stays where it was when eta changed, 1: it goes to the new edge, 2: it goes
    the other way, 3: the run diverges."""
    (history,) = histories
    end, (at, *_) = _ends(history), _changes(history)
    columns = history.columns()
    before = columns["sharpness"][(columns["step"] < at) & (columns["step"] >= 0.9 * at)]
    was, edge = float(np.nanmedian(before)), 2 / end.eta
    words = f"Up to step {at:,} the sharpness was {was:.3g}; the new 2/η is {edge:.3g}."
    if end.diverged:
        return Outcome(3, f"{words} The run diverged at step {history.last_step:,}.")
    words += f" At the end the sharpness is about {end.sharpness:.3g}.{end.rest}"
    if end.at_edge:
        return Outcome(1, words)
    if abs(end.sharpness / was - 1) <= AT_EDGE:
        return Outcome(0, words)
    if (end.sharpness > was) != (edge > was):
        return Outcome(2, words)
    return Outcome(None, f"{words} It is on its way there, which takes more steps than these.")


def _changes(history: History) -> list[int]:
    """The steps at which settings were changed."""
    steps = [item.step for item in history.interventions if item.changes]
    if not steps:
        raise ValueError("the run must have an intervention, got none")
    return steps


def orbit(histories: Sequence[History]) -> Outcome:
    """0: the gradient norm vanishes, 1: it settles where the edge is the sharpness, 2: it grows."""
    (end,) = map(_ends, histories)
    words = (
        f"‖g‖ went from {end.first_grad_norm:.3g} to {end.grad_norm:.3g}. There the SAM-edge is "
        f"{end.edge:.4g}, and the sharpness, which can't change, {end.sharpness:.4g}."
    )
    if end.diverged or end.grad_norm > 2 * end.first_grad_norm:
        return Outcome(2, words)
    if end.grad_norm < VANISHED * end.first_grad_norm:
        return Outcome(0, words)
    return Outcome(1 if end.at_edge else None, words)


def comes_back(histories: Sequence[History]) -> Outcome:
    """Of GD and SAM, disturbed on the way: both come back to their gradient norm of before (0), SAM
    alone (1), GD alone (2), neither (3)."""
    back, words = [], []
    for name, history in zip(("GD", "SAM"), histories, strict=True):
        columns, (begin, *_, over) = history.columns(), _changes(history)
        was, after = (columns["grad_norm"][columns["step"] == at] for at in (begin - 1, over))
        if not len(after):
            return Outcome(None, f"The run with {name} has ended before its disturbance was over.")
        end, edge = _ends(history).grad_norm, columns["edge"][columns["step"] == over]
        back.append(abs(end / was[0] - 1) <= AT_EDGE)
        words.append(
            f"{name}: ‖g‖ was {was[0]:.3g}, after the disturbance {after[0]:.3g} (edge "
            f"{edge[0]:.3g}), and is {end:.3g} at the end."
        )
    answers = {(True, True): 0, (False, True): 1, (True, False): 2, (False, False): 3}
    return Outcome(answers[(back[0], back[1])], " ".join(words))


def scaled(histories: Sequence[History]) -> Outcome:
    """Of half the loss beside the loss, at the first step: the SAM-edge is half (0), the same (1),
    or between (2)."""
    whole, half = map(_measured, histories)
    ends = [_ends(history) for history in histories]
    sharpness, edge = (half[name][0] / whole[name][0] for name in ("sharpness", "edge"))
    words = (
        f"At step 0 the sharpness is {whole['sharpness'][0]:.3g}, and {half['sharpness'][0]:.3g} "
        f"for half the loss; the SAM-edge {whole['edge'][0]:.3g} and {half['edge'][0]:.3g}, "
        f"{edge:.2f} times as much; 2/η {whole['gd_edge'][0]:.3g} and {half['gd_edge'][0]:.3g}. At "
        f"the end the sharpness is {ends[0].sharpness:.3g} and {ends[1].sharpness:.3g}, "
        f"{_apart(*histories)}"
    )
    if abs(sharpness / 0.5 - 1) > STILL:
        return Outcome(None, words)
    if abs(edge / 0.5 - 1) <= STILL:
        return Outcome(0, words)
    if abs(edge - 1) <= STILL:
        return Outcome(1, words)
    return Outcome(2 if 0.5 < edge < 1 else None, words)


def _apart(whole: History, half: History) -> str:
    """Whether the second run has half the sharpness of the first at every step, in words."""
    both = [history.columns()["sharpness"] for history in (whole, half)]
    alike = len(both[0]) == len(both[1]) and np.array_equal(both[0], 2 * both[1], equal_nan=True)
    return "and half at every step, to the last bit." if alike else "so the two runs part."


def edge_followed(histories: Sequence[History]) -> Outcome:
    """0: the sharpness ends at 2/eta, 1: at the SAM-edge, 2: below both."""
    (end,) = map(_ends, histories)
    words = (
        f"At the end the sharpness is about {end.sharpness:.3g}, the SAM-edge {end.edge:.3g} and "
        f"2/η {end.gd_edge:.3g}. ‖g‖ went from {end.first_grad_norm:.3g} to {end.grad_norm:.3g}."
        f"{end.rest}"
    )
    if abs(end.sharpness / end.gd_edge - 1) <= AT_EDGE and end.hops:
        return Outcome(0, words)
    if end.at_edge:
        return Outcome(1, words)
    return Outcome(2 if end.ratio < 1 else None, words)


def valley(histories: Sequence[History]) -> Outcome:
    """Of GD and SAM, once they have reached the valley. 0: both stay where they came to it, 1: only
    SAM goes on to flatter places, 2: both do."""
    gd, sam = histories
    moved, words = [], []
    for name, history in (("GD", gd), ("SAM", sam)):
        columns = _measured(history)
        arrived = np.flatnonzero(columns["loss"] <= ARRIVED * columns["loss"][0])
        if not len(arrived):
            return Outcome(None, f"{name} has not come to the valley.")
        came, end = float(columns["sharpness"][arrived[0]]), _ends(history).sharpness
        moved.append(end < 0.8 * came)
        words.append(
            f"{name} came to the valley at a sharpness of {came:.3g} and ended at about {end:.3g}."
        )
    answers = {(False, False): 0, (False, True): 1, (True, True): 2}
    return Outcome(answers.get((moved[0], moved[1])), " ".join(words))


def flatness_and_held_out(histories: Sequence[History]) -> Outcome:
    """Of GD and SAM, on held-out data. 0: SAM's loss is at most half of GD's, 1: its loss is lower
    and its accuracy the same within 0.02, 2: it is no better."""
    sharpness = [_ends(history).sharpness for history in histories]
    gd, sam = map(summarise, histories)
    words = (
        f"SAM ended at a sharpness of about {sharpness[1]:.3g}, GD at {sharpness[0]:.3g}. Held "
        f"out: loss {sam.held_out_loss:.3g} under SAM and {gd.held_out_loss:.3g} under GD, "
        f"accuracy {sam.held_out_accuracy:.3f} and {gd.held_out_accuracy:.3f}."
    )
    if sam.held_out_loss <= 0.5 * gd.held_out_loss:
        return Outcome(0, words)
    if sam.held_out_loss >= gd.held_out_loss:
        return Outcome(2, words)
    alike = abs(sam.held_out_accuracy - gd.held_out_accuracy) <= 0.02
    return Outcome(1 if alike else None, words)


def success(histories: Sequence[History]) -> Outcome:
    """0: at its edge and learnt, 1: at its edge and nothing learnt, 2: not at its edge."""
    (history,) = histories
    end, accuracy = _ends(history), summarise(history).accuracy
    words = (
        f"Sharpness / edge ended at {end.ratio:.3f}, the accuracy at {accuracy:.2f}; guessing "
        f"gives {history.config.spec.chance:g}."
    )
    if not end.at_edge:
        return Outcome(2, words)
    return Outcome(0 if accuracy > 2 * (history.config.spec.chance or 0) else 1, words)


def adams_edge(histories: Sequence[History]) -> Outcome:
    """0: the edge value stays below 2/eta, 1: it ends at 2/eta, 2: at a higher threshold."""
    (history,) = histories
    value, threshold, limit = (_end(history, n) for n in ("edge_value", "threshold", "gd_edge"))
    words = (
        f"The eigenvalue ended at about {value:,.0f}; 2/η is {limit:,.0f}, and "
        f"(2 + 2β)/(η(1 − β)) is {threshold:,.0f}."
    )
    if value < (1 - AT_EDGE) * limit:
        return Outcome(0, words)
    if abs(value / limit - 1) <= AT_EDGE:
        return Outcome(1, words)
    return Outcome(2 if abs(value / threshold - 1) <= AT_EDGE else None, words)


def sam_on_adam(histories: Sequence[History]) -> Outcome:
    """The curvature that Adam sees, without SAM's factor. 0: it ends at the threshold, 1: below,
    2: below a fifth of it."""
    (history,) = histories
    value, threshold = (_end(history, n) for n in ("edge_value", "threshold"))
    plain = _end(history, "plain_value") if history.config.rho else value
    words = (
        f"The curvature that Adam sees ended at about {plain:,.0f}, "
        f"{100 * plain / threshold:.2g} % of the threshold, {threshold:,.0f}. With SAM's factor it "
        f"is {value:,.0f}: {value / threshold:.2f} times the threshold."
    )
    if plain >= (1 - AT_EDGE) * threshold:
        return Outcome(0, words)
    return Outcome(1 if plain > 0.2 * threshold else 2, words)


def _end(history: History, name: str) -> float:
    """The median of a column over the last measured rows."""
    column = _measured(history)[name]
    return float(np.median(column[-max(1, int(TAIL * len(column))) :]))


def border(histories: Sequence[History]) -> Outcome:
    """Of runs of growing eta: all diverge or none does (0), all from some eta on (1), or one stays
    beyond one that diverges (2)."""
    diverged, words = [], []
    for history in histories:
        end = _ends(history)
        diverged.append(end.diverged)
        what = f"thrown out at step {history.last_step:,}" if end.diverged else "stays"
        words.append(f"η = {end.eta:.6g}: {what}")
    told = f"{', '.join(words)}."
    if len(set(diverged)) == 1:
        return Outcome(0, told)
    return Outcome(1 if diverged == sorted(diverged) else 2, told)
