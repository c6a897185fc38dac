"""The user's data: images or other arrays from a .npz file, text from a .txt file.

Everything is checked before training starts, and nothing is unpickled.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samedge_core.problems.data import DataError, Split, first, sequences
from samedge_core.problems.paper_data import ascii_codes

MOST_BYTES = 2 * 1024**3
MOST_CLASSES = 1000
# a gradient grows as the square of an input, and its norm adds up squares: in float32, to 3e38;
# of NumPy's type, since half precision would take Python's for infinite
LARGEST = np.float64(1e8)
HELD_OUT_SHARE = 0.1
ARRAYS = ("x", "y", "x_test", "y_test")


def own_arrays(path: str, n: int, n_test: int) -> Split:
    """The first n examples of a .npz file, or as many as it has.

    The file holds arrays named x (n, ...), uint8 or float, and y (n,), integer classes, and
    optionally x_test and y_test, held out.

    Raises:
        DataError: the file, or an array in it, is not of this form; shows the value and what is
            allowed.
    """
    file = _file(path, ".npz")
    arrays = _load(file)
    if "x" not in arrays or "y" not in arrays or ("x_test" in arrays) != ("y_test" in arrays):
        raise DataError(
            f"{file} must hold arrays x and y, and x_test and y_test both or neither, got "
            f"{', '.join(sorted(arrays)) or 'none'}"
        )
    x, y = arrays["x"], arrays["y"]
    x_test, y_test = arrays.get("x_test", x[:0]), arrays.get("y_test", y[:0])
    for name, inputs, labels in (("", x, y), ("_test", x_test, y_test)):
        _check_inputs(f"x{name}", inputs)
        _check_labels(f"y{name}", labels, len(inputs), f"x{name}")
    _check_classes(y, y_test)
    if x_test.shape[1:] != x.shape[1:] or (x_test.dtype == np.uint8) != (x.dtype == np.uint8):
        raise DataError(
            f"x_test must be like x, {x.dtype} {x.shape[1:]} an example, got {x_test.dtype} "
            f"{x_test.shape[1:]}"
        )
    return first(Split(x, y, x_test, y_test), min(n, len(x)), n_test)


def own_text(path: str, n: int, n_test: int, length: int) -> Split:
    """The first n sequences of ASCII codes of a .txt file, or as many as it has, as `shakespeare`;
    the last tenth is held out.

    Raises:
        DataError: no such file, not ASCII, or too short.
    """
    file = _file(path, ".txt")
    codes = ascii_codes(file.read_bytes(), str(file))
    start = len(codes) - int(HELD_OUT_SHARE * len(codes))
    split = sequences(codes[:start], codes[start:], length)
    return first(split, min(n, len(split.x)), n_test)


def _file(path: str, suffix: str) -> Path:
    file = Path(path).expanduser()
    if not path or file.suffix.lower() != suffix or not file.is_file():
        raise DataError(f"path must name a {suffix} file that exists, got {path!r}")
    size = file.stat().st_size
    if not 0 < size <= MOST_BYTES:
        raise DataError(f"{file} must have 1 to {MOST_BYTES:,} bytes, got {size:,}")
    return file


def _load(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an archive by name; its size is checked before anything is unpacked."""
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_BYTES:
            raise DataError(f"{file} must unpack to {MOST_BYTES:,} bytes at most, got {size:,}")
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in ARRAYS if name in archive}
    except zipfile.BadZipFile as error:
        raise DataError(f"{file} must be an archive as numpy.savez writes it: {error}") from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        # NumPy's own refusal of an array of objects, or of a damaged header
        raise DataError(f"{file} must hold plain arrays of numbers: {error}") from error


def _check_inputs(name: str, x: NDArray[Any]) -> None:
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise DataError(f"{name} must be uint8 or float, got {x.dtype}")
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise DataError(f"{name} must have shape (n, ...) with 2 or more axes, got {x.shape}")
    wrong = 0 if x.dtype == np.uint8 else x.size - int((np.abs(x) <= LARGEST).sum())
    if wrong:
        raise DataError(
            f"{name} must be finite, from {-LARGEST:g} to {LARGEST:g}, got {wrong:,} other entries "
            f"of {x.size:,}"
        )


def _check_labels(name: str, y: NDArray[Any], n: int, inputs: str) -> None:
    if y.dtype.kind not in "iu":
        raise DataError(f"{name} must be of an integer type, got {y.dtype}")
    if y.shape != (n,):
        raise DataError(
            f"{name} must have shape ({n},), a class for each of {inputs}, got {y.shape}"
        )


def _check_classes(y: NDArray[Any], y_test: NDArray[Any]) -> None:
    least = min((int(labels.min()) for labels in (y, y_test) if len(labels)), default=math.inf)
    most = int(y.max()) if len(y) else -1
    if least < 0 or not 1 <= most < MOST_CLASSES:
        got = f"{least} to {most}" if len(y) else "no examples"
        raise DataError(
            f"y must hold classes from 0 to 1 at least and {MOST_CLASSES - 1} at most, got {got}"
        )
    if len(y_test) and int(y_test.max()) > most:
        raise DataError(f"y_test must hold the classes of y, 0 to {most}, got {y_test.max()}")
