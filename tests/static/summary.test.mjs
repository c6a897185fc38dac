/** A chart in words. */

import assert from "node:assert/strict";
import test from "node:test";
import "./canvas.mjs";
import { chart, run, shown } from "./shown.mjs";
import { chartLayout } from "../../static/layout.js";
import { summaryOf } from "../../static/summary.js";
import { chartTraces } from "../../static/traces.js";

const words = (state, name) => {
  const traces = chartTraces(state, chart(name));
  return summaryOf(traces, chartLayout(state, chart(name), traces));
};

test("the lines of a run are told by their last measured values", () => {
  const sharpness = [0.3, 0.4, 0.51234, NaN, NaN];
  const sam = run("SAM", { sharpness, sam_edge: 0.5, gd_edge: 2 }, { rule: "sam" });
  assert.equal(words(shown([sam]), "Sharpness"), "step 4: sharpness 0.512, 2/η 2, SAM-edge 0.5");
});

test("what is hidden, or was never measured, is not told", () => {
  const gd = run("GD", { sharpness: 1, gd_edge: 2 });
  assert.equal(words(shown([gd], { hidden: new Set(["0 2/η"]) }), "Sharpness"), "step 4: sharpness 1");
  assert.equal(words(shown([]), "Sharpness"), "");
});

test("several axes are told apart by their titles, which may hold tags", () => {
  const layout = {
    hovermode: "x unified", xaxis: { title: { text: "step" } }, yaxis: { title: { text: "|w|<br><sub>all</sub>" } },
    yaxis2: { title: { text: "‖g‖" } },
  };
  const traces = [{ name: "SAM", x: [0, 1200], y: [1, 2] }, { name: "SAM", x: [0, 1200], y: [3, 4], yaxis: "y2" }];
  assert.equal(summaryOf(traces, layout), "step 1,200: |w|  all: SAM 2; ‖g‖: SAM 4");
});

test("a map is told point by point", () => {
  const layout = { hovermode: "closest", xaxis: { title: { text: "a" } }, yaxis: { title: { text: "b" } } };
  const traces = [
    { name: "SAM now", x: [1, 0.98765], y: [1, 1.01] }, { name: "loss", x: [0], y: [0], hoverinfo: "skip" },
    { name: "images" },
  ];
  assert.equal(summaryOf(traces, layout), "SAM now: a 0.988, b 1.01");
});
