/** Places, colours and labels of a phase diagram's cells, and what a diagram keeps of its messages. */

import assert from "node:assert/strict";
import test from "node:test";
import { THEME } from "./canvas.mjs";
import { EMPTY, borders, cellAt, colourRange, drawPredicted, placeIn, shadeOf, shades, ticks } from "../../static/cells.js";
import { LIGHT } from "../../static/theme.js";
import { accept, told } from "../../static/diagram.js";

const LINEAR = { label: "x", values: [1, 2, 4], log: false };
const LOG = { label: "η", values: [0.01, 0.1, 1], log: true };
const VIEW = {
  quantity: { name: "loss", label: "Loss", scale: "sequence", log: false, range: null }, fates: ["at its edge", "diverged"], blank: [1],
  quantities: [{ name: "loss", label: "Loss" }, { name: "accuracy", label: "Accuracy" }], lines: [],
};

test("a border lies half way between two values, on a log axis half way between their logarithms", () => {
  assert.deepEqual(borders(LINEAR), [0.5, 1.5, 3, 5]);
  assert.deepEqual(borders(LOG), [-2.5, -1.5, -0.5, 0.5]);
  assert.deepEqual(borders({ ...LINEAR, values: [3] }), [2.5, 3.5]);
});

test("the cell under a value is that value's own, in every cell", () => {
  const place = placeIn(LINEAR, LOG, 600, 400, 13);
  for (const [ix, x] of LINEAR.values.entries()) {
    for (const [iy, y] of LOG.values.entries()) assert.deepEqual(cellAt(place, place.xAt(x), place.yAt(y)), [ix, iy]);
  }
  assert.equal(cellAt(place, 2, 2), null);
  assert.equal(cellAt(place, 599, 200), null);
});

test("the colours span the measured cells, but for those whose numbers mean nothing and the outer hundredths", () => {
  const loss = Float32Array.from({ length: 201 }, (_, i) => i);
  const fate = new Uint8Array(201);
  loss[200] = 1e9;
  assert.deepEqual(colourRange({ fate, columns: { loss } }, VIEW), [2, 198]);
  fate[200] = 1;
  loss[0] = NaN;
  assert.deepEqual(colourRange({ fate, columns: { loss } }, VIEW), [3, 197]);
  assert.deepEqual(colourRange({ fate, columns: { loss } }, { ...VIEW, quantity: { ...VIEW.quantity, range: [0, 1] } }), [0, 1]);
  assert.equal(colourRange({ fate: fate.fill(1), columns: { loss } }, VIEW), null);
});

test("a difference has its middle at 0", () => {
  const view = { ...VIEW, quantity: { ...VIEW.quantity, scale: "difference" } };
  assert.deepEqual(colourRange({ fate: new Uint8Array(3), columns: { loss: Float32Array.of(-3, 0, 1) } }, view), [-3, 3]);
});

test("shades go by the value or its logarithm, and stop at the ends", () => {
  assert.deepEqual([0, 1, 2, 9].map((value) => shadeOf(value, [0, 2], false)), [0, 128, 255, 255]);
  assert.equal(shadeOf(10, [1, 100], true), 128);
  assert.deepEqual(shades("edge", { theme: THEME, palette: LIGHT })[170], [253, 231, 37]); // 1 of 1.5: the edge, yellow
});

test("labels are all of few values, else round ones within the axis", () => {
  assert.deepEqual(ticks(LINEAR), [1, 2, 4]);
  const log = { ...LOG, values: Array.from({ length: 16 }, (_, i) => 0.05 * 16 ** (i / 15)) };
  assert.deepEqual(ticks(log), [0.05, 0.1, 0.2, 0.5]);
  assert.deepEqual(ticks({ ...LOG, values: [0.36, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8] }), [0.4, 0.5, 0.6, 0.7, 0.8]); // a part, computed finer
  assert.deepEqual(ticks({ ...LINEAR, values: Array.from({ length: 11 }, (_, i) => i / 10) }), [0, 0.2, 0.4, 0.6, 0.8, 1]);
});

/** @returns a message of these cells since `base` */
function message(base, version, cells, loss, id = "a") {
  return {
    diagram: { id, x: LINEAR, y: LOG }, base, version, cells, fate: Uint8Array.from(cells, () => 0), columns: { loss }, lows: {}, highs: {},
    running: [5], view: VIEW,
  };
}

const fresh = () => ({ id: "", version: -1, table: { fate: new Uint8Array(), columns: {}, lows: {}, highs: {} } });

test("new cells join those that are there; a lost message is noticed; another sweep starts empty", () => {
  const state = fresh();
  assert.ok(accept(state, message(-1, 1, [0, 4], [7, 8])));
  assert.ok(accept(state, message(1, 2, [8], [9])));
  assert.ok(accept(state, message(1, 2, [8], [9]))); // the same again, as after a change of theme
  assert.deepEqual([0, 4, 8].map((cell) => state.table.columns.loss[cell]), [7, 8, 9]);
  assert.equal(state.table.fate[1], EMPTY);
  assert.ok(!accept(state, message(3, 4, [1], [1])));
  assert.equal(state.version, 2);
  assert.ok(accept(state, message(-1, 0, [], [], "b")));
  assert.ok(state.table.fate.every((fate) => fate === EMPTY));
});

test("a cell tells its place, its fate, and the numbers that there are, with the spread over the seeds", () => {
  const state = fresh();
  const data = message(-1, 1, [4], [7]);
  accept(state, { ...data, lows: { loss: [6] }, highs: { loss: [9] } });
  assert.deepEqual(told({ ...state, data, at: [1, 1] }), [["x 2, η 0.1", "at its edge"], ["Loss", "7 (6 to 9)"]]);
  assert.deepEqual(told({ ...state, data, at: [2, 1] }), [["x 4, η 0.1", "being computed"]]);
  assert.deepEqual(told({ ...state, data, at: [0, 0] }), [["x 1, η 0.01", "not computed yet"]]);
  assert.deepEqual(told({ ...state, data, at: null }), []);
});

test("what a flow says comes with its cells, and is told where it is switched on", () => {
  const state = fresh();
  accept(state, message(-1, 1, [4, 5], [7, 8]));
  assert.deepEqual([...state.table.predicted], Array(9).fill(EMPTY)); // nothing is predicted yet
  const data = { ...message(1, 2, [4], [7]), predicted: Uint8Array.of(1), wrong: Uint8Array.of(2) };
  accept(state, data);
  assert.deepEqual([state.table.predicted[4], state.table.wrong[4], state.table.predicted[5]], [1, 2, EMPTY]);
  assert.deepEqual(told({ ...state, data, at: [1, 1] }), [["x 2, η 0.1", "at its edge"], ["Loss", "7"]]);
  const on = { ...data, view: { ...VIEW, predicted: true } };
  assert.deepEqual(told({ ...state, data: on, at: [1, 1] })[1], ["Predicted fate", "diverged (otherwise for 2 seeds)"]);
  assert.equal(told({ ...state, data: on, at: [2, 1] }).length, 2);
});

test("borders lie between unlike predicted fates, and a ring in each cell that has ended otherwise", () => {
  const drawn = [];
  globalThis.Path2D = class {
    lines = [];
    moveTo(...at) { this.lines.push(at); }
    lineTo(...at) { this.lines.push(at); }
    arc(...circle) { this.lines.push(circle); }
  };
  const context = { setLineDash() {}, stroke: (path) => drawn.push(path.lines) };
  const predicted = Uint8Array.of(0, 0, 1, 0, EMPTY, 1); // three columns, two rows
  const wrong = Uint8Array.of(0, 1, 0, 0, 0, 0);
  drawPredicted(context, { xs: [0, 10, 20, 30], ys: [20, 10, 0] }, { predicted, wrong }, { theme: THEME, palette: LIGHT });
  const [borders, , rings] = drawn; // each with its rim
  assert.deepEqual(borders, [[20, 20], [20, 10]]); // neither beside the cell that is not predicted nor between rows
  assert.deepEqual(rings[1].slice(0, 3), [15, 15, 4]);
});
