"""The parts of the page by name: those that draw a descent, and what they have in common."""

from pages.parts.quadratic import (
    balanced,
    catapult,
    derivation,
    one_dimension,
    two_dimensions,
    two_weights,
)

DESCENTS = {
    "line": one_dimension,
    "plane": two_dimensions,
    "valley": two_weights,
    "balanced": balanced,
    "catapult": catapult,
}
CHECKED = {"valley": two_weights, "catapult": catapult, "derivation": derivation}
SIMULATED = {**DESCENTS, "derivation": derivation}
