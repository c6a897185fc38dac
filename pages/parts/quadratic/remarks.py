"""What the settings amount to, in words, where a picture alone might puzzle."""

from collections.abc import Iterator

from pages.parts.quadratic import balanced, catapult, two_weights
from pages.parts.quadratic.draw import Descents
from pages.parts.quadratic.settings import AXES, FIELDS, RULE_NAMES, Values
from pages.parts.quadratic.two_dimensions import steepest
from samedge_core.theory.descent import Trajectory
from samedge_core.theory.edges import gd_edge
from samedge_core.theory.rules import RULES


def remarks(values: Values, runs: Descents) -> Iterator[str]:
    """Sentences on what is extreme in the settings; none where the picture speaks for itself."""
    if values["part"] in ("line", "plane", "derivation"):
        yield from _on_the_quadratic(values, runs)
    if values["part"] == "balanced":
        yield f"η = {values['eta_balanced']:g}: GD {balanced.fate(values)}."
    elif values["part"] == "catapult":
        yield catapult.fate(values)
    elif values["rho"] == 0:
        yield "ρ = 0: SAM and USAM are GD, and the SAM-edge is 2/η."
    if values["part"] == "map":
        yield from _on_the_map(values)
    if values["part"] == "valley" and two_weights.has_no_drift(runs):
        yield "SAM's hops have no period of two here: the law of its drift doesn't describe them."
    yield from _start(values)
    for rule, run in runs.items():
        yield from _end(rule, run)


def _on_the_quadratic(values: Values, runs: Descents) -> Iterator[str]:
    plane, name, curvature = values["part"] == "plane", "λ", values["curvature"]
    if plane and 0 < steepest(values) < curvature:
        name, curvature = "λ₂", steepest(values)
        yield (
            "The start has no part along v₁, and no step gives it one: all happens along v₂, where "
            f"λ₂ = {curvature:.4g}."
        )
    stretch = values["eta"] * curvature
    moves = steepest(values) > 0 if plane else values["w0"] != 0
    if moves and stretch >= 2:
        yield (
            f"η{name} = {stretch:.4g} is not below 2, so {name} is not below 2/η = "
            f"{gd_edge(values['eta']):.4g}: {_beyond(stretch, values['rho'])}."
        )
    elif moves:
        for run in runs.values():
            rule, edge = RULES[run.rule], run.edge[0]
            if not rule.follows_norm and curvature > edge:
                yield f"The {rule.edge_name} is {edge:.4g}, below {name}: {rule.short} diverges."


def _beyond(stretch: float, rho: float) -> str:
    """What the rules do on a quadratic with eta lambda >= 2, from a start that is no minimum."""
    if stretch > 2:
        return "every rule diverges"
    if rho == 0:
        return "every rule hops for ever, and its hops neither shrink nor grow"
    return "GD hops for ever, and its hops neither shrink nor grow; those of SAM and USAM grow"


def _on_the_map(values: Values) -> Iterator[str]:
    rule, axes = values["map_rule"], (values["map_x"], values["map_y"])
    used = {*RULES[rule].uses, "curvature"} | ({"grad_norm"} if RULES[rule].follows_norm else set())
    if unused := [AXES[name] for name in axes if name not in used]:
        yield (
            f"{RULE_NAMES[rule]} uses no {' and no '.join(unused)}: that makes no difference on "
            "the map."
        )
    for name in dict.fromkeys((*axes, "grad_norm")):
        low, high = FIELDS[name].suggested or (values[name], values[name])
        if not low <= values[name] <= high:
            yield (
                f"The dot is out of sight: {AXES[name]} = {values[name]:g}, and its axis goes from "
                f"{low:g} to {high:g}."
            )


def _start(values: Values) -> Iterator[str]:
    part = values["part"]
    if part in ("line", "derivation") and values["w0"] == 0:
        yield "w₀ = 0 is the minimum: the gradient is 0 there, and no rule moves."
    if part == "plane" and values["x0"] == values["y0"] == 0:
        yield "The start is the minimum: the gradient is 0 there, and no rule moves."
    if part == "valley":
        a, b = values["a0"], values["b0"]
        if a == b == 0:
            yield "(0, 0) is a saddle point: the gradient is 0 there, and no rule moves."
        elif a * b == 1:
            yield f"({a:g}, {b:g}) is a minimum: the gradient is 0 there, and no rule moves."


def _end(rule: str, run: Trajectory) -> Iterator[str]:
    name = RULE_NAMES[rule]
    if run.escaped:
        smaller = "η or ρ" if "rho" in RULES[rule].uses and run.rho > 0 else "η"
        yield (
            f"{name} diverges: it is beyond 10³⁰ after step {run.steps:,}, and its "
            f"record ends there. Try a smaller {smaller}."
        )
    elif RULES[rule].follows_norm and run.rho > 0 and run.grad_norm[0] > run.grad_norm[-1] == 0:
        landed = int((run.grad_norm == 0).argmax())
        yield (
            f"Step {landed:,} takes {name} exactly to g = 0, where SAM has no direction: it "
            "stays there. From almost every other start it hops on."
        )
