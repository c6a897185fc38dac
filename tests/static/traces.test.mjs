/** What the live charts draw of which runs. */

import assert from "node:assert/strict";
import test from "node:test";
import { chart, run, shown } from "./shown.mjs";
import { chartTraces, isNeeded, movingAverage, xSpan } from "../../static/traces.js";

const SHARPNESS = chart("Sharpness");
const names = (traces) => traces.map(({ name }) => name);

test("lines are those that have values, and the chart's own line before it has one", () => {
  const gd = run("GD", { loss: 1, gd_edge: 20, accuracy: 0.5 });
  assert.deepEqual(names(chartTraces(shown([gd]), SHARPNESS)), ["sharpness", "2/η"]);
  assert.deepEqual(names(chartTraces(shown([gd]), chart("Loss"))), ["accuracy", "loss"]);
  const [sharpness] = chartTraces(shown([gd]), SHARPNESS);
  assert.deepEqual(sharpness.y, [NaN, NaN, NaN, NaN, NaN]);
  assert.equal(sharpness.x.length, sharpness.y.length);
});

test("values are drawn over the chosen axis", () => {
  const gd = run("GD", { loss: [5, 4, 3, 2, 1], time: [0, 0.5, 1, 1.5, 2] });
  const [loss] = chartTraces(shown([gd], { view: { x: "time" } }), chart("Loss"));
  assert.deepEqual([loss.x, loss.y], [[0, 0.5, 1, 1.5, 2], [5, 4, 3, 2, 1]]);
});

test("further eigenvalues are asked for; the paper's are magnitudes", () => {
  const gd = run("GD", { sharpness: 3, lambda_2: -2 });
  assert.deepEqual(names(chartTraces(shown([gd]), SHARPNESS)), ["sharpness"]);
  const state = shown([gd], { view: { top_k: true } });
  assert.deepEqual(names(chartTraces(state, SHARPNESS)), ["sharpness", "λ2"]);
  const found = chartTraces(state, chart("Eigenvalues", "paper")).find(({ name }) => name === "|λ2|");
  assert.deepEqual(found.y, [2, 2, 2, 2, 2]);
});

test("the average starts without bias and leaves gaps", () => {
  assert.deepEqual(movingAverage([4, NaN, 4], 0.5), [4, NaN, 4]);
  assert.deepEqual(movingAverage([0, 3], 0.5), [0, 2]); // (0 * .25 + 3 * .5) / .75
  const state = shown([run("GD", { loss: 1 })], { view: { smooth: 0.9 } });
  const [faint, smoothed] = chartTraces(state, chart("Loss"));
  assert.deepEqual([faint.name, smoothed.name], ["loss", "loss (smoothed)"]);
  assert.ok(faint.opacity < 1);
  assert.equal(faint.legendgroup, smoothed.legendgroup);
});

test("the residual is a band around the sharpness, and one of the same share around the ratio", () => {
  const gd = run("GD", { sharpness: 4, residual: [1, NaN, 1, 1, 1], ratio: 2 });
  const [band] = chartTraces(shown([gd]), SHARPNESS);
  assert.deepEqual(band.x, [0, 2, 3, 4, 4, 3, 2, 0]);
  assert.deepEqual(band.y, [5, 5, 5, 5, 3, 3, 3, 3]);
  const [ofRatio] = chartTraces(shown([gd]), chart("Sharpness / edge")).filter(({ fill }) => fill);
  assert.deepEqual(ofRatio.y, [2.5, 2.5, 2.5, 2.5, 1.5, 1.5, 1.5, 1.5]);
  const wide = run("GD", { sharpness: 4, residual: 9 });
  const [logBand] = chartTraces(shown([wide], { view: { log_y: true } }), SHARPNESS);
  assert.equal(Math.min(...logBand.y), 0.004); // 0 and less have no place on it
});

test("the batch sharpness is a line where it is recorded, with its standard error as a band", () => {
  const columns = { batch_sharpness: [2, NaN, 4, NaN, 8], batch_sharpness_error: [1, NaN, 1, NaN, 2] };
  const traces = chartTraces(shown([run("GD", { sharpness: 4, ...columns })]), SHARPNESS);
  const [band, line] = traces.filter(({ name }) => name === "batch sharpness");
  assert.deepEqual([band.x, band.y], [[0, 2, 4, 4, 2, 0], [3, 5, 10, 6, 3, 1]]);
  assert.deepEqual([line.y, line.customdata], [columns.batch_sharpness, columns.batch_sharpness_error]);
  assert.ok(line.connectgaps && line.hovertemplate.includes("±"));
  assert.equal(band.legendgroup, line.legendgroup); // both are switched by one entry of the legend
  assert.ok(traces.indexOf(band) < traces.indexOf(line));
  const without = chartTraces(shown([run("GD", { sharpness: 4 })]), SHARPNESS);
  assert.ok(!without.some(({ name }) => name === "batch sharpness"));
});

test("an estimate that has not converged is marked", () => {
  const gd = run("GD", { sharpness: [1, 2, NaN, 4, 5], converged: [1, 0, 0, 1, 0] });
  const mark = chartTraces(shown([gd]), SHARPNESS).find(({ name }) => name === "not converged");
  assert.deepEqual([mark.x, mark.y], [[1, 4], [2, 5]]);
});

test("runs of one step size share their 2/η, others keep theirs", () => {
  const pair = (eta) => [run("a", { sharpness: 1, gd_edge: 20 }), run("b", { sharpness: 2, gd_edge: 2 / eta })];
  const entries = (runs) => chartTraces(shown(runs), SHARPNESS).filter(({ showlegend }) => showlegend !== false);
  assert.deepEqual(names(entries(pair(0.1))), ["sharpness (a)", "2/η", "sharpness (b)"]);
  assert.deepEqual(names(entries(pair(0.2))), ["sharpness (a)", "2/η (a)", "sharpness (b)", "2/η (b)"]);
});

test("the paper's second chart leaves 2/η to GD", () => {
  const sam = run("SAM", { sharpness: 1, gd_edge: 20, sam_edge: 10 }, { rule: "sam" });
  const inForce = chart("Eigenvalues at the edge in force", "paper");
  assert.deepEqual(names(chartTraces(shown([sam]), inForce)), ["sharpness", "SAM-edge"]);
  sam.rule = "gd";
  assert.deepEqual(names(chartTraces(shown([sam]), inForce)), ["sharpness", "2/η", "SAM-edge"]);
});

test("edges are drawn as the data say, and named in a run's own deep shade beside others", () => {
  const sam = run("SAM", { sharpness: 1, sam_edge: 10 }, { rule: "sam" });
  const found = (runs) => chartTraces(shown(runs), SHARPNESS).find(({ name }) => name.startsWith("SAM-edge"));
  assert.deepEqual(found([sam]).line, { color: "#cf4307", width: 2.6, dash: "10px,4px", shape: "linear" });
  assert.equal(found([sam, run("b", { sharpness: 1 })]).line.color, "#052c65");
  assert.equal(chartTraces(shown([sam], { edges: {} }), SHARPNESS).length, 1);
});

test("a line that is off in the legend stays off, with its band", () => {
  const gd = run("GD", { sharpness: 4, residual: 1 });
  const off = chartTraces(shown([gd], { hidden: new Set(["0 sharpness"]) }), SHARPNESS);
  assert.deepEqual(off.map(({ visible }) => visible), [false, "legendonly"]);
});

test("the previous run and abandoned branches are grey lines of their own", () => {
  const [now, before, left] = [run("now", { loss: 1 }), run("before", { loss: 2 }), run("left", { loss: 3 })];
  const state = shown([now], { ghost: before, branches: new Map([["left", left]]) });
  assert.deepEqual(names(chartTraces(state, chart("Loss"))), ["abandoned", "previous loss", "loss"]);
  const without = { ...state, view: { ...state.view, previous: false } };
  assert.deepEqual(names(chartTraces(without, chart("Loss"))), ["abandoned", "loss"]);
});

test("a prediction is dashed over its run, ahead of it, in each chart that has its lines", () => {
  const now = run("now", { sharpness: 1, sam_edge: 2, loss: 1 }, { rule: "sam" });
  const made = run("now~0", { sharpness: [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], sam_edge: 2 }, { rows: 8, predicts: "now", doubtful: [[5, 7]] });
  const state = shown([now], { predictions: new Map([[made.id, made]]) });
  assert.deepEqual(state.span, [0, 7]);
  const found = chartTraces(state, SHARPNESS).filter(({ legendgroup }) => legendgroup === "predicted");
  assert.deepEqual(found.map(({ x, opacity, showlegend }) => [x, opacity, showlegend]), [
    [[0, 1, 2, 3, 4], 1, true], [[4, 5, 6, 7], 0.4, false], // the sharpness, from step 5 on in doubt
    [[0, 1, 2, 3, 4], 1, false], [[4, 5, 6, 7], 0.4, false],
  ]);
  const drawn = chartTraces(state, SHARPNESS).filter(({ fill }) => !fill);
  assert.deepEqual(drawn.slice(-found.length).map(({ y }) => y), found.map(({ y }) => y)); // on top
  const measured = drawn.find(({ name }) => name === "sharpness");
  assert.notEqual(found[0].line.dash, measured.line.dash);
  assert.deepEqual(names(chartTraces(state, chart("Loss"))), ["loss"]); // it has no such column
  const off = chartTraces({ ...state, hidden: new Set(["predicted"]) }, SHARPNESS);
  assert.deepEqual(off.filter(({ visible }) => visible === "legendonly").length, 4);
});

test("of a long prediction there is a mean of a few steps for each pixel, and no alias", () => {
  const rows = 5000;
  const sharpness = Array.from({ length: rows }, (_, i) => 1 + (i % 2)); // as no flow does
  const made = run("now~0", { sharpness }, { rows, predicts: "now" });
  const state = shown([run("now", { sharpness: 1 })], { predictions: new Map([[made.id, made]]) });
  const [found] = chartTraces(state, SHARPNESS).filter(({ legendgroup }) => legendgroup === "predicted");
  assert.ok(found.x.length < 1100);
  assert.ok(found.y.slice(1).every((value) => Math.abs(value - 1.5) < 1e-9));
});

test("small charts of many runs name the runs, and what users write stays text", () => {
  const runs = ["a", "<b>", "c"].map((label) => run(label, { loss: 1, accuracy: 0.5 }));
  const entries = chartTraces(shown(runs), chart("Loss")).filter(({ showlegend }) => showlegend !== false);
  assert.deepEqual(names(entries), ["a", "&lt;b&gt;", "c"]);
});

test("a chart is there where a run has what it is for", () => {
  const heldOut = chart("Held out");
  assert.equal(isNeeded(shown([run("a", { loss: 1 })]), heldOut), false);
  assert.equal(isNeeded(shown([run("a", { held_out_loss: [NaN, NaN, 1, NaN, NaN] })]), heldOut), true);
});

test("the span is that of all runs", () => {
  assert.deepEqual(xSpan([run("a", {}, { rows: 3 }), run("b", {}, { rows: 9 })], "step"), [0, 8]);
  assert.equal(xSpan([run("a", {}, { rows: 0 })], "step"), null);
});

test("what a rule is held against has its own chart, and the ratio says which it is", () => {
  const edges = {
    gd_edge: { name: "2/η", role: "gd", shape: "hv", stroke: { width: 2, dash: "dash" } },
    threshold: { name: "threshold", role: "polyak", shape: "hv", stroke: { width: 2, dash: "dash" } },
  };
  const adam = run("Adam", { edge_value: [-900, 900, 900, 900, 900], edge_residual: 9, threshold: 1000, ratio: 0.9, converged: [1, 1, 0, 1, 1] }, { rule: "adam" });
  const gd = run("GD", { sharpness: 4, residual: 1, gd_edge: 20, edge: 20, ratio: 0.2 });
  const alone = shown([adam], { edges });
  const [edgeValue, ratio] = [chart("Edge value"), chart("Sharpness / edge")];
  assert.deepEqual([edgeValue, SHARPNESS].map((one) => isNeeded(alone, one)), [true, false]);
  assert.deepEqual(names(chartTraces(alone, edgeValue)), ["± residual: an eigenvalue lies within", "edge value", "threshold", "not converged"]);
  assert.deepEqual(names(chartTraces(alone, ratio)).slice(1), ["± residual: an eigenvalue lies within", "edge value / threshold"]);
  assert.deepEqual(chartTraces(alone, edgeValue)[1].y, [900, 900, 900, 900, 900]);
  const [, band] = chartTraces(alone, ratio);
  assert.deepEqual([Math.max(...band.y), Math.min(...band.y)].map((y) => y.toFixed(3)), ["0.909", "0.891"]);
  const both = shown([gd, adam], { edges });
  assert.deepEqual([edgeValue, SHARPNESS].map((one) => isNeeded(both, one)), [true, true]);
  const drawn = (one) => names(chartTraces(both, one).filter(({ fill }) => !fill));
  assert.deepEqual(drawn(SHARPNESS), ["sharpness (GD)", "2/η"]);
  assert.deepEqual(drawn(edgeValue), ["edge value (Adam)", "threshold", "not converged (Adam)"]);
  assert.deepEqual(drawn(ratio), ["edge", "sharpness / edge (GD)", "edge value / threshold (Adam)"]);
  assert.deepEqual([edgeValue, SHARPNESS].map((one) => isNeeded(shown([gd]), one)), [false, true]);
  const radii = (last) => shown([1000, 1000, last].map((threshold, i) => run(`ρ ${i}`, { edge_value: 900, threshold }, { rule: "sam-adam" })), { edges });
  const entries = (last) => names(chartTraces(radii(last), edgeValue).filter(({ showlegend }) => showlegend !== false)).filter((name) => name.startsWith("threshold"));
  assert.deepEqual(entries(1000), ["threshold"]);
  assert.deepEqual(entries(500), ["threshold (ρ 0)", "threshold (ρ 1)", "threshold (ρ 2)"]);
});
