"""Recorded runs as they are exported together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from samedge_core.analysis import compare
from samedge_core.sharing.several import Chosen
from samedge_core.store.catalogue import Entry
from samedge_core.store.store import Store
from samedge_core.training.config import RunConfig
from samedge_core.training.history import History

SHORT = 8  # characters of an id in a name


def chosen(store: Store, entries: Sequence[Entry]) -> list[Chosen]:
    """Return the runs of the entries, each with a name of its own.

    Raises:
        ConfigError: a newer version of the program recorded one of them.
        SavedError: a file of one of them is missing or damaged.
    """
    configs = [RunConfig.from_json(entry.config) for entry in entries]
    told = [_what(store, entry, config) for entry, config in zip(entries, configs, strict=True)]
    names = [entry.title or what for entry, what in zip(entries, told, strict=True)]
    for more in ([f", seed {e.seed}" for e in entries], [f" ({e.id[:SHORT]})" for e in entries]):
        names = [n + m if names.count(n) > 1 else n for n, m in zip(names, more, strict=True)]
    return [
        Chosen(
            e.id,
            name,
            what,
            e.group_key,
            config,
            e.last_step + 1,
            partial(_load, store, e.id),
            partial(store.folder(e.id).predictions, config),
        )
        for e, name, what, config in zip(entries, names, told, configs, strict=True)
    ]


def _what(store: Store, entry: Entry, config: RunConfig) -> str:
    made = store.folder(entry.id).record().interventions if entry.interventions else ()
    return compare.what(config, made)


def _load(store: Store, run: str) -> History:
    return store.load(run)[1]
