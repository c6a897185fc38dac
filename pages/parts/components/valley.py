"""A step that hops in a valley, L(w) = 1/2 lambda w^2, played again and again by static/valley.js.

It stands in the first minute of a visit, and is drawn without Plotly, which loads for two seconds.
"""

import numpy as np
from streamlit.components.v2 import component

from pages.parts.components.figures import Scrub
from pages.parts.components.wire import encode
from pages.parts.frame import assets
from samedge_core.theory.descent import Trajectory


def valley(name: str, run: Trajectory, half: float, *, key: str) -> None:
    """Draw a run on one weight, for -half <= w <= half, in place of the one before."""
    _mount(key=key, data=encode({"key": key, **picture(name, run, half)}))


def picture(name: str, run: Trajectory, half: float) -> dict:
    """What the browser draws: loss and iterates, and the steps that it plays."""
    w, x = np.linspace(-half, half, 121), run.w[:, 0]
    return {
        "name": name,
        "scene": f"{run.eta}",
        "half": half,
        "top": float(run.landscape.loss([half])),
        "curve": {"x": w, "y": run.landscape.loss([w])},
        "path": {"x": x, "y": run.loss},
        "left": bool((np.abs(x) > half).any()),
        "scrub": Scrub(np.arange(run.steps + 1), (), loop=True),
    }


_mount = component(
    "samedge_valley", js=assets.module("valley.js", tall=240, wide=240), isolate_styles=False
)
