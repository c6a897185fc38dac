"""Whether a run fits into memory; importable without torch."""

from __future__ import annotations

from samedge_core.problems.memory import need
from samedge_core.problems.own_data import Contents
from samedge_core.problems.registry import OWN_PROBLEM
from samedge_core.training.config import RunConfig


def check_fits(config: RunConfig, contents: Contents | None, room: float, remedy: str = "") -> None:
    """Check that a run can fit into `room` bytes of this machine's own memory; that of a GPU is not
    known here.

    Args:
        contents: of its file of the user's. A run whose file can't be used is not checked, nor one
            of a problem that a script made.
        remedy: what else can be done about it, in words.

    Raises:
        ConfigError: it can't; names the option that makes it so large.
    """
    unknown = config.problem == OWN_PROBLEM or ("path" in config.options and contents is None)
    if unknown or config.device != "cpu":
        return
    needed = need(
        config.problem,
        config.options,
        contents,
        top_k=config.top_k,
        dtype=config.dtype,
        batch_size=config.batch_size,
    )
    needed.check(room, remedy)
