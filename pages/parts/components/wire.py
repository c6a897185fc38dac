"""The form in which data travel to the browser: JSON in which static/decode.js finds the arrays."""

import base64
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def encode(value: Any) -> Any:
    """The JSON-able form of a value: dataclasses and mappings by name, sequences as lists,
    None for a single number that is not finite.

    An evenly spaced array of n numbers becomes {"from": first, "by": spacing, "rows": n}, any other
    the base64 of little-endian Float32 ("f4"), of Float64 where it leaves the range of Float32
    ("f8"), of bytes ("u1", also for booleans), or of a grid of booleans as "bits". With "from", the
    differences from that first value are sent: what grows from 0 or above (steps, time) stays exact
    for integers over a span of 2**24. An array of shape (rows, columns) has its "columns" too.
    A number on its own that is not finite becomes null.

    >>> encode({"x": np.array([1.0, 2.0, 2.5]), "y": np.ones(3)})
    {'x': {'from': 1.0, 'f4': 'AAAAAAAAgD8AAMA/'}, 'y': {'from': 1.0, 'by': 0.0, 'rows': 3}}
    """
    if isinstance(value, np.ndarray):
        return _array(value)
    if dataclasses.is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        return {name: encode(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    # JSON has no NaN: a browser could read nothing of what holds one
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _array(values: np.ndarray) -> dict[str, Any]:
    if values.dtype == np.bool_ and values.ndim == 2:  # from the first on, the highest bit first
        rows, columns = values.shape  # the last byte is filled up
        return _packed("bits", np.packbits(values)) | {"rows": rows, "columns": columns}
    if values.dtype in (np.uint8, np.bool_):
        return _packed("u1", values)
    values = values.astype("<f8")
    if values.ndim == 2 or not len(values) or not 0 <= values[0] < np.inf:
        return _floats(values)
    first = float(values[0])
    by = (float(values[-1]) - first) / max(1, len(values) - 1)
    with np.errstate(invalid="ignore"):  # what is not finite is not even
        off = np.abs(values - (first + by * np.arange(len(values))))
    if math.isfinite(by) and (off <= 1e-6 * abs(by)).all():
        return {"from": first, "by": by, "rows": len(values)}
    grows = (values[1:] > values[:-1]).all()
    return {"from": first} | _floats(values - first) if grows else _floats(values)


def _floats(values: np.ndarray) -> dict[str, Any]:
    finite = values[np.isfinite(values)]
    # seven digits draw anything, but a diverging run leaves the range of Float32
    wide = finite.size and np.abs(finite).max() > np.finfo(np.float32).max
    return _packed("f8", values) if wide else _packed("f4", values.astype("<f4"))


def _packed(kind: str, values: np.ndarray) -> dict[str, Any]:
    code: dict[str, Any] = {kind: base64.b64encode(values.tobytes()).decode("ascii")}
    return code | {"columns": values.shape[1]} if values.ndim == 2 else code
