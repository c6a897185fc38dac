"""A run as a TensorBoard log, for those who compare runs there. Optional: needs `tensorboard`.

Neither torch nor TensorFlow is needed; `tensorboard` itself is imported on first use.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samedge_core.training.history import History

PACKAGE = "tensorboard==2.21.0"  # as in requirements-tensorboard.txt
SCALARS = (
    *("loss", "accuracy", "grad_norm", "sharpness", "edge", "ratio", "gd_edge", "align_grad"),
    *("align_sam", "eta", "rho", "beta", "held_out_loss", "held_out_accuracy"),
    *("edge_value", "threshold"),
)
"""The columns of a History that are logged, each as a scalar of that name."""


def log(history: History, folder: Path | str) -> None:
    """Write a run, finished or not, to `folder`, one TensorBoard run.

    Each scalar has the run's own steps. What was not measured at a step has no point there.
    TensorBoard keeps scalars as float32. The configuration and the interventions are texts.
    Writing takes about 0.2 ms and 260 bytes a row.

    Raises:
        ImportError: `tensorboard` is not installed; the message says how to.
        FileExistsError: there is a log in `folder`; TensorBoard would mix the two.
        OSError: the folder can't be written to.
    """
    try:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise ImportError(
            f"a TensorBoard log needs the package tensorboard ({error}): pip install {PACKAGE}"
        ) from error
    folder = Path(folder)
    if any(folder.glob("*tfevents*")):
        raise FileExistsError(f"{folder} holds a TensorBoard log already: choose another folder")
    writer = EventFileWriter(str(folder))
    try:
        for event in _events(history):
            writer.add_event(event)
    finally:
        writer.close()


def _events(history: History) -> Iterator[Any]:
    # protobuf makes these classes as they are imported
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboard.plugins.text.summary_v2 import text_pb

    now = time.time()  # the rows don't know their own; TensorBoard's axis of steps is the one
    for tag, text in _texts(history).items():
        yield Event(step=0, wall_time=now, summary=text_pb(tag, text))
    columns = history.columns()
    rows = zip(*(columns[name].tolist() for name in SCALARS), strict=True)
    for step, row in zip(columns["step"].tolist(), rows, strict=True):
        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in zip(SCALARS, row, strict=True)
            if not math.isnan(value)
        ]
        yield Event(step=step, wall_time=now, summary=Summary(value=values))


def _texts(history: History) -> dict[str, str]:
    """Markdown by tag."""
    settings = json.dumps(json.loads(history.config.to_json()), indent=2)
    changes = [f"- step {item.step:,}: {item.label}" for item in history.interventions]
    texts = {"config": "\n".join(f"    {line}" for line in settings.splitlines())}
    return {**texts, "interventions": "\n".join(changes)} if changes else texts
