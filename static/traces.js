/** What the live charts draw: the charts of each page, and their traces from the rows of the runs. */

/** @import { Chart, ChartSet, Envelope, Line, Palette, Part, Placed } from "./types.d.ts" */
/** @import { Quantity, Range, Rims, Shade, Shown, Stroke, Trace, View } from "./types.d.ts" */
/** @import { RunBuffer } from "./buffer.js" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { between, escapeHtml, translucent } = await part("theme.js");
const { PREDICTED } = await part("summary.js");
const { bandTrace, envelope, hoverTexts, middleLine } = await part("envelope.js");
const { count } = await part("page.js");

/* ---------------------------------------------------------------- the charts */

/**
 * Stands for the edges in the lines of a chart: which there are, and how they are drawn, comes with the data.
 * @type {Line}
 */
const EDGES = { column: "", name: "", role: "" };

/** The same for the threshold of the rules that are held against one. @type {Line} */
const THRESHOLDS = { column: "threshold", name: "", role: "" };

/** 2/η, which is drawn beside the edge of any other rule. */
const GD_EDGE = "gd_edge";

const TOP_K = [2, 3, 4, 5, 6, 7, 8, 9, 10].map((k) => ({
  column: `lambda_${k}`, name: `λ${k}`, role: "topk", fade: 1 - (k - 2) * 0.07, connect: true, topK: true,
}));

const SHARPNESS = {
  column: "sharpness", name: "sharpness", role: "sharpness", connect: true, smooth: true, always: true,
  instead: "edge_value",
};

const BATCH_SHARPNESS = {
  column: "batch_sharpness", name: "batch sharpness", role: "batch", connect: true, smooth: true, error: "batch_sharpness_error",
};

// as the sharpness, a magnitude: at the start the leading eigenvalue may be negative
const EDGE_VALUE = { ...SHARPNESS, column: "edge_value", name: "edge value", instead: "sharpness", magnitude: true };

/** How far the curvature alone would come. */
const PLAIN_VALUE = { column: "plain_value", name: "without SAM's factor", role: "topk", connect: true };

/** Which ratio runs have: those that came from one rule to another, and several runs, may have both. @type {(runs: RunBuffer[], view?: View) => string[]} */
export function ratios(runs, view) {
  const both = [["edge", "sharpness / edge"], ["edge_value", "edge value / threshold"]];
  const found = both.filter(([column]) => has(runs, column));
  return found.length ? found.map(([, name]) => name) : [both[view?.operator ? 1 : 0][1]];
}

const RATIO = {
  column: "ratio", name: "sharpness / edge", role: "sharpness", connect: true, smooth: true, always: true,
  named: (/** @type {RunBuffer} */ run) => ratios([run]).join(", "),
};

const BAND = "± residual";
const BAND_TITLE = `${BAND}: an eigenvalue lies within`;
const ABANDONED = "abandoned";

const LOSS = {
  name: "Loss", title: "loss", log: true,
  lines: [
    { column: "accuracy", name: "accuracy", role: "accuracy", connect: true, yaxis: "y2" },
    { column: "loss", name: "loss", role: "loss", connect: true, smooth: true, always: true },
  ],
  ghost: { column: "loss", name: "previous loss" },
};

// apart from the loss, beside which two runs could not be told apart
const HELD_OUT = {
  name: "Held out", title: "held-out loss", log: true, wide: true, fromZero: false, needs: "held_out_loss",
  lines: [
    { column: "held_out_accuracy", name: "held-out accuracy", role: "heldOutAccuracy", connect: true, yaxis: "y2" },
    { column: "held_out_loss", name: "held-out loss", role: "heldOutLoss", connect: true, smooth: true, always: true },
  ],
  ghost: { column: "held_out_loss", name: "previous held-out loss" },
};

const ALIGNMENT = {
  name: "Alignment", title: "|cos| of the angle to v₁", unit: true,
  lines: [ // both swing over the same range: the wide line below, or it would hide the other
    { column: "align_sam", name: "SAM gradient · v₁", role: "samGradient", width: 2.6, connect: true, smooth: true },
    { column: "align_grad", name: "g · v₁", role: "grad", width: 1.2, connect: true, smooth: true, always: true },
    { column: "align_sam_k", name: "SAM gradient · top-k", role: "samK", width: 2.2, connect: true, smooth: true },
    { column: "align_grad_k", name: "g · top-k", role: "gradK", width: 1.2, connect: true, smooth: true },
  ],
};

const SHARPNESS_AND_EDGES = {
  name: "Sharpness", title: "sharpness", log: true, wide: true, measured: true, marked: true, band: SHARPNESS,
  lines: [SHARPNESS, BATCH_SHARPNESS, EDGES, ...TOP_K], // edges dashed and on top, or the sharpness would hide its edge
  ghost: { column: "sharpness", name: "previous sharpness" },
};

const EDGE_VALUE_AND_THRESHOLD = {
  name: "Edge value", title: "edge value", log: true, wide: true, measured: true, marked: true, band: EDGE_VALUE,
  needs: "edge_value",
  lines: [EDGE_VALUE, PLAIN_VALUE, THRESHOLDS],
  ghost: { column: "edge_value", name: "previous edge value" },
};

const GRADIENT_NORM = {
  name: "Gradient norm", title: "gradient norm", log: true,
  lines: [{ column: "grad_norm", name: "‖g‖", role: "grad", connect: true, smooth: true, always: true }],
  ghost: { column: "grad_norm", name: "previous ‖g‖" },
};

const LAB = [
  EDGE_VALUE_AND_THRESHOLD,
  SHARPNESS_AND_EDGES,
  {
    name: "Sharpness / edge", title: "sharpness / edge", titled: ratios, log: true, unitLine: true, band: RATIO,
    lines: [RATIO],
    ghost: { column: "ratio", name: "previous ratio" },
  },
  GRADIENT_NORM,
  LOSS,
  ALIGNMENT,
  HELD_OUT,
];

const LESSON = [EDGE_VALUE_AND_THRESHOLD, SHARPNESS_AND_EDGES, HELD_OUT, GRADIENT_NORM, LOSS];

// the paper draws magnitudes, and the alignments with v₁ alone
const MAGNITUDES = TOP_K.map((line) => ({ ...line, name: `|${line.name}|`, magnitude: true }));

const PAPER = [
  {
    name: "Eigenvalues", title: "eigenvalues, all edges", log: true, measured: true, marked: true, band: SHARPNESS,
    lines: [SHARPNESS, EDGES, ...MAGNITUDES],
  },
  {
    name: "Eigenvalues at the edge in force", title: "eigenvalues, edge in force",
    log: true, measured: true, ownEdge: true,
    band: SHARPNESS,
    lines: [SHARPNESS, EDGES, ...MAGNITUDES],
  },
  { ...ALIGNMENT, lines: ALIGNMENT.lines.slice(0, 2) },
  LOSS,
  HELD_OUT,
];

/** The charts of each page. @type {Record<string, ChartSet>} */
export const CHART_SETS = {
  lab: { set: LAB, invitation: "Press Start" },
  paper: { set: PAPER, invitation: "Press Run" },
  lesson: { set: LESSON, invitation: "Press Start", dense: true },
};

/**
 * Line style by role; dash and width carry the meaning too, for eyes that do not see the hues.
 * @type {Record<string, Stroke>}
 */
const STROKES = {
  sharpness: { width: 2.2, dash: "solid" },
  topk: { width: 1, dash: "solid" },
  batch: { width: 2.2, dash: "solid" },
  samGradient: { width: 2.6, dash: "10px,4px" },
  grad: { width: 2, dash: "solid" },
  gradK: { width: 2, dash: "dot" },
  samK: { width: 2.2, dash: "2px,4px" },
  loss: { width: 2.2, dash: "solid" },
  accuracy: { width: 2, dash: "dot" },
  heldOutLoss: { width: 2.2, dash: "solid" },
  heldOutAccuracy: { width: 2, dash: "dot" },
};

/** Of no other line. */
const PREDICTED_DASH = "7px,3px,2px,3px";

/** @type {Record<string, Shade>} */
const FAMILY_SHADES = {
  topk: "mid", batch: "mid", accuracy: "mid", heldOutAccuracy: "mid", gradK: "mid", samGradient: "deep", samK: "deep",
};

/* ---------------------------------------------------------------- their traces */

/** What a chart has for its lines. @typedef {{ pixels: number, log: boolean }} Room */
/** What the builder of a trace needs besides its line. @typedef {Shown & Room & Placed} Context */

const OF_A_CHART = { margins: 90, pixels: 1000 }; // before it has a place on the page, and for tests

/** The width of a chart's lines. @type {(state: Shown, chart: Chart) => number} */
function pixelsOf({ charts }, { name }) {
  const width = charts.get(name)?.clientWidth;
  return width ? Math.max(100, width - OF_A_CHART.margins) : OF_A_CHART.pixels;
}

/**
 * Whether a chart has a log axis: where that is asked for, and its own line does not fall below 0.
 * @type {(state: Shown, chart: Chart) => boolean}
 */
export function isLog(state, chart) {
  return Boolean(chart.log && state.view.log_y) && !fallsBelowZero(state, chart);
}

/** @type {(state: Shown, chart: Chart) => boolean} */
export function fallsBelowZero({ runs }, chart) {
  const columns = chart.lines.filter(({ always, magnitude }) => always && !magnitude).map(({ column }) => column);
  return [...runs.values()].some((run) => columns.some((name) => run.low(name).some((value) => value < 0)));
}

/** What is drawn of a column of a run, if that is not each row as it is. @type {(ctx: Shown & Room, run: RunBuffer, rims: Rims) => Envelope | null} */
function envelopeOf({ pixels, zoom, span }, run, rims) {
  const opens = new Set(run.rowsAtChanges());
  return envelope(rims, pixels, zoom.x ?? span ?? [0, 1], opens);
}

/**
 * A trace with the rows of a run, and the band under it: each row where there is room, else the envelope.
 * @type {(ctx: Shown & Room, run: RunBuffer, rims: Rims, trace: Trace) => Trace[]}
 */
function enveloped(ctx, run, rims, trace) {
  const found = envelopeOf(ctx, run, rims);
  if (!found) return [trace];
  const { x, y, buckets } = middleLine(found);
  const { view } = ctx;
  const place = (/** @type {number} */ at) => (view.x === "time" ? String(Number(at.toPrecision(5))) : count(at));
  const what = view.x === "step" ? "steps " : "";
  const line = {
    ...trace, x, y,
    ...(trace.hovertemplate && { hovertemplate: hoverTexts(found, buckets, trace, (a, b) => `${what}${place(a)}–${place(b)}`) }),
    ...(trace.customdata && { customdata: buckets.map((bucket) => worst(found.rows[bucket], trace.customdata)) }),
  };
  return [...bandTrace(found, line, ctx.log ? leastPositive(found) : -Infinity), line];
}

/** Down to where a band reaches on a log axis. */
function leastPositive(/** @type {Envelope} */ { low, middle }) {
  return Math.min(...low.filter((value) => value > 0), ...middle.filter((value) => value > 0));
}

/** Whether there is anything that this chart is for, or will be: what it needs, or its own line where no run has another instead. */
export function isNeeded(/** @type {Shown} */ state, /** @type {Chart} */ chart) {
  const runs = [...state.runs.values()];
  const { column, instead } = mainLine(chart);
  if (instead && !runs.some(({ rows }) => rows)) return (column === "edge_value") === state.view.operator;
  return chart.needs ? has(runs, chart.needs) : !instead || !has(runs, instead) || has(runs, column);
}

/** Whether one of the runs has values in a column. @type {(runs: RunBuffer[], column: string) => boolean} */
function has(runs, column) {
  return runs.some((run) => run.columns.get(column)?.some(Number.isFinite));
}

/** The chart with the lines of the edges in their place. @type {(chart: Chart, edges: Shown["edges"]) => Chart} */
function withEdges(chart, edges) {
  /** @type {Line[]} */
  const all = Object.entries(edges).map(([column, edge]) => ({ ...edge, column, shade: "deep" }));
  const [own, others] = [true, false].map((own) => all.filter(({ column }) => (column === THRESHOLDS.column) === own));
  return { ...chart, lines: chart.lines.flatMap((line) => (line === EDGES ? others : line === THRESHOLDS ? own : [line])) };
}

/** All that is drawn in a chart. @type {(state: Shown, plan: Chart) => Trace[]} */
export function chartTraces(state, plan) {
  const chart = withEdges(plan, state.edges);
  const place = { pixels: pixelsOf(state, plan), log: isLog(state, plan) };
  const runs = [...state.runs.values()];
  const pair = runs.length > 1;
  const levels = (/** @type {string} */ column) => new Set(runs.map((run) => run.columns.get(column)?.at(-1)).filter(Number.isFinite)).size;
  const traces = [...branchTraces({ ...state, ...place }, chart), ...ghostTraces({ ...state, ...place }, chart)];
  const shown = runs.length > 2 && levels(GD_EDGE) > 1 ? { ...chart, ownEdge: true } : chart;
  runs.forEach((run, index) => {
    if (run.rows) traces.push(...runTraces({ ...state, ...place, run, place: pair ? index : null }, shown));
  });
  traces.push(...runs.flatMap((run, index) => predictedTraces({ ...state, ...place, run, place: pair ? index : null }, shown)));
  if (pair) for (const column of [GD_EDGE, THRESHOLDS.column]) if (levels(column) === 1) mergeEqual(state, traces, column);
  if (runs.length > (state.dense ? 1 : 2) && !chart.wide) shortenLegend(traces, chart, runs);
  if (chart.unitLine && state.span) traces.unshift(unitLine(state));
  return traces;
}

/** The line that a chart is about. */
function mainLine(/** @type {Chart} */ { lines }) {
  return lines.find((line) => line.always) ?? lines[0];
}

/** @type {(trace: Trace, line: { name: string }) => boolean} */
function isOf({ legendgroup }, { name }) {
  return Boolean(legendgroup?.endsWith(` ${name}`));
}

/**
 * With more runs than there is room for, only their main lines have an entry in the small charts, by the
 * name of the run.
 * @type {(traces: Trace[], chart: Chart, runs: RunBuffer[]) => void}
 */
function shortenLegend(traces, chart, runs) {
  const main = mainLine(chart);
  for (const trace of traces) {
    const run = runs.find((_, place) => trace.legendgroup === groupOf(place, main.name));
    if (run) trace.name = escapeHtml(run.label);
    else if (chart.lines.some((line) => line !== main && isOf(trace, line))) trace.showlegend = false;
  }
}

/**
 * Runs of the same step size have the same 2/η, and the same threshold: one line in a neutral colour, one entry for all.
 * @type {(state: Shown, traces: Trace[], column: string) => void}
 */
function mergeEqual({ palette, edges }, traces, column) {
  const edge = edges[column];
  const [first, ...others] = traces.filter((trace) => edge && isOf(trace, edge));
  if (!first) return;
  first.name = edge.name;
  first.line.color = palette[edge.role];
  for (const other of others) {
    Object.assign(other, {
      line: first.line, showlegend: false, hoverinfo: "skip", hovertemplate: undefined,
      legendgroup: first.legendgroup, visible: first.visible,
    });
  }
}

/** All that is drawn of one run. @type {(ctx: Context, chart: Chart) => Trace[]} */
function runTraces(ctx, chart) {
  const lines = chart.lines.filter((line) => isDrawn(line, ctx) && !(chart.ownEdge && isOther(line, ctx)));
  const smoothed = ctx.view.smooth > 0 ? lines.filter((line) => line.smooth) : [];
  const widths = chart.band ? residuals(ctx, chart.band) : null;
  const errors = (/** @type {Line} */ { error }) => (error && ctx.run.columns.get(error)) || null;
  const raw = (/** @type {Line} */ line) => rawTraces(ctx, line, line === chart.band ? widths : errors(line));
  const drawn = lines.flatMap((line) => (smoothed.includes(line) ? raw(line).map((trace) => (trace.fill ? trace : faint(trace))) : raw(line)));
  return [
    ...drawn.filter(({ fill }) => fill), // under all lines
    ...lines.flatMap((line) => errorBand(ctx, line, errors(line))),
    ...(chart.band && widths ? [residualBand(ctx, chart, chart.band, widths)] : []),
    ...drawn.filter(({ fill }) => !fill),
    ...smoothed.map((line) => smoothTrace(ctx, line)),
    ...(chart.measured && chart.band ? notConverged(ctx, chart.band) : []),
  ];
}

/**
 * What was predicted of a run, over all that was measured: dashes in the colour of each line, half way to that of
 * the texts so that they show on it, and faint where the prediction does not hold.
 * @type {(ctx: Context, chart: Chart) => Trace[]}
 */
function predictedTraces(ctx, chart) {
  const made = [...ctx.predictions.values()].filter(({ predicts, rows }) => rows && predicts === ctx.run.id);
  const traces = made.flatMap((run) => {
    const lines = chart.lines.filter(({ column, topK }) => !topK && has([run], column));
    return lines.flatMap((line) => stretchesOf(run).flatMap((rows) => predictedTrace(ctx, run, line, rows)));
  });
  return traces.map((trace, i) => ({ ...trace, showlegend: false, ...(i === 0 && !ctx.place && { name: PREDICTED, showlegend: true }) }));
}

/** Rows from one to another, both included, which hold or do not. @typedef {{ from: number, to: number, holds: boolean }} Stretch */

/** A prediction cut where it begins, or ceases, to hold. @type {(run: RunBuffer) => Stretch[]} */
function stretchesOf(run) {
  /** @type {Stretch[]} */
  const found = [];
  run.column("step").forEach((step, i) => {
    const holds = !run.doubtful.some(([first, last]) => first <= step && step <= last);
    const last = found.at(-1);
    if (last?.holds === holds) last.to = i;
    else found.push({ from: Math.max(0, i - 1), to: i, holds }); // without a gap
  });
  return found;
}

/** @type {(ctx: Context, run: RunBuffer, line: Line, stretch: Stretch) => Trace[]} */
function predictedTrace(ctx, run, line, { from, to, holds }) {
  const whole = run.rims(line.column, ctx.view.x);
  const cut = (/** @type {keyof Rims} */ name) => whole[name].slice(from, to + 1);
  const rims = { x: cut("x"), until: cut("until"), low: cut("low"), middle: cut("middle"), high: cut("high"), sizes: cut("sizes") };
  const color = between(lineColor(ctx, line), ctx.theme.text);
  const name = suffixed(ctx, line.always ? PREDICTED : `${PREDICTED} ${line.name}`);
  const traces = enveloped(ctx, run, rims, {
    type: "scatter", mode: rims.x.length > 1 ? "lines" : "markers", name, legendgroup: PREDICTED,
    x: rims.x, y: rims.middle, yaxis: line.yaxis ?? "y", connectgaps: true, opacity: holds ? 1 : 0.4,
    line: { color, width: 2, dash: PREDICTED_DASH }, marker: { color, size: 5 },
    hovertemplate: "%{y:.5~g}", visible: visibility(ctx, PREDICTED),
  });
  return traces.filter(({ fill }) => !fill); // it has no hop
}

/** @type {(line: Line, ctx: Context) => boolean} */
function isDrawn({ column, topK, always, instead }, { run, view }) {
  if (topK && !view.top_k) return false;
  return (always && !(instead && has([run], instead))) || has([run], column);
}

/**
 * 2/η beside the edge of another rule; where a run came from GD, it had been in force.
 * @type {(line: Line, ctx: Context) => boolean}
 */
function isOther(line, { run }) {
  return line.column === GD_EDGE && run.rule !== "gd";
}

function strokeOf(/** @type {Line} */ { stroke, role }) {
  return stroke ?? STROKES[role];
}

/** The least, mean and most of a line in each row. @type {(ctx: Context, line: Line) => Rims} */
function rimsOf({ run, view }, { column, magnitude }) {
  const rims = run.rims(column, view.x);
  if (!magnitude) return rims;
  const [low, middle, high] = [rims.low, rims.middle, rims.high].map((values) => values.map(Math.abs));
  const over = (/** @type {number} */ i) => rims.low[i] < 0 && rims.high[i] > 0; // then 0 lies between
  return {
    ...rims, middle, low: low.map((end, i) => (over(i) ? 0 : Math.min(end, high[i]))),
    high: high.map((end, i) => Math.max(end, low[i])),
  };
}

/**
 * A line, and its band where steps have come together; with a residual's widths, these are in its hover text.
 * @type {(ctx: Context, line: Line, widths: number[] | null) => Trace[]}
 */
function rawTraces(ctx, line, widths) {
  const stroke = strokeOf(line);
  const rims = rimsOf(ctx, line);
  // A dense oscillation in a bold line is a blob.
  const width = line.width ?? Math.min(stroke.width, ctx.run.rows > 800 ? 1.5 : Infinity);
  const trace = lineTrace(ctx, line, nameOf(ctx, line), rims.middle, width);
  return enveloped(ctx, ctx.run, rims, widths ? { ...trace, ...residualHover(widths) } : trace);
}

/** The raw line under its smoothed one: visible, and switched with it in the legend. @type {(trace: Trace) => Trace} */
function faint(trace) {
  return {
    ...trace, opacity: 0.28, showlegend: false, hoverinfo: "skip", hovertemplate: undefined,
    line: { ...trace.line, width: 1.2 },
  };
}

/** @type {(ctx: Context, line: Line) => Trace} */
function smoothTrace(ctx, line) {
  const rims = rimsOf(ctx, line);
  const middle = movingAverage(rims.middle, ctx.view.smooth, rims.sizes);
  const trace = lineTrace(ctx, line, `${nameOf(ctx, line)} (smoothed)`, middle, strokeOf(line).width);
  const [drawn] = enveloped(ctx, ctx.run, { ...rims, low: middle, middle, high: middle }, trace).slice(-1);
  return { ...drawn, hovertemplate: trace.hovertemplate };
}

/** @type {(ctx: Context, line: Line, name: string, y: number[], width: number) => Trace} */
function lineTrace(ctx, line, name, y, width) {
  const color = lineColor(ctx, line);
  const short = ctx.run.rows < 40; // a single point draws no line
  const seldom = !short && (ctx.place ?? 0) > 1 && Boolean(line.always); // six colours alone are hard to tell apart
  return {
    type: "scatter",
    mode: short || seldom ? "lines+markers" : "lines",
    name: suffixed(ctx, name),
    legendgroup: groupOf(ctx.place, line.name),
    x: ctx.run.column(ctx.run.axis(ctx.view.x)),
    y,
    yaxis: line.yaxis ?? "y",
    connectgaps: Boolean(line.connect),
    opacity: line.fade ?? 1,
    line: { color, width, dash: strokeOf(line).dash, shape: line.shape ?? "linear" },
    marker: { color, size: 5, symbol: symbolOf(ctx), ...(seldom && { size: 7, maxdisplayed: MARKERS_A_LINE }) },
    hovertemplate: "%{y:.5~g}",
    visible: visibility(ctx, groupOf(ctx.place, line.name)),
  };
}

/** @type {(ctx: Context, line: Line) => string} */
function nameOf({ run }, { name, named }) {
  return named?.(run) ?? name;
}

/** @type {(ctx: Context, line: Line) => string} */
function lineColor({ place, palette }, { role, shade }) {
  return place === null ? palette[role] : familyOf(palette, place)[shade ?? FAMILY_SHADES[role] ?? "strong"];
}

/** The colours of the run at a place. */
export function familyOf(/** @type {Palette} */ { families }, /** @type {number} */ place) {
  return families[place % families.length];
}

const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "x", "star"];
const MARKERS_A_LINE = 12;

function symbolOf(/** @type {Context} */ { place }) {
  return SYMBOLS[(place ?? 0) % SYMBOLS.length];
}

/**
 * The name of a line, with that of its run where there are several.
 * @type {(ctx: Context, name: string) => string}
 */
function suffixed({ run, place }, name) {
  return place === null ? name : `${name} (${escapeHtml(run.label)})`;
}

/** Key of a legend choice: by place, not by run, so that it outlives a run. */
function groupOf(/** @type {number | null} */ place, /** @type {string} */ name) {
  return `${place ?? 0} ${name}`;
}

/**
 * Whether the reader has left an entry of the legend on.
 * @type {(state: Shown, group: string) => true | "legendonly"}
 */
function visibility({ hidden }, group) {
  return hidden.has(group) ? "legendonly" : true;
}

/**
 * Moving average with weight `w` on the past step, started without bias; NaN stays NaN. A value may stand for
 * several steps: `sizes`.
 * @type {(values: number[], w: number, sizes?: number[]) => number[]}
 */
export function movingAverage(values, w, sizes) {
  let sum = 0;
  let weight = 0;
  return values.map((value, i) => {
    if (!Number.isFinite(value)) return NaN;
    const past = w ** (sizes?.[i] ?? 1);
    sum = past * sum + (1 - past) * value;
    weight = past * weight + (1 - past);
    return sum / weight;
  });
}

const RESIDUALS = [["edge_value", "edge_residual"], ["sharpness", "residual"]];

/**
 * ||Hv - θv|| in the units of a line, one a row (NaN where not measured): an eigenvalue lies within that
 * distance of the sharpness; of the edge operator, of the edge value. Null where none is known.
 * @type {(ctx: Context, line: Line) => number[] | null}
 */
function residuals({ run }, { column }) {
  const pairs = RESIDUALS.filter(([of, residual]) => (column === of || column === "ratio") && has([run], of) && has([run], residual));
  if (!pairs.length) return null;
  const columns = pairs.map((names) => names.map((name) => run.column(name)));
  return run.column(column).map((value, i) => {
    const [of, widths] = columns.find(([values]) => Number.isFinite(values[i])) ?? columns[0];
    return column === "ratio" ? widths[i] * Math.abs(value / of[i]) : widths[i];
  });
}

/** The hover text of a line with a band. @type {(widths: number[]) => Partial<Trace>} */
function residualHover(widths) {
  return { customdata: widths, hovertemplate: "%{y:.5~g} ± %{customdata:.2~g}" };
}

/**
 * The residual as a band around a line; most are thinner than the line itself, until one zooms in. Around
 * a mean, it is the largest of the steps. All bands are switched together, by one entry in the legend of the
 * chart that explains them: legends of small charts have no room.
 * @type {(ctx: Context, chart: Chart, line: Line, widths: number[]) => Trace}
 */
function residualBand(ctx, { measured }, line, widths) {
  return {
    ...widthBand(ctx, line, widths),
    name: BAND_TITLE, legendgroup: BAND, legendrank: 1001, showlegend: Boolean(measured) && !ctx.place,
    // without its line it would mean nothing
    visible: visibility(ctx, groupOf(ctx.place, line.name)) === true && visibility(ctx, BAND),
  };
}

/** The standard error around a line that has one, switched with it. @type {(ctx: Context, line: Line, widths: number[] | null) => Trace[]} */
function errorBand(ctx, line, widths) {
  if (!widths) return [];
  const group = groupOf(ctx.place, line.name);
  return [{ ...widthBand(ctx, line, widths), name: line.name, legendgroup: group, showlegend: false, visible: visibility(ctx, group) }];
}

/** A band of these widths to both sides of a line. @type {(ctx: Context, line: Line, widths: number[]) => Trace} */
function widthBand(ctx, line, widths) {
  const { x, y, width } = withWidths(ctx, line, widths);
  // A log axis has no place for 0, so the lower rim stays a thousandth of the value.
  const lower = y.map((at, i) => (ctx.log ? Math.max(at - width[i], at * 1e-3) : at - width[i]));
  const color = lineColor(ctx, line);
  return {
    type: "scatter", mode: "lines", fill: "toself",
    line: { width: 0, color }, fillcolor: translucent(color, 0.3), hoverinfo: "skip",
    x: [...x, ...x.toReversed()],
    y: [...y.map((at, i) => at + width[i]), ...lower.toReversed()],
  };
}

/**
 * The points of a line at which there is a width, and these.
 * @type {(ctx: Context, line: Line, widths: number[]) => { x: number[], y: number[], width: number[] }}
 */
function withWidths(ctx, line, widths) {
  const rims = rimsOf(ctx, line);
  const found = envelopeOf(ctx, ctx.run, rims);
  const all = found && middleLine(found);
  const [x, y] = all ? [all.x, all.y] : [rims.x, rims.middle];
  const width = all ? all.buckets.map((bucket) => worst(found.rows[bucket], widths)) : widths;
  const there = y.map((_, i) => i).filter((i) => Number.isFinite(y[i]) && Number.isFinite(width[i]));
  const [xs, ys, known] = [x, y, width].map((values) => there.map((i) => values[i]));
  return { x: xs, y: ys, width: known };
}

/** The largest of these rows' widths; NaN where none is known. @type {(rows: number[], widths: number[]) => number} */
function worst(rows, widths) {
  const known = rows.map((row) => widths[row]).filter(Number.isFinite);
  return known.length ? Math.max(...known) : NaN;
}

/** Marks where what is measured has not converged; a list of none or one. @type {(ctx: Context, line: Line) => Trace[]} */
function notConverged(ctx, line) {
  const converged = ctx.run.column("converged");
  const rims = rimsOf(ctx, line);
  const failed = rims.middle.map((value, i) => (converged[i] === 0 ? value : NaN));
  const rows = failed.map((_, i) => i).filter((i) => Number.isFinite(failed[i]));
  if (!rows.length) return [];
  const found = envelopeOf(ctx, ctx.run, rims);
  const buckets = found?.rows.map((of, i) => ({ of, i })).filter(({ of }) => of.some((row) => converged[row] === 0));
  const group = groupOf(ctx.place, "not converged");
  return [{
    type: "scatter", mode: "markers", name: suffixed(ctx, "not converged"), legendgroup: group, hoverinfo: "skip",
    x: found && buckets ? buckets.map(({ i }) => (found.first[i] + found.last[i]) / 2) : rows.map((i) => rims.x[i]),
    y: found && buckets ? buckets.map(({ i }) => found.middle[i]) : rows.map((i) => failed[i]),
    marker: { symbol: `${symbolOf(ctx)}-open`, size: 8, color: ctx.palette.bad, line: { width: 1.6 } },
    visible: visibility(ctx, group),
  }];
}

/**
 * The last replaced run, as a list of none or one; it is there to be compared with another.
 * @type {(state: Shown) => RunBuffer[]}
 */
function ghostOf({ ghost, view, runs }) {
  return ghost && view.previous && runs.size ? [ghost] : [];
}

/** @type {(state: Shown & Room, chart: Chart) => Trace[]} */
function ghostTraces(state, { ghost }) {
  if (!ghost) return [];
  return ghostOf(state).flatMap((run) => greyTraces(state, run, ghost.column, ghost.name, groupOf(0, ghost.name)));
}

/**
 * The branches that were left by rewinding: one entry in the legend switches them in all charts.
 * @type {(state: Shown & Room, chart: Chart) => Trace[]}
 */
function branchTraces(state, chart) {
  const { column } = chart.ghost ?? mainLine(chart);
  const branches = [...state.branches.values()].filter((run) => run.rows);
  return branches.flatMap((run, index) =>
    greyTraces(state, run, column, ABANDONED, ABANDONED).map((trace) =>
      trace.fill ? trace : { ...trace, showlegend: index === 0 },
    ),
  );
}

/** @type {(state: Shown & Room, run: RunBuffer, column: string, name: string, group: string) => Trace[]} */
function greyTraces(state, run, column, name, group) {
  const stroke = group === ABANDONED ? { width: 2, dash: "4px,2px" } : { width: 1.6 };
  const rims = run.rims(column, state.view.x);
  return enveloped(state, run, rims, {
    type: "scatter", mode: "lines", name, legendgroup: group, connectgaps: true, hoverinfo: "skip",
    x: rims.x, y: rims.middle, opacity: 0.65,
    line: { color: state.palette.ghost, ...stroke },
    visible: visibility(state, group),
  });
}

/** The dashed line at 1: on or over the edge. @type {(state: Shown) => Trace} */
function unitLine(state) {
  return {
    type: "scatter", mode: "lines", name: "edge", legendgroup: groupOf(0, "edge"), hoverinfo: "skip",
    x: state.span, y: [1, 1], line: { color: state.palette.gd, width: 1.8, dash: "dash" },
    visible: visibility(state, groupOf(0, "edge")),
  };
}

/**
 * First and last x over runs, or null without rows.
 * @type {(runs: RunBuffer[], quantity: Quantity) => Range | null}
 */
export function xSpan(runs, quantity) {
  const columns = runs.filter((run) => run.rows).map((run) => run.ends(run.axis(quantity)));
  if (!columns.length) return null;
  return [Math.min(...columns.map((xs) => xs[0])), Math.max(...columns.map((xs) => xs[xs.length - 1]))];
}

/**
 * First and last x of all that is drawn, the ghost, abandoned branches and predictions included.
 * @type {(state: Shown) => Range | null}
 */
export function fullSpan(state) {
  return xSpan([...state.runs.values(), ...state.branches.values(), ...state.predictions.values(), ...ghostOf(state)], state.view.x);
}
