"""History: the record of one run, a row a step, and everything that can be derived from it.

Only what was measured is stored. eta, rho, the edges and the time axes follow from the
configuration and the interventions, so they can never disagree with what was in force at a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from samedge_core.curvature.kernels import Arithmetic
from samedge_core.theory.rules import RULES, Hyperparameters, Settings
from samedge_core.training.config import Changes, RunConfig
from samedge_core.training.diagnosis import diagnose
from samedge_core.training.drawn import Drawn, bucketed
from samedge_core.training.stop import Stop, StopReason
from samedge_core.training.thinning import SMALLEST, buckets, least, thin

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


SYMBOLS = {"eta": "η", "rho": "ρ", "beta": "β"}

COLUMNS = (
    *("step", "loss", "accuracy", "grad_norm", "sharpness", "lambda_max", "residual", "converged"),
    *("eta", "rho", "gd_edge", "sam_edge", "edge", "ratio", "align_grad", "align_sam", "hvps"),
)
"""The columns of `to_frame()` that every run has, in this order; more follow them."""

GROWTH = 1.2  # old and new rows are held at once while growing: 2.2 times the rows at most

_STORED = (
    ("step", "i8"),
    ("loss", "f8"),
    ("accuracy", "f4"),
    ("grad_norm", "f8"),
    ("lambda_max", "f8"),
    ("residual", "f8"),
    ("converged", "?"),
    ("align_grad", "f4"),
    ("align_sam", "f4"),
    ("align_grad_k", "f4"),
    ("align_sam_k", "f4"),
    ("hvps", "i4"),
    ("held_out_loss", "f4"),
    ("held_out_accuracy", "f4"),
    ("hopping", "f4"),
    ("edge_value", "f4"),
    ("edge_residual", "f4"),
    ("plain_value", "f4"),
    ("batch_sharpness", "f4"),
    ("batch_sharpness_error", "f4"),
)


def row_dtype(top_k: int) -> np.dtype:
    """The dtype of a stored row when `top_k` eigenvalues are measured."""
    return np.dtype([*_STORED, *((f"lambda_{i}", "f8") for i in range(2, top_k + 1))])


@dataclass(slots=True)
class Measurement:
    """One step: the iterate w_t *before* its update, and the update's gradients.

    NaN stands where a quantity was not measured at this step. With mini-batches, loss, grad_norm
    and curvature belong to the current batch, or to a fixed one (`RunConfig.measure_on`); accuracy
    is over all the data, or over the part that `Problem.evaluate` takes. `hopping` is the share of
    the last measured steps that hop across the valley. `edge_value` and `edge_residual` are of the
    leading eigenvalue of a preconditioned rule's edge operator; `plain_value` is the curvature
    along its eigenvector x without SAM's factor, x^T P^-1/2 H P^-1/2 x. `batch_sharpness` and its
    standard error are over mini-batches of their own (`RunConfig.batch_sharpness_every`). `seconds`
    (of measuring, beyond the step itself), `batch_seconds` (of the batch sharpness) and
    `evaluation_seconds` (of accuracy and held-out data) are for status lines and not recorded,
    since no replay reproduces them.
    """

    step: int
    loss: float
    grad_norm: float
    accuracy: float = np.nan
    lambda_max: float = np.nan
    residual: float = np.nan
    converged: bool = False
    align_grad: float = np.nan
    align_sam: float = np.nan
    align_grad_k: float = np.nan
    align_sam_k: float = np.nan
    hvps: int = 0
    held_out_loss: float = np.nan
    held_out_accuracy: float = np.nan
    hopping: float = np.nan
    edge_value: float = np.nan
    edge_residual: float = np.nan
    plain_value: float = np.nan
    batch_sharpness: float = np.nan
    batch_sharpness_error: float = np.nan
    others: tuple[float, ...] = ()
    seconds: float = 0.0
    batch_seconds: float = 0.0
    evaluation_seconds: float = 0.0

    @property
    def leading(self) -> float:
        """Magnitude of the eigenvalue that the rule's edge is about."""
        return abs(self.lambda_max if np.isnan(self.edge_value) else self.edge_value)

    def row(self, dtype: np.dtype) -> tuple:
        """The values in the order of `dtype`."""
        missing = len(dtype.names or ()) - len(_STORED) - len(self.others)
        stored = tuple(getattr(self, name) for name, _ in _STORED)
        return stored + self.others + (np.nan,) * missing


class Intervention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change of settings during a run, in force from `step` on.

    `changes` maps eta, rho, beta or rule to the new value, `before` to the old one. Without changes
    it marks where a new worker took the run over, which alters nothing in the dynamics.

    Raises:
        ConfigError: a value outside its range.
        ValueError: a setting that can't change mid-run.
    """

    step: int
    changes: Mapping[str, Any] = msgspec.field(default_factory=Changes)
    before: Mapping[str, Any] = msgspec.field(default_factory=Changes)

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "changes", Changes.of(self.changes))
        msgspec.structs.force_setattr(self, "before", Changes.of(self.before))

    @classmethod
    def effective(
        cls, step: int, changes: Mapping[str, Any], in_force: Hyperparameters
    ) -> Intervention | None:
        """Return the Intervention of those `changes` that differ from what is in force, or None.

        Raises:
            ConfigError: a value outside its range, where they are not `Changes` already.
        """
        before = vars(in_force)
        new = {n: value for n, value in Changes.of(changes).items() if value != before[n]}
        return cls(step, Changes(new), Changes({n: before[n] for n in new})) if new else None

    @property
    def what(self) -> tuple[int, Mapping[str, Any]]:
        """The step and the changes: all that a replay repeats."""
        return self.step, self.changes

    @property
    def label(self) -> str:
        """Short text for a chart: "η 1 → 0.5"."""
        if not self.changes:
            return "new worker"
        return ", ".join(
            f"{SYMBOLS.get(k, k)} {_short(self.before.get(k))} → {_short(v)}".replace("rule ", "")
            for k, v in self.changes.items()
        )


def _short(value: Any) -> str:
    if value is None:
        return "?"
    return f"{value:.4g}" if isinstance(value, float) else RULES[value].short


class History:
    """The rows, interventions and stop of one run.

    `config` is what the run started with. Rows are appended in the order of their steps.

    Attributes:
        parameters: P, once the problem was built.
        arithmetic: of the run; a replay repeats it to the bit in the same one only.
    """

    def __init__(self, config: RunConfig, arithmetic: Arithmetic = "compiled") -> None:
        self.config = config
        self.arithmetic: Arithmetic = arithmetic
        self.interventions: list[Intervention] = []
        self.stop: Stop | None = None
        self.parameters: int | None = None
        self._rows = np.empty(1024, dtype=row_dtype(config.top_k))
        self._used = 0

    def __len__(self) -> int:
        return self._used

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the run ended, or None while it goes on."""
        return self.stop.reason if self.stop else None

    @property
    def last_step(self) -> int:
        """Step of the newest row; -1 before the first."""
        return int(self._rows["step"][self._used - 1]) if self._used else -1

    @property
    def dtype(self) -> np.dtype:
        """Of a stored row."""
        return self._rows.dtype

    def append(self, measurement: Measurement) -> None:
        """Add one row.

        Raises:
            ValueError: its step is not after the newest row's.
        """
        self.extend(np.array([measurement.row(self.dtype)], dtype=self.dtype))

    def extend(self, rows: NDArray[np.void]) -> None:
        """Add stored rows (n,) of this history's dtype, in the order of their steps."""
        if not len(rows):
            return
        steps = np.concatenate([[self.last_step], rows["step"]])
        if np.any(np.diff(steps) <= 0):
            raise ValueError(f"steps must increase, got {steps[-1]} after {self.last_step}")
        needed = self._used + len(rows)
        if needed > len(self._rows):
            grown = np.empty(max(needed, int(GROWTH * len(self._rows))), dtype=self.dtype)
            grown[: self._used] = self._rows[: self._used]
            self._rows = grown
        self._rows[self._used : needed] = rows
        self._used = needed

    def rows_after(self, step: int) -> NDArray[np.void]:
        """A copy of the stored rows (n,) after `step`."""
        first = int(np.searchsorted(self._rows["step"][: self._used], step, side="right"))
        return self._rows[first : self._used].copy()

    def before(self, step: int) -> History:
        """Return a copy of the record up to `step`, exclusive: rows and interventions, no stop."""
        past = History(self.config, self.arithmetic)
        past.parameters = self.parameters
        past.extend(self._rows[: np.searchsorted(self._rows["step"][: self._used], step)])
        for item in self.interventions:
            if item.step < step:
                past.intervene(item)
        return past

    def intervene(self, intervention: Intervention) -> None:
        """Record an intervention; it must not lie before an earlier one."""
        if self.interventions and intervention.step < self.interventions[-1].step:
            raise ValueError(
                f"interventions must be in order, got step {intervention.step} after "
                f"{self.interventions[-1].step}"
            )
        self.interventions.append(intervention)

    @property
    def marks(self) -> tuple[tuple[int, str], ...]:
        """(step, label) of every intervention; that of a rule says what becomes of the moments."""
        kept, found = RULES[self.config.rule].moments, []
        for item in self.interventions:
            kind, label = RULES[item.changes.get("rule", "gd")].moments, item.label
            if kind:
                label += ", moments go on" if kind == kept else ", moments start at zero"
                kept = kind
            found.append((item.step, label))
        return tuple(found)

    @property
    def hyperparameters(self) -> Hyperparameters:
        """What is in force now."""
        return self._segments()[-1][1]

    def entered(self, step: int) -> Hyperparameters:
        """What was entered for a step: what is in force there, but for the schedule of eta."""
        return [hyper for start, hyper in self._segments() if start <= step][-1]

    def in_force(self, step: int) -> Hyperparameters:
        """What was in force at a step."""
        hyper = self.entered(step)
        share = float(self.config.step_sizes.share(step))
        return hyper if share == 1 else replace(hyper, eta=hyper.eta * share)

    def columns(self, indices: NDArray[np.int64] | slice = slice(None)) -> dict[str, NDArray]:
        """Every column, stored and derived, at the chosen rows (all by default).

        Beyond `COLUMNS`: beta, time (effective time, the sum of eta over earlier steps), evals
        (gradient evaluations so far, Hessian-vector products apart), the alignments with the
        leading subspace, further eigenvalues, the edge that each rule has with the settings in
        force, and of the rule in force the eigenvalue of its edge operator (edge_value), its
        threshold and operator_ratio, |edge_value|/threshold. Under Adam and RMSProp, sharpness is
        NaN where it was not measured too, edge is NaN, and ratio is operator_ratio.
        """
        rows = self._rows[: self._used][indices]
        out: dict[str, NDArray] = {name: rows[name] for name in self.dtype.names or ()}
        out["sharpness"] = np.abs(rows["lambda_max"])
        out.update(self._derived(rows))
        with np.errstate(divide="ignore", invalid="ignore"):
            out["operator_ratio"] = np.abs(out["edge_value"]) / out["threshold"]
            ratio = out["sharpness"] / out["edge"]
        own = np.isin(out["rule"], [r.name for r in RULES.values() if r.preconditioned])
        out["ratio"] = np.where(own, out["operator_ratio"], ratio)
        ordered = [*COLUMNS, *(name for name in out if name not in COLUMNS)]
        return {name: out[name] for name in ordered}

    def latest(self) -> dict[str, Any]:
        """All columns of the newest row whose sharpness was measured; empty when there is none."""
        recent = self._rows[max(0, self._used - self.config.longest_gap) : self._used]
        known = ~np.isnan(recent["lambda_max"]) | ~np.isnan(recent["edge_value"])
        measured = np.flatnonzero(known)
        if not len(measured):
            return {}
        index = np.array([self._used - len(recent) + measured[-1]])
        return {name: column[0].item() for name, column in self.columns(index).items()}

    def recent(self, rows: int) -> dict[str, NDArray]:
        """All columns of the newest `rows` rows."""
        return self.columns(slice(max(0, self._used - rows), self._used))

    def to_frame(self) -> pd.DataFrame:
        """All columns as a pandas DataFrame, a row a step."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    def plot(self) -> go.Figure:
        """The live lab's charts of this run as one Plotly figure; see `history_figure`."""
        from samedge_core.training.figures import history_figure

        return history_figure(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the run's name, why it ended, and its newest measured row."""
        name = escape(f"{RULES[self.config.rule].short} on {self.config.spec.title}")
        stop = self.stop._repr_html_() if self.stop else "<p>The run has not ended.</p>"
        faults = "".join(f"<p>{escape(fault)}</p>" for fault in diagnose(self))
        row = self.latest()
        shown = ["step", "loss", "accuracy", "grad_norm"]
        shown += [*RULES[self.hyperparameters.rule].measured.values(), "ratio"]
        known = [name for name in shown if row and not np.isnan(row[name])]
        cells = "".join(f"<tr><td>{n}</td><td>{row[n]:.5g}</td></tr>" for n in known)
        return f"<b>{name}</b>{stop}{faults}<table>{cells}</table>"

    def select(self, start: int = -1, most: int | None = None) -> NDArray[np.int64]:
        """Indices of the rows after step `start`, thinned to at most `most`.

        Kept are the extremes of sharpness, gradient norm, loss and ratio (see `thin`), and the
        first row of each change of eta, rho, beta or rule with the row before it.
        """
        if most == 0:
            return np.empty(0, dtype=np.int64)
        first = int(np.searchsorted(self._rows["step"][: self._used], start, side="right"))
        rows = self._rows[first : self._used]
        if most is None or len(rows) <= most:
            return np.arange(first, self._used)
        changed = [item.step for item in self.interventions if item.changes]
        at = np.searchsorted(rows["step"], changed)
        watched = [*(rows[name] for name in ("lambda_max", "grad_norm", "loss")), self._ratio(rows)]
        return first + thin(watched, most, around=np.concatenate([at - 1, at]))

    def drawn(
        self,
        start: int = -1,
        most: int = 1000,
        *,
        stop: int | None = None,
        ends: Sequence[int] = (),
        magnitudes: bool = False,
    ) -> Drawn:
        """What is drawn of the rows with start < step <= stop, in about `most` numbers a column.

        At most `most` rows are themselves; of more, buckets of rows have their least, mean and most
        (see `training.thinning`). The first step of the run is itself. A bucket begins with each
        change of eta, rho, beta or rule, the newest of these if there are many, and none lasts over
        one of the steps `ends`. With `magnitudes`, the further eigenvalues and the edge values have
        no sign.
        """
        steps = self._rows["step"][: self._used]
        stop = self.last_step if stop is None else stop
        begin, end = np.searchsorted(steps, [start, stop], side="right").tolist()

        def columns(first: int, past: int) -> dict[str, NDArray]:
            found = self.columns(slice(first, past))
            for name in found if magnitudes else ():
                if name.startswith("lambda_") or name == "edge_value":
                    found[name] = np.abs(found[name])
            return found

        if end - begin <= most:
            return Drawn(columns(begin, end), {}, {})
        starts = self._buckets(begin, end, max(1, most // 3), ends)
        return bucketed(columns, starts, end)

    def _buckets(self, begin: int, end: int, most: int, ends: Sequence[int]) -> NDArray[np.int64]:
        """Where about `most` buckets of the rows begin <= row < end begin; see `drawn`."""
        steps = self._rows["step"][: self._used]
        at = np.searchsorted(steps, [item.step for item in self.interventions if item.changes])
        at = np.unique(at[(at > begin) & (at < end)])[-most // 2 :]
        after = np.searchsorted(steps, np.asarray(ends, dtype=np.int64), side="right")
        gap = self.config.longest_gap
        # where buckets hold several measured rows, they hold as many as the mean of a hop needs
        smallest = SMALLEST * (gap if (end - begin) // most >= gap else 1)
        breaks = np.concatenate([[1], at, after]) - begin
        return begin + buckets(end - begin, most, breaks, smallest=smallest)

    def sparkline(self, most: int = 64) -> NDArray[np.float32]:
        """Return sharpness / edge in at most `most` numbers: the known values; or, of more, -inf
        and then the least and most of each bucket of them in turns."""
        ratio = self._ratio(self._rows[: self._used])
        known = ratio[np.isfinite(ratio)]
        if len(known) > most:
            starts = buckets(len(known), (most - 1) // 2)
            rims = np.stack([least(known, starts), -least(-known, starts)], axis=1)
            known = np.append(-np.inf, rims)
        return np.minimum(known, np.finfo(np.float32).max).astype(np.float32)

    def _ratio(self, rows: NDArray[np.void]) -> NDArray[np.float64]:
        """Sharpness / edge in force at rows (n,) in order; not finite where either is unknown.

        The column of that name, without what the other derived columns cost.
        """
        segments = self._segments()
        starts = [*np.searchsorted(rows["step"], [start for start, _ in segments]), len(rows)]
        ratio = np.empty(len(rows))
        for (_, hyper), begin, end in zip(segments, starts, starts[1:], strict=False):
            value, limit = against_edge(self.config, hyper, rows[begin:end])
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio[begin:end] = value / limit
        return ratio

    def _segments(self) -> list[tuple[int, Hyperparameters]]:
        """(first step, what is in force from there on), oldest first."""
        current = self.config.hyperparameters
        segments = [(0, current)]
        for intervention in self.interventions:
            if intervention.changes:
                current = replace(current, **intervention.changes)
                segments.append((intervention.step, current))
        return segments

    def _derived(self, rows: NDArray[np.void]) -> dict[str, NDArray]:
        steps, segments, schedule = rows["step"], self._segments(), self.config.step_sizes
        # two changes at one step: the later one is in force
        starts = np.array([start for start, _ in segments])
        which = np.searchsorted(starts, steps, side="right") - 1
        unknown = ~np.isfinite(rows["grad_norm"])  # a gradient norm that overflowed has no edge
        norms = np.where(unknown, 0.0, rows["grad_norm"])
        eta, rho, beta, rules = (
            np.array([getattr(h, name) for _, h in segments])[which]
            for name in ("eta", "rho", "beta", "rule")
        )
        eta = eta if schedule.constant else eta * schedule.share(steps)
        settings = Settings(eta, rho, beta, self.config.weight_decay)
        out = {"eta": eta, "rho": rho, "beta": beta, "rule": rules}
        of_operator = {name: np.full(len(steps), np.nan) for name in ("edge_value", "threshold")}
        in_force = np.full(len(steps), np.nan)
        for name, rule in RULES.items():
            ruled = rules == name
            if not rule.preconditioned:
                edge = rule.edge(settings, norms)
                out[rule.column] = np.where(unknown & rule.follows_norm, np.nan, edge)
                in_force = np.where(ruled, out[rule.column], in_force)
            if ruled.any():
                value = rows["edge_value"]
                if not rule.preconditioned:
                    value = rule.operator_value(settings, rows["lambda_max"], norms)
                    value = np.where(unknown & rule.follows_norm, np.nan, value)
                for of, values in (("edge_value", value), ("threshold", rule.threshold(settings))):
                    of_operator[of] = np.where(ruled, values, of_operator[of])
        out |= {"edge": in_force, **of_operator}
        begun, taken = schedule.total(starts), schedule.total(steps)
        out["time"] = _accumulated(begun, [h.eta for _, h in segments], which, taken)
        cost = [1 if h.rho == 0 else RULES[h.rule].gradients for _, h in segments]
        out["evals"] = _accumulated(starts, cost, which, steps)
        return out


def edge_at(
    config: RunConfig, hyper: Hyperparameters, steps: NDArray[Any], grad_norm: NDArray[Any]
) -> NDArray[np.float64]:
    """The edge of a run of `config` under `hyper` at steps with gradient norms, (n,) each; of a
    preconditioned rule, its threshold."""
    rule, eta = RULES[hyper.rule], np.full(len(steps), hyper.eta)
    if not config.step_sizes.constant:
        eta = eta * config.step_sizes.share(steps)
    settings = Settings(eta, hyper.rho, hyper.beta, hyper.weight_decay)
    if rule.preconditioned:
        return np.asarray(rule.threshold(settings))
    return np.asarray(rule.edge(settings, np.nan_to_num(grad_norm, nan=0.0, posinf=0.0)))


def against_edge(
    config: RunConfig, hyper: Hyperparameters, rows: NDArray[np.void]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the ratio divides at stored rows (n,), (n,) each: the sharpness and the edge; of a
    preconditioned rule, the edge operator's eigenvalue and the threshold."""
    edge = edge_at(config, hyper, rows["step"], rows["grad_norm"])
    column = "edge_value" if RULES[hyper.rule].preconditioned else "lambda_max"
    return np.abs(rows[column]), edge


def _accumulated(
    starts: NDArray, rates: Sequence[float], which: NDArray, steps: NDArray
) -> NDArray[np.float64]:
    """Sum over all earlier steps of the rate in force there."""
    rate = np.asarray(rates, dtype=np.float64)
    before = np.concatenate([[0.0], np.cumsum(np.diff(starts) * rate[:-1])])
    return before[which] + (steps - starts[which]) * rate[which]
