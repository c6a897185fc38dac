"""Real runs in a store, small enough to be made by a test."""

import samedge_core as se
from samedge_core.store import Origin, RunRecord, Store
from samedge_core.store.writer import RunWriter

TINY = se.RunConfig(
    problem="digits-mlp", options={"n": 40, "width": 4}, rule="gd", eta=0.5, steps=12
)


def record(
    store: Store,
    config: se.RunConfig = TINY,
    *,
    history: se.History | None = None,
    origin: Origin | None = None,
    going: bool = False,
    **labels,
) -> str:
    """Make the run, unless `history` is it, and record it in the store; returns its id.

    `going` leaves it without its stop, as a run that is still being recorded.
    """
    history = history or se.run(config)
    writer = RunWriter(store, RunRecord(store.new_id(), config, config.steps, origin=origin))
    if going:
        history.stop = None
    news = writer.take(history)
    assert news is not None
    writer.save(news)
    store.label(writer.id, **labels)
    return writer.id
