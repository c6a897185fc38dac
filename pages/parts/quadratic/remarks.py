"""What the settings amount to, in words, where a picture alone might puzzle."""

from collections.abc import Iterator

from pages.parts.quadratic.draw import Descents
from pages.parts.quadratic.settings import RULE_NAMES, Values
from samedge_core.edges import gd_edge


def remarks(values: Values, runs: Descents) -> Iterator[str]:
    """Sentences on what is extreme in the settings; none where the picture speaks for itself."""
    if values["part"] in ("line", "plane", "derivation"):
        yield from _on_the_quadratic(values)
    if values["rho"] == 0 and (values["sam"] or values["usam"]):
        yield "ρ = 0: SAM and USAM are GD, and the SAM-edge is 2/η."
    yield from _start(values)
    yield from _ends(runs)


def _on_the_quadratic(values: Values) -> Iterator[str]:
    stretch = values["eta"] * values["curvature"]
    if stretch >= 2:
        how = (
            "GD hops for ever between ±w₀, SAM diverges" if stretch == 2 else "every rule diverges"
        )
        yield (
            f"ηλ = {stretch:.4g} is not below 2, so λ is not below 2/η = "
            f"{gd_edge(values['eta']):.4g}: {how}."
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


def _ends(runs: Descents) -> Iterator[str]:
    for rule, run in runs.items():
        if run.escaped:
            yield (
                f"{RULE_NAMES[rule]} diverges: it is beyond 10³⁰ after step {run.steps:,}, and its "
                "record ends there. Try a smaller η."
            )
