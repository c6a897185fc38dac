"""Whether a run fits into memory; importable without torch."""

from __future__ import annotations

from samedge_core.problems.memory import Need, need
from samedge_core.problems.own_data import Contents
from samedge_core.problems.registry import OWN_PROBLEM
from samedge_core.training.config import RunConfig


def need_of(config: RunConfig, contents: Contents | None) -> Need | None:
    """What a run needs of this machine's own memory; None where that is not known: on a GPU, of a
    problem that a script made, and of one whose file of the user's, with these `contents`, can't be
    used."""
    unknown = config.problem == OWN_PROBLEM or ("path" in config.options and contents is None)
    if unknown or config.device != "cpu":
        return None
    return need(
        config.problem,
        config.options,
        contents,
        top_k=config.top_k,
        dtype=config.dtype,
        batch_size=config.batch_size,
    )


def check_fits(config: RunConfig, contents: Contents | None, room: float, remedy: str = "") -> None:
    """Check that a run can fit into `room` bytes, where what it needs is known.

    Args:
        contents: of its file of the user's.
        remedy: what else can be done about it, in words.

    Raises:
        ConfigError: it can't; names the option that makes it so large.
    """
    if needed := need_of(config, contents):
        needed.check(room, remedy)
