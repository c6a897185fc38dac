"""The settings of the map of fates: one table for its controls, its link and its places."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from pages.parts.sweeps.zooming import LABELS
from samedge_core.fields import Field
from samedge_core.problems.registry import PROBLEMS
from samedge_core.sharing import links
from samedge_core.sweeps.fate_map import AXES, MAPPED_RULES, SPANS, Plane, View
from samedge_core.theory.rules import RULES
from samedge_core.training import config

Values = Mapping[str, Any]


def _slider(name: str, default: float) -> Field:
    """A setting of a run, on a slider that spans the map."""
    of_start = {field.name: field for field in PROBLEMS["two-weight"].options}
    field = of_start.get(name) or config.FIELDS[name]
    low, high = SPANS[name]
    low = high / 200 if field.open_low else low
    return replace(field, default=default, suggested=(low, high), log=False)


def _choice(name: str, default: str, label: str, about: str, titles: Mapping[str, str]) -> Field:
    return Field.choice(name, default, label, about, titles)


_FIELDS = (
    _choice(
        "problem",
        "two-weight",
        "Loss",
        "Two weights: L(a, b) = ½ (ab − 1)². Quadratic: its largest eigenvalue λ decides.",
        {name: PROBLEMS[name].title for name in AXES},
    ),
    _choice(
        "rule",
        "gd",
        "Rule",
        "How gradients make a step.",
        {name: RULES[name].short for name in MAPPED_RULES},
    ),
    _choice("x", "eta", "To the right", "The setting along the horizontal axis.", LABELS),
    _choice("y", "a", "Upward", "The setting along the vertical axis.", LABELS),
    Field("log", "bool", False, "Log scale", "Equal ratios of η, ρ and λ are equally far apart."),
    _slider("eta", 0.3),
    _slider("rho", 0.1),
    _slider("beta", 0.5),
    _slider("a", 2.5),
    _slider("b", 0.6),
    Field(
        "curvature",
        "float",
        6.0,
        "Curvature λ",
        "The largest eigenvalue of the Hessian.",
        low=0,
        high=1e6,
        open_low=True,
        suggested=(0.1, 20),
    ),
    Field("view", "floats", (0.0,), "View", "What is seen: x from, x to, y from, y to."),
    Field("at", "floats", (0.0,), "Point", "The chosen point, x and y."),
)
FIELDS: Mapping[str, Field] = MappingProxyType({field.name: field for field in _FIELDS})
DEFAULTS: Values = MappingProxyType({field.name: field.default for field in _FIELDS})


@dataclass(frozen=True)
class Place:
    """Somewhere to go; `look` says what is seen there."""

    title: str
    look: str
    values: Values


PLACES = (
    Place(
        "GD: from rest to chaos",
        "At small η GD comes to rest. From η = 1 on, where ηλ = 2 at the flattest minimum, it "
        "never does: it hops with period 2, then 4, then with none, until all is thrown out.",
        {},
    ),
    Place(
        "Momentum: a coast without end",
        "With momentum what settles and what is thrown out interlock: the border has bays and "
        "islands at every scale, where GD's is a line. Zoom into one.",
        {"rule": "polyak", "view": (0.9, 1.5, 0.2, 2.2), "b": 0.3},
    ),
    Place(
        "GD: every start, one η",
        "All starts (a, b) at η = 0.3. Inside of the border, which is a line, GD ends in the "
        "valley; shades are the steps that it takes, in rings within rings along the border.",
        {"x": "a", "y": "b"},
    ),
    Place(
        "SAM: hops of two, three and four",
        "SAM never comes to rest, whatever η and ρ: it hops. The radius decides with which period.",
        {"rule": "sam", "y": "rho", "view": (0.0, 0.7, 0.0, 1.0)},
    ),
    Place(
        "Quadratic: one smooth border",
        "The curvature can't move here, and the border is exact: GD diverges where ηλ > 2.",
        {"problem": "quadratic", "y": "curvature"},
    ),
)


def axes_of(values: Values) -> list[str]:
    """The settings on which the rule's steps depend, which alone make a map."""
    used = RULES[values["rule"]].uses
    return [n for n in AXES[values["problem"]] if n in used or n in ("a", "b", "curvature")]


def with_axes(values: Values) -> dict[str, Any]:
    """With two different axes that the problem and the rule have."""
    allowed = axes_of(values)
    x = values["x"] if values["x"] in allowed else allowed[0]
    others = [name for name in allowed if name != x]
    y = values["y"] if values["y"] in others else others[-1]
    return {**values, "x": x, "y": y}


def plane_of(values: Values) -> Plane:
    return Plane(**{n: v for n, v in values.items() if n not in ("view", "at")})


def address(plane: Plane, view: View) -> dict[str, str]:
    """The link's parameters of this map at this view."""
    values = {**DEFAULTS, **vars(plane), "view": view}
    return {"part": "map"} | links.texts(FIELDS.values(), values)
