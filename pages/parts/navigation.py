"""What every page begins with: title, theme of the layout, and links to all pages."""

import streamlit as st

PAGES = (
    ("app.py", "Live lab", ":material/monitoring:"),
    ("pages/quadratic.py", "Quadratic intuition", ":material/architecture:"),
    ("pages/paper.py", "The paper's tasks", ":material/science:"),
)

# Streamlit's own spacing pushes the first chart below the fold at 1400x900.
_COMPACT = """
<style>
  [data-testid="stMainBlockContainer"] { padding: 2.2rem 2rem 2rem; max-width: none; }
  [data-testid="stSidebarUserContent"] { padding-top: 0; }
  [data-testid="stSidebarHeader"] { height: 2.2rem; padding-bottom: 0; margin-bottom: 0; }
  [data-testid="stMain"] [data-testid="stVerticalBlock"] { gap: 0.5rem; }
  [data-testid="stSidebar"] [data-testid="stVerticalBlock"] { gap: 0.6rem; }
  [data-testid="stHeader"] { height: 2.2rem; min-height: 2.2rem; background: transparent; }
</style>
"""


def begin(title: str) -> bool:
    """Set up the page; call it first. Returns whether the reader comes from another page."""
    st.set_page_config(page_title=f"SAMEdge · {title}", page_icon="📈", layout="wide")
    st.html(_COMPACT)
    st.sidebar.markdown("## SAMEdge :small[:gray[see the edge of stability]]")
    with st.sidebar:
        for file, label, icon in PAGES:
            st.page_link(file, label=label, icon=icon)
    arrived = st.session_state.get("page", title) != title
    st.session_state["page"] = title
    return arrived
