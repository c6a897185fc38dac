/** Axis ranges, labels of interventions and the cursor of the live charts. */

import assert from "node:assert/strict";
import test from "node:test";
import { chart, run, shown } from "./shown.mjs";
import { chartLayout, cursorLines, markLabels, visibleRange, yAxis } from "../../static/layout.js";
import { chartTraces } from "../../static/traces.js";

function layout(state, name = "Sharpness") {
  return chartLayout(state, chart(name), chartTraces(state, chart(name)));
}

test("x spans the runs, a single point has room, and a zoom stays", () => {
  const range = (rows, rest) => layout(shown([run("GD", { sharpness: 1 }, { rows })], rest)).xaxis.range;
  assert.deepEqual(range(9), [0, 8]);
  assert.deepEqual(range(1), [-1, 1]);
  assert.deepEqual(range(9, { zoom: { x: [2, 3], y: new Map() } }), [2, 3]);
  assert.deepEqual(layout(shown([])).xaxis.range, [0, 100]);
});

test("y begins at 0 on a linear axis, but for the held-out loss", () => {
  const gd = run("GD", { sharpness: [1, 2, 3, 4, 5], held_out_loss: [1, 2, 3, 4, 5] });
  const axis = (name, view) => layout(shown([gd], { view }), name).yaxis;
  assert.equal(axis("Sharpness", {}).rangemode, "tozero");
  assert.equal(axis("Held out", {}).rangemode, "normal");
  assert.equal(axis("Sharpness", { log_y: true }).type, "log");
  assert.equal(axis("Alignment", { log_y: true }).type, undefined);
  assert.equal(axis("Sharpness", {}).autorange, true);
});

test("a line that is constant but for rounding does not fill the chart", () => {
  const constant = [{ x: [0, 1], y: [10, 10 + 1e-9] }];
  const state = (log_y) => shown([], { view: { log_y } });
  const range = (log_y, traces) => yAxis(state(log_y), chart("Held out"), traces).range;
  assert.deepEqual(range(false, constant).map((end) => Number(end.toFixed(6))), [9.9, 10.1]);
  assert.deepEqual(range(true, constant).map((end) => Number((10 ** end).toFixed(6))), [9.9, 10.1]);
  assert.equal(range(false, [{ x: [0, 1], y: [10, 11] }]), undefined);
  assert.equal(range(true, [{ x: [0, 1], y: [-10, -10] }]), undefined);
});

test("the visible range is that of the points between two x, on the left axis, with a margin", () => {
  const traces = [
    { x: [0, 1, 2, 3], y: [100, 10, 20, NaN] },
    { x: [0, 1, 2, 3], y: [1000, 1000, 1000, 1000], yaxis: "y2" },
    { x: [0, 1, 2, 3], y: [-1, -1, -1, -1], visible: "legendonly" },
  ];
  assert.deepEqual(visibleRange(traces, [1, 3], false), [10 - 0.6, 20 + 0.6]);
  assert.equal(visibleRange(traces, [2.5, 3], false), null);
  const [low, high] = visibleRange([{ x: [0, 1, 2], y: [0, 1, 100] }], [0, 2], true);
  assert.deepEqual([low, high], [-0.12, 2.12]); // 0 has no logarithm
  assert.deepEqual(visibleRange([{ x: [0], y: [5] }], [0, 1], false), [4.5, 5.5]);
});

test("an empty chart says what to do, or that nothing is measured", () => {
  const text = (runs) => layout(shown(runs), "Alignment").annotations[0].text;
  assert.equal(text([]), "Press Start");
  assert.equal(text([run("GD", {}, { rows: 0 })]), "no step yet");
  assert.equal(layout(shown([run("GD", { loss: 1 })]), "Held out").annotations[0].text, "not measured");
});

test("interventions of all runs are lines at their x, each once", () => {
  const interventions = [[1, "η 0.1"], [3, "ρ 0"]];
  const runs = ["a", "b"].map((label) => run(label, { sharpness: 1, time: [0, 1, 3, 6, 10] }, { interventions }));
  const { shapes, annotations } = layout(shown(runs, { view: { x: "time" } }));
  assert.deepEqual(shapes.map(({ x0 }) => x0), [1, 6]);
  assert.deepEqual(annotations.map(({ text }) => text), ["η 0.1", "ρ 0"]);
});

test("labels stand on staggered levels, flip at the right end, and are left out where there is no room", () => {
  const state = shown([run("GD", { sharpness: 1 }, { rows: 101 })]);
  const at = (...xs) => markLabels(state, xs.map((x) => ({ x, text: "η 0.1 → 0.2" })), { clientWidth: 1082 });
  assert.deepEqual(at(10, 11, 50).map(({ yshift }) => Math.abs(yshift)), [0, 19, 0]);
  assert.deepEqual(at(10, 99).map(({ xanchor }) => xanchor), ["left", "right"]);
  assert.equal(at(10, 10.1, 10.2, 10.3, 10.4).length, 4);
  assert.deepEqual(at(-5, 200), []); // outside of what is shown
});

test("the cursor is one line, or one for each place at which runs came to its step", () => {
  const times = [[0, 1, 2, 3, 4], [0, 2, 4, 6, 8]];
  const runs = times.map((time, i) => run(`run ${i}`, { sharpness: 1, time }));
  const xs = (rest) => cursorLines(shown(runs, rest)).map(({ x0 }) => x0);
  assert.deepEqual(xs({ cursor: 3 }), [3]);
  assert.deepEqual(xs({ cursor: 3, view: { x: "time" } }), [3, 6]);
  assert.deepEqual(xs({ cursor: null }), []);
  assert.deepEqual(xs({ cursor: 99 }), []); // no run has come to it
});

test("a loss that falls below 0 is on a linear axis, and zeros are said to be left out", () => {
  const axis = (loss) => layout(shown([run("GD", { loss })], { view: { log_y: true } }), "Loss").yaxis;
  assert.equal(axis([5, 4, 3, 2, 1]).type, "log");
  assert.equal(axis([5, 4, 3, 2, 1]).title.text, "loss (log)");
  assert.equal(axis([5, 4, 3, 2, -1]).type, "linear");
  assert.match(axis([5, 4, 3, 2, -1]).title.text, /linear: it falls below 0/);
  assert.equal(axis([5, 4, 3, 2, 0]).type, "log");
  assert.match(axis([5, 4, 3, 2, 0]).title.text, /0 and less left out/);
});

test("an edge that is far above all else for a while leaves the chart; a step to another edge does not", () => {
  const range = (edge, sharpness) => yAxis(shown([run("GD", { sharpness })]), chart("Sharpness"), [
    { x: [0, 1, 2], y: [sharpness, sharpness, sharpness], line: { shape: "linear" } },
    { x: [0, 1, 2], y: edge, line: { shape: "hv" } },
  ]).range;
  assert.deepEqual(range([6000, 20, 10], 4), [0, 13]);
  assert.equal(range([2, 2, 20], 0.5), undefined);
  assert.equal(range([20, 20, 20], 0.1), undefined);
});
