"""The user's data: images or other arrays from a .npz file, text from a .txt file.

Everything is checked before training starts, and nothing is unpickled. A look at a file keeps its
labels alone, so that a server can take one at files of any content.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from samedge_core.fields import abridged, printable
from samedge_core.problems.array_file import PIECE, ArrayFile, Header
from samedge_core.problems.data import DataError, Split, sequences
from samedge_core.problems.paper_data import check_ascii

# also of what a file unpacks to: reading it all takes about two seconds
MOST_BYTES = 512 * 1024**2
MOST_EXAMPLES = 5_000_000
MOST_CLASSES = 1000
# a gradient grows as the square of an input, and its norm adds up squares: in float32, to 3e38;
# of NumPy's type, since half precision would take Python's for infinite
LARGEST = np.float64(1e8)
UNSCALED = 100  # inputs beyond it need an η that is smaller by the square
HELD_OUT_SHARE = 0.1
NAMED = 20  # arrays of a file that a message lists
PLANES = (1, 3, 4)  # channels of a picture: grey, colours, colours with transparency

ROLES = ("x", "y", "x_test", "y_test")
# what others call them, in capitals or not: the first line whose first two are there counts
NAMES = (
    ROLES,
    ("x_train", "y_train", "x_test", "y_test"),  # Keras
    ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
    ("train_x", "train_y", "test_x", "test_y"),
    ("train_data", "train_labels", "test_data", "test_labels"),
    ("images", "labels", "test_images", "test_labels"),
    ("data", "labels", "test_data", "test_labels"),
    ("data", "target", "test_data", "test_target"),
    ("inputs", "targets", "test_inputs", "test_targets"),
    ("arr_0", "arr_1", "arr_2", "arr_3"),  # arrays that were saved without names
)


class Contents(NamedTuple):
    """What of a file is used: inputs (n, ...) to train on, and so many held out.

    Attributes:
        dtype, shape: of the inputs to train on.
        classes: that occur among them, and `outputs` that the network has; 0 for a text.
        sha256: of the examples that are used.
        largest: input in the file, without its sign; 0 where it holds pixels or a text.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    held_out: int
    classes: int
    outputs: int
    sha256: str
    largest: float = 0.0

    def in_words(self) -> str:
        """The contents in one line."""
        held_out = f"{self.held_out:,} held out"
        if not self.outputs:
            return f"{self.shape[0]:,} sequences of {self.shape[1]} characters, {held_out}"
        shape = " × ".join(map(str, self.shape[1:]))
        examples = f"{self.shape[0]:,} examples of {shape} {self.dtype}"
        unscaled = ""
        if self.largest > UNSCALED:
            unscaled = (
                f"; inputs go up to {self.largest:.3g}: divide them by that, or take a tiny η"
            )
        return f"{examples}, {self.classes} classes, {held_out}{unscaled}"


def contents_of(options: Mapping[str, Any]) -> Contents | None:
    """What the file that a problem's option `path` names holds for these options; None for one
    without that option. Of the inputs, one piece at a time is in memory.

    Raises:
        DataError: as `own_arrays`, `own_text`; or it has no images for the CNN that is chosen.
    """
    if "path" not in options:
        return None
    path, n, n_test = (options[name] for name in ("path", "n", "n_test"))
    if "length" in options:
        return read_text(path, n, n_test, options["length"], keep=False)[1]
    found = read_arrays(path, n, n_test, keep=False)[1]
    check_use(found, options["network"], options["blocks"])
    return found


def check_unchanged(options: Mapping[str, Any], sha256: str | None, was: str | None) -> None:
    """Raise a DataError where the examples of a run's file are not those that it began with.

    `was` is None for a run that did not note it, and for one without such a file.
    """
    if was is not None and sha256 != was:
        now = sha256[:12] if sha256 else "of none"
        raise DataError(
            f"{Path(options.get('path', '')).name} has changed since the run: sha256 {now}..., was "
            f"{was[:12]}...: choose the file that the run began with, or start a new run"
        )


def own_arrays(path: str, n: int, n_test: int) -> Split:
    """The first n examples of a .npz file, or as many as it has.

    The file holds arrays named x (n, ...), uint8 or float, and y (n,), integer classes, and
    optionally x_test and y_test, held out; or by one of the other names in NAMES.

    Raises:
        DataError: the file, or an array in it, is not of this form; shows the value and what is
            allowed.
    """
    return read_arrays(path, n, n_test)[0]


def own_text(path: str, n: int, n_test: int, length: int) -> Split:
    """The first n sequences of ASCII codes of a .txt file, or as many as it has, as `shakespeare`;
    the last tenth is held out.

    Raises:
        DataError: no such file, not ASCII, or too short.
    """
    return read_text(path, n, n_test, length)[0]


def read_arrays(path: str, n: int, n_test: int, *, keep: bool = True) -> tuple[Split, Contents]:
    """`own_arrays` and what it holds; without `keep`, no inputs are returned."""
    path_ = _file(path, ".npz")
    digest = hashlib.sha256()
    with ArrayFile(path_) as file:
        heads = {role: file.header(name) for role, name in _named(path_, file.names).items()}
        _check_heads(path_, heads)
        used = {r: min(n_test if r.endswith("_test") else n, h.examples) for r, h in heads.items()}
        labels = {r: file.first(h, h.examples) for r, h in heads.items() if r.startswith("y")}
        y, y_test = (_classes(labels.get(role)) for role in ("y", "y_test"))
        _check_classes(y, y_test)
        inputs, largest = [], 0.0
        for role in ("x", "x_test"):
            head = heads.get(role, heads["x"]._replace(shape=(0, *heads["x"].shape[1:])))
            kept, most = _inputs(file, role, head, used.get(role, 0), digest, keep=keep)
            inputs.append(kept)
            largest = max(largest, most)
    y, y_test = y[: used["y"]], y_test[: used.get("y_test", 0)]
    for part in (y, y_test):
        digest.update(part.astype("<i8").tobytes())
    outputs = 1 + int(max(y.max(), y_test.max(initial=0)))
    shape = (len(y), *heads["x"].shape[1:])
    found = Contents(
        heads["x"].dtype,
        shape,
        len(y_test),
        len(np.unique(y)),
        outputs,
        digest.hexdigest(),
        largest,
    )
    return Split(inputs[0], y, inputs[1], y_test), found


def read_text(
    path: str, n: int, n_test: int, length: int, *, keep: bool = True
) -> tuple[Split, Contents]:
    """`own_text` and what it holds; without `keep`, no sequences are returned."""
    file, window = _file(path, ".txt"), length + 1
    size = file.stat().st_size
    check_ascii(_pieces(file, 0, size), str(file))
    start = size - int(HELD_OUT_SHARE * size)
    used = min(n, start // window), min(n_test, (size - start) // window)
    ends = used[0] * window if used[0] else start, start + used[1] * window
    digest = hashlib.sha256(str(length).encode())
    for first, end in ((0, ends[0]), (start, ends[1])):
        for piece in _pieces(file, first, end):
            digest.update(piece.data)
    counts = [end - first for first, end in ((0, ends[0]), (start, ends[1]))]
    found = Contents(np.dtype(np.int64), (used[0], length), used[1], 0, 0, digest.hexdigest())
    if not keep and used[0]:
        counts = [window, 0]
    train, held_out = (
        np.fromfile(file, np.uint8, count, offset=first)
        for first, count in zip((0, start), counts, strict=True)
    )
    return sequences(train, held_out, length), found


def check_use(found: Contents, network: str, blocks: int) -> None:
    """Raise a DataError unless what is used of a file makes a problem for this network: several
    classes; images, for a CNN of so many blocks."""
    if found.classes < 2:
        raise DataError(
            f"the first {found.shape[0]:,} examples must hold two classes at least, got "
            f"{found.outputs - 1} alone: shuffle the file, or take more examples"
        )
    if network != "cnn":
        return
    shape, least = found.shape[1:], 2**blocks
    shape = (*shape, 1) if len(shape) == 2 else shape
    if len(shape) == 3 and shape[0] in PLANES and min(shape[1:]) > max(PLANES):
        raise DataError(
            f"a CNN needs images of shape (rows, columns, channels), got {shape}, with the "
            "channels first: save np.moveaxis(x, 1, -1)"
        )
    if len(shape) != 3 or min(shape[:2]) < least:
        raise DataError(
            f"a CNN with {blocks} blocks needs images of shape (rows, columns, channels), {least} "
            f"rows and columns at least; got {shape}"
        )


def _file(path: str, suffix: str) -> Path:
    try:
        file = Path(path).expanduser()
        size = file.stat().st_size if file.is_file() else None
    except (OSError, RuntimeError, ValueError) as error:  # too long a name; no home; a folder of
        raise DataError(f"path {abridged(path)} can't be looked at: {error}") from error
    if not path or file.suffix.lower() != suffix or size is None:
        raise DataError(f"path must name a {suffix} file that exists, got {printable(path)!r}")
    if not 0 < size <= MOST_BYTES:
        raise DataError(f"{file} must have 1 to {MOST_BYTES:,} bytes, got {size:,}")
    return file


def _pieces(file: Path, first: int, end: int) -> Iterator[NDArray[np.uint8]]:
    for at in range(first, end, PIECE):
        yield np.fromfile(file, np.uint8, min(PIECE, end - at), offset=at)


# --- arrays


def _named(file: Path, there: list[str]) -> dict[str, str]:
    """The name in the file of each of ROLES that it has, by the first of NAMES that fits."""
    by_name = {name.lower(): name for name in reversed(there)}
    for names in NAMES:
        found = {r: by_name[n] for r, n in zip(ROLES, names, strict=True) if n in by_name}
        if "x" in found and "y" in found and ("x_test" in found) == ("y_test" in found):
            return found
    listed = ", ".join(abridged(name).strip("'") for name in sorted(there)[:NAMED])
    more = f" and {len(there) - NAMED:,} more" if len(there) > NAMED else ""
    others = ", or ".join(" and ".join(names[:2]) for names in NAMES[1:])
    raise DataError(
        f"{file} must hold arrays x and y, or {others}, and x_test and y_test both or neither, got "
        f"{listed or 'none'}{more}"
    )


def _check_heads(file: Path, heads: Mapping[str, Header]) -> None:
    """All that can be said before an array is unpacked."""
    for role, head in heads.items():
        if role.startswith("x"):
            _check_inputs(role, head)
        else:
            _check_labels(role, head, heads[f"x{role[1:]}"])
    x, x_test = heads["x"], heads.get("x_test", heads["x"])
    if x_test.shape[1:] != x.shape[1:] or (x_test.dtype == np.uint8) != (x.dtype == np.uint8):
        raise DataError(
            f"x_test must be like x, {x.dtype} {x.shape[1:]} an example, got {x_test.dtype} "
            f"{x_test.shape[1:]}"
        )
    size = sum(head.start + head.nbytes for head in heads.values())
    if size > MOST_BYTES:
        largest = max(heads.values(), key=lambda head: head.nbytes)
        raise DataError(
            f"{file} must unpack to {MOST_BYTES:,} bytes at most, got {size:,}; its largest array "
            f"is {abridged(largest.name)}, {largest.dtype} {largest.shape}: save fewer examples, "
            "or pixels as uint8"
        )


def _check_inputs(name: str, head: Header) -> None:
    if head.dtype != np.uint8 and head.dtype.kind != "f":
        remedy = "uint8 for pixels" if head.dtype.kind in "biu" else "float32"
        raise DataError(f"{name} must be uint8 or float, got {head.dtype}: save {name} as {remedy}")
    if len(head.shape) < 2 or 0 in head.shape[1:]:
        raise DataError(f"{name} must have shape (n, ...) with 2 or more axes, got {head.shape}")
    if head.examples > MOST_EXAMPLES:
        raise DataError(f"{name} must hold at most {MOST_EXAMPLES:,} examples, got {head.shape}")


def _check_labels(name: str, head: Header, inputs: Header) -> None:
    remedy = ""
    if len(head.shape) == 2 and head.examples == inputs.examples:
        remedy = f": save {name}.{'ravel()' if head.shape[1] == 1 else 'argmax(1)'}"
    if head.dtype.kind not in "iu":
        remedy = remedy or f": save {name}.astype(int)"
        if head.dtype.kind not in "fb":
            remedy = f": save np.unique({name}, return_inverse=True)[1]"
        raise DataError(f"{name} must be of an integer type, got {head.dtype}{remedy}")
    if head.shape != (inputs.examples,):
        raise DataError(
            f"{name} must have shape ({inputs.examples},), a class for each of x{name[1:]}, got "
            f"{head.shape}{remedy}"
        )


def _inputs(
    file: ArrayFile, name: str, head: Header, n: int, digest: Any, *, keep: bool
) -> tuple[NDArray[Any], float]:
    """The first n inputs, or none of them, and the largest of all, which are checked; those n are
    entered in `digest`."""
    digest.update(f"{head.dtype.str} {(n, *head.shape[1:])} {head.fortran}".encode())
    wrong, largest = 0, 0.0

    def look(all_of_it: NDArray[Any], used: NDArray[Any]) -> None:
        nonlocal wrong, largest
        if all_of_it.dtype != np.uint8:
            sizes = np.abs(all_of_it)
            wrong += all_of_it.size - int((sizes <= LARGEST).sum())
            largest = max(largest, float(sizes.max(initial=0)))
        digest.update(np.ascontiguousarray(used))

    kept = np.empty((0, *head.shape[1:]), head.dtype)
    if head.examples and keep:
        kept = file.first(head, n, look)
    elif head.examples:
        file.read(head, n, look)
    if wrong:
        raise DataError(
            f"{name} must be finite, from {-LARGEST:g} to {LARGEST:g}, got {wrong:,} other entries "
            f"of {math.prod(head.shape):,}"
        )
    return kept, largest


def _classes(labels: NDArray[Any] | None) -> NDArray[Any]:
    return np.empty(0, np.int64) if labels is None else labels


def _check_classes(y: NDArray[Any], y_test: NDArray[Any]) -> None:
    """Each class is an output of the network: labels from 1 on, or a number that marks examples
    without a label, would make outputs that are never right."""
    there = np.unique(y)
    least = min((int(labels.min()) for labels in (y, y_test) if len(labels)), default=math.inf)
    most = int(there[-1]) if len(y) else -1
    renumber = "save np.unique(y, return_inverse=True)[1]"
    if least < 0 or not 1 <= most < MOST_CLASSES or len(there) == 1:
        got = f"{least} to {most}" if len(y) else "no examples"
        remedy = f": {renumber}" if len(there) > 1 else "; there must be two to tell apart"
        raise DataError(
            f"y must hold classes from 0 to 1 at least and {MOST_CLASSES - 1} at most, got "
            f"{got}{remedy}"
        )
    if len(y_test) and int(y_test.max()) > most:
        raise DataError(f"y_test must hold the classes of y, 0 to {most}, got {y_test.max()}")
    if 2 * len(there) < most + 1 - int(there[0]):
        raise DataError(
            f"y must hold most of the classes from 0 to its largest, got {len(there)} of them up "
            f"to {most}; the last are {', '.join(map(str, there[-3:]))}: leave out examples "
            f"without a label, and {renumber}"
        )
    if least > 0:
        raise DataError(
            f"y must hold classes from 0 on, got {least} to {most}: save y - {least}, and y_test "
            f"- {least} where there is one"
        )
