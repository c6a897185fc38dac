"""Where the page has its runs from."""

from pages.parts.server import registry
from samedge_core.store import Store


def store() -> Store | None:
    """The store of this server; None when it could not be opened."""
    return registry().store


def opened() -> Store:
    """The store, which the page has found to be there."""
    found = store()
    assert found is not None
    return found
