"""The settings of the quadratic page: one table for its sliders, its link and its presets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from samedge_core.fields import Field, abridged
from samedge_core.sharing import links
from samedge_core.theory.descent import PLAIN_RULES
from samedge_core.theory.rules import RULES

Values = Mapping[str, Any]
Span = tuple[float, float]

PARTS = {
    "line": "1 · One dimension",
    "plane": "2 · Two dimensions",
    "valley": "3 · Two weights",
    "balanced": "4 · Beyond the edge",
    "catapult": "5 · Catapult",
    "map": "6 · Stability map",
    "derivation": "7 · Derivation",
}
GD_ALONE = ("balanced", "catapult")  # parts whose laws are GD's
LOGGED = ("line", "plane", "valley", "catapult")  # parts with charts that may have a log scale
AXES = {
    "eta": "step size η",
    "rho": "SAM radius ρ",
    "curvature": "curvature λ",
    "grad_norm": "gradient norm ‖g‖",
}
RULE_NAMES = {rule: RULES[rule].short for rule in PLAIN_RULES}


HELP = {
    "part": "Which picture is shown.",
    "eta": "GD's edge is 2/η: it needs flatter ground for a larger step.",
    "rho": "Distance from the iterate to the point where SAM takes its gradient. 0 is GD.",
    "curvature": "Second derivative of the loss; in two dimensions the larger eigenvalue of A.",
    "w0": "Where the descent starts. A click on the loss sets it too.",
    "steps": "How many updates are computed. Of many, the charts draw the range and the mean.",
    "ratio": "How flat the second direction is, as a share of the first.",
    "angle": "Direction of the top eigenvector, from the x axis.",
    "x0": "Where the descent starts. A click on the contours sets it too.",
    "y0": "Where the descent starts. A click on the contours sets it too.",
    "a0": "First weight at the start. A click on the map sets it too.",
    "b0": "Second weight at the start. A click on the map sets it too.",
    "walk": "How many updates are computed. SAM drifts along the valley slowly.",
    "eta_balanced": "The minima a = 1 and a = −1 have sharpness 2, which is beyond GD's edge for η "
    "above 1. A click on the left picture sets it too.",
    "a_balanced": "Both weights at the start; they stay equal.",
    "eta_catapult": "GD settles at once while K < 2/η, throws itself over from there to 4/η, and "
    "diverges beyond.",
    "f0": "Output of the network at the start; the loss is f²/2. A click on the left picture sets "
    "it too.",
    "k0": "Curvature of the loss where f = 0, (‖u‖² + ‖v‖²)/n, at the start. A click on the left "
    "picture sets it too.",
    "n": "Units of the hidden layer. A wider network is thrown farther: up to f of about √n/η.",
    "hops": "How many updates are computed.",
    "grad_norm": "Norm of the gradient at the current iterate.",
    "map_rule": "The update rule whose multiplier is drawn.",
    "map_x": "Quantity on the x axis.",
    "map_y": "Quantity on the y axis.",
    "log": "Logarithmic vertical axes of the charts over steps.",
} | {rule: f"Draw {name}." for rule, name in RULE_NAMES.items()}


def _real(name: str, label: str, default: float, span: Span, limit: float, unit: str = "") -> Field:
    """A number from -limit to limit; its slider goes over `span`."""
    allowed = {"low": -limit, "high": limit, "suggested": span, "unit": unit}
    return Field(name, "float", default, label, HELP[name], **allowed)


def _positive(
    name: str, label: str, default: float, span: Span, high: float, *, zero: bool = False
) -> Field:
    """A number above 0, or from 0 where `zero` is set, to `high`, on a logarithmic slider."""
    allowed = {"low": 0, "high": high, "open_low": not zero, "suggested": span, "log": True}
    return Field(name, "float", default, label, HELP[name], **allowed)


def _linear(name: str, label: str, default: float, span: Span, high: float) -> Field:
    """A number above 0, to `high`, on a slider with even spacing."""
    allowed = {"low": 0, "high": high, "open_low": True, "suggested": span}
    return Field(name, "float", default, label, HELP[name], **allowed)


def _steps(name: str, default: int, label: str = "Steps", high: int = 10_000) -> Field:
    allowed = {"low": 1, "high": high, "suggested": (1, high), "log": True}
    return Field(name, "int", default, label, HELP[name], **allowed)


def _choice(name: str, label: str, default: str, titles: Mapping[str, str]) -> Field:
    choices, words = tuple(titles), tuple(titles.values())
    return Field(name, "choice", default, label, HELP[name], choices=choices, titles=words)


def _switch(name: str, label: str, default: bool) -> Field:
    return Field(name, "bool", default, label, HELP[name])


_FIELDS = (
    _choice("part", "Part", "line", PARTS),
    *(_switch(rule, name, rule != "usam") for rule, name in RULE_NAMES.items()),
    _positive("eta", "Step size η", 0.3, (0.01, 2), 1e3),
    _positive("rho", "SAM radius ρ", 0.2, (1e-3, 2), 1e3, zero=True),
    _positive("curvature", "Curvature λ", 5.0, (0.1, 100), 1e4),
    _real("w0", "Start w₀", 1.5, (-3, 3), 1e6),
    _steps("steps", 40),
    _positive("ratio", "λ₂ / λ₁", 0.3, (0.01, 1), 1),
    _real("angle", "Angle v₁", 30.0, (-90, 90), 360, "°"),
    _real("x0", "Start x", -1.6, (-3, 3), 1e6),
    _real("y0", "Start y", 1.3, (-3, 3), 1e6),
    _real("a0", "Start a", 2.5, (-1, 4), 20),
    _real("b0", "Start b", 0.6, (-1, 4), 20),
    _steps("walk", 400),
    _linear("eta_balanced", "Step size η", 1.27, (0.6, 2.1), 3),
    _real("a_balanced", "Start a = b", 0.4, (-1.6, 1.6), 20),
    _linear("eta_catapult", "Step size η", 1.0, (0.2, 2), 1e3),
    _real("f0", "Start f", 0.5, (-5, 5), 1e6),
    _linear("k0", "Start K", 3.0, (0.1, 6), 1e6),
    _steps("n", 100, "Width n"),
    _steps("hops", 40, high=500),
    _positive("grad_norm", "Gradient norm ‖g‖", 1.0, (1e-3, 100), 1e6),
    _choice("map_rule", "Rule of the map", "sam", RULE_NAMES),
    _choice("map_x", "Horizontal axis", "grad_norm", AXES),
    _choice("map_y", "Vertical axis", "curvature", AXES),
    _switch("log", "Log scale", False),
)
FIELDS: Mapping[str, Field] = MappingProxyType({field.name: field for field in _FIELDS})

DEFAULTS: Values = MappingProxyType({name: field.default for name, field in FIELDS.items()})

SLIDERS = {
    "line": ("eta", "rho", "curvature", "w0", "steps"),
    "plane": ("eta", "rho", "curvature", "ratio", "angle", "x0", "y0", "steps"),
    "valley": ("eta", "rho", "a0", "b0", "walk"),
    "balanced": ("eta_balanced", "a_balanced", "hops"),
    "catapult": ("eta_catapult", "f0", "k0", "n", "hops"),
    "map": ("eta", "rho", "curvature", "grad_norm"),
    "derivation": ("eta", "rho", "curvature", "w0", "steps"),
}


LOOK = {
    "line": "Iterates hop on the parabola; where diamonds are hollow, SAM takes its gradient. "
    "Beside it: the distance, the gradient norm, and the SAM-edge on its way to λ.",
    "plane": "Along the flat direction v₂ everything dies out, along v₁ SAM keeps hopping. The "
    "gauge shows by what a step multiplies each direction; −1 is the edge.",
    "valley": "Colour is sharpness; the minima are the line ab = 1. The dotted path is gradient "
    "flow: it keeps c = a² − b². Where does GD stop, where does SAM go? Click for another start.",
    "balanced": "Where GD ends from a = b, for every η: a minimum, then hops between two points, "
    "four, and chaos, each beyond an edge. The line is your η; beside it are its hops.",
    "catapult": "Above K = 2/η no minimum is stable, so the loss rises, and with it K falls, until "
    "K is below 2/η. Above 4/η nothing holds it. The darker a start, the steeper the minimum "
    "where it ends. Click for another one.",
    "map": "The thick line is the edge: on one side of it a step shrinks what it acts on, on the "
    "other it makes it grow. The dot is where you are.",
    "derivation": "An edge is where its line in the picture comes to −1; on its orbit SAM's does "
    "so at λ. The five steps have the current numbers: move a slider, follow one through.",
}


@dataclass(frozen=True)
class Preset:
    """Settings that show something; `look` says what to look at."""

    title: str
    look: str
    values: Values


PRESETS: Mapping[str, Preset] = {
    "sam-hops": Preset(
        "SAM hops, and its edge meets λ",
        "SAM does not settle: it ends hopping between −w* and +w*. In the third chart the "
        "SAM-edge starts away from λ and lands on it. The curvature can't move on a "
        "quadratic, so the gradient norm moves until the edge is equal to λ.",
        {},
    ),
    "gd-below": Preset(
        "GD just below 2/η",
        "ηλ = 1.9: GD overshoots at every step, yet each hop is 10 % smaller than the one "
        "before, and it converges. Raise λ or η a little and see what happens at 2.",
        {"eta": 0.38, "sam": False, "steps": 60},
    ),
    "gd-above": Preset(
        "GD just above 2/η",
        "ηλ = 2.05: each hop is 5 % larger than the one before. 2/η now lies below λ, and "
        "that is the whole difference. SAM would diverge here too.",
        {"eta": 0.41, "sam": False, "steps": 60},
    ),
    "tiny-gradient": Preset(
        "Tiny gradient, tiny edge",
        "At a small gradient norm SAM's perturbed point lies far beyond the valley, and only "
        "flat ground is stable: the SAM-edge falls like the square root of 2‖g‖/(ηρ), while "
        "2/η does not move. Drag ‖g‖, or click on a chart.",
        {"part": "map", "grad_norm": 0.01},
    ),
    "rho-zero": Preset(
        "ρ to 0 gives GD",
        "With ρ = 0 SAM takes GD's gradient, bit for bit: one lies on the other, and the "
        "SAM-edge is 2/η. Raise ρ a little: the hop that stays has the size "
        "|w*| = ηρλ/(2 − ηλ).",
        {"rho": 0.0},
    ),
    "plane": Preset(
        "Two directions, one survives",
        "Along v₂ everything dies out; along the top eigenvector v₁ SAM keeps hopping. Click "
        "on the contours for another start, press Play, and watch the gauge: SAM's multiplier "
        "of v₁ settles at −1.",
        {"part": "plane"},
    ),
    "valley": Preset(
        "SAM drifts to the flattest minimum",
        "GD and SAM start at the same weights. GD comes to rest at a minimum that is flatter "
        "than 2/η. SAM hops across the valley and drifts along it, to the flattest point a = "
        "b, and hops there: sharpness / edge alternates, 0.88 and 1.17. Try ρ = 0.2: a hop of "
        "three.",
        {"part": "valley", "rho": 0.05, "walk": 2000},
    ),
    "chaos": Preset(
        "GD in chaos, and still bounded",
        "η = 1.68: no hop repeats, yet none leaves. From η = 1.598 on a hop may land in the other "
        "valley, a = −1; from 2 on it may leave for good. At 1.7 is a window: a period of six.",
        {"part": "balanced", "eta_balanced": 1.68, "hops": 300},
    ),
    "catapult": Preset(
        "A catapult lands on flat ground",
        "K starts at 3, between 2/η = 2 and 4/η = 4: f grows at each hop until K has fallen below "
        "2, and then it settles. Try K = 4.1.",
        {"part": "catapult"},
    ),
}


def from_link(query: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return all settings of a link, and a message for each that can't be used. Messages quote the
    link, so a page must escape them."""
    values, messages = dict(DEFAULTS), []
    preset = query.get("preset")
    if preset is not None and preset in PRESETS:
        values |= PRESETS[preset].values
    elif preset is not None:
        messages.append(f"There is no preset {abridged(preset)}; there are: {', '.join(PRESETS)}.")
    for name, text in query.items():
        if name in FIELDS:
            values[name], complaint = links.nearest(FIELDS[name], text, values[name])
            messages += [f"The link says {complaint}."] if complaint else []
    if not any(values[rule] for rule in PLAIN_RULES):
        values |= {rule: DEFAULTS[rule] for rule in PLAIN_RULES}
        messages.append("The link switches every rule off; GD and SAM are shown.")
    if (twice := values["map_x"]) == values["map_y"]:
        values |= {name: DEFAULTS[name] for name in ("map_x", "map_y")}
        used = f"{values['map_x']} and {values['map_y']}"
        messages.append(f"The link has {twice} on both axes of the map; {used} are used instead.")
    return values, messages


def to_link(values: Values) -> dict[str, str]:
    """Return the shortest query that `from_link` reads as these settings: those not at default."""
    return links.texts(FIELDS.values(), values)


def preset_of(values: Values, ignored: Iterable[str] = ("log",)) -> str | None:
    """The name of the preset with these settings, or None; `ignored` settings may differ."""
    for name, preset in PRESETS.items():
        wanted = {**DEFAULTS, **preset.values}
        if all(values[key] == wanted[key] for key in wanted if key not in ignored):
            return name
    return None
