/** How the live charts are laid out: axes, what stands for an empty chart, interventions, the cursor. */

const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url));
const { axisStyle, escapeHtml, textWidth, translucent } = await part("theme.js");
const { familyOf, xSpan } = await part("traces.js");

const X_TITLES = { step: "step", time: "effective time η·steps", evals: "gradient evaluations" };

const MARGIN = { l: 66, r: 16, t: 34, b: 46 };
const MARGIN_OF_RIGHT_AXIS = 62;

export function chartLayout(state, chart, traces) {
  const { theme, zoom } = state;
  const empty = !traces.some((trace) => trace.name !== "edge" && trace.x.length);
  const axis = axisStyle(theme);
  const right = traces.some((trace) => trace.yaxis === "y2");
  const marks = empty ? [] : interventionMarks(state);
  const { span } = state;
  return {
    datarevision: state.revision, // the arrays grow in place, so Plotly cannot see that they changed
    autosize: true,
    margin: { ...MARGIN, r: right ? MARGIN_OF_RIGHT_AXIS : MARGIN.r, pad: 0 },
    paper_bgcolor: theme.background,
    plot_bgcolor: theme.background,
    font: { family: theme.font, size: 13, color: theme.text },
    legend: {
      orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", itemwidth: 30,
      traceorder: "normal", bgcolor: "rgba(0,0,0,0)", font: { size: 13 }, tracegroupgap: 0,
    },
    showlegend: !empty,
    hovermode: "x unified",
    hoverdistance: -1,
    spikedistance: -1,
    hoverlabel: { bgcolor: translucent(theme.panel, 0.93), bordercolor: theme.border, font: { size: 13, color: theme.text } },
    dragmode: state.dragmode,
    xaxis: {
      ...axis,
      title: { text: X_TITLES[state.view.x], standoff: 6 },
      exponentformat: state.view.x === "time" ? "e" : "SI", // 200k steps, but never "m" for milli
      range: span ? [...(zoom.x ?? withRoom(span))] : [0, 100],
      hoverformat: state.view.x === "time" ? ".5~g" : ",.0f",
      unifiedhovertitle: { text: `${X_TITLES[state.view.x]} %{x}` },
      showspikes: true, spikemode: "across", spikesnap: "hovered data", spikethickness: 1,
      spikedash: "solid", spikecolor: theme.muted,
    },
    yaxis: yAxis(state, chart, axis, empty ? null : traces),
    ...(right && { yaxis2: rightAxis(axis) }),
    shapes: [...marks.map((mark) => markLine(mark, theme)), ...cursorLines(state)],
    annotations: empty
      ? [emptyNote(state)]
      : chart.marked ? markLabels(state, marks, state.charts.get(chart.name)) : [],
  };
}

function yAxis(state, chart, axis, traces) {
  const title = { text: chart.measured ? noted(state, chart.title) : chart.title, standoff: 8 };
  if (chart.unit) return { ...axis, title, range: [0, 1.02], fixedrange: true, dtick: 0.25 };
  if (!traces) return { ...axis, title, range: [0, 1] };
  const log = isLog(state, chart);
  const rangemode = log || chart.fromZero === false ? "normal" : "tozero";
  return {
    ...axis, title, type: log ? "log" : "linear", rangemode, nticks: log ? 3 : 7,
    // by themselves, digits between powers of ten are shortened: 0.5 to 5
    ...(log && { minor: { ticks: "outside", ticklen: 2 }, minorloglabels: "complete" }),
    ...fixedOrAuto(state.zoom.y.get(chart.name)?.range ?? (rangemode === "normal" && roomAround(traces, log))),
  };
}

const LEAST_SPAN = 0.02; // of the value

/** The range around lines that are so nearly constant that rounding alone would fill the chart; else null. */
function roomAround(traces, log) {
  let low = Infinity;
  let high = -Infinity;
  for (const { y, yaxis } of traces) {
    if (yaxis === "y2") continue;
    for (const value of y) {
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  const middle = (low + high) / 2;
  const half = (LEAST_SPAN / 2) * Math.abs(middle);
  if (!(high - low < 2 * half)) return null;
  const range = [middle - half, middle + half];
  return log ? (low > 0 ? range.map(Math.log10) : null) : range;
}

/** What the sharpness was measured on, where that is not the whole of a step's batch. */
function noted({ runs }, title) {
  const notes = new Set([...runs.values()].map((run) => run.note).filter(Boolean));
  return notes.size ? `${title}<br><sub>${escapeHtml([...notes].join("; "))}</sub>` : title;
}

function rightAxis(axis) {
  const title = { text: "accuracy", standoff: 8 };
  return { ...axis, title, overlaying: "y", side: "right", range: [0, 1.02], fixedrange: true, showgrid: false, dtick: 0.25 };
}

/** A single point needs room around it. */
function withRoom([from, to]) {
  return from === to ? [from - 1, to + 1] : [from, to];
}

export function isLog(state, chart) {
  return Boolean(chart.log && state.view.log_y);
}

function fixedOrAuto(range) {
  return range ? { range: [...range], autorange: false } : { autorange: true };
}

function emptyNote({ runs, invitation, theme }) {
  const started = [...runs.values()].some((run) => run.rows);
  const waiting = runs.size ? "no step yet" : invitation; // after a Reset the button says Resume
  return {
    text: started ? "not measured" : waiting, xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false,
    font: { size: 16, color: theme.muted }, bgcolor: theme.background, borderpad: 4,
  };
}

/* ---------------------------------------------------------------- interventions */

const LABEL_LEVELS = 4;
const LABEL_HEIGHT = 19;

/** Interventions of all shown runs at their x, in order, without duplicates. */
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

function markLine({ x }, theme) {
  return {
    type: "line", xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1, layer: "below",
    line: { color: theme.mark, width: 1.2, dash: "dot" },
  };
}

/** Labels on staggered levels; a label that fits on none is left out, its line stays. */
function markLabels(state, marks, gd) {
  if (!marks.length) return [];
  const span = state.zoom.x ?? xSpan([...state.runs.values()], state.view.x);
  const width = Math.max(gd.clientWidth - MARGIN.l - MARGIN.r, 100);
  const scale = width / Math.max(span[1] - span[0], 1e-12);
  const levelEnds = new Array(LABEL_LEVELS).fill(-Infinity);
  const labels = [];
  for (const { x, text } of marks) {
    const size = textWidth(text, state.theme.font) + 10;
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

function markLabel(theme, x, text, level, flipped) {
  return {
    text: escapeHtml(text), xref: "x", yref: "paper", x, y: 1, yshift: -level * LABEL_HEIGHT,
    xanchor: flipped ? "right" : "left", yanchor: "top", xshift: flipped ? -2 : 2, showarrow: false,
    font: { size: 13, color: theme.text }, bgcolor: translucent(theme.background, 0.8), borderpad: 1,
  };
}

/* ---------------------------------------------------------------- the cursor */

export const CURSOR = "cursor";

/** Shown runs that have come to the cursor, with their place. */
function runsAtCursor({ runs, cursor }) {
  const placed = [...runs.values()].map((run, place) => ({ run, place }));
  return cursor === null ? [] : placed.filter(({ run }) => run.rowAt(cursor) >= 0 && run.lastStep >= cursor);
}

/** The lines at the cursor: one, but for runs that came to this step at another time or cost. */
export function cursorLines(state) {
  const places = new Map();
  for (const { run, place } of runsAtCursor(state)) {
    const x = run.locate(state.cursor, state.view.x);
    if (!places.has(x)) places.set(x, place);
  }
  const color = (place) => (places.size > 1 ? familyOf(state.palette, place).strong : state.theme.text);
  return [...places].map(([x, place]) => ({
    type: "line", name: CURSOR, xref: "x", yref: "paper", x0: x, x1: x, y0: 0, y1: 1,
    line: { color: color(place), width: 1.5 },
  }));
}
