/** Which runs are shown, and what becomes of those that are not. */

import assert from "node:assert/strict";
import test from "node:test";
import { applyUpdates } from "../../static/updates.js";

function update(id, { rows = 3, start = -1, ...rest } = {}) {
  const step = Array.from({ length: rows }, (_, i) => start + 1 + i);
  return {
    id, label: id, rule: "gd", note: "", abandoned: false, full: start < 0, start, stop: start + rows, rows,
    interventions: [], exact: {}, columns: { step }, ...rest,
  };
}

function started(...updates) {
  const state = { runs: new Map(), branches: new Map(), predictions: new Map(), ghost: null, replaced: false };
  applyUpdates(state, updates);
  return state;
}

test("a replaced run is the ghost of the next, and of the one after it no longer", () => {
  const state = started(update("a"));
  assert.deepEqual(applyUpdates(state, [update("b")]), { changed: true, gap: false });
  assert.deepEqual([[...state.runs.keys()], state.ghost.id, state.replaced], [["b"], "a", true]);
  applyUpdates(state, [update("c")]);
  assert.equal(state.ghost.id, "b");
});

test("a run that never moved leaves the ghost as it is", () => {
  const state = started(update("a"));
  applyUpdates(state, [update("b", { rows: 1 })]);
  applyUpdates(state, [update("c")]);
  assert.equal(state.ghost.id, "a");
});

test("no run at all is a pause, after which the last one is the ghost", () => {
  const state = started(update("a"));
  assert.equal(applyUpdates(state, []).changed, true);
  assert.equal(applyUpdates(state, []).changed, false);
  applyUpdates(state, [update("b")]);
  assert.equal(state.ghost.id, "a");
});

test("a ghost that comes back keeps its rows", () => {
  const state = started(update("a"));
  applyUpdates(state, [update("b")]);
  assert.deepEqual(applyUpdates(state, [update("a", { start: 2 })]), { changed: true, gap: false });
  assert.deepEqual([state.runs.get("a").rows, state.ghost.id], [6, "b"]);
});

test("one of several runs that leaves is forgotten", () => {
  const state = started(update("a"), update("b"));
  applyUpdates(state, [update("a", { start: 2 })]);
  assert.deepEqual([[...state.runs.keys()], state.ghost], [["a"], null]);
});

test("a run that was rewound is a branch with rows of its own, not a ghost", () => {
  const state = started(update("a"));
  applyUpdates(state, [update("b"), update("a", { abandoned: true, rows: 1 })]);
  assert.deepEqual([state.ghost, state.branches.get("a").rows], [null, 1]);
  applyUpdates(state, [update("b")]);
  assert.equal(state.branches.size, 0);
});

test("a prediction is kept apart from the run, whose id it names, and goes with the message", () => {
  const predicted = (rest) => update("a~0", { predicts: "a", doubtful: [], ...rest });
  const state = started(update("a"), predicted({ rows: 9 }));
  assert.deepEqual([[...state.runs.keys()], state.predictions.get("a~0").rows], [["a"], 9]);
  assert.equal(applyUpdates(state, [update("a", { start: 2, rows: 0 }), predicted({ start: 8, rows: 0 })]).changed, false);
  const doubted = predicted({ start: 8, rows: 0, doubtful: [[3, 8]] });
  assert.equal(applyUpdates(state, [update("a", { start: 2, rows: 0 }), doubted]).changed, true);
  assert.equal(applyUpdates(state, [update("a", { start: 2, rows: 0 })]).changed, true);
  assert.deepEqual([state.predictions.size, state.ghost], [0, null]);
});

test("missing rows are reported, also of a run that the browser has never seen", () => {
  const state = started(update("a"));
  assert.deepEqual(applyUpdates(state, [update("a", { start: 9 })]), { changed: false, gap: true });
  assert.deepEqual(applyUpdates(state, [update("new", { start: 9 })]), { changed: true, gap: true });
});
