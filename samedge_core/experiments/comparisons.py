"""Runs from the same weights that differ in one setting; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from samedge_core.fields import ConfigError
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig

FACTORS = (0.5, 1.0, 2.0)  # powers of two: what they give is exact


@dataclass(frozen=True)
class Comparison:
    """Which runs are made of one configuration.

    Attributes:
        name: the setting in which they differ.
        values: of the setting itself (rule), or factors of it (eta, rho), by the run's place.
        lead: place of the run that has the settings as entered.

    >>> [run.eta for run in COMPARISONS["eta"].configs(RunConfig(eta=1.0))]
    [0.5, 1.0, 2.0]
    """

    name: str
    values: Sequence[Any]
    lead: int

    def configs(self, config: RunConfig) -> list[RunConfig]:
        """Return the configurations of the runs that `config` stands for.

        Raises:
            ConfigError: a multiple of eta or rho is more than is allowed.
        """
        entered = {self.name: getattr(config, self.name)}
        places = range(len(self.values))
        return [config.replace(**self.settings(entered, place)) for place in places]

    def settings(self, entered: Mapping[str, Any], place: int) -> dict[str, Any]:
        """Return the entered settings as the run at `place` has them."""
        value = self.values[place]
        if self.name not in entered:
            return dict(entered)
        return {**entered, self.name: value if self.name == "rule" else value * entered[self.name]}

    def fits(self, config: RunConfig) -> bool:
        """Whether its runs are allowed, and differ: without a radius, or with 0, they do not."""
        if self.name != "rule" and self.name not in RULES[config.rule].uses:
            return False
        try:
            return len(set(self.configs(config))) == len(self.values)
        except ConfigError:
            return False


COMPARISONS: dict[str, Comparison] = {
    "rule": Comparison("rule", ("gd", "sam"), lead=1),
    "eta": Comparison("eta", FACTORS, lead=1),
    "rho": Comparison("rho", FACTORS, lead=1),
}


def comparison_of(configs: Sequence[RunConfig]) -> Comparison | None:
    """Return the comparison that makes these runs in this order, or None.

    >>> found = comparison_of(COMPARISONS["rho"].configs(RunConfig(rho=0.02)))
    >>> found.name if found else None
    'rho'
    """
    for comparison in COMPARISONS.values():
        if len(configs) == len(comparison.values):
            lead = configs[comparison.lead]
            if comparison.fits(lead) and comparison.configs(lead) == list(configs):
                return comparison
    return None
