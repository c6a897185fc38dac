"""The stored sweeps of this server, and which of them the page and its link show."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence

import streamlit as st

from pages.parts.frame import navigation
from pages.parts.markdown import plain
from samedge_core.sharing.files import SavedError
from samedge_core.sweeps.store import RecordedSweep, SweepError, Sweeps, open_sweeps
from samedge_core.sweeps.sweep import Sweep
from samedge_core.theory.rules import RULES
from samedge_core.training.history import SYMBOLS

SHOWN = "sweeps:shown"  # in the session: what the link says
NAMES = ("sweep", "with", "quantity", "predicted")


def sweeps() -> Sweeps:
    """All sweeps of this server's home.

    Raises:
        ValueError: a wrong setting in the environment, of which the head of the page tells.
    """
    return open_sweeps()


def load() -> None:
    """Take up what the link names; without one, what was shown before stays, and is its link."""
    link = {name: st.query_params[name] for name in NAMES if name in st.query_params}
    if link or SHOWN not in st.session_state or navigation.by_history():
        st.session_state[SHOWN] = link
    navigation.put_address(shown())


def shown() -> Mapping[str, str]:
    """The parameters of the page's link: the sweep, the one that it is compared `with`, the
    quantity, and whether what is `predicted` is drawn."""
    return st.session_state.get(SHOWN, {})


def show(**parameters: str | None) -> None:
    """Show other ones; None takes a parameter away. In a callback, or before the widgets."""
    merged = {**shown(), **parameters}
    st.session_state[SHOWN] = {name: value for name, value in merged.items() if value}
    navigation.put_address(shown())


def find(name: str) -> tuple[RecordedSweep | None, str]:
    """The sweep that the link's parameter `name` names, and why there is none."""
    if not (wanted := shown().get(name)):
        return None, ""
    try:
        return sweeps()[wanted], ""
    except (SweepError, SavedError) as error:
        return None, str(error)


def show_damage(damaged: Mapping[str, str]) -> None:
    """Name the folders of sweeps that can't be read, and say what is wrong with the first."""
    if damaged:
        folder, wrong = next(iter(damaged.items()))
        more = f" {len(damaged) - 1:,} more can't be read." if len(damaged) > 1 else ""
        st.caption(
            f"The sweep {plain(folder)} is not listed: {plain(wrong)}. Nothing is deleted: mend "
            f"it there, or take it away.{more}"
        )


def title(recorded: RecordedSweep) -> str:
    """What a sweep is called: its own title, else what it varies."""
    if recorded.title:
        return recorded.title
    base, axes = recorded.sweep.base, recorded.sweep.axes
    varied = " × ".join(SYMBOLS.get(axis.name, axis.name) for axis in axes)
    return f"{RULES[base.rule].short}, {base.spec.title}: {varied}"


def names(found: Sequence[RecordedSweep]) -> dict[str, str]:
    """By id, the titles of sweeps as a list shows them: with their sizes, and where two are called
    the same, with the time of their making."""
    said = {one.id: f"{title(one)} · {_size(one.sweep)}" for one in found}
    several = {name for name, count in Counter(said.values()).items() if count > 1}
    made = {one.id: time.strftime("%d %b %H:%M", time.localtime(one.created)) for one in found}
    return {i: f"{name} · {made[i]}" if name in several else name for i, name in said.items()}


def _size(sweep: Sweep) -> str:
    sizes = [str(len(axis.values)) for axis in sweep.axes]
    return " × ".join(sizes) + (f" × {len(sweep.seeds)} seeds" if len(sweep.seeds) > 1 else "")
