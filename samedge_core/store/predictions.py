"""Predictions of a run as a file of its folder, and back: what comes in is checked like anything
from a stranger. Importable without torch.

The rows of a prediction stand there as base64 of little-endian float64 (n, fields of Point).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from samedge_core.fields import abridged
from samedge_core.prediction.prediction import FLOWS, Assumption, Outcome, Point, Prediction
from samedge_core.store.record import LONGEST_TEXT, is_unicode
from samedge_core.training import codec
from samedge_core.training.config import LIVE_FIELDS, RunConfig
from samedge_core.training.stop import Stop

SCHEMA = 1
MOST_STRETCHES = 6  # of a run, the newest: more dashed lines can't be told apart
MOST_POINTS = 10_000  # of one; of more steps, each so many-th has a row
MOST_ASSUMPTIONS = 20
MOST_SPANS = 1000  # in which one of them is broken, the first ones
_WIDTH = 8 * len(Point._fields)  # bytes


class _Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stop: Stop
    assumptions: list[tuple[str, str, list[tuple[int, int]]]]
    gradients: int
    products: int


class _Stretch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Prediction; the settings that can't change on the way are those of the run."""

    begin: int
    steps: int
    flow: str
    eta: float
    rho: float
    beta: float
    rule: str
    points: bytes
    outcome: _Stop | None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    predictions: list[_Stretch]


def to_json(made: Sequence[Prediction]) -> str:
    """All of them, with the schema number and a checksum."""
    listed = msgspec.to_builtins(_File([_stretch(one) for one in made]))
    return json.dumps({"schema": SCHEMA, **listed, "crc32": _checksum(listed)})


def from_json(text: str, config: RunConfig) -> tuple[Prediction, ...]:
    """The inverse of `to_json`, for a run of `config`.

    Raises:
        ValueError: it is no such file, or of a newer schema.
    """
    values = codec.parse(text)
    codec.check_schema(values, SCHEMA, "a file of predictions")
    del values["schema"]
    if values.pop("crc32", None) != _checksum(values):
        raise ValueError("its checksum is that of another content")
    found = codec.convert(values, _File, "a file of predictions").predictions
    if len(found) > MOST_STRETCHES:
        raise ValueError(f"a run may have {MOST_STRETCHES} predictions, got {len(found):,}")
    begins = [one.begin for one in found]
    if sorted(set(begins)) != begins:
        raise ValueError(f"predictions must begin one after the other, got {abridged(begins)}")
    return tuple(_prediction(one, config) for one in found)


def _stretch(made: Prediction) -> _Stretch:
    live = {name: getattr(made.hyper, name) for name in LIVE_FIELDS}
    end = made.outcome
    assumed = [(a.key, a.sentence, list(a.broken[:MOST_SPANS])) for a in made.assumptions]
    outcome = end and _Stop(end.stop, assumed, end.gradients, end.products)
    points = np.array(made.points, dtype="<f8").tobytes()
    return _Stretch(
        made.begin, made.config.steps, made.flow, **live, points=points, outcome=outcome
    )


def _prediction(found: _Stretch, config: RunConfig) -> Prediction:
    if found.flow not in FLOWS:
        raise ValueError(f"flow must be one of {', '.join(FLOWS)}, got {abridged(found.flow)}")
    config = config.capped(found.steps)
    settings = config.replace(**{name: getattr(found, name) for name in LIVE_FIELDS})
    if not 0 <= found.begin < found.steps:
        allowed = f"from 0 to {found.steps - 1:,}"
        raise ValueError(f"begin must be {allowed}, got {abridged(found.begin)}")
    made = Prediction(config, found.flow, settings.hyperparameters, found.begin)
    made.extend(_points(found))
    made.outcome = found.outcome and _outcome(found.outcome)
    return made


def _points(found: _Stretch) -> list[Point]:
    count, rest = divmod(len(found.points), _WIDTH)
    if rest or count > MOST_POINTS:
        allowed = f"at most {MOST_POINTS:,} rows of {_WIDTH} bytes"
        raise ValueError(f"points must be {allowed}, got {len(found.points):,} bytes")
    table = np.frombuffer(found.points, dtype="<f8").reshape(count, -1)
    steps = table[:, 0]
    within = (found.begin <= steps) & (steps < found.steps) & (steps % 1 == 0)  # NaN is not
    if not (within.all() and (np.diff(steps) > 0).all()):
        raise ValueError(f"steps must grow from {found.begin:,} to {found.steps - 1:,} at most")
    if (table[:, Point._fields.index("grad_norm")] < 0).any():
        raise ValueError("grad_norm must be >= 0")
    return [Point(int(row[0]), *row[1:]) for row in table.tolist()]


def _outcome(found: _Stop) -> Outcome:
    assumed = tuple(Assumption(key, said, tuple(at)) for key, said, at in found.assumptions)
    spans = max((len(one.broken) for one in assumed), default=0)
    for what, count, most in (
        ("assumptions", len(assumed), MOST_ASSUMPTIONS),
        ("spans in which an assumption is broken", spans, MOST_SPANS),
    ):
        if count > most:
            raise ValueError(f"a prediction may have {most:,} {what}, got {count:,}")
    for text in [found.stop.what, *(text for one in assumed for text in one[:2])]:
        if len(text) > LONGEST_TEXT or not is_unicode(text):
            raise ValueError(f"a text may have {LONGEST_TEXT:,} characters, got {abridged(text)}")
    return Outcome(found.stop, assumed, found.gradients, found.products)


def _checksum(values: Any) -> int:
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())
