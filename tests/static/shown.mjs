/** What traces and layouts are made from, for tests. */

import { RunBuffer } from "../../static/buffer.js";
import { LIGHT } from "../../static/theme.js";
import { CHART_SETS, fullSpan } from "../../static/traces.js";
import { THEME } from "./canvas.mjs";

/** A run of the steps 0, 1, ... with these columns, each an array or a number. */
export function run(label, columns, { rule = "gd", interventions = [], rows = 5, note = "", predicts = "", doubtful = [] } = {}) {
  const buffer = new RunBuffer(label);
  const step = Array.from({ length: rows }, (_, i) => i);
  buffer.accept({
    id: label, label, rule, note, interventions, rows, abandoned: false, full: true, start: -1, stop: rows - 1, predicts, doubtful,
    exact: {}, columns: { step, ...columns },
  });
  return buffer;
}

const EDGES = {
  gd_edge: { name: "2/η", role: "gd", shape: "hv", stroke: { width: 2, dash: "dash" } },
  sam_edge: { name: "SAM-edge", role: "sam", shape: "linear", stroke: { width: 2.6, dash: "10px,4px" } },
};

/** The state of charts that show these runs. */
export function shown(runs, { view = {}, ...rest } = {}) {
  const state = {
    theme: THEME, palette: LIGHT, edges: EDGES, runs: new Map(runs.map((one) => [one.id, one])), branches: new Map(), predictions: new Map(), ghost: null,
    view: { x: "step", log_y: false, smooth: 0, top_k: false, previous: true, fit: 0, operator: false, ...view },
    hidden: new Set(), cursor: null, zoom: { x: null, y: new Map() }, charts: new Map(), invitation: "Press Start",
    dragmode: "zoom", revision: 1, ...rest,
  };
  return { ...state, span: fullSpan(state) };
}

export function chart(name, set = "lab") {
  return CHART_SETS[set].set.find((one) => one.name === name);
}
