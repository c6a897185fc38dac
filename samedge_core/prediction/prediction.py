"""Prediction: the curve of a run as a flow gives it, row by row; importable without torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from samedge_core.fields import ConfigError, Field
from samedge_core.theory.rules import RULES, Hyperparameters
from samedge_core.training.config import RunConfig
from samedge_core.training.history import edge_at
from samedge_core.training.stop import Stop

if TYPE_CHECKING:
    import pandas as pd

    from samedge_core.prediction.deviation import Deviation
    from samedge_core.training.history import History

FLOWS = {"hop": "centre and hop", "central": "SAM's central flow", "ode": "the rule's own ODE"}
"""The flows by name."""
DEFAULT = next(iter(FLOWS))  # "auto"

PREDICTED = ("gd", "sam", "usam")
"""The rules of which it was measured how well a flow describes them."""

LONGEST_EVERY = 1000
FLOW = Field("flow", "choice", "auto", "Flow", "What predicts.", choices=("auto", *FLOWS))
EVERY = Field("every", "int", 1, "Row every", "Steps between rows.", "steps", 1, LONGEST_EVERY)

COLUMNS = ("step", "loss", "grad_norm", "sharpness", "edge", "ratio")
"""The columns that a Prediction and a History share; a Prediction has further ones of its own."""


def check(hyper: Hyperparameters, flow: str = "auto") -> str:
    """Return the flow by its own name.

    Raises:
        ConfigError: an unknown flow, or a rule that it does not describe.
    """
    flow = FLOW.check(flow)
    if hyper.rule not in PREDICTED:
        allowed = ", ".join(RULES[name].short for name in PREDICTED)
        got = f"{RULES[hyper.rule].short} ({hyper.rule}), which keeps moments"
        message = f"a prediction takes one of {allowed}, got {got}. Run it instead."
        raise ConfigError("rule", message)
    if flow == "central" and hyper.rule != "sam":
        message = f"SAM's central flow takes SAM, got {RULES[hyper.rule].short} ({hyper.rule}). "
        raise ConfigError("flow", message + "Choose another flow.")
    return DEFAULT if flow == "auto" else flow


class Point(NamedTuple):
    """A row of a Prediction, at the centre of two consecutive iterates.

    Attributes:
        step: of the first of the two.
        loss, grad_norm: mean of both ends of the hop, where the iterates are.
        sharpness: at the centre.
        centre_loss: the loss at the centre.
        amplitude: half the distance from one end of the hop to the other.
        cosine: between the flow's last two steps of the centre; NaN before the second.
    """

    step: int
    loss: float
    grad_norm: float
    sharpness: float
    centre_loss: float
    amplitude: float
    cosine: float


class Assumption(NamedTuple):
    """What a flow assumes: a key, a sentence, and the steps (first, last) where it did not hold."""

    key: str
    sentence: str
    broken: tuple[tuple[int, int], ...] = ()

    @property
    def held(self) -> bool:
        """Whether it held all along."""
        return not self.broken

    @property
    def since(self) -> int | None:
        """The first step at which it did not hold, or None."""
        return self.broken[0][0] if self.broken else None


class Outcome(NamedTuple):
    """The end of a prediction: its stop, its assumptions, and what it cost: gradients and
    Hessian-vector products."""

    stop: Stop
    assumptions: tuple[Assumption, ...]
    gradients: int
    products: int


class Prediction:
    """The rows that a flow yields for a run of `config` from the step `begin` on.

    Attributes:
        flow: a key of `FLOWS`.
        hyper: the settings from `begin` on, before the schedule of `config` moves eta.
        outcome: None until the flow has ended.
    """

    def __init__(
        self, config: RunConfig, flow: str, hyper: Hyperparameters | None = None, begin: int = 0
    ) -> None:
        self.config, self.flow, self.begin = config, flow, begin
        self.hyper = hyper or config.hyperparameters
        self.outcome: Outcome | None = None
        self._points: list[Point] = []
        self._columns: dict[str, NDArray] = {}

    def __len__(self) -> int:
        return len(self._points)

    def extend(self, points: Iterable[Point]) -> None:
        """Add rows, in the order of their steps."""
        self._points.extend(points)

    @property
    def points(self) -> Sequence[Point]:
        """The rows so far."""
        return self._points

    @property
    def last_step(self) -> int:
        """The step of the last row; the one before `begin` without any."""
        return self._points[-1].step if self._points else self.begin - 1

    @property
    def stop(self) -> Stop | None:
        """Why the flow ended, or None while it goes on."""
        return self.outcome and self.outcome.stop

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What the flow assumes and where that did not hold; empty while it goes on."""
        return self.outcome.assumptions if self.outcome else ()

    @property
    def least_cosine(self) -> float:
        """The least cosine between successive steps of the centre; below 0 it turned back."""
        return min(self._cosines(), default=math.nan)

    @property
    def median_cosine(self) -> float:
        """The median of these cosines; near 1 the centre moves smoothly."""
        return median(self._cosines() or [math.nan])

    def columns(self) -> dict[str, NDArray]:
        """Every column, (n,) each, read-only: `COLUMNS`, then centre_loss, amplitude and cosine."""
        # a page asks at every tick, and turning 10,000 rows into columns takes it 20 ms
        if not self._columns or len(self._columns["step"]) != len(self):
            self._columns = self._as_columns()
        return dict(self._columns)

    def _as_columns(self) -> dict[str, NDArray]:
        table = np.array(self._points, dtype=np.float64).reshape(-1, len(Point._fields))
        out: dict[str, NDArray] = dict(zip(Point._fields, table.T, strict=True))
        out["step"] = out["step"].astype(np.int64)
        out["edge"] = edge_at(self.config, self.hyper, out["step"], out["grad_norm"])
        with np.errstate(divide="ignore", invalid="ignore"):
            out["ratio"] = out["sharpness"] / out["edge"]
        for column in out.values():
            column.flags.writeable = False
        return {name: out[name] for name in (*COLUMNS, *(n for n in out if n not in COLUMNS))}

    def to_frame(self) -> pd.DataFrame:
        """All columns as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    def against(self, history: History) -> Deviation:
        """Return how far the run's record is off, as far as both go; see `Deviation`."""
        from samedge_core.prediction.deviation import deviation

        return deviation(self.columns(), history.columns())

    def _cosines(self) -> list[float]:
        return [point.cosine for point in self._points if not math.isnan(point.cosine)]
