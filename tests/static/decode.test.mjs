/** What decode.js reads; tests/pages/components/test_wire.py holds it against what Python encodes. */

import assert from "node:assert/strict";
import test from "node:test";
import { decode } from "../../static/decode.js";

test("arrays are found at any depth, and the rest stays as it is", () => {
  const sent = { traces: [{ x: { from: 2, by: 0.5, rows: 3 }, name: "w", log: null, on: true }], rows: 3 };
  assert.deepEqual(decode(sent), {
    traces: [{ x: Float64Array.of(2, 2.5, 3), name: "w", log: null, on: true }], rows: 3,
  });
});

test("base64 of Float32, Float64 and bytes", () => {
  assert.deepEqual(decode({ f4: "AACAPwAAwH8=" }), Float32Array.of(1, NaN));
  assert.deepEqual(decode({ f8: "AAAAAAAA8D8=" }), Float64Array.of(1));
  assert.deepEqual(decode({ u1: "AQID" }), Uint8Array.of(1, 2, 3));
});

test("offsets are added to the first value in double precision", () => {
  assert.deepEqual(decode({ from: 2 ** 40, f4: "AAAAAAAAgD8=" }), Float64Array.of(2 ** 40, 2 ** 40 + 1));
});

test("a matrix is a list of its rows", () => {
  assert.deepEqual(decode({ u1: "AQIDBAUG", columns: 3 }), [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6)]);
});

test("a grid of booleans is a bit each, the last byte filled up", () => {
  assert.deepEqual(decode({ bits: "oIA=", rows: 3, columns: 3 }), [
    Uint8Array.of(1, 0, 1), Uint8Array.of(0, 0, 0), Uint8Array.of(0, 0, 1),
  ]);
});

test("texts are passed through", () => {
  const colours = { "@sam": "#d9480f" };
  assert.deepEqual(decode({ line: { color: "@sam" }, name: "sam" }, (text) => colours[text] ?? text), {
    line: { color: "#d9480f" }, name: "sam",
  });
});
