/** The rows that the browser keeps of a run: gaps, repeated rows, resync, thinning, finding. */

import assert from "node:assert/strict";
import test from "node:test";
import { RunBuffer, lowerBound } from "../../static/buffer.js";

/** An update with the rows of the steps `from` to `to`, of which each column is a number or a function. */
function update(from, to, { columns = {}, ...rest } = {}) {
  const steps = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const values = Object.entries(columns).map(([name, of]) => [name, typeof of === "number" ? of : steps.map(of)]);
  return {
    id: "a", label: "GD", rule: "gd", note: "", abandoned: false, full: false, start: from - 1, stop: to,
    rows: steps.length, interventions: [], exact: {}, columns: { step: steps, ...Object.fromEntries(values) }, ...rest,
  };
}

function filled(...updates) {
  const buffer = new RunBuffer("a");
  for (const one of updates) buffer.accept(one);
  return buffer;
}

test("rows that follow are new, rows that are known are the same", () => {
  const buffer = new RunBuffer("a");
  assert.equal(buffer.accept(update(0, 9)), "new");
  assert.equal(buffer.accept(update(0, 9)), "same");
  assert.equal(buffer.accept(update(10, 12)), "new");
  assert.equal(buffer.accept({ ...update(13, 12), rows: 0, columns: {} }), "same");
  assert.deepEqual(buffer.column("step"), Array.from({ length: 13 }, (_, i) => i));
});

test("of an update that repeats rows, only the others are appended", () => {
  const buffer = filled(update(0, 9, { columns: { loss: (step) => step } }));
  buffer.accept(update(5, 14, { columns: { loss: (step) => -step } }));
  assert.deepEqual(buffer.column("loss"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -10, -11, -12, -13, -14]);
});

test("after a gap nothing is taken until the whole run comes", () => {
  const buffer = filled(update(0, 9));
  assert.equal(buffer.accept(update(12, 14)), "gap");
  assert.equal(buffer.rows, 10);
  assert.equal(buffer.covered, 9);
  assert.equal(buffer.accept(update(0, 14, { start: -1, full: true })), "new");
  assert.equal(buffer.rows, 15);
  assert.equal(buffer.accept(update(15, 15)), "new");
});

test("an update covers its steps even where thinning has left rows out", () => {
  const buffer = filled({ ...update(0, 4), stop: 9 });
  assert.equal(buffer.accept(update(10, 11)), "new");
  assert.deepEqual(buffer.column("step"), [0, 1, 2, 3, 4, 10, 11]);
});

test("a number stands in every row, and a column that comes later has none before", () => {
  const buffer = filled(update(0, 1, { columns: { eta: 0.5 } }), update(2, 3, { columns: { loss: 2 } }));
  assert.deepEqual(buffer.column("eta"), [0.5, 0.5, NaN, NaN]);
  assert.deepEqual(buffer.column("loss"), [NaN, NaN, 2, 2]);
  assert.deepEqual(buffer.column("accuracy"), [NaN, NaN, NaN, NaN]);
});

test("an intervention and a label are news without rows", () => {
  const buffer = filled(update(0, 9));
  assert.equal(buffer.accept(update(0, 9, { interventions: [[4, "η 0.1"]] })), "new");
  assert.equal(buffer.accept(update(0, 9, { interventions: [[4, "η 0.1"]] })), "same");
  assert.equal(buffer.accept(update(0, 9, { label: "SAM" })), "new");
});

// 40,000 rows in messages of 100: smooth, but for one step in which the ratio jumps
function long() {
  const buffer = new RunBuffer("a");
  for (let from = 0; from < 40000; from += 100) {
    buffer.accept(update(from, from + 99, {
      full: from === 0, interventions: [[300, "a"], [7000, "b"]],
      columns: { sharpness: 1, grad_norm: 1, loss: 1, ratio: (step) => (step === 300 ? 0.5 : 0.9 + step * 1e-6) },
    }));
  }
  return buffer;
}

test("buckets end at an intervention, and keep the extremes of the ratio", () => {
  const buffer = long();
  const [steps, last] = [buffer.column("step"), buffer.high("step")];
  assert.equal(Math.min(...buffer.low("ratio")), 0.5);
  for (const step of [0, 300, 7000]) assert.ok(steps.includes(step), `step ${step}`);
  for (const step of [299, 6999, 39999]) assert.ok(last.includes(step), `step ${step}`);
  assert.deepEqual(last.slice(0, -1), steps.slice(1).map((step) => step - 1)); // no step is lost
  assert.ok(steps.length <= 6000);
  assert.deepEqual(steps, [...new Set(steps)].sort((a, b) => a - b));
});

test("buckets keep both levels of an oscillation and its mean, and the newest rows are whole", () => {
  const buffer = new RunBuffer("a");
  for (let from = 0; from < 7000; from += 100) {
    buffer.accept(update(from, from + 99, { columns: { sharpness: (step) => 2 + (-1) ** step } }));
  }
  const steps = buffer.column("step");
  for (let start = 0; start < 7000; start += 100) {
    const here = (values) => values.filter((_, i) => steps[i] >= start && steps[i] < start + 100);
    const levels = new Set([...here(buffer.low("sharpness")), ...here(buffer.high("sharpness"))]);
    assert.deepEqual([...levels].sort(), [1, 3], `from step ${start}`);
  }
  const middle = buffer.column("sharpness").filter((_, i) => buffer.high("step")[i] > steps[i]);
  assert.ok(middle.length > 100);
  assert.ok(middle.every((value) => Math.abs(value - 2) < 1e-12));
  assert.deepEqual(steps.slice(-1500), Array.from({ length: 1500 }, (_, i) => 5500 + i));
});

test("steps and places on another axis are found from each other", () => {
  const buffer = filled(update(0, 10, { columns: { time: (step) => step / 4 } }));
  assert.equal(buffer.locate(6, "time"), 1.5);
  assert.equal(buffer.locate(6.5, "time"), 1.625);
  assert.equal(buffer.locate(99, "time"), 2.5);
  assert.equal(buffer.stepAt(1.6, "time"), 6);
  assert.equal(buffer.locate(6, "evals"), 6); // without that column, the step itself
  assert.equal(new RunBuffer("b").locate(6, "time"), null);
  assert.equal(new RunBuffer("b").stepAt(6, "time"), null);
});

test("rows are found by step, and the last measurement before one", () => {
  const buffer = filled(update(2, 9, { start: -1, columns: { sharpness: (step) => (step % 3 ? NaN : step) } }));
  assert.deepEqual([1, 2, 7, 99].map((step) => buffer.rowAt(step)), [-1, 0, 5, 7]);
  assert.equal(buffer.column("sharpness")[buffer.measuredAt("sharpness", 6)], 6);
  assert.equal(buffer.measuredAt("sharpness", 0), -1);
  assert.equal(buffer.measuredAt("accuracy", 6), -1);
  assert.equal(buffer.lastStep, 9);
  assert.equal(new RunBuffer("b").lastStep, -1);
});

test("the lower bound agrees with a search one by one", () => {
  const sorted = [-3, -1, -1, 0, 2, 2, 7];
  for (let value = -4; value <= 8; value += 0.5) {
    const expected = sorted.findIndex((item) => item >= value);
    assert.equal(lowerBound(sorted, value), expected < 0 ? sorted.length : expected);
  }
});

test("buckets of the server stand beside single rows, and what is not in them is a single value", () => {
  const bucket = {
    id: "a", label: "GD", rule: "gd", note: "", abandoned: false, full: false, start: 9, stop: 29, rows: 2,
    interventions: [], exact: {}, columns: { step: [10, 20], loss: [5, 6], eta: 0.1 },
    low: { loss: [4, 5] }, high: { step: [19, 29], loss: [7, 8] },
  };
  const buffer = filled(update(0, 9, { columns: { loss: (step) => step } }), bucket, update(30, 31, { columns: { loss: 1 } }));
  assert.deepEqual(buffer.column("step").slice(8), [8, 9, 10, 20, 30, 31]);
  assert.deepEqual(buffer.high("step").slice(8), [8, 9, 19, 29, 30, 31]);
  assert.deepEqual(buffer.low("loss").slice(8), [8, 9, 4, 5, 1, 1]);
  assert.deepEqual(buffer.column("loss").slice(8), [8, 9, 5, 6, 1, 1]);
  assert.deepEqual(buffer.sizes().slice(8), [1, 1, 10, 10, 1, 1]);
  assert.deepEqual([buffer.rowAt(15), buffer.rowAt(20), buffer.lastStep], [10, 11, 31]);
  assert.equal(filled(update(0, 9), bucket).lastStep, 29);
  assert.equal(filled(update(0, 9), bucket).locate(29, "step"), 29);
  assert.equal(filled({ ...bucket, start: -1, full: true }).low("eta").length, 2);
});
