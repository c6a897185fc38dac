"""A page with the closer look alone, at the step that the session names."""

import streamlit as st

from pages.parts.lab import inspection, session

st.set_page_config(layout="wide")
inspection.draw(session.glances(), st.session_state.get("at"), 0.5)
