"""Parts: a failure is told in its place, and what Streamlit raises to steer goes through."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts.frame.parts import part


def steered() -> None:
    """A page whose parts rerun it once, then stop it."""
    import streamlit as st

    from pages.parts.frame.parts import part

    st.session_state["drawn"] = st.session_state.get("drawn", 0) + 1
    with part("One"):
        if st.session_state["drawn"] == 1:
            st.rerun()
        st.markdown("drawn")
    with part("Two"):
        st.stop()
    st.markdown("never")


def test_a_rerun_and_a_stop_go_through():
    app = AppTest.from_function(steered).run()
    assert app.session_state["drawn"] == 2
    assert [item.value for item in app.markdown] == ["drawn"]
    assert not app.error


FAILING = ("The *first*", "The second")


def failing() -> None:
    """A page whose parts fail, one of them inside of a column, and one without a word."""
    import streamlit as st

    from pages.parts.frame.parts import part

    with part("The *first*"), st.columns(2)[1]:
        st.markdown("before")
        raise ValueError("[x](y) " + "z" * 10_000)
    with part("The second"):
        raise KeyError
    st.markdown("after")


def test_a_message_is_short_and_plain(failures):
    app = AppTest.from_function(failing).run()
    assert not app.exception
    first, second = (item.value.replace("\u2060", "") for item in app.error)
    assert first.startswith(r"The \*first\* can\'t be shown (ValueError\: \[x\]\(y\) zzz")
    assert len(first) < 500
    assert second.startswith(r"The second can\'t be shown (KeyError). The rest of this page works.")
    assert [item.value for item in app.markdown] == ["before", "after"]
    assert failures == [f"a part of the page failed: {name}" for name in FAILING]
    failures.clear()


def test_what_ends_the_program_goes_through():
    with pytest.raises(KeyboardInterrupt), part("One"):
        raise KeyboardInterrupt
