/** A curve that is drawn: its text, strokes and points that keys move. */

import assert from "node:assert/strict";
import test from "node:test";
import { moved, read, stroked, write } from "../../static/sketch.js";

const SIZE = { columns: 10, levels: 1000 };
const EMPTY = Array(11).fill(null);

test("a curve is read as it was written, and nothing is an empty text", () => {
  const curve = [0, 0.001, 0.25, null, null, 0.5, 0.75, 0.999, 1, null, 0.1];
  const text = write(curve, SIZE.levels);
  assert.equal(text, "00016y----dwkur" + "rrs--2s");
  assert.deepEqual(read(text, SIZE), curve);
  assert.equal(write(EMPTY, SIZE.levels), "");
  assert.deepEqual(read("", SIZE), EMPTY);
});

test("a stroke is straight, and leaves what is beside it", () => {
  const drawn = stroked(EMPTY, [1.5, 0.15], [6, 0.6]);
  assert.deepEqual(drawn.map((v) => v && Number(v.toFixed(9))), [null, null, 0.2, 0.3, 0.4, 0.5, 0.6, null, null, null, null]);
  assert.deepEqual(EMPTY, Array(11).fill(null));
});

test("a stroke that goes back over itself: the newest counts", () => {
  const there = stroked(EMPTY, [0, 0.5], [10, 0.5]);
  const back = stroked(there, [10, 0.5], [4, 0.8]);
  assert.deepEqual(back.slice(0, 4), [0.5, 0.5, 0.5, 0.5]);
  assert.deepEqual([back[4], back[10]], [0.8, 0.5]);
  assert.ok(Math.abs(back[7] - 0.65) < 1e-12);
});

test("a tap leaves a point, also between two columns and straight up", () => {
  assert.equal(stroked(EMPTY, [3.4, 0.2], [3.4, 0.2])[3], 0.2);
  assert.equal(stroked(stroked(EMPTY, [3.4, 0.2], [3.4, 0.2]), [3.4, 0.2], [3.4, 0.9])[3], 0.9);
});

test("beyond the chart the curve follows its rim", () => {
  const drawn = stroked(stroked(EMPTY, [-3, -0.5], [2, -0.5]), [8, 1.5], [14, 1.5]);
  assert.deepEqual(drawn, [0, 0, 0, null, null, null, null, null, 1, 1, 1]);
});

test("the first point that a key moves is joined to the start", () => {
  const drawn = moved(EMPTY, 4, 0.8, 2, 0.4);
  assert.deepEqual(drawn.slice(0, 5).map((v) => Number(v.toFixed(9))), [0.4, 0.5, 0.6, 0.7, 0.8]);
  assert.deepEqual(drawn.slice(5), Array(6).fill(null));
});

test("a point between two is joined to both, and they stay", () => {
  const flat = Array(11).fill(0.5);
  const drawn = moved(flat, 4, 0.9, 2, 0.4);
  assert.deepEqual(drawn.map((v) => Number(v.toFixed(9))), [0.5, 0.5, 0.5, 0.7, 0.9, 0.7, 0.5, 0.5, 0.5, 0.5, 0.5]);
  assert.deepEqual(moved(flat, 10, 0.9, 2, 0.4).slice(8).map((v) => Number(v.toFixed(9))), [0.5, 0.7, 0.9]);
});
