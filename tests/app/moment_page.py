"""A page with the closer look alone, at the step that the session names."""

import streamlit as st

from pages.parts import lab, moment

st.set_page_config(layout="wide")
moment.draw(lab.glances(), st.session_state.get("at"), 0.5)
