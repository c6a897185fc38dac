"""Links, files and embedding: to show a run elsewhere, or to import one."""

from collections.abc import Callable
from html import escape
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from pages.parts import server
from pages.parts.lab import controls, predicting, session
from pages.parts.markdown import brief, plain
from pages.parts.views.names import names
from samedge_core.curvature import kernels
from samedge_core.sharing import export, links, notebook, replay_file
from samedge_core.sharing.replay_file import ExchangeError
from samedge_core.store.archive import ArchiveError, bring_in, take_out
from samedge_core.theory.rules import RULES
from samedge_core.training.config import RunConfig
from samedge_core.training.history import SYMBOLS, History, Intervention
from samedge_core.training.plan import Replay
from samedge_core.worker.view import RunView

FILES = (
    (
        "CSV",
        ".csv",
        "text/csv",
        "Every recorded step, all columns, as text; with those of a prediction as `predicted_…`.",
    ),
    (
        "Parquet",
        ".parquet",
        "application/vnd.apache.parquet",
        "The same, with every bit and type kept.",
    ),
    (
        "JSON",
        ".json",
        "application/json",
        "Settings and changes on the way: enough to replay the "
        "run, here (Import) or on the command line.",
    ),
    (
        "Report",
        ".html",
        "text/html",
        "One page with summary and interactive charts, which works offline.",
    ),
    (
        "Python script",
        ".py",
        "text/x-python",
        "A short script that repeats the run with the library.",
    ),
    (
        "Notebook",
        notebook.SUFFIX,
        "application/x-ipynb+json",
        "A Jupyter notebook that holds the rows, draws the charts and repeats the run.",
    ),
)
NO_FILE = "This run trains on a file of your own, which a JSON of settings can't contain."
FRAME = 900  # height of an embedded page, in pixels


def arrive() -> bool:
    """Whether the link holds a setting, which is loaded; a notice lists what could not be used."""
    query = st.query_params.to_dict()
    if not links.is_link(query):
        return False
    found = links.from_query(query, ignore=links.PAGE_PARAMETERS)
    _take(found.config, found.interventions)
    if found.complaints:
        listed = "\n".join(f"- {plain(text)}" for text in found.complaints)
        st.session_state["notice"] = f"Parts of this link could not be used:\n{listed}"
    return True


def drop_planned() -> None:
    """Forget the plan: new runs start from the sidebar's settings."""
    st.session_state[session.PLANNED] = None


def note() -> None:
    """What a new run repeats, and a button that drops that plan."""
    if not (replay := session.planned()):
        return
    config = replay.config
    used = [RULES[config.rule].short]
    used += [f"{SYMBOLS[name]} = {getattr(config, name):g}" for name in RULES[config.rule].uses]
    changes = [f"step {item.step:,}: {item.label}" for item in replay.interventions]
    if replay.arithmetic == "plain":
        used.append("plain arithmetic")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"Planned: a new run starts with {'; '.join([', '.join(used), *changes])}.")
        st.button(
            "Without this plan",
            key="unplanned",
            on_click=drop_planned,
            help="New runs then start from the sidebar's settings.",
        )


def draw(config: RunConfig | None, views: list[RunView]) -> None:
    """The expander."""
    label, icon = "Share and export", ":material/share:"
    with st.expander(label, icon=icon, on_change="rerun", key="share") as box:
        if box.open:
            _import()
            if views:
                view = _choice(views)
                _share_run(view, server.registry().history(view.id))
            elif config:
                _share_setting(config)


def _take(
    config: RunConfig,
    interventions: tuple[Intervention, ...],
    arithmetic: kernels.Arithmetic | None = None,
) -> None:
    """Have it planned, where a new run from the sidebar's settings would be another one."""
    controls.load(config)
    st.session_state[session.COMPARISON] = None
    another = arithmetic and arithmetic != kernels.at_hand(config.dtype)
    plan = Replay(config, interventions, arithmetic) if interventions or another else None
    st.session_state[session.PLANNED] = plan


def _choice(views: list[RunView]) -> RunView:
    labels = names(views)
    if len(views) == 1:
        return views[0]
    index = st.segmented_control(
        "Run",
        range(len(views)),
        default=len(views) - 1,
        format_func=lambda i: labels[i],
        required=True,
        key="share:run",
        help="Which of the runs in the charts.",
    )
    return views[index if index is not None else -1]


# --- out


def _share_setting(config: RunConfig) -> None:
    _links(config, (), None)


def _share_run(view: RunView, history: History) -> None:
    changes = tuple(item for item in history.interventions if item.changes)
    _links(history.config, changes, view.id)
    st.markdown("**Files of this run**")
    name = f"samedge-{history.config.problem}-{history.config.rule}-{view.id[:6]}"
    about, predicted = {"id": view.id}, view.prediction.stretches
    with st.container(horizontal=True):
        for label, suffix, kind, help_ in FILES:
            make = export.EXPORTS[suffix]
            off = NO_FILE if suffix == ".json" and replay_file.has_own_file(history.config) else ""
            if suffix == notebook.SUFFIX and len(history) > notebook.MOST_ROWS:
                off = f"A notebook may have {notebook.MOST_ROWS:,} rows, got {len(history):,}."
            _file(
                label,
                lambda make=make: make(history, about, predicted),
                f"{name}{suffix}",
                kind,
                help_,
                off,
            )
        if (store := server.registry().store) and view.id in store:
            _file(
                "Run folder",
                lambda: take_out(store.folder(view.id)),
                f"{name}.zip",
                "application/zip",
                "All that is recorded: to be imported elsewhere, with every "
                "state from which it can go on.",
            )
    if replay_file.has_own_file(history.config):
        st.caption(
            f"No JSON: {NO_FILE} In the Python script and the notebook, “your-file” stands for it."
        )
    st.caption("Each chart is saved as PNG or SVG by the buttons in its lower right corner.")


def _file(
    label: str, make: Callable[[], str | bytes], name: str, kind: str, about: str, off: str = ""
) -> None:
    """A button that downloads what is made; `off` says why it can't be."""
    st.download_button(
        label,
        data=make,
        file_name=name,
        mime=kind,
        key=f"share:{label}",
        on_click="ignore",
        icon=":material/download:",
        help=off or about,
        disabled=bool(off),
    )


def _links(config: RunConfig, changes: tuple[Intervention, ...], run_id: str | None) -> None:
    own = replay_file.has_own_file(config)
    named = {"run": run_id} | predicting.in_link()
    base = (st.context.url or "").partition("?")[0].rstrip("/") + "/"
    try:
        setting = links.to_url(base, config, changes)
    except links.LinkError as error:
        st.warning(f"This setting does not fit into a link: {plain(str(error))}")
        setting = None
    if setting:
        what = "with its changes on the way" if changes else "of the run" if run_id else "entered"
        first = "chooses a file, which a link can't contain, and " if own else ""
        st.markdown(f"**Link to the setting** {what}; whoever opens it {first}presses Start")
        setting += "".join(f"&{name}={text}" for name, text in predicting.in_link().items())
        st.code(setting, language=None, wrap_lines=True)
    if run_id:
        st.markdown("**Link to this run** with all its rows, while this server keeps it")
        st.code(f"{base}?{urlencode(named)}", language=None, wrap_lines=True)
    shown = f"{base}?{urlencode(named)}" if run_id else None if own else setting
    if shown:
        st.markdown("**For slides and course pages**: only the charts and the buttons")
        source = escape(f"{shown}&embed=true")
        frame = f'<iframe src="{source}" width="100%" height="{FRAME}" style="border:0"></iframe>'
        st.code(frame, language="html", wrap_lines=True)


# --- in


def _import() -> None:
    st.file_uploader(
        "Import a replay file (JSON) or a run folder (zip)",
        type=["json", "zip"],
        key="share:import",
        on_change=_came,
        help="JSON: settings and changes on the way; Start then repeats that run, to the bit on "
        "the same machine and versions. Zip: a run as it was recorded elsewhere.",
    )
    if complaint := st.session_state.pop("share:complaint", ""):
        st.error(f"This file can't be used: {plain(complaint)}")


def _came() -> None:
    file = st.session_state["share:import"]
    if file is None:
        return
    try:
        if file.name.lower().endswith(".zip"):
            _bring_in(file)
        else:
            _replay(file)
    except (ExchangeError, ArchiveError, OSError) as error:
        st.session_state["share:complaint"] = str(error)


def _replay(file: UploadedFile) -> None:
    found = replay_file.from_json(file.getvalue())
    session.leave()
    _take(found.config, found.interventions, found.arithmetic)
    st.session_state["notice"] = f"{brief(file.name)} is loaded; press Start to repeat its run."


def _bring_in(file: UploadedFile) -> None:
    store = server.registry().store
    if store is None:
        raise ArchiveError("this server has no store to import it into")
    run_id = bring_in(store, file, visitor=True)
    session.leave()
    st.session_state[session.COMPARISON] = None
    session.show([run_id])
    controls.load(session.glances()[0].entered)
    st.session_state["notice"] = f"{brief(file.name)} is imported; the charts show its record."
