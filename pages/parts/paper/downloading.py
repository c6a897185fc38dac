"""Downloads of the paper's data sets, in threads of the server: one each, for all its readers."""

import threading
from dataclasses import dataclass

import streamlit as st

from samedge_core.problems.data import DataError
from samedge_core.problems.downloads import SOURCES, locate, missing


@dataclass
class Download:
    """One data set on its way: bytes so far, of `megabytes`; why it failed, or empty."""

    megabytes: float
    received: int = 0
    running: bool = True
    failure: str = ""

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return min(1.0, self.received / 1e6 / self.megabytes)


@st.cache_resource(show_spinner=False)
def _downloads() -> dict[str, Download]:
    return {}


def ready(data: str) -> bool:
    """Whether every file is there."""
    return not missing(data) and not running(data)


def running(data: str) -> bool:
    """Whether it is on its way."""
    return data in _downloads() and _downloads()[data].running


def megabytes(data: str) -> float:
    """Size of what is still missing."""
    return sum(source.megabytes for source in missing(data))


def failure(data: str) -> str:
    """Why the last download failed, and what to do; empty where none did, or the data is there."""
    download = _downloads().get(data)
    return download.failure if download and missing(data) else ""


def show(data: str) -> None:
    """Draw how far a download is, or why it failed; nothing otherwise."""
    download = _downloads().get(data)
    if download and download.running:
        so_far = f"{download.received / 1e6:.1f} of {download.megabytes:.3g} MB"
        st.progress(download.share, f"Downloading {data}: {so_far}")
    elif reason := failure(data):
        st.error(reason)
        if len(missing(data)) > 1:
            with st.expander("All the files that are missing"):
                files = (f"- [{s.name}]({s.url}), sha256 `{s.sha256}`" for s in missing(data))
                st.markdown("\n".join(files))


def forget(data: str) -> None:
    """Drop what is known of a download that failed."""
    if not running(data):
        _downloads().pop(data, None)


def begin(data: str) -> None:
    """Download what is missing, unless that is going on."""
    if running(data):
        return
    download = _downloads()[data] = Download(megabytes(data))
    threading.Thread(target=_run, args=(data, download), daemon=True).start()


def _run(data: str, download: Download) -> None:
    before = 0

    def came(received: int) -> None:
        download.received = before + received

    try:
        for source in SOURCES[data]:
            locate(source, came)
            before = download.received
    except DataError as error:
        download.failure = str(error)
    finally:
        download.running = False
