/** How the live charts are laid out: axes, what stands for an empty chart, interventions, the cursor. */

/** @import { Chart, Options, Part, Range, Shown, Theme, Trace } from "./types.d.ts" */
/** @typedef {{ x: number, text: string }} Mark an intervention, where it is drawn */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { axisStyle, baseLayout, escapeHtml, textWidth, translucent } = await part("theme.js");
const { fallsBelowZero, familyOf, isLog, xSpan } = await part("traces.js");

const X_TITLES = { step: "step", time: "effective time η·steps", evals: "gradient evaluations" };

const MARGIN = { l: 66, r: 16, t: 34, b: 46 };
const MARGIN_OF_RIGHT_AXIS = 62;

/** The room around a chart, which texts need. */
function marginsOf(/** @type {Theme} */ { scale }) {
  return { l: MARGIN.l * scale, r: MARGIN.r, t: MARGIN.t * scale, b: MARGIN.b * scale };
}

/** The layout of a chart around its traces. @type {(state: Shown, chart: Chart, traces: Trace[]) => Options} */
export function chartLayout(state, chart, traces) {
  const { theme } = state;
  const empty = !traces.some(({ name, y }) => name !== "edge" && y.some(Number.isFinite));
  const right = traces.some((trace) => trace.yaxis === "y2");
  const marks = empty ? [] : interventionMarks(state);
  const labels = chart.marked ? markLabels(state, marks, state.charts.get(chart.name)) : [];
  return {
    ...baseLayout(theme, 13 * theme.scale),
    datarevision: state.revision, // the arrays grow in place, so Plotly cannot see that they changed
    margin: { ...marginsOf(theme), ...(right && { r: MARGIN_OF_RIGHT_AXIS * theme.scale }), pad: 0 },
    showlegend: !empty,
    hovermode: "x unified",
    hoverdistance: -1,
    spikedistance: -1,
    dragmode: state.dragmode,
    xaxis: xAxis(state),
    yaxis: yAxis(state, chart, empty ? null : traces),
    ...(right && { yaxis2: rightAxis(theme) }),
    shapes: [...marks.map((mark) => markLine(mark, theme)), ...cursorLines(state)],
    annotations: empty ? [emptyNote(state)] : labels,
  };
}

/** @type {(state: Shown) => Options} */
function xAxis({ theme, view, zoom, span }) {
  return {
    ...axisStyle(theme),
    title: { text: X_TITLES[view.x], standoff: 6 },
    exponentformat: view.x === "time" ? "e" : "SI", // 200k steps, but never "m" for milli
    range: span ? [...(zoom.x ?? withRoom(span))] : [0, 100],
    hoverformat: view.x === "time" ? ".5~g" : ",.0f",
    unifiedhovertitle: { text: `${X_TITLES[view.x]} %{x}` },
    showspikes: true, spikemode: "across", spikesnap: "hovered data", spikethickness: 1,
    spikedash: "solid", spikecolor: theme.muted,
  };
}

/**
 * The left axis; of a chart without traces it is empty.
 * @type {(state: Shown, chart: Chart, traces: Trace[] | null) => Options}
 */
export function yAxis(state, chart, traces) {
  const title = { text: noted(state, chart, traces ?? []), standoff: 8 };
  const axis = { ...axisStyle(state.theme), title };
  if (chart.unit) return { ...axis, range: [0, 1.02], fixedrange: true, dtick: 0.25 };
  if (!traces) return { ...axis, range: [0, 1] };
  const log = isLog(state, chart);
  const rangemode = log || chart.fromZero === false ? "normal" : "tozero";
  const fitted = () => (rangemode === "normal" ? roomAround(traces, log) : cutAt(traces));
  const range = state.zoom.y.get(chart.name)?.range ?? fitted();
  return {
    ...axis, type: log ? "log" : "linear", rangemode, nticks: log ? 3 : 7,
    // by themselves, digits between powers of ten are shortened: 0.5 to 5
    ...(log && { minor: { ticks: "outside", ticklen: 2 }, minorloglabels: "complete" }),
    ...(range ? { range: [...range], autorange: false } : { autorange: true }),
  };
}

const LEAST_SPAN = 0.02; // of the value

/**
 * The range, in axis units, around lines that are so nearly constant that rounding alone would fill the
 * chart; else null.
 * @type {(traces: Trace[], log: boolean) => Range | null}
 */
function roomAround(traces, log) {
  const extent = extentOf(traces, () => true);
  if (!extent) return null;
  const middle = (extent[0] + extent[1]) / 2;
  const half = (LEAST_SPAN / 2) * Math.abs(middle);
  if (!(extent[1] - extent[0] < 2 * half) || (log && extent[0] <= 0)) return null;
  return log ? [Math.log10(middle - half), Math.log10(middle + half)] : [middle - half, middle + half];
}

const FAR = 20;

/**
 * The range from 0 of a chart whose edge is far above all else for a while, as while η begins or ends near 0; else null.
 * @type {(traces: Trace[]) => Range | null}
 */
function cutAt(traces) {
  const [edges, others] = [true, false].map((edge) => traces.filter(({ line, fill }) => !fill && (line?.shape === "hv") === edge));
  const ends = [...edges.map((edge) => extentOf([edge], () => true)?.[0] ?? 0), extentOf(others, () => true)?.[1] ?? 0];
  const top = 1.3 * Math.max(...ends);
  return top > 0 && (extentOf(edges, () => true)?.[1] ?? 0) > FAR * top ? [0, top] : null;
}

/**
 * The range of y, in axis units and with a margin, over what is shown between two x; null where nothing is.
 * @type {(traces: Trace[], x: Range, log: boolean) => Range | null}
 */
export function visibleRange(traces, [from, to], log) {
  const shown = traces.filter(({ visible }) => visible !== "legendonly");
  const extent = extentOf(shown, (x, y) => x >= from && x <= to && (!log || y > 0));
  if (!extent) return null;
  const [low, high] = log ? extent.map(Math.log10) : extent;
  const margin = 0.06 * (high - low) || 0.1 * Math.abs(high) || 0.1;
  return [low - margin, high + margin];
}

/**
 * The least and the greatest finite y, on the left axis, of the points that count; null without any.
 * @type {(traces: Trace[], counts: (x: number, y: number) => boolean) => Range | null}
 */
function extentOf(traces, counts) {
  let [low, high] = [Infinity, -Infinity];
  for (const { x, y, yaxis } of traces) {
    if (yaxis === "y2") continue;
    for (let i = 0; i < y.length; i++) {
      if (!Number.isFinite(y[i]) || !counts(x[i], y[i])) continue;
      low = Math.min(low, y[i]);
      high = Math.max(high, y[i]);
    }
  }
  return low <= high ? [low, high] : null;
}

/**
 * The title of an axis, with what the sharpness was measured on, where that is not the whole of a step's batch,
 * and what a log axis has no place for.
 * @type {(state: Shown, chart: Chart, traces: Trace[]) => string}
 */
function noted(state, chart, traces) {
  const runs = [...state.runs.values()];
  const named = chart.titled?.(runs, state.view).join("<br>") ?? chart.title;
  const title = traces.length && isLog(state, chart) ? `${named} (log)` : named;
  const measured = chart.measured ? runs.map((run) => run.note) : [];
  const notes = new Set([...measured, scaleNote(state, chart, traces)].filter(Boolean));
  return notes.size ? `${title}<br><sub>${escapeHtml([...notes].join("; "))}</sub>` : title;
}

/** @type {(state: Shown, chart: Chart, traces: Trace[]) => string} */
function scaleNote(state, chart, traces) {
  if (!chart.log || !state.view.log_y) return "";
  if (fallsBelowZero(state, chart)) return "linear: it falls below 0";
  const left = traces.filter(({ yaxis, fill }) => yaxis !== "y2" && !fill);
  return left.some(({ y }) => y.some((/** @type {number} */ value) => value <= 0)) ? "0 and less left out" : "";
}

/** @type {(theme: Theme) => Options} */
function rightAxis(theme) {
  return {
    ...axisStyle(theme), title: { text: "accuracy", standoff: 8 }, overlaying: "y", side: "right",
    range: [0, 1.02], fixedrange: true, showgrid: false, dtick: 0.25,
  };
}

/** A single point needs room around it. @type {(span: Range) => Range} */
function withRoom([from, to]) {
  return from === to ? [from - 1, to + 1] : [from, to];
}

/** What stands in a chart without lines. @type {(state: Shown) => Options} */
function emptyNote({ runs, invitation, theme }) {
  const started = [...runs.values()].some((run) => run.rows);
  const waiting = runs.size ? "no step yet" : invitation; // after a Reset the button says Resume
  return {
    text: started ? "not measured" : waiting, xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false,
    font: { size: 16 * theme.scale, color: theme.muted }, bgcolor: theme.background, borderpad: 4,
  };
}

/* ---------------------------------------------------------------- interventions */

const LABEL_LEVELS = 4;
const LABEL_HEIGHT = 19;

/**
 * Interventions of all shown runs at their x, in order, without duplicates.
 * @type {(state: Shown) => Mark[]}
 */
function interventionMarks(state) {
  const marks = new Map();
  for (const run of state.runs.values()) {
    for (const [key, { step, text }] of run.interventions) {
      const x = run.locate(step, state.view.x);
      if (x !== null && !marks.has(key)) marks.set(key, { x, text });
    }
  }
  return [...marks.values()].sort((a, b) => a.x - b.x);
}

/** @type {(mark: Mark, theme: Theme) => Options} */
function markLine({ x }, theme) {
  return {
    type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, layer: "below",
    line: { color: theme.mark, width: 1.2, dash: "dot" },
  };
}

/**
 * Labels on staggered levels; a label that fits on none is left out, its line stays.
 * @type {(state: Shown, marks: Mark[], plot: { clientWidth: number } | undefined) => Options[]}
 */
export function markLabels(state, marks, plot) {
  const span = state.zoom.x ?? xSpan([...state.runs.values()], state.view.x);
  if (!marks.length || !span) return [];
  const margins = marginsOf(state.theme);
  const width = Math.max((plot?.clientWidth ?? 0) - margins.l - margins.r, 100);
  const scale = width / Math.max(span[1] - span[0], 1e-12);
  const levelEnds = new Array(LABEL_LEVELS).fill(-Infinity);
  const labels = [];
  for (const { x, text } of marks) {
    const size = textWidth(text, state.theme) + 10;
    const at = (x - span[0]) * scale;
    if (at < 0 || at > width) continue;
    const left = at + size > width ? at - size : at; // flip to the left of its line at the right end
    const level = levelEnds.findIndex((end) => end < left);
    if (level < 0) continue;
    levelEnds[level] = left + size;
    labels.push(markLabel(state.theme, x, text, level, left < at));
  }
  return labels;
}

/** @type {(theme: Theme, x: number, text: string, level: number, flipped: boolean) => Options} */
function markLabel(theme, x, text, level, flipped) {
  return {
    text: escapeHtml(text), xref: "x", yref: "paper", x, y: 1, yshift: -level * LABEL_HEIGHT * theme.scale,
    xanchor: flipped ? "right" : "left", yanchor: "top", xshift: flipped ? -2 : 2, showarrow: false,
    font: { size: 13 * theme.scale, color: theme.text }, bgcolor: translucent(theme.background, 0.8), borderpad: 1,
  };
}

/* ---------------------------------------------------------------- the cursor */

export const CURSOR = "cursor";

/**
 * The lines at the cursor, from the runs that have come to it: one, but for runs that came to this step at
 * another time or cost.
 * @type {(state: Shown) => Options[]}
 */
export function cursorLines({ runs, cursor, view, palette, theme }) {
  const places = new Map();
  [...runs.values()].forEach((run, place) => {
    if (cursor === null || run.rowAt(cursor) < 0 || run.lastStep < cursor) return;
    const x = run.locate(cursor, view.x);
    if (!places.has(x)) places.set(x, place);
  });
  return [...places].map(([x, place]) => ({
    type: "line", name: CURSOR, xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1,
    line: { color: places.size > 1 ? familyOf(palette, place).strong : theme.text, width: 1.5 },
  }));
}
