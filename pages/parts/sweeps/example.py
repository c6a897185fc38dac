"""A finished phase diagram for a page that has none yet: example.json holds what it has shown."""

import json
from pathlib import Path

import numpy as np
import streamlit as st

from pages.parts.components.diagram import Cells, diagram
from pages.parts.sweeps import picture
from samedge_core.experiments.presets import PRESETS
from samedge_core.sweeps.sweep import Axis, Sweep

PRESET = "sam-chebyshev"  # and with it the ranges that the form begins with
# "start": sharpness and gradient norm before the first step; by cell "fates", places in FATES, and
# "ratios"
SHOWN = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
_ABOUT = (
    "**So it looks**, for the settings that stand here at first: a quarter of a minute on two "
    "cores. Each rectangle is a run of its own. Yellow ones train at their edge of stability, the "
    "blue ones in the corner have not come up to it, crosses mark those that were thrown out."
)


def sweep() -> Sweep:
    """The sweep that the example is of."""
    base = PRESETS[PRESET].config
    spans = (("eta", 0.05, 0.8), ("rho", 0.002, 0.2))
    axes = tuple(Axis.span(base, name, low, high, 16, True) for name, low, high in spans)
    return Sweep(base, axes, (base.seed,))


def draw() -> None:
    """Draw the example, coloured by sharpness / edge."""
    one = sweep()
    fates = np.array(list(SHOWN["fates"]), np.uint8)
    everything = np.arange(len(fates))
    ratios = {picture.FIRST: np.array(SHOWN["ratios"])}
    st.markdown(_ABOUT)
    diagram(
        "An example",
        [picture.axis_of(one, axis) for axis in one.axes],
        Cells("example", -1, 1, everything, fates, ratios, {}, {}),
        picture.shown_as(picture.FIRST, picture.lines(one, *SHOWN["start"]), one.base.rule),
        key="sweeps-example",
        total=len(fates),
        on_event=lambda: None,
    )
