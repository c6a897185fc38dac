"""The devices of this machine by name."""

from __future__ import annotations

import torch

from samedge_core.fields import ConfigError


def resolve_device(name: str, dtype: str = "float32") -> torch.device:
    """Return the device `name`; "auto" is the first of cuda, mps and cpu that this machine has for
    computation in `dtype`.

    Raises:
        ConfigError: this machine has no such device, or it has no float64.
    """
    if name == "cpu":  # asking for a GPU prepares it, and processes forked later can't use it
        return torch.device(name)
    usable = ["cuda"] if torch.cuda.is_available() else []
    # Apple's GPUs compute in single precision only
    usable += ["mps"] if torch.backends.mps.is_available() and dtype == "float32" else []
    usable.append("cpu")
    if name == "auto":
        return torch.device(usable[0])
    if name not in usable:
        raise ConfigError(
            "device",
            f"device must be one that this machine has for {dtype}: auto, {', '.join(usable)}; "
            f"got {name!r}",
        )
    return torch.device(name)
