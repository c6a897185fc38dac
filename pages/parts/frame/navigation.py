"""What every page begins with: title, theme of the layout, and links to all pages."""

from collections.abc import Mapping

import streamlit as st
from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx

from pages.parts import server
from pages.parts.frame import parts, streamlit_patches
from pages.parts.markdown import brief, plain

PAGES = (
    ("app.py", "Live lab", ":material/monitoring:"),
    ("pages/lessons.py", "Lessons", ":material/school:"),
    ("pages/quadratic.py", "Quadratic intuition", ":material/architecture:"),
    ("pages/sweeps.py", "Phase diagrams", ":material/grid_on:"),
    ("pages/paper.py", "The paper's tasks", ":material/science:"),
    ("pages/runs.py", "Runs", ":material/list_alt:"),
)

# Streamlit's own spacing pushes the first chart below the fold at 1400x900.
_COMPACT = """
<style>
  .stApp { --samedge-page: light-dark(#ffffff, #171614); }  /* for what stays in view above it */
  [data-testid="stMainBlockContainer"] { padding: 2.2rem 2rem 2rem; max-width: none; }
  [data-testid="stSidebarUserContent"] { padding-top: 0; }
  [data-testid="stSidebarHeader"] { height: 2.2rem; padding-bottom: 0; margin-bottom: 0; }
  [data-testid="stMain"] [data-testid="stVerticalBlock"] { gap: 0.5rem; }
  [data-testid="stSidebar"] [data-testid="stVerticalBlock"] { gap: 0.6rem; }
  /* larger than the numbers on the axes; where there is no room, it goes on in another line */
  [data-testid="stMain"] .stMarkdown:has(.katex-display) { container-type: inline-size; }
  [data-testid="stMain"] .katex-display > .katex {
    font-size: clamp(0.95rem, 2.6cqi, 1.25rem); white-space: normal; }
  [data-testid="stMain"] .katex-display { margin: 0.3em 0 1rem; }  /* -1rem is around it */
  /* what draws nothing takes no room */
  .stElementContainer:has(> .stHtml > :is(style, script):only-child) {
    position: absolute; width: 0 !important; }
  /* a contrast of 4.5, which Streamlit's own small print and bright buttons have not */
  [data-testid="stCaptionContainer"] { opacity: 0.8; }
  [data-testid="stBaseButton-primary"]:enabled { color: light-dark(#fff, #10141c); }
  [data-testid="stButtonGroup"] > div { flex-wrap: wrap; }
  .st-key-atlas-choices .stColumn { min-width: min(8.5rem, 100%); }  /* else below one another */
  .stApp:not(:has([data-testid="stExpandSidebarButton"])) [data-testid="stSidebar"] {
    min-width: min(18.75rem, 24vw); }
  @media (hover: none), (max-width: 900px) {
    button kbd { display: none !important; }
    .stHorizontalBlock:has(> .st-key-primary) { gap: 0.3rem; }
  }
  [data-testid="stHeader"] { height: 2.2rem; min-height: 2.2rem; background: transparent; }
  /* on a phone, the buttons of a run stay above its charts, and the controls open below them */
  @media (max-width: 640px) {
    [data-testid="stMainBlockContainer"] { padding: 2.2rem 1rem 2rem; }
    .stColumn:has(> [data-testid="stVerticalBlock"]:empty) { display: none; }
    .stHorizontalBlock:has(> .st-key-primary) { flex-wrap: nowrap; overflow-x: auto; }
    .stHorizontalBlock:has(> .st-key-primary) > * { flex: none; }
    .stHorizontalBlock:has(> .st-key-welcome-close) { flex-wrap: nowrap; }
    .stHorizontalBlock > .stElementContainer:has(.katex-display) { min-width: 100%; }
    .st-key-welcome-close { flex: none; }
    .st-key-runs-filters .stColumn + .stColumn { min-width: calc(50% - 1rem); }
    .st-key-sweeps-form .stColumn + .stColumn { min-width: calc(33% - 1rem); }
    .st-key-sweeps-new { flex-direction: column-reverse; }  /* its picture first */
    [data-testid="stButtonGroup"] button { padding: 0.2rem 0.5rem; }
    [data-testid="stButtonGroup"] button p { font-size: 0.8rem; }
    [data-testid="stLayoutWrapper"]:has(> .stHorizontalBlock > .st-key-primary) {
      position: sticky; top: 0; z-index: 11; padding: 0.3rem 0; background: var(--samedge-page); }
    [data-testid="stExpandSidebarButton"] {  /* where they open, and the thumb is */
      position: fixed; bottom: 0.8rem; left: 0.8rem; background: var(--samedge-page);
      border: 1px solid #8888; border-radius: 0.5rem; }
    .stApp:not(:has([data-testid="stExpandSidebarButton"])) [data-testid="stSidebar"] {
      position: fixed !important; inset: 48vh 0 0 0; width: 100% !important;
      height: auto !important; border-top: 1px solid #8888; }
  }
</style>
"""


LARGE = "large"  # in the session and in links: for a projector
_LARGE = "<style>html { font-size: clamp(18px, 2.3vh, 32px); }</style>"

# In a frame of a slide or a course page there is room for the charts alone.
_EMBEDDED = """
<style>
  [data-testid="stSidebar"], [data-testid="stSidebarCollapsedControl"],
  [data-testid="stExpandSidebarButton"] { display: none; }
  [data-testid="stMainBlockContainer"] { padding: 0.5rem 1rem; }
</style>
"""


# A click in a frame of another site may not mean what it seems to: there, the page of a whole
# window is covered. Streamlit can't send the header that would forbid such frames.
_UNFRAMED = """
<script>
(() => {
  const asked = new URLSearchParams(location.search).getAll("embed").at(-1)?.toLowerCase();
  let own = true;
  try { own = window.top.location.origin === location.origin; } catch { own = false; }
  if (own || asked === "true" || document.getElementById("samedge-framed")) return;
  const cover = document.createElement("div");
  cover.id = "samedge-framed";
  cover.style = "position: fixed; inset: 0; z-index: 2147483647; padding: 2rem; "
    + "background: Canvas; color: CanvasText; font: 16px sans-serif";
  cover.append("This page is shown in a frame of another site only with ?embed=true. ");
  const link = document.createElement("a");
  Object.assign(link, { href: location.href, target: "_blank", textContent: "Open it in a tab" });
  cover.append(link);
  document.body.replaceChildren(cover);
})();
</script>
"""


def embedded() -> bool:
    """Whether the page stands in a frame of another one (`?embed=true`)."""
    return bool(st.context.is_embedded)


def by_history() -> bool:
    """Whether the browser's Back or Forward has brought the reader here: the address is theirs."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def _large() -> bool:
    """Whether texts and lines are large: as the toggle says, and before the first one as the link
    does; from now on the link says it, too."""
    large = st.session_state.setdefault(LARGE, st.query_params.get(LARGE) == "true")
    if large:
        st.query_params[LARGE] = "true"
    else:
        st.query_params.pop(LARGE, None)
    return large


def put_address(parameters: Mapping[str, str]) -> None:
    """Have the address of the page that is shown say this."""
    parameters = {**parameters, **({LARGE: "true"} if st.session_state.get(LARGE) else {})}
    if st.query_params.to_dict() != parameters:
        st.query_params.from_dict(parameters)
    st.session_state["addresses"][st.session_state["page"]] = dict(parameters)


def _addresses(title: str) -> dict[str, dict[str, str]]:
    """By page, the parameters of its address: the way back to it leads to what it showed.

    As it leaves for another page, Streamlit puts the parameters of that into the address of the
    page that is left, and the browser's Back leads there: then the page's own are put back.
    """
    addresses = st.session_state.setdefault("addresses", {})
    here, own = st.query_params.to_dict(), addresses.get(title)
    of_others = [other for page, other in addresses.items() if other and page != title]
    if by_history() and own is not None and here != own and here in of_others:
        st.query_params.from_dict(own)
    addresses[title] = st.query_params.to_dict()
    return addresses


def begin(title: str) -> bool:
    """Set up the page; call it first. Returns whether the reader comes from another page."""
    streamlit_patches.hear()
    streamlit_patches.leave_fragment()
    st.set_page_config(page_title=f"SAMEdge · {title}", page_icon="📈", layout="wide")
    if embedded():
        st.html(_COMPACT + _EMBEDDED)
    else:
        st.html(_COMPACT + _UNFRAMED, unsafe_allow_javascript=True)
    if _large():
        st.html(_LARGE)
    st.sidebar.markdown("## SAMEdge :small[:gray[see the edge of stability]]")
    arrived = st.session_state.get("page", title) != title
    st.session_state["page"] = title
    addresses = _addresses(title)
    with st.sidebar:
        for file, label, icon in PAGES:
            st.page_link(file, label=label, icon=icon, query_params=addresses.get(label))
        st.toggle(
            "Large text",
            key=LARGE,
            persist_state="session",
            help="For a projector: larger texts, lines and markers on every page.",
        )
    with st.container():  # what comes and goes must not move what follows
        if wrong := server.wrong_setting():
            st.error(f"This server was started with a setting that can't be used: {plain(wrong)}.")
        for run, wrong in server.failed().items():
            st.error(f"The run {brief(run)} can't be shown ({brief(wrong)}). {parts.HOW_TO_GO_ON}")
        parts.show_failed_actions()
    return arrived
