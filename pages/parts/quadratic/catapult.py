"""Part 5: the catapult in the plane of output f and curvature K, with its exact recursion."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pages.parts.components.figures import Figure, Raster
from pages.parts.quadratic import draw
from pages.parts.quadratic.checks import Check
from pages.parts.quadratic.settings import Values
from pages.parts.views.drawing import axis, level, note
from samedge_core.theory.catapult import Catapult, catapult_step, resting_places
from samedge_core.theory.descent import Trajectory, descend

PLANE = "Output f and curvature K"
COLUMNS, ROWS, WIDE, HIGH = 128, 96, 2.4, 4.8  # of the map, in units of sqrt(n)/eta and 1/eta
SHADES = 200  # of eta K at rest, from 0 to 2; above them "diverges" and "no weights"
GONE, NOWHERE = 220, 240
FAR = 100.0  # of the picture's width: what is drawn


def _landscape(values: Values) -> Catapult:
    return Catapult(values["n"])


def impossible(values: Values) -> str:
    """Why no weights have this f and K, in words, or empty."""
    try:
        _landscape(values).weights(values["f0"], values["k0"])
    except ValueError as error:
        return str(error)
    return ""


def runs(values: Values) -> draw.Descents:
    """The descent that this part shows; none where no weights have this f and K."""
    if impossible(values):
        return {}
    landscape = _landscape(values)
    start = landscape.weights(values["f0"], values["k0"])
    return {"gd": descend(landscape, "gd", values["eta_catapult"], 0.0, start, values["hops"])}


def moved_to(x: float, y: float) -> Mapping[str, float]:
    """The settings that a click on the plane changes."""
    return {"f0": x, "k0": y}


def _f_and_k(run: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    landscape = run.landscape
    assert isinstance(landscape, Catapult)
    return landscape.f_and_k(list(run.w.T))


def figures(values: Values, shown: draw.Descents) -> list[Figure]:
    """The plane of f and K, and beside it the loss, and K with the sharpness, at each step."""
    eta = values["eta_catapult"]
    levels = [("2/η", 2 / eta, "gd/0.6", "dash"), ("4/η", 4 / eta, "bad/0.7", "dot")]
    of_k = draw.Series(shown, lambda run: _f_and_k(run)[1], {"gd": "sharpness"}, ": K")
    sharp = draw.Series(shown, "sharpness", {"gd": "topk"}, ": sharpness")
    loss = draw.Series(shown, "loss", {"gd": "loss"}, " loss")
    most = 1.1 * max([float(run.loss.max()) for run in shown.values() if not run.escaped] or [0.0])
    panels = [
        draw.Panel("loss, f²/2", [loss], top=most or None),
        draw.Panel("K and sharpness", [sharp, of_k], levels, top=5 / eta),
    ]
    beside = draw.over_steps("Loss and curvature", values, panels, height=528)
    return [_plane(values, shown), beside]


def _plane(values: Values, shown: draw.Descents) -> Figure:
    eta, unit = values["eta_catapult"], np.sqrt(values["n"]) / values["eta_catapult"]
    f_range, k_range = [-WIDE * unit, WIDE * unit], [0.0, HIGH / eta]
    stops = [(0, "@grad/0.10"), (SHADES, "@loss/0.55")]
    stops += [(GONE, "@bad/0.30"), (NOWHERE, "@muted/0.12")]
    raster = Raster(_shades(), f_range, k_range, stops)
    traces = []
    for rule, run in shown.items():
        traces += draw.path(rule, run, *_f_and_k(run), far=FAR * max(WIDE * unit, HIGH / eta))
    right = {"x": 0.98 * WIDE * unit, "xref": "x", "yref": "y", "xanchor": "right"}
    names = [
        ("2/η ↑ catapult", 2, "bottom"),
        ("↓ settles", 2, "top"),
        ("4/η ↑ diverges", 4, "bottom"),
    ]
    names += [("no weights", 0.3, "middle")]
    layout: dict[str, Any] = {
        "xaxis": axis("output f", range=f_range),
        "yaxis": axis("curvature K", range=k_range),
        "shapes": [level("y", 2 / eta, "gd"), level("y", 4 / eta, "bad", "dot")],
        "annotations": [
            note(text, **right | {"y": at / eta, "yanchor": side}) for text, at, side in names
        ],
        "hovermode": "closest",
        "showlegend": False,
    }
    summary = fate(values)
    return Figure(PLANE, traces, layout, height=528, rasters=[raster], click=True, summary=summary)


def _shades() -> np.ndarray:
    """The map in bytes; the same for all settings."""
    found = resting_places(COLUMNS, ROWS, WIDE, HIGH)
    shades = np.where(np.isnan(found), NOWHERE, np.minimum(found, 2) * SHADES / 2)
    return np.where(np.isinf(found), GONE, shades).astype(np.uint8)


def fate(values: Values) -> str:
    """What GD does from this start, in a sentence."""
    eta, f, k = (values[name] for name in ("eta_catapult", "f0", "k0"))
    if why := impossible(values):
        return f"No weights are there: {why}. Choose a larger K, or an f nearer to 0."
    if f == 0:
        return "f = 0 is a minimum, and no step leaves it."
    if eta * k > 4:
        return f"ηK = {eta * k:.4g} is above 4: K grows with the loss, and GD diverges."
    if eta * k == 4:
        return "ηK = 4: K stays, and f hops in chaos for ever."
    if eta * k <= 2:
        return f"ηK = {eta * k:.4g} is not above 2: the loss falls at every step."
    return (
        f"ηK = {eta * k:.4g} lies between 2 and 4, a catapult: K falls at every step, and GD "
        "settles once it is below 2/η."
    )


def checks(values: Values, shown: draw.Descents) -> list[Check]:
    """The recursion of (f, K) against GD on weights, at the end."""
    if not shown or shown["gd"].escaped:
        return []
    run = shown["gd"]
    state = np.array(values["f0"]), np.array(values["k0"])
    for _ in range(run.steps):
        state = catapult_step(*state, run.eta, values["n"])
    (f, k), (f_seen, k_seen) = state, (float(x[-1]) for x in _f_and_k(run))
    return [
        Check("f at the end, by f′ = (1 − ηK + η²f²/n) f", float(f), f_seen, slack=1e-9),
        Check("K at the end, by K′ = K + (ηf²/n)(ηK − 4)", float(k), k_seen),
    ]
