"""The store that the page reads its runs from."""

from pages.parts.markdown import plain
from pages.parts.server import registry
from samedge_core.store import Store


def store() -> Store | None:
    """The store of this server; None when it could not be opened."""
    return registry().store


def why_none() -> str:
    """Why there is none yet."""
    return plain(registry().no_store.rstrip("."))


def opened() -> Store:
    """The store; the page has checked that there is one."""
    found = store()
    assert found is not None
    return found
