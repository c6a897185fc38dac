"""The store: every run as it happened, in a folder of its own, and a catalogue to find it by."""

from samedge_core.store.catalogue import Entry, Listing, Query
from samedge_core.store.folder import RunFolder
from samedge_core.store.record import Origin, RunRecord
from samedge_core.store.store import Store, open_store

__all__ = ["Entry", "Listing", "Origin", "Query", "RunFolder", "RunRecord", "Store", "open_store"]
