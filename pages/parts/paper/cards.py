"""A card for each of the paper's tasks: what it is, what it takes, and how its runs go."""

import os
from collections.abc import Sequence

import streamlit as st

from pages.parts.markdown import plain
from pages.parts.paper import downloading, runs
from pages.parts.paper.downloading import downloads
from pages.parts.paper.runs import Watched
from pages.parts.server import registry
from pages.parts.views import progress
from samedge_core.experiments.paper import ALL_PRESETS, Task
from samedge_core.problems.downloads import missing_megabytes
from samedge_core.theory.rules import RULES
from samedge_core.training.stop import StopReason

REFERENCE_GRADIENT = 0.0010
"""Seconds of a gradient of the default problem where the tasks' minutes were measured."""
REFERENCE_CORES = 2

_EXPECTED = (StopReason.STEP_CAP, StopReason.CONVERGED, StopReason.STOPPED)


def draw(task: Task, watched: Sequence[Watched]) -> None:
    """The card, and under its buttons a line for each of its runs, which are `watched`."""
    with st.container(border=True, height="stretch"):
        st.markdown(f"##### {task.title}")
        st.markdown(f"**In the paper.** {task.paper}")
        st.markdown(f"**Here.** {task.here} {_expected(task)}")
        with st.container(horizontal=True, vertical_alignment="center"):
            _buttons(task, watched)
        _data(task)
        for one in watched:
            _progress(one)


def _buttons(task: Task, watched: Sequence[Watched]) -> None:
    rules = "GD, and SAM at two radii"
    st.button(
        "Run",
        key=f"paper:run:{task.name}",
        type="primary",
        icon=":material/play_arrow:",
        on_click=runs.ask,
        args=(task, task.reduced),
        help=f"{rules}, from the same weights: "
        + "; ".join(_settings(name) for name in task.reduced)
        + f". Starts anew where such a run exists. Allowed deviation: {task.band:g}.",
    )
    active = any(one.active for one in watched)
    if active or any(one.resumable for one in watched):
        word, icon = ("Pause", "pause") if active else ("Resume", "play_arrow")
        st.button(
            word,
            key=f"paper:{word.lower()}:{task.name}",
            icon=f":material/{icon}:",
            on_click=runs.pause if active else runs.resume,
            args=(watched,),
        )
    with st.popover("Full size", icon=":material/expand_content:"):
        st.markdown(f"The paper's own size. {task.cost}")
        for name in task.full:
            st.button(
                ALL_PRESETS[name].title,
                key=f"paper:run:{name}",
                on_click=runs.ask,
                args=(task, (name,)),
                help=_settings(name),
            )
        st.markdown(
            "Or without a page, on the machine that has the GPU:\n```\n"
            f"samedge run --preset {task.full[-1]} --out runs/{task.name}\n```\n"
            "In a checkout, `.venv/bin/python -m samedge_core` stands for `samedge`."
        )


def _settings(name: str) -> str:
    config = ALL_PRESETS[name].config
    rule = RULES[config.rule]
    rho = f", ρ {config.rho:g}" if "rho" in rule.uses else ""
    return f"{rule.short} η {config.eta:g}{rho}, {config.steps:,} steps"


def _expected(task: Task) -> str:
    """How long the reduced runs take here, side by side."""
    here = registry().gradient_seconds
    if here is None:
        return ":gray[About … minutes here.]"
    cores = min(os.cpu_count() or 1, len(task.reduced))
    minutes = task.minutes * REFERENCE_CORES / cores * here / REFERENCE_GRADIENT
    return f"**About {max(1, round(minutes))} min on this machine**, three runs side by side."


def _data(task: Task) -> None:
    """Where the data stands, and what to do without it."""
    downloading.show(task.data)
    if downloads().failure(task.data):
        st.button(
            "Use the embedded digits instead",
            key=f"paper:offline:{task.name}",
            icon=":material/offline_bolt:",
            on_click=_offline,
            args=(task,),
            help="; ".join(ALL_PRESETS[name].title for name in task.offline),
        )
    elif not runs.waiting(task) and not downloads().ready(task.data):
        st.caption(f"Run downloads the data first, {missing_megabytes(task.data):.3g} MB, once.")


def _offline(task: Task) -> None:
    runs.forget_waiting(task)
    downloads().forget(task.data)
    runs.ask(task, task.offline, needs_data=False)


def _progress(watched: Watched) -> None:
    entry, view = watched.entry, watched.view
    progress.show(view, entry.name)
    if view.stop and view.stop.reason not in _EXPECTED:
        # the remedies in `message` speak of the live lab's buttons
        st.error(f"{entry.label}: {plain(view.stop.what)}")
    for diagnosis in view.diagnoses:
        st.warning(diagnosis)
