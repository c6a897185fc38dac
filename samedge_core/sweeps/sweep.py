"""Sweep: a grid of configurations over one or two settings, checked whole where it is built.

Importable without torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from samedge_core.fields import ConfigError, Field, abridged
from samedge_core.problems.registry import OWN_PROBLEM
from samedge_core.theory.rules import RULES
from samedge_core.training import codec
from samedge_core.training.config import FIELDS, RunConfig
from samedge_core.training.schedule import LENGTHS

SCHEMA = 1
MOST_CELLS = 10_000  # cells times seeds
DIGITS = 12  # of a value between the ends of an axis: .3, not .30000000000000004

SAMPLES = Field(
    "samples",
    "int",
    40,
    "Samples",
    "Steps at which the sharpness of a cell is measured, evenly spread over its run.",
    unit="steps",
    low=4,
    high=1000,
)
_SEED = FIELDS["seed"]
# seeds are a sweep's own; a longer run holds the shorter ones; a sweep measures at its samples
_MEASURED = ("measure_every", "sharpness_every", "top_k", "hessian_share")
_NO_AXES = ("seed", "steps", *_MEASURED, "batch_sharpness_every", "batch_sharpness_batches")


@dataclass(frozen=True, slots=True)
class Cell:
    """One configuration of a sweep: `index` counts seeds first, then columns, then rows."""

    index: int
    ix: int
    iy: int
    seed: int
    config: RunConfig


@dataclass(frozen=True)
class Axis:
    """Ascending values of one numeric setting of a run, or of one numeric option of its problem.

    Attributes:
        log: whether it is drawn in equal ratios; its values are then > 0.
    """

    name: str
    values: tuple[float, ...]
    log: bool = False

    @classmethod
    def span(
        cls, base: RunConfig, name: str, low: Any, high: Any, count: Any, log: bool = False
    ) -> Axis:
        """The axis of `count` values from `low` to `high`, in equal steps or (log) equal ratios.

        Raises:
            ConfigError: names the value, and what is allowed.
        """
        field = field_of(base, name)
        low, high = field.check(low), field.check(high)
        count = Field(f"{name}'s count", "int", 2, "", "", low=2, high=MOST_CELLS).check(count)
        _check_log(name, low, log)
        if low >= high:
            raise ConfigError(name, f"{name} must go from low to high, got {low:g} to {high:g}")
        shares = (i / (count - 1) for i in range(1, count - 1))
        between = (low ** (1 - s) * high**s if log else low + (high - low) * s for s in shares)
        rounded = (round(v) if field.kind == "int" else float(f"{v:.{DIGITS}g}") for v in between)
        values = (low, *rounded, high)
        if len(set(values)) < count:
            raise ConfigError(
                name, f"{name} has fewer than {count:,} different values from {low:g} to {high:g}"
            )
        return cls(name, values, log).checked(base)

    @classmethod
    def parse(cls, base: RunConfig, text: str) -> Axis:
        """The axis that a command line gives: NAME=LOW:HIGH:COUNT, the same and ":log", or
        NAME=V1,V2,...

        Raises:
            ConfigError: names the value, and what is allowed.

        >>> Axis.parse(RunConfig(), "eta=0.1:10:3:log").values
        (0.1, 1.0, 10.0)
        """
        name, separator, values = (part.strip() for part in text.partition("="))
        ends = values.split(":")
        if not separator or not values or len(ends) not in (1, 3, 4):
            form = "NAME=LOW:HIGH:COUNT, NAME=LOW:HIGH:COUNT:log or NAME=V1,V2,..."
            raise ConfigError("axis", f"an axis must be {form}, got {abridged(text)}")
        if len(ends) == 1:
            return cls(name, tuple(values.split(","))).checked(base)  # pyright: ignore[reportArgumentType]
        if ends[3:] not in ([], ["log"], ["linear"]):
            raise ConfigError(name, f"{name} must be log or linear, got {abridged(ends[3])}")
        return cls.span(base, name, *ends[:3], log=ends[3:] == ["log"])

    def checked(self, base: RunConfig) -> Axis:
        """This axis with each value in its setting's own type.

        Raises:
            ConfigError: no such setting or one without effect in `base`, a value that is not
                allowed, two values that are not ascending, or 0 where the axis is logarithmic.
        """
        field = field_of(base, self.name)
        if not 1 <= len(self.values) <= MOST_CELLS:
            allowed = f"1 to {MOST_CELLS:,} values"
            raise ConfigError(self.name, f"{self.name} must have {allowed}, got {len(self.values)}")
        values = tuple(field.check(value) for value in self.values)
        for one, other in pairwise(values):
            if one >= other:
                message = f"{self.name} must be ascending values, got {one:.{DIGITS}g} before "
                raise ConfigError(self.name, f"{message}{other:.{DIGITS}g}")
        _check_log(self.name, values[0], self.log)
        return replace(self, values=values, log=bool(self.log))


def field_of(base: RunConfig, name: str) -> Field:
    """The Field of the setting or option `name`, where it can be an axis of a sweep of `base`.

    Raises:
        ConfigError: there is none, or it has no effect there; the message names those that do.
    """
    allowed = axis_fields(base)
    if name not in allowed:
        what = f"an axis of {RULES[base.rule].short} on {base.problem}"
        raise ConfigError("axis", f"{what} is one of {', '.join(allowed)}; got {abridged(name)}")
    return allowed[name]


def axis_fields(base: RunConfig) -> dict[str, Field]:
    """The numeric settings and options, by name, that change something in a run of `base`."""
    spec, unused = base.spec, {*RULES[base.rule].unused, *_NO_AXES}
    unused.update(name for name, kind in LENGTHS.items() if kind != base.schedule)
    if spec.data_size is None:
        unused.add("batch_size")
    fields = [*FIELDS.values(), *spec.options]
    return {
        field.name: field
        for field in fields
        if field.kind in ("int", "float")
        and field.name not in unused
        and (field.only is None or base.options[field.only[0]] == field.only[1])
    }


@dataclass(frozen=True, init=False)
class Sweep:
    """A grid of runs: `base` with one or two settings varied, each for every seed.

    Every configuration is built, and so checked, where the Sweep is made.

    Attributes:
        axes: the first is drawn to the right, the second upward; a mapping of names to values (or
            to an Axis) is taken too.
        seeds: in place of that of `base`.
        samples: at how many steps of a run its sharpness is measured.

    Raises:
        ConfigError: names the axis or the setting, the value received and what is allowed.

    >>> sweep = Sweep(RunConfig(problem="quadratic", rule="gd"), {"eta": (0.1, 0.2, 0.4)})
    >>> sweep.shape, [cell.config.eta for cell in sweep.cells]
    ((3, 1), [0.1, 0.2, 0.4])
    """

    base: RunConfig
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    samples: int

    def __init__(
        self,
        base: RunConfig,
        axes: Mapping[str, Sequence[float] | Axis] | Sequence[Axis],
        seeds: Sequence[int] = (0,),
        samples: int = SAMPLES.default,
    ) -> None:
        self._fill(base, axes, seeds, samples)
        _ = self.cells  # each is built, and so checked

    def _fill(self, base: RunConfig, axes: Any, seeds: Sequence[int], samples: int) -> None:
        if base.problem == OWN_PROBLEM:
            raise ConfigError("problem", f"a sweep needs a problem by its name, got {OWN_PROBLEM}")
        checked = tuple(axis.checked(base) for axis in _as_axes(axes))
        names = [axis.name for axis in checked]
        if not 1 <= len(names) <= 2 or len(set(names)) < len(names):
            raise ConfigError("axes", f"a sweep has one axis, or two different, got {names}")
        seeds = tuple(_SEED.check(seed) for seed in _listed("seeds", seeds))
        if not seeds or len(set(seeds)) < len(seeds):
            raise ConfigError("seeds", f"seeds must be different numbers, got {abridged(seeds)}")
        _check_size(checked, seeds)
        # equal sweeps have equal bases
        values = {"base": base.replace(seed=seeds[0]), "axes": checked, "seeds": seeds}
        for name, value in {**values, "samples": SAMPLES.check(samples)}.items():
            object.__setattr__(self, name, value)

    @cached_property
    def cells(self) -> list[Cell]:
        """All configurations, with their places."""
        upward = self.axes[1].values if len(self.axes) == 2 else (None,)
        cells: list[Cell] = []
        for iy, y in enumerate(upward):
            for ix, x in enumerate(self.axes[0].values):
                at = dict(zip((axis.name for axis in self.axes), (x, y), strict=False))
                config = _at(self.base, at)
                for seed in self.seeds:
                    own = config if config.seed == seed else config.replace(seed=seed)
                    cells.append(Cell(len(cells), ix, iy, seed, own))
        return cells

    @property
    def count(self) -> int:
        """How many cells there are, seeds counted."""
        return math.prod(self.shape) * len(self.seeds)

    @property
    def shape(self) -> tuple[int, int]:
        """(nx, ny): columns and rows of the diagram; ny is 1 with one axis."""
        return len(self.axes[0].values), len(self.axes[1].values) if len(self.axes) == 2 else 1

    def field(self, axis: Axis) -> Field:
        """The Field of the setting that an axis varies: label, unit, range."""
        return field_of(self.base, axis.name)

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits, the same for the same sweep: the id under which it is stored."""
        canonical = json.dumps(self.to_values(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def to_values(self) -> dict[str, Any]:
        """The whole sweep as JSON holds it, with the schema number."""
        return {
            "schema": SCHEMA,
            "base": self.base.to_values(),
            "axes": [{"name": a.name, "values": list(a.values), "log": a.log} for a in self.axes],
            "seeds": list(self.seeds),
            "samples": self.samples,
        }

    @classmethod
    def from_values(cls, values: Any, *, known: bool = False) -> Sweep:
        """The inverse of `to_values`.

        Args:
            known: whether they were checked before, cell by cell: 10,000 take half a second.

        Raises:
            ConfigError: they are no such values, of another schema, or not allowed.
        """
        codec.check_schema(values, SCHEMA, "a sweep")
        plain = codec.convert({n: v for n, v in values.items() if n != "schema"}, _Plain, "a sweep")
        axes = tuple(codec.convert(axis, Axis, "an axis") for axis in plain.axes)
        sweep = cls.__new__(cls)
        sweep._fill(RunConfig.from_values(plain.base), axes, plain.seeds, plain.samples)
        if not known:
            _ = sweep.cells
        return sweep


@dataclass(frozen=True)
class _Plain:
    base: dict[str, Any]
    axes: list[dict[str, Any]]
    seeds: list[int]
    samples: int


def _check_size(axes: Sequence[Axis], seeds: Sequence[int]) -> None:
    count = math.prod(len(axis.values) for axis in axes) * len(seeds)
    if count > MOST_CELLS:
        sizes = " x ".join(f"{len(axis.values):,}" for axis in axes)
        got = f"{sizes} x {len(seeds)} seeds = {count:,}"
        allowed = f"at most {MOST_CELLS:,} cells, seeds counted"
        raise ConfigError("axes", f"a sweep has {allowed}, got {got}")


def _as_axes(axes: Any) -> Iterable[Axis]:
    if not isinstance(axes, Mapping):
        axes = tuple(_listed("axes", axes))
        if not all(isinstance(axis, Axis) for axis in axes):
            raise ConfigError(
                "axes", f"axes must be Axis objects or a mapping, got {abridged(axes)}"
            )
        return axes
    return [v if isinstance(v, Axis) else Axis(n, tuple(_listed(n, v))) for n, v in axes.items()]


def _listed(name: str, values: Any) -> Iterable[Any]:
    if not isinstance(values, Iterable):
        raise ConfigError(name, f"{name} must be a list, such as (1, 2), got {abridged(values)}")
    return values


def _at(base: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    settings = {name: value for name, value in values.items() if name in FIELDS}
    options = {name: value for name, value in values.items() if name not in FIELDS}
    return base.replace(**settings, options={**base.options, **options})


def _check_log(name: str, low: float, log: bool) -> None:
    if log and low <= 0:
        raise ConfigError(name, f"{name} must be > 0 on a logarithmic axis, got {low:g}")
