"""Predictions beside the simulation with the current settings, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose


@dataclass(frozen=True)
class Check:
    """A prediction beside the simulation.

    Attributes:
        slack: the rounding error where terms cancel.
        near: how far off, as a share, a law may be that holds in the limit; 0: to six digits.
    """

    what: str
    predicted: float
    simulated: float
    slack: float = 0.0
    near: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether they are equal to six digits, or as near as the law says."""
        near = self.near or 1e-6
        return isclose(self.predicted, self.simulated, rel_tol=near, abs_tol=self.slack)

    @property
    def verdict(self) -> str:
        """Whether they agree, in words."""
        if self.near:
            off = 100 * abs(self.simulated / self.predicted - 1)
            return f":{'green' if self.agrees else 'orange'}[off by {off:.2g} %]"
        return ":green[agrees]" if self.agrees else ":orange[not yet: give it more steps]"

    def text(self, value: float) -> str:
        """Six digits; what is nothing but rounding is 0."""
        return "0" if abs(value) <= self.slack else f"{value:.6g}"


def table(checks: Sequence[Check]) -> str:
    """The checks as a table in Markdown."""
    rows = ["| | predicted | simulated | |", "|---|---:|---:|---|"]
    for one in checks:
        name = one.what.replace("|", r"\|")  # a bare one starts another cell
        numbers = f"{one.text(one.predicted)} | {one.text(one.simulated)}"
        rows.append(f"| {name} | {numbers} | {one.verdict} |")
    return "\n".join(rows)
