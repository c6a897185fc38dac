"""RunConfig: everything that decides a run, validated where it is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from dataclasses import field as dataclass_field
from types import MappingProxyType
from typing import Any

from samedge_core.fields import ConfigError, Field, abridged, check_all
from samedge_core.problems.registry import OWN_PROBLEM, PROBLEMS, ProblemSpec, spec_of
from samedge_core.theory.rules import RULES, Hyperparameters
from samedge_core.training import codec
from samedge_core.training.batch_sharpness import MEANINGLESS
from samedge_core.training.schedule import SCHEDULES, Schedule

SCHEMA = 1
MOST_BATCHES = 10_000  # of which the batch sharpness is the mean
LONGEST_GAP = 40  # steps without a measurement, when these are adaptive

_HELP = {
    "problem": "The network that is trained, and the data that it learns.",
    "rule": "How gradients make a step. Each rule has an edge of its own: that of GD is 2/η, that "
    "of SAM moves with the gradient norm ‖g‖.",
    "eta": "The learning rate: how far a step goes, for its gradient. GD's edge is 2/η: a larger "
    "step needs flatter ground.",
    "rho": "Distance in w from the iterate to the perturbed point, uphill, where SAM takes its "
    "gradient. 0 is GD.",
    "beta": "Share of the velocity kept from step to step; of Adam, of the mean gradient (β₁).",
    "beta2": "Of Adam and RMSProp: share of the mean squared gradient kept from step to step.",
    "eps": "Of Adam and RMSProp: added to the root of the mean squared gradient, so that entries "
    "without a gradient are not divided by 0.",
    "weight_decay": "Pulls the weights towards 0: adds this share of w to the gradient, as "
    "torch.optim.SGD does; for Adam apart from it, as AdamW. RMSProp is without.",
    "schedule": "How the step size moves: η_t = η s(t). Linear warm-up rises to η; cosine falls "
    "from η to 0 at its end. The edge moves with it.",
    "warmup": "Steps until a linear warm-up has reached η.",
    "period": "Steps until a cosine has fallen to 0; a longer run goes on with its last step size. "
    "0 takes the number of steps.",
    "sharpness_every": "Of Adam and RMSProp, whose edge is not one of the sharpness: every so "
    "many steps the sharpness is measured beside it, for as many products again; 0 never.",
    "batch_size": "Examples in each step, drawn afresh; 0 uses all of them (full batch). With "
    "mini-batches, gradient, sharpness and edge all belong to the current batch.",
    "seed": "Fixes the initial weights and the order of the batches.",
    "cadence": "Steps at which the sharpness is measured; training itself is not affected. "
    "Adaptive: pairs of steps, an even and an odd one, at most 40 steps apart, nearer where the "
    "sharpness moves or turns. Straight lines over the even steps, and over the odd ones, are then "
    "within 1 % at 95 of 100 steps. The drawn line shows the pairs, not the hops between them.",
    "measure_every": "Sharpness is measured at every k-th step.",
    "measure_on": "With mini-batches: the batch of the current step, whose edge that step meets, "
    "or one fixed batch of the same size, drawn once, or all the data. Then loss, gradient norm, "
    "sharpness and edge are all of those, and are known at measured steps only.",
    "hessian_share": "The Hessian is the matrix of second derivatives of the loss; its largest "
    "eigenvalue is the sharpness. Below 1, the sharpness is that of a fixed part of the examples, "
    "which is cheaper and reads higher: by 1-3 % with a quarter of the data, by up to 16 % with a "
    "tenth.",
    "batch_sharpness_every": "With mini-batches: the batch sharpness at every k-th step; 0: never. "
    "It is the mean over many batches, at the same w, of the curvature along the batch's own "
    "gradient. Under SGD it goes to about 2/η. With the full batch it has no meaning.",
    "batch_sharpness_batches": "How many mini-batches the batch sharpness is the mean of. Each is "
    "a gradient and a Hessian-vector product; four times as many halve the standard error.",
    "top_k": "How many of the largest eigenvalues of the Hessian are measured; the first is the "
    "sharpness. A second alignment then has the gradient's share in all their eigenvectors. Each "
    "costs about one more Hessian-vector product (HVP) a measurement.",
    "steps": "The run stops after this many steps.",
    "dtype": "float32 computes with 7 digits, float64 with 16 in about twice the time.",
    "device": "The hardware that computes the run. auto takes a GPU if the machine has one; small "
    "problems are faster on the CPU.",
}


def _number(name: str, default: float, label: str, low: float, high: float, **more: Any) -> Field:
    kind = "int" if isinstance(default, int) else "float"
    return Field(name, kind, default, label, _HELP[name], low=low, high=high, **more)


def _choice(name: str, default: str, label: str, titles: Mapping[str, str], **more: Any) -> Field:
    return Field.choice(name, default, label, _HELP[name], titles, **more)


_SCALE: dict[str, Any] = {"log": True, "live": True}
_ADAPTIVE = {"every": "every k-th step", "adaptive": "adaptive"}
_MEASURED_ON = {"step": "the step's own", "fixed": "a fixed one", "all": "all the data"}
_DEVICES = {"cpu": "CPU", "cuda": "NVIDIA GPU (cuda)", "mps": "Apple GPU (mps)", "auto": "auto"}

_FIELDS = (
    _choice(
        "problem", "digits-mlp", "Model and data", {s.name: s.title for s in PROBLEMS.values()}
    ),
    _choice("rule", "sam", "Update rule", {r.name: r.title for r in RULES.values()}, live=True),
    _number("eta", 1.0, "Step size η", 0, 1e6, open_low=True, suggested=(1e-3, 10), **_SCALE),
    _number("rho", 0.05, "SAM radius ρ", 0, 1e3, suggested=(1e-3, 1), **_SCALE),
    _number("beta", 0.9, "Momentum β", 0, 0.9999, live=True, suggested=(0, 0.99)),
    _number("beta2", 0.999, "Second moment β₂", 0, 0.99999),
    _number("eps", 1e-8, "Added to the root ε", 0, 1, open_low=True, log=True),
    _number("weight_decay", 0.0, "Weight decay", 0, 1e3),
    _choice("schedule", "constant", "Schedule of η", SCHEDULES),
    _number("warmup", 500, "Warm-up", 1, 10_000_000, unit="steps"),
    _number("period", 0, "Cosine over", 0, 10_000_000, unit="steps"),
    _number("sharpness_every", 0, "Sharpness too, every", 0, 100_000, unit="steps"),
    _number("batch_size", 0, "Batch size", 0, 1_000_000, unit="examples"),
    _number("seed", 0, "Seed", 0, 2**31 - 1),
    _choice("cadence", "every", "Measure", _ADAPTIVE),
    _number("measure_every", 1, "Measure every", 1, 100_000, unit="steps"),
    _choice("measure_on", "step", "Measured batch", _MEASURED_ON),
    _number("hessian_share", 1.0, "Share of the data in the Hessian", 0, 1, open_low=True),
    _number("batch_sharpness_every", 0, "Batch sharpness every", 0, 100_000, unit="steps"),
    _number("batch_sharpness_batches", 32, "Batch sharpness over", 2, MOST_BATCHES, unit="batches"),
    _number("top_k", 1, "Eigenvalues", 1, 10),
    _number("steps", 1300, "Number of steps", 1, 10_000_000),
    _choice("dtype", "float32", "Precision", {"float32": "float32", "float64": "float64"}),
    _choice("device", "cpu", "Device", _DEVICES),
)

FIELDS: Mapping[str, Field] = MappingProxyType({field.name: field for field in _FIELDS})
LIVE_FIELDS = tuple(field.name for field in _FIELDS if field.live)


@dataclass(frozen=True)
class RunConfig:
    """The settings of one run; immutable, checked, and equal when every value is equal.

    Attributes: see `FIELDS` (label, help, unit and range of each); `options` are the problem's own
    (`PROBLEMS[problem].options`), filled up with their defaults. `problem` may also be
    "own-problem", in the History of a run whose Problem was passed to `samedge_core.run`.

    Raises:
        ConfigError (a ValueError): names the setting, the value received and what is allowed.

    >>> RunConfig(eta=-1)
    Traceback (most recent call last):
        ...
    samedge_core.fields.ConfigError: eta must be a number > 0 and <= 1e+06, got -1
    """

    problem: str = FIELDS["problem"].default
    options: Mapping[str, Any] = dataclass_field(default_factory=dict)
    rule: str = FIELDS["rule"].default
    eta: float = FIELDS["eta"].default
    rho: float = FIELDS["rho"].default
    beta: float = FIELDS["beta"].default
    beta2: float = FIELDS["beta2"].default
    eps: float = FIELDS["eps"].default
    weight_decay: float = FIELDS["weight_decay"].default
    schedule: str = FIELDS["schedule"].default
    warmup: int = FIELDS["warmup"].default
    period: int = FIELDS["period"].default
    sharpness_every: int = FIELDS["sharpness_every"].default
    batch_size: int = FIELDS["batch_size"].default
    seed: int = FIELDS["seed"].default
    cadence: str = FIELDS["cadence"].default
    measure_every: int = FIELDS["measure_every"].default
    measure_on: str = FIELDS["measure_on"].default
    hessian_share: float = FIELDS["hessian_share"].default
    batch_sharpness_every: int = FIELDS["batch_sharpness_every"].default
    batch_sharpness_batches: int = FIELDS["batch_sharpness_batches"].default
    top_k: int = FIELDS["top_k"].default
    steps: int = FIELDS["steps"].default
    dtype: str = FIELDS["dtype"].default
    device: str = FIELDS["device"].default

    def __post_init__(self) -> None:
        for name, field in FIELDS.items():
            if name != "problem" or self.problem != OWN_PROBLEM:
                object.__setattr__(self, name, field.check(getattr(self, name)))
        if not isinstance(self.options, Mapping):
            message = f"options must be a mapping of names to values, got {abridged(self.options)}"
            raise ConfigError("options", message)
        named = self.options or self.problem != FIELDS["problem"].default
        options = check_all(self.spec.options, self.options, f"problem {self.problem}")
        object.__setattr__(self, "options", Frozen(options))
        self._check_held_out()
        if named:  # else a script may train another problem, whose data `Batches` checks it against
            self._check_batch()
        if self.batch_sharpness_every and not (self.has_batches if named else self.batch_size):
            self._refuse_batch_sharpness()

    @property
    def spec(self) -> ProblemSpec:
        """The ProblemSpec of `problem`: title, options, data size."""
        return spec_of(self.problem)

    def _check_held_out(self) -> None:
        n, n_test = self.options.get("n", 0), self.options.get("n_test", 0)
        left = self.spec.left(n)
        if left is not None and n_test > left:
            allowed = f"at most {left:,}, what a data size of {n:,} leaves of {left + n:,}"
            raise ConfigError("n_test", f"n_test must be {allowed}, got {n_test:,}")

    @property
    def has_batches(self) -> bool:
        """Whether its steps are taken on mini-batches, as far as the data is known."""
        return self.batch_size not in (0, self._data_size)

    @property
    def _data_size(self) -> int:
        size = self.spec.data_size if self.problem != OWN_PROBLEM else None
        return self.options[size] if size else 0

    def _check_batch(self) -> None:
        if self.problem == OWN_PROBLEM:
            return  # its data is not known here: `Batches` checks the size
        n = self._data_size
        if self.batch_size > n:
            allowed = f"at most the data size, {n}" if n else f"0: {self.problem} has no data"
            raise ConfigError("batch_size", f"batch_size must be {allowed}, got {self.batch_size}")

    def _refuse_batch_sharpness(self) -> None:
        name, got = "batch_sharpness_every", self.batch_sharpness_every
        message = f"{name} must be 0 with the full batch, got {got:,}. {MEANINGLESS}"
        raise ConfigError(name, message)

    def __hash__(self) -> int:
        return hash(self.to_json())

    @property
    def measured_part(self) -> str:
        """The part of the data that is measured, in words; empty if it is a step's whole batch."""
        parts = []
        if self.measure_on == "fixed" and self.batch_size:
            parts.append(f"a fixed batch of {self.batch_size:,}")
        elif self.measure_on == "all" and self.batch_size:
            parts.append("all the data")
        if self.hessian_share < 1:
            parts.append(f"Hessian of {100 * self.hessian_share:.3g} % of the examples")
        return ", ".join(parts)

    @property
    def longest_gap(self) -> int:
        """The largest distance between two measured steps."""
        return self.measure_every if self.cadence == "every" else LONGEST_GAP

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The part that may change mid-run."""
        return Hyperparameters(
            self.rule, self.eta, self.rho, self.beta, self.beta2, self.eps, self.weight_decay
        )

    @property
    def step_sizes(self) -> Schedule:
        """How eta moves from step to step."""
        return Schedule(self.schedule, self.warmup, self.period or self.steps)

    def replace(self, **changes: Any) -> RunConfig:
        """A copy with some settings changed; another problem starts from its own options."""
        if changes.get("problem", self.problem) != self.problem:
            changes.setdefault("options", {})
        return replace(self, **changes)

    def capped(self, steps: int) -> RunConfig:
        """A copy with another number of steps, which keeps the step sizes of this one."""
        if self.schedule != "cosine" or steps == self.steps:
            return self.replace(steps=steps)
        return self.replace(steps=steps, period=self.period or self.steps)

    def to_values(self) -> dict[str, Any]:
        """All settings as JSON holds them, with the schema number."""
        return {"schema": SCHEMA, **vars(self), "options": dict(self.options)}

    def to_json(self) -> str:
        """All settings as JSON text."""
        return json.dumps(self.to_values())

    @classmethod
    def from_json(cls, text: str) -> RunConfig:
        """The inverse of `to_json`.

        Raises:
            ConfigError: when the text is not such a JSON object, or of a newer schema.
        """
        return cls.from_values(codec.parse(text))

    @classmethod
    def from_values(cls, values: Any) -> RunConfig:
        """The inverse of `to_values`.

        Raises:
            ConfigError: as `from_json`.
        """
        codec.check_schema(values, SCHEMA, "a configuration")
        settings = {name: value for name, value in values.items() if name != "schema"}
        codec.check_names("", settings, [field.name for field in fields(cls)])
        return cls(**settings)


class Frozen(dict):
    """A dict that refuses changes (a mappingproxy can't be pickled)."""

    def _refuse(self, *args: Any, **kwargs: Any):
        raise TypeError("what a run is made of can't be changed; make another one from it")

    __setitem__ = __delitem__ = pop = popitem = clear = _refuse
    update = setdefault = __ior__ = _refuse  # pyright: ignore[reportAssignmentType]

    def __reduce__(self):
        return type(self), (dict(self),)


class Changes(Frozen):
    """New values of eta, rho, beta or rule, in their fields' own types; immutable.

    `Changes.of` checks them; the constructor takes values that were checked already.
    """

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Changes:
        """These changes, each checked against its field, unless they are `Changes` already.

        Raises:
            ConfigError: a value outside its range.
            ValueError: a setting that can't change mid-run.

        >>> Changes.of({"eta": 1})
        {'eta': 1.0}
        """
        if isinstance(values, cls):
            return values
        for name in values:
            if name not in LIVE_FIELDS:
                allowed = ", ".join(LIVE_FIELDS)
                raise ValueError(f"{name} can't change mid-run; what can: {allowed}")
        return cls({name: FIELDS[name].check(value) for name, value in values.items()})


NOTHING = Changes()
