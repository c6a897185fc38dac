"""What the network computes at an inspected step: the function, where its input is one number, or
its predictions for some images."""

import base64
import io
from html import escape

import numpy as np
import streamlit as st
from PIL import Image

from pages.parts.components.figures import Figure, Trace
from pages.parts.views.drawing import axis, line, markers
from pages.parts.views.numerals import number
from samedge_core.theory.rules import RULES
from samedge_core.training.inspection import Fit, Input, Inputs

PICTURE = 72  # pixels

# --- a function of one number


def fit_figures(fit: Fit, rule: str, whose: str) -> list[Figure]:
    """The function with its examples, and what the step adds to it."""
    colour = RULES[rule].look.colour
    hover, dashed = {"hovertemplate": "%{y:.4~g}"}, {"dash": "dash", "hovertemplate": "%{y:.4~g}"}
    after = fit.values + fit.change
    function = [
        line("f at w", fit.at, fit.values, "loss", width=2.5, **hover),
        line("f at w′", fit.at, after, colour, **dashed),
        markers("examples", fit.x, fit.y, "text", "circle-open", 7, **hover),
    ]
    change = [
        line("all of it", fit.at, fit.change, colour, width=2.5, **hover),
        line("its part along v₁", fit.at, fit.along_v1, "sharpness", **dashed),
    ]
    return [
        _over_input(f"What the network computes{whose}", f"output f(x){whose}", function),
        _over_input(f"What the step changes{whose}", f"change of f(x){whose}", change),
    ]


def _over_input(name: str, title: str, traces: list[Trace]) -> Figure:
    layout = {
        "xaxis": axis("input x"),
        "yaxis": axis(title, automargin=True),
        "hovermode": "x unified",
    }
    return Figure(name, traces, layout, columns=3, height=320)


def about_fit(fit: Fit) -> str:
    """What these figures show, and how much of the change lies along v1."""
    text = (
        "The step takes f at w to f at w′. The dashed part of that change is what the step does "
        "along v₁ alone: ⟨w′ − w, v₁⟩ times the derivative of f along v₁."
    )
    whole = float(np.linalg.norm(fit.change))
    if whole > 0:
        left = float(np.linalg.norm(fit.change - fit.along_v1)) / whole
        text += f" Without it, {100 * left:.3g} % of the change is left (root mean square)."
    return text


# --- pictures


def show_inputs(inputs: Inputs) -> None:
    """Images of some training examples, with the prediction for each."""
    some = len(inputs.shown)
    wrong = min(inputs.wrong, some)
    which = {0: f"here are {some}", some: f"here are {some} of those"}.get(
        wrong, f"those come first here, {some} in all"
    )
    if inputs.scores == "probability":
        scores = "p is the softmax of the outputs."
    else:
        scores = (
            "Out is the network's output for a class, a score and no probability: it is trained "
            "towards 1 for the label and 0 elsewhere."
        )
    st.caption(
        f"Of the first {inputs.looked_at:,} training examples, the network at w has "
        f"{inputs.wrong:,} wrong; {which}. {scores}"
    )
    cells = "".join(_cell(item, inputs.scores) for item in inputs.shown)
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:10px 12px">{cells}</div>')


def _cell(item: Input, scores: str) -> str:
    sign = "p" if scores == "probability" else "out"
    verdict = f"✓ {item.label}" if item.right else f"✗ {item.predicted}, is {item.label}"
    said = f"the network says {item.predicted}"
    alt = f"Example {item.index:,}, of class {item.label}: {said}"
    lines = [f"{sign}({item.predicted}) {number(round(item.score, 3))}"]
    if not item.right:
        lines.append(f"{sign}({item.label}) {number(round(item.label_score, 3))}")
    edge = "1px solid transparent" if item.right else "2px dashed currentColor"
    return (
        f'<figure style="margin:0;width:{PICTURE + 24}px">'
        f'<img src="{_data_url(item.picture)}" alt="{escape(alt)}" width="{PICTURE}" '
        f'height="{PICTURE}" style="image-rendering:pixelated;object-fit:contain;border:{edge};'
        f'padding:1px;box-sizing:border-box">'
        f'<figcaption style="font-size:0.8rem;line-height:1.25">'
        f"<strong>{verdict}</strong><br>{'<br>'.join(lines)}</figcaption></figure>"
    )


def _data_url(picture: np.ndarray) -> str:
    """A picture, uint8 (rows, columns) or (rows, columns, 3), as the address of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
