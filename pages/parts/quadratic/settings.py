"""The settings of the quadratic page: one table for its sliders, its link and its presets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from samedge_core.fields import Field
from samedge_core.sharing import links
from samedge_core.sharing.replay_file import shown
from samedge_core.theory.descent import PLAIN_RULES
from samedge_core.theory.rules import RULES

Values = Mapping[str, Any]

PARTS = {
    "line": "1 · One dimension",
    "plane": "2 · Two dimensions",
    "valley": "3 · Two weights",
    "map": "4 · Stability map",
    "derivation": "5 · Derivation",
}
AXES = {
    "eta": "step size η",
    "rho": "SAM radius ρ",
    "curvature": "curvature λ",
    "grad_norm": "gradient norm ‖g‖",
}
RULE_NAMES = {rule: RULES[rule].short for rule in PLAIN_RULES}


def _real(name: str, default: float, label: str, text: str, **rest: Any) -> Field:
    rest = {"low": -1e6, "high": 1e6, "suggested": (-3, 3)} | rest
    return Field(name, "float", default, label, text, **rest)


def _positive(name: str, default: float, label: str, text: str, **rest: Any) -> Field:
    return Field(name, "float", default, label, text, low=0, log=True, **rest)


def _steps(name: str, default: int, text: str) -> Field:
    return Field(
        name, "int", default, "Steps", text, low=1, high=10_000, log=True, suggested=(1, 10_000)
    )


def _axis(name: str, default: str, label: str, text: str) -> Field:
    titles = tuple(AXES.values())
    return Field(name, "choice", default, label, text, choices=tuple(AXES), titles=titles)


FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        field.name: field
        for field in (
            Field(
                "part", "choice", "line", "Part", "Which picture is shown.", choices=tuple(PARTS)
            ),
            *(
                Field(rule, "bool", rule != "usam", RULE_NAMES[rule], f"Draw {RULE_NAMES[rule]}.")
                for rule in PLAIN_RULES
            ),
            _positive(
                "eta",
                0.3,
                "Step size η",
                "GD's edge is 2/η: it needs flatter ground for a larger step.",
                open_low=True,
                high=1e3,
                suggested=(0.01, 2),
            ),
            _positive(
                "rho",
                0.2,
                "SAM radius ρ",
                "How far uphill SAM looks before it takes its gradient. 0 is GD.",
                high=1e3,
                suggested=(1e-3, 2),
            ),
            _positive(
                "curvature",
                5.0,
                "Curvature λ",
                "Second derivative of the loss; in two dimensions the larger eigenvalue of A.",
                open_low=True,
                high=1e4,
                suggested=(0.1, 100),
            ),
            _real(
                "w0", 1.5, "Start w₀", "Where the descent starts. A click on the loss sets it too."
            ),
            _steps(
                "steps", 40, "How many updates are computed; many are thinned where they are drawn."
            ),
            _positive(
                "ratio",
                0.3,
                "λ₂ / λ₁",
                "How flat the second direction is, as a share of the first.",
                open_low=True,
                high=1,
                suggested=(0.01, 1),
            ),
            _real(
                "angle",
                30.0,
                "Angle v₁",
                "Direction of the top eigenvector, from the x axis.",
                unit="°",
                low=-360,
                high=360,
                suggested=(-90, 90),
            ),
            _real(
                "x0",
                -1.6,
                "Start x",
                "Where the descent starts. A click on the contours sets it too.",
            ),
            _real(
                "y0",
                1.3,
                "Start y",
                "Where the descent starts. A click on the contours sets it too.",
            ),
            _real(
                "a0",
                2.5,
                "Start a",
                "First weight at the start. A click on the map sets it too.",
                low=-20,
                high=20,
                suggested=(-1, 4),
            ),
            _real(
                "b0",
                0.6,
                "Start b",
                "Second weight at the start. A click on the map sets it too.",
                low=-20,
                high=20,
                suggested=(-1, 4),
            ),
            _steps(
                "walk", 400, "How many updates are computed. SAM drifts along the valley slowly."
            ),
            _positive(
                "grad_norm",
                1.0,
                "Gradient norm ‖g‖",
                "Norm of the gradient at the current iterate.",
                open_low=True,
                high=1e6,
                suggested=(1e-3, 100),
            ),
            Field(
                "map_rule",
                "choice",
                "sam",
                "Rule of the map",
                "Whose multiplier is drawn.",
                choices=PLAIN_RULES,
                titles=tuple(RULE_NAMES.values()),
            ),
            _axis("map_x", "grad_norm", "Horizontal axis", "Quantity on the x axis."),
            _axis("map_y", "curvature", "Vertical axis", "Quantity on the y axis."),
            Field(
                "log",
                "bool",
                False,
                "Log scale",
                "Logarithmic vertical axes of the charts over steps.",
            ),
            Field("large", "bool", False, "Large text", "For a projector."),
        )
    }
)

DEFAULTS: Values = MappingProxyType({name: field.default for name, field in FIELDS.items()})

SLIDERS = {
    "line": ("eta", "rho", "curvature", "w0", "steps"),
    "plane": ("eta", "rho", "curvature", "ratio", "angle", "x0", "y0", "steps"),
    "valley": ("eta", "rho", "a0", "b0", "walk"),
    "map": ("eta", "rho", "curvature", "grad_norm"),
    "derivation": ("eta", "rho", "curvature", "w0", "steps"),
}


LOOK = {
    "line": "Iterates hop on the parabola; where diamonds are hollow, SAM takes its gradient. "
    "Beside it: the distance, the gradient norm, and the SAM-edge on its way to λ.",
    "plane": "Along the flat direction v₂ everything dies out, along v₁ SAM keeps hopping. The "
    "gauge shows by what a step multiplies each direction; −1 is the edge.",
    "valley": "Colour is sharpness; the minima are the line ab = 1. Where does GD stop, where does "
    "SAM go? Click for another start.",
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


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
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
            "At a small gradient norm SAM looks far beyond the valley that it is in, and only "
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
    }
)


def from_link(query: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Settings out of a link: all of them, and a message for each that could not be used. Messages
    quote the link, so that a page must escape them."""
    values, messages = dict(DEFAULTS), []
    preset = query.get("preset")
    if preset is not None and preset in PRESETS:
        values |= PRESETS[preset].values
    elif preset is not None:
        messages.append(f"There is no preset {shown(preset)}; there are: {', '.join(PRESETS)}.")
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
    """The shortest query that `from_link` reads as these settings: all that are not defaults."""
    return links.texts(FIELDS.values(), values)


def preset_of(values: Values, ignored: Iterable[str] = ("large", "log")) -> str | None:
    """The preset that these settings are, or None."""
    for name, preset in PRESETS.items():
        wanted = {**DEFAULTS, **preset.values}
        if all(values[key] == wanted[key] for key in wanted if key not in ignored):
            return name
    return None
