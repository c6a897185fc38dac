import assert from "node:assert/strict";
import { test } from "node:test";
import "./canvas.mjs";
import { FATE, told } from "../../static/fates.js";
import { moved, ticks, zoomed } from "../../static/mapView.js";

const MAP = { whole: [0, 2, -4, 4], finest: [1e-13, 1e-13] };
const WORDS = ["converges in {number} steps", "hops with {period}, multiplier −{multiplier}", "by {multiplier}", "diverges in {number} steps"];

test("a value is told as samedge_core.sweeps.fate_map tells it", () => {
  assert.equal(told(WORDS, 3 * FATE + 12), "diverges in 12 steps");
  assert.equal(told(WORDS, FATE + 3 * 1024 + 998), "hops with period 3, multiplier −0.998");
  assert.equal(told(WORDS, FATE + 1000), "hops with no period, multiplier −1.000");
  assert.equal(told(WORDS, 2 * FATE + 981), "by 0.981");
  assert.equal(told(WORDS, FATE - 1), "converges in 16,383 or more steps");
});

test("zooming keeps the point under the pointer, and stays on the map", () => {
  const view = zoomed([0, 2, -4, 4], 0.5, [0.25, 0.75], MAP);
  assert.deepEqual(view, [0.25, 1.25, -1, 3]);
  assert.deepEqual(zoomed(view, 100, [0.1, 0.1], MAP), MAP.whole);
  assert.deepEqual(zoomed(MAP.whole, 2, [0.5, 0.5], MAP), MAP.whole);
});

test("zooming ends where the numbers do", () => {
  let view = MAP.whole;
  for (let i = 0; i < 100; i += 1) view = zoomed(view, 0.5, [0.3, 0.3], MAP);
  assert.ok(view[1] - view[0] >= 0.9e-13 && view[1] - view[0] < 2e-13);
  assert.ok(view[0] < 0.6 && view[1] > 0.6 - 1e-12);
});

test("moving keeps the width, and stays on the map", () => {
  assert.deepEqual(moved([0.5, 1, 0, 1], 0.5, -1, MAP), [0.75, 1.25, -1, 0]);
  assert.deepEqual(moved([0.5, 1, 0, 1], 9, 9, MAP), [1.5, 2, 3, 4]);
});

test("an axis has round numbers, with the digits that tell them apart", () => {
  assert.deepEqual(ticks(0, 2.2, false, 6).map(([, text]) => text), ["0.0", "0.5", "1.0", "1.5", "2.0"]);
  const deep = ticks(1.0077701460546, 1.0077701460547, false, 5);
  assert.ok(deep.length >= 2 && deep.length <= 6);
  assert.equal(new Set(deep.map(([, text]) => text)).size, deep.length);
  assert.ok(deep.every(([, text]) => text.length === deep[0][1].length));
});

test("a log axis has powers of ten, and round numbers within one", () => {
  assert.deepEqual(ticks(-3, 1, true, 6), [[-3, "0.001"], [-2, "0.01"], [-1, "0.1"], [0, "1"], [1, "10"]]);
  const within = ticks(Math.log10(0.2), Math.log10(0.6), true, 5);
  assert.deepEqual(within.map(([, text]) => text), ["0.2", "0.3", "0.4", "0.5", "0.6"]);
  assert.ok(Math.abs(within[1][0] - Math.log10(0.3)) < 1e-12);
});
