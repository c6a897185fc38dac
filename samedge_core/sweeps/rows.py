"""Row: what one cell of a sweep has shown, and the quantities of it that can be drawn.

Importable without torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, NamedTuple

from samedge_core.fields import LARGEST_INT, ConfigError, abridged
from samedge_core.theory.rules import RULES
from samedge_core.training import codec

FATES = (
    "at its edge",
    "below its edge",
    "above its edge",
    "diverged",
    "dead",
    "converged",
    "failed",
)
LONGEST_WHAT = 500  # characters


@dataclass(frozen=True)
class Row:
    """One cell and seed of a sweep; NaN (None for whole numbers) where a number is not known.

    Attributes:
        cell: its index in `Sweep.cells`.
        fate: one of FATES.
        steps: taken.
        reached_edge_at: the first sample whose sharpness has come to the edge.
        ratio, deviation: medians of sharpness / edge and of |that - 1| over the samples from there
            on; over the last half of all samples where it never came there.
        hopping: share, 0 to 1, of the sampled pairs of steps of the last half in which the gradient
            along v1 changes its sign.
        sharpness, edge, grad_norm, loss, accuracy, held_out_loss: at the end; the last finite ones.
        unconverged: share, 0 to 1, of the samples whose sharpness has not converged.
        what: why it ended, in words.
        seconds: of computing.
        start_sharpness, start_grad_norm: before the first step, whence theory expects an edge.
    """

    cell: int
    fate: str
    steps: int
    reached_edge_at: int | None = None
    ratio: float = math.nan
    deviation: float = math.nan
    hopping: float = math.nan
    sharpness: float = math.nan
    edge: float = math.nan
    grad_norm: float = math.nan
    loss: float = math.nan
    accuracy: float = math.nan
    held_out_loss: float = math.nan
    unconverged: float = math.nan
    what: str = ""
    seconds: float = math.nan
    start_sharpness: float = math.nan
    start_grad_norm: float = math.nan

    def __post_init__(self) -> None:
        if self.fate not in FATES:
            allowed = ", ".join(FATES)
            raise ConfigError("fate", f"fate must be one of {allowed}, got {abridged(self.fate)}")
        for name in ("steps", "reached_edge_at"):
            if not 0 <= (value := getattr(self, name) or 0) <= LARGEST_INT:
                allowed = f"from 0 to {LARGEST_INT}"
                raise ConfigError(name, f"{name} must be {allowed}, got {abridged(value)}")

    def to_values(self) -> dict[str, Any]:
        """All values as JSON holds them; null for what is not finite."""
        values = dict(vars(self))
        for name in _FLOATS:
            values[name] = values[name] if math.isfinite(values[name]) else None
        return {**values, "what": self.what[:LONGEST_WHAT]}

    @classmethod
    def from_values(cls, values: Any) -> Row:
        """The inverse of `to_values`.

        Raises:
            ConfigError: a name that is missing or unknown, or a value of another type.
        """
        if not isinstance(values, dict):
            raise ConfigError("row", f"a row must be a JSON object, got {abridged(values)}")
        known = {n: math.nan if v is None and n in _FLOATS else v for n, v in values.items()}
        return codec.convert(known, cls, "a row")


COLUMNS = tuple(field.name for field in fields(Row))
_FLOATS = tuple(field.name for field in fields(Row) if field.type == "float")


class Quantity(NamedTuple):
    """A number of a row as it is drawn: label, d3 format, unit, and the scale of its colours; they
    end at `range`, or where the values do."""

    label: str
    format: str
    unit: str = ""
    log: bool = False
    range: tuple[float, float] | None = None

    def label_under(self, rule: str) -> str:
        """The label in the words of an update rule: what is held against what."""
        return self.label.replace("Sharpness / edge", RULES[rule].ratio.capitalize())


QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        "ratio": Quantity("Sharpness / edge, median", ".3f", range=(0.0, 1.5)),
        "deviation": Quantity("|Sharpness / edge − 1|, median", ".3g", log=True),
        "reached_edge_at": Quantity("Steps to the edge", ",d", "steps"),
        "sharpness": Quantity("Sharpness at the end", ".4g", log=True),
        "edge": Quantity("Edge at the end", ".4g", log=True),
        "grad_norm": Quantity("Gradient norm at the end", ".3g", log=True),
        "loss": Quantity("Training loss at the end", ".3g", log=True),
        "accuracy": Quantity("Training accuracy at the end", ".3f", range=(0.0, 1.0)),
        "held_out_loss": Quantity("Held-out loss at the end", ".3g", log=True),
        "hopping": Quantity("Share of steps that hop across the valley", ".2f", range=(0.0, 1.0)),
        "steps": Quantity("Steps taken", ",d", "steps"),
        "unconverged": Quantity("Share of sharpness estimates not converged", ".2f"),
        "seconds": Quantity("Computing time", ".2g", "seconds", log=True),
    }
)
"""The numbers of a row that can be drawn, by name."""
