"""The live charts with a scrubber, fed from files: a page for test_scrubber.py, not of the app.

?runs=a,b shows the runs in a.npz and b.npz beside it. The toggle replaces them by those of `then`,
and shows the rows of `left` from step `since` on as an abandoned branch.
"""

from pathlib import Path

import numpy as np
import streamlit as st

from pages.parts.components.live import Axis, Cursor, RunUpdate, View, cursor_step, live_charts

AXES: dict[str, Axis] = {"step": "step", "time": "time", "evals": "evals"}


def main() -> None:
    """Compose the page."""
    st.set_page_config(layout="wide")
    with st.container(horizontal=True):
        axis = st.segmented_control("Axis", list(AXES), default="step", required=True)
        st.button("Place at 30", on_click=_place, args=(30,))
        st.button("Clear", on_click=_place, args=(None,))
        replaced = st.toggle("Replace")
        heard = st.session_state.get("heard", 0)
        st.markdown(f"cursor {cursor_step()}, heard {heard} times")
    link = st.query_params
    updates = [_update(name) for name in link["then" if replaced else "runs"].split(",")]
    if replaced and "left" in link:
        updates.append(_update(link["left"], int(link["since"]), abandoned=True))
    live_charts(
        updates,
        View(x=AXES[axis or "step"]),
        on_resync=lambda: None,
        on_cursor=_heard,
        cursor=st.session_state.get("placed"),
    )


def _update(name: str, since: int = 0, *, abandoned: bool = False) -> RunUpdate:
    with np.load(Path(__file__).with_name(f"{name}.npz")) as saved:
        columns = {key: saved[key][saved["step"] >= since] for key in saved.files}
    stop = int(columns["step"][-1])
    return RunUpdate(
        name, name, "sam", since - 1, stop, full=True, columns=columns, abandoned=abandoned
    )


def _place(step: int | None) -> None:
    before = st.session_state.get("placed", Cursor())
    st.session_state["placed"] = Cursor(step, before.count + 1)


def _heard() -> None:
    st.session_state["heard"] = st.session_state.get("heard", 0) + 1


if __name__ == "__main__":
    main()
