"""What can be done with a stored sweep: stop, go on, name, export and delete it."""

from collections.abc import Callable

import streamlit as st

from pages.parts.frame.parts import action
from pages.parts.markdown import plain
from pages.parts.sweeps import form, source
from pages.parts.sweeps.board import Board
from samedge_core.sharing.files import SavedError
from samedge_core.sharing.notebook import SUFFIX
from samedge_core.store.texts import LONGEST_TITLE
from samedge_core.sweeps import export, launching
from samedge_core.sweeps.store import RecordedSweep, SweepError

DELETED = "sweeps:deleted"  # in the session: id and title of the last one, for the way back
COMPLAINT = "sweeps:complaint"


FILES = {
    ".parquet": ("Rows, Parquet", "A row a cell and seed, with every bit and type kept."),
    ".csv": ("Rows, CSV", "The same as text."),
    ".svg": ("Picture, SVG", "The diagram in this colour, for a paper."),
    ".html": ("Report", "One page with the settings and pictures, which works offline."),
    SUFFIX: ("Notebook", "A Jupyter notebook that holds the rows, draws and repeats them."),
}


def progress(board: Board) -> None:
    """One line on what the sweep is doing, with the time that is left."""
    recorded = board.recorded
    state, total, missing = recorded.state, recorded.sweep.count, recorded.missing
    done, doing = f"{total - missing:,} of {total:,} runs", "Computing"
    if not missing and recorded.unpredicted:
        missing, doing = recorded.unpredicted, "Predicting"
        done = f"{total - missing:,} of {total:,} predictions"
    if state == "computing":
        left = board.seconds_left(missing)
        more = f", about {form.in_words(left)} left" if left is not None else ""
        more = ", stopping" if recorded.is_asked_to_stop() else more
        st.progress((total - missing) / total, f"{doing}: {done}{more}.")
    elif state == "waiting":
        st.info(
            "It is being started, or waits for its turn: one sweep is computed at a time.",
            icon=":material/hourglass_empty:",
        )
    elif state == "stopped":
        st.markdown(f":material/pause_circle: Stopped after {done}.")
    elif state == "failed":
        st.error(f"It failed after {done}: {plain(recorded.error)}", icon=":material/error:")


def draw(recorded: RecordedSweep, board: Board, quantity: str) -> None:
    """The buttons, and the boxes that they open."""
    busy = recorded.state in ("waiting", "computing")
    if busy:
        _stop_button(recorded)
    elif recorded.missing or recorded.unpredicted:
        missing = {"runs": recorded.missing, "predictions": recorded.unpredicted}
        what = " and ".join(f"{count:,} {name}" for name, count in missing.items() if count)
        about = f"Computes the {what} that are missing."
        _button("Go on", "play_arrow", _go_on, recorded, about)
    _new_button(recorded)
    with st.popover(
        "Export",
        icon=":material/download:",
        key="sweeps:export",
        on_change="rerun",
        help="The rows, a picture or a notebook, of all cells that there are.",
    ) as box:
        if box.open:
            _files(recorded, board, quantity)
    with st.popover(
        "Name", icon=":material/edit:", key="sweeps:rename", help="A title of your own."
    ):
        st.text_input(
            "Title",
            recorded.title,
            key=f"sweeps:title:{recorded.id}",
            placeholder=source.title(recorded),
            on_change=_rename,
            args=(recorded,),
            help=f"What the sweep is called here and in files, at most {LONGEST_TITLE} characters.",
        )
    if not busy:
        _delete_button(recorded)


def draw_damaged(recorded: RecordedSweep) -> None:
    """The buttons of a sweep whose rows can't be read."""
    _new_button(recorded)
    if recorded.state in ("waiting", "computing"):
        _stop_button(recorded)
    else:
        _delete_button(recorded)


def _stop_button(recorded: RecordedSweep) -> None:
    about = "What is computed stays; you can go on later."
    _button("Stop", "stop_circle", _stop, recorded, about)


def _new_button(recorded: RecordedSweep) -> None:
    about = "Another grid, from other settings or ranges."
    _button("New sweep", "add", _open_form, recorded, about)


def _delete_button(recorded: RecordedSweep) -> None:
    _button("Delete", "delete", _delete, recorded, "It can be brought back for a day.")


def _button(
    label: str, icon: str, do: Callable[[RecordedSweep], None], recorded: RecordedSweep, about: str
) -> None:
    st.button(
        label,
        icon=f":material/{icon}:",
        key=f"sweeps:{icon}",
        on_click=do,
        args=(recorded,),
        help=about,
    )


def _files(recorded: RecordedSweep, board: Board, quantity: str) -> None:
    result = recorded.result()
    for suffix, (label, about) in FILES.items():
        st.download_button(
            label,
            data=lambda suffix=suffix: export.export(result, suffix, quantity),
            file_name=f"samedge-sweep-{recorded.id}{suffix}",
            key=f"sweeps:export{suffix}",
            on_click="ignore",
            icon=":material/download:",
            help=about,
            disabled=not result.rows,
            width="stretch",
        )
    st.caption("As PNG: the button below the picture.")


def undo() -> None:
    """What was refused, and the way back of what was deleted last."""
    if wrong := st.session_state.pop(COMPLAINT, ""):
        st.error(plain(wrong))
    if gone := st.session_state.get(DELETED):
        sweep_id, title = gone
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/delete: {plain(title)} is deleted.", width="content")
            st.button(
                "Undo",
                key="sweeps:undo",
                on_click=_restore,
                args=(sweep_id,),
                help="Brings it back as it was.",
            )


def _stop(recorded: RecordedSweep) -> None:
    with action("The stop"):
        recorded.ask_to_stop()


def _go_on(recorded: RecordedSweep) -> None:
    with action("Going on"):
        launching.launch(source.sweeps().folder.parent, recorded.id)


def _open_form(_: RecordedSweep) -> None:
    st.session_state[form.OPEN] = True


def _rename(recorded: RecordedSweep) -> None:
    try:
        recorded.rename(st.session_state[f"sweeps:title:{recorded.id}"])
    except (ValueError, OSError) as error:  # SweepError among them
        st.session_state[COMPLAINT] = str(error)


def _delete(recorded: RecordedSweep) -> None:
    title = source.title(recorded)
    try:
        source.sweeps().delete(recorded.id)
    except (SweepError, SavedError, OSError) as error:
        st.session_state[COMPLAINT] = str(error)
        return
    st.session_state[DELETED] = recorded.id, title
    source.show(sweep=None, **{"with": None})


def _restore(sweep_id: str) -> None:
    try:
        source.sweeps().restore(sweep_id)
        source.show(sweep=sweep_id)
    except (SweepError, SavedError, OSError) as error:
        st.session_state[COMPLAINT] = str(error)
    st.session_state.pop(DELETED, None)
