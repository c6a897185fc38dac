"""The picture of a lesson's own run: hops in the bowl, the way through the valley of two weights,
or the loss along v1 around the newest step of a network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from pages.parts.components.figures import Figure, Scrub, Trace, figures
from pages.parts.lessons import fates
from pages.parts.markdown import plain
from pages.parts.quadratic import one_dimension, two_weights
from pages.parts.quadratic.settings import DEFAULTS, RULE_NAMES, Values, to_link
from pages.parts.server import registry
from pages.parts.views import slices
from pages.parts.views.names import names
from samedge_core.experiments.lessons import Lesson
from samedge_core.experiments.lessons.paths import AlongV1, along_v1, in_the_valley
from samedge_core.theory.descent import Trajectory, sampled_steps
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.worker.view import RunView

HEIGHT = 300
OF_VALLEY = 420  # two axes alike, and a scale of colours
ROOM = 4  # times its distance at the start: a run that goes farther has left the picture
LOOKS = 8  # at a network on its way: each takes its steps again, in a process of its own
_PARTS = {"quadratic": "line", "two-weight": "valley"}


def link(
    lesson: Lesson, value: float, views: Sequence[RunView]
) -> tuple[str, dict[str, str]] | None:
    """The page where everything in the picture of the runs at this value can be changed, and its
    address there; None where there is no such picture."""
    configs = [replay.config for replay in lesson.replays(value)]
    if fates.drawn(configs):
        return "pages/sweeps.py", fates.link(configs)
    if configs[0].problem in _PARTS:
        return "pages/quadratic.py", to_link(_settings(configs, _paths(views)))
    return None


def draw(lesson: Lesson, value: float, views: Sequence[RunView]) -> None:
    """The picture of these runs; before there are any, the bowl or the valley that they will be in.
    Once they have ended, their steps can be played."""
    configs = [replay.config for replay in lesson.replays(value)]
    with st.container(key="lessons-picture"):
        if fates.drawn(configs):
            fates.draw(
                lesson, configs, ended=bool(views) and not any(v.phase.active for v in views)
            )
        elif configs[0].problem in _PARTS:
            _landscape(lesson, configs, views)
        else:
            _slices(lesson, views)


def to_come(lesson: Lesson, views: Sequence[RunView]) -> bool:
    """Whether a look at the newest step of a network is still to be taken or on its way."""
    config = lesson.replays(lesson.knob.default)[0].config
    return config.problem not in _PARTS and any(map(_lacks_a_look, views))


# --- bowl and valley


def _paths(views: Sequence[RunView]) -> dict[str, Trajectory]:
    """By rule, the iterates of the runs so far."""
    found = {}
    for view in views:
        history = registry().history(view.id)
        if view.config.problem in _PARTS and len(history):
            of = along_v1 if view.config.problem == "quadratic" else in_the_valley
            found[view.config.rule] = of(history)
    return found


def _settings(configs: Sequence[RunConfig], shown: Mapping[str, Trajectory]) -> Values:
    """The settings of the quadratic page that make its picture that of these runs."""
    lead, options = configs[-1], configs[-1].options
    rules = {rule: any(config.rule == rule for config in configs) for rule in RULE_NAMES}
    values = {**DEFAULTS, **rules, "part": _PARTS[lead.problem], "eta": lead.eta, "rho": lead.rho}
    if lead.problem == "two-weight":
        return values | {"a0": options["a"], "b0": options["b"], "walk": lead.steps}
    starts = [float(f"{run.w[0, 0]:.3g}") for run in shown.values()]
    start = {"w0": starts[0]} if starts else {}
    return values | {"curvature": max(options["eigenvalues"]), "steps": lead.steps} | start


def _landscape(lesson: Lesson, configs: Sequence[RunConfig], views: Sequence[RunView]) -> None:
    shown = _paths(views)
    values = _settings(configs, shown)
    if values["part"] == "valley":
        # before there is a run: where it will start
        picture, *_ = two_weights.figures(values, shown or two_weights.runs({**values, "walk": 0}))
    else:
        shown, widest = _in_view(shown)
        picture, *_ = one_dimension.figures({**values, "w0": widest or values["w0"]}, shown)
        along = {"title": {"text": "distance along v₁"}}
        layout = {**picture.layout, "xaxis": {**picture.layout["xaxis"], **along}}
        picture = replace(picture, layout=layout)
    ended = bool(views) and not any(view.phase.active for view in views)
    steps = sampled_steps(max((run.steps for run in shown.values()), default=0))
    scrub = Scrub(steps, ()) if ended and len(steps) > 1 else None
    traces = picture.traces if scrub else [_newest(trace) for trace in picture.traces]
    height = OF_VALLEY if values["part"] == "valley" else HEIGHT
    shown_now = replace(picture, traces=traces, columns=6, height=height, click=False)
    _figures(lesson, [shown_now], scrub)


def _newest(trace: Trace) -> Trace:
    """Of a trail of hops, those at its newest step: what only Play would show is not sent."""
    meta = trace.get("meta", {})
    if "trail" not in meta or not len(meta["step"]):
        return trace
    kept = meta["step"] > meta["step"][-1] - meta["trail"]
    points = {axis: np.asarray(trace[axis])[kept] for axis in ("x", "y")}
    return {**trace, **points, "meta": {**meta, "step": meta["step"][kept]}}


def _in_view(shown: Mapping[str, Trajectory]) -> tuple[dict[str, Trajectory], float]:
    """The runs on the bowl up to their first step beyond ROOM times their start, and their largest
    distance before that: what grows without end would leave nothing to see."""
    found, widest = {}, 0.0
    for rule, run in shown.items():
        distance = np.abs(run.w[:, 0])
        beyond = np.flatnonzero(distance > ROOM * distance[0])
        end = int(beyond[0]) + 1 if len(beyond) else len(distance)
        widest = max(widest, float(distance[: end - bool(len(beyond))].max()))
        found[rule] = run.until(end) if isinstance(run, AlongV1) else run
    return found, widest


def _figures(lesson: Lesson, shown: Sequence[Figure], scrub: Scrub | None = None) -> None:
    key = f"lessons-figures:{lesson.name}"
    figures(shown, scene=lesson.name, key=key, scrub=scrub, on_click=lambda: None)


# --- networks


def _slices(lesson: Lesson, views: Sequence[RunView]) -> None:
    shown, lines = [], []
    for view, name in zip(views, names(views), strict=True):
        if _lacks_a_look(view) and not view.inspection.pending:
            registry().inspect(view.id, view.last_step, with_spectrum=False)
        whose = f" ({name})" if name else ""
        if made := view.inspection.made:
            picture = slices.figures_of(made, whose, height=320)[0]
            shown.append(replace(picture, columns=6 // len(views), height=HEIGHT - 40))
            lines.append(f"step {made.step:,}{whose}")
        if view.inspection.failure:
            lines.append(f"no look at the loss{whose}: {plain(view.inspection.failure)}")
    if shown:
        _figures(lesson, shown)
        uphill = any("rho" in RULES[view.hyper.rule].uses for view in views)
        perturbed = ", w + ρu where SAM takes its gradient" if uphill else ""
        lines.append(
            f"w is the iterate{perturbed}, w′ the next one; dashed: the parabola of slope and "
            "curvature at w"
        )
    st.caption(
        " · ".join(lines)
        or "Here you will see the loss along v₁, the sharpest direction, around the newest step."
    )


def _lacks_a_look(view: RunView) -> bool:
    """Whether the run is well beyond the step that was looked at last, or has ended beyond it."""
    if view.last_step < 0 or view.inspection.failure:
        return False
    made = view.inspection.made
    behind = view.last_step - made.step if made else view.last_step + 1
    return behind > 0 and (not view.phase.active or behind >= view.config.steps / LOOKS)
