"""Downloads of the paper's data sets: one each, for all readers of this server."""

import streamlit as st

from pages.parts.frame import fragments, ticks
from samedge_core.problems.downloads import Downloads, missing, missing_megabytes


@st.cache_resource(show_spinner=False)
def downloads() -> Downloads:
    """The downloads of this server."""
    return Downloads()


def show(data: str) -> None:
    """Draw how far a download is, or why it failed; nothing otherwise."""
    if download := downloads().running(data):
        so_far = f"{download.received / 1e6:.1f} of {download.megabytes:.3g} MB"
        st.progress(download.share, f"Downloading {data}: {so_far}")
    elif reason := downloads().failure(data):
        st.error(f"The data set {data} could not be downloaded.")
        with st.expander("Why, and how to put it there by hand"):
            st.markdown(reason)
            if len(missing(data)) > 1:
                st.markdown("All the files that are missing:")
                files = (f"- [{s.name}]({s.url}), sha256 `{s.sha256}`" for s in missing(data))
                st.markdown("\n".join(files))


def offer(data: str) -> None:
    """A button for a data set that is not here, and the progress of its download."""
    if not downloads().ready(data):
        fragments.draw(_absent, data, every=ticks.BRISK)


def _absent(data: str) -> None:
    """Offers the download of a data set, and follows it."""
    if downloads().ready(data):
        st.rerun()  # this note stands outside of what follows the run
    show(data)
    if not downloads().running(data):
        st.button(
            f"Download {data} ({missing_megabytes(data):.3g} MB)",
            key=f"download:{data}",
            icon=":material/download:",
            on_click=downloads().begin,
            args=(data,),
            help="Once for this server. Without it, a run of this problem can't start; digits are "
            "always there.",
        )
