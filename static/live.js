/**
 * The live charts of SAMEdge: Plotly charts over rows kept in the browser; the five of the lab, or
 * the four figures of the paper.
 *
 * Streamlit calls `update` at every message and at every change of theme. A message carries only the
 * new rows (see pages/parts/live.py); they go into a RunBuffer, and one redraw per animation frame
 * hands the buffers to Plotly.react. Zoom, hidden traces and drag mode are kept here, not in Plotly,
 * so that they survive every redraw and can be linked across charts.
 */

// Parts are imported under the version of this file, so that a browser never mixes old and new.
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url));
const { DARK, LIGHT, axisStyle, escapeHtml, readTheme, textWidth, translucent } = await part("theme.js");
const { RunBuffer } = await part("buffer.js");
const { addStyle, element, loadPlotly, memory, onClick } = await part("page.js");
const { SCRUBBER_STYLE, drawScrubber, makeScrubber } = await part("scrubber.js");

/* ---------------------------------------------------------------- what is drawn */

const TALL = 330;
const SHORT = 230;
const EVEN = 300; // where no chart is wide
const GAP = 10;

const EDGES = [
  { column: "gd_edge", name: "2/η", role: "gd", shape: "hv" },
  { column: "sam_edge", name: "SAM-edge", role: "sam", shape: "linear" },
  { column: "usam_edge", name: "USAM-edge", role: "usam", shape: "hv" },
  { column: "polyak_edge", name: "Polyak-edge", role: "polyak", shape: "hv" },
  { column: "nesterov_edge", name: "Nesterov-edge", role: "nesterov", shape: "hv" },
];

const TOP_K = [2, 3, 4, 5, 6, 7, 8, 9, 10].map((k) => ({
  column: `lambda_${k}`, name: `λ${k}`, role: "topk", fade: 1 - (k - 2) * 0.07, connect: true, topK: true,
}));

const SHARPNESS = {
  column: "sharpness", name: "sharpness", role: "sharpness", connect: true, smooth: true, always: true,
};

const RATIO = {
  column: "ratio", name: "sharpness / edge", role: "sharpness", connect: true, smooth: true, always: true,
};

const BAND = "± residual";
const BAND_MEANS = "an eigenvalue lies within";
const ABANDONED = "abandoned";

const LOSS = {
  name: "Loss", title: "loss", log: true,
  lines: [
    { column: "accuracy", name: "accuracy", role: "accuracy", connect: true, yaxis: "y2" },
    { column: "held_out_accuracy", name: "held-out accuracy", role: "heldOutAccuracy", connect: true, yaxis: "y2" },
    { column: "held_out_loss", name: "held-out loss", role: "heldOutLoss", connect: true, smooth: true },
    { column: "loss", name: "loss", role: "loss", connect: true, smooth: true, always: true },
  ],
  ghost: { column: "loss", name: "previous loss" },
};

const ALIGNMENT = {
  name: "Alignment", title: "alignment with v₁", unit: true,
  lines: [
    { column: "align_grad", name: "g · v₁", role: "grad", connect: true, smooth: true, always: true },
    { column: "align_sam", name: "SAM gradient · v₁", role: "sam", connect: true, smooth: true },
    { column: "align_grad_k", name: "g · top-k", role: "gradK", connect: true, smooth: true },
    { column: "align_sam_k", name: "SAM gradient · top-k", role: "samK", connect: true, smooth: true },
  ],
};

/**
 * One entry per chart. `log`: the y axis follows the log switch; `measured`: shows what the sharpness
 * was measured on, and where it has not converged; `band`: the line that gets the residual's band, as its
 * hover text does; `marked`: interventions are named; `unitLine`: a line at 1; `ownEdge`: 2/η only where
 * it is the edge in force.
 */
const LAB = [
  {
    name: "Sharpness", title: "sharpness", log: true, wide: true, measured: true, marked: true, band: SHARPNESS,
    lines: [SHARPNESS, ...EDGES, ...TOP_K], // edges dashed and on top, or the sharpness would hide its edge
    ghost: { column: "sharpness", name: "previous sharpness" },
  },
  {
    name: "Sharpness / edge", title: "sharpness / edge", log: true, unitLine: true, band: RATIO,
    lines: [RATIO],
    ghost: { column: "ratio", name: "previous ratio" },
  },
  {
    name: "Gradient norm", title: "gradient norm", log: true,
    lines: [{ column: "grad_norm", name: "‖g‖", role: "grad", connect: true, smooth: true, always: true }],
    ghost: { column: "grad_norm", name: "previous ‖g‖" },
  },
  LOSS,
  ALIGNMENT,
];

// the paper draws magnitudes, and the alignments with v₁ alone
const MAGNITUDES = TOP_K.map((line) => ({ ...line, name: `|${line.name}|`, magnitude: true }));

const PAPER = [
  {
    name: "Eigenvalues", title: "eigenvalues", log: true, measured: true, marked: true, band: SHARPNESS,
    lines: [SHARPNESS, ...EDGES, ...MAGNITUDES],
  },
  {
    name: "Eigenvalues at the edge in force", title: "eigenvalues", log: true, measured: true, ownEdge: true,
    band: SHARPNESS,
    lines: [SHARPNESS, ...EDGES, ...MAGNITUDES],
  },
  { ...ALIGNMENT, lines: ALIGNMENT.lines.slice(0, 2) },
  LOSS,
];

/** `invitation` is what an empty chart says: each page has a button of its own to start with. */
const CHART_SETS = {
  lab: { set: LAB, invitation: "Press Start" },
  paper: { set: PAPER, invitation: "Press Run" },
};

const X_TITLES = { step: "step", time: "effective time η·steps", evals: "gradient evaluations" };

/** Line style by role; dash and width carry the meaning too, for eyes that do not see the hues. */
const STROKES = {
  sharpness: { width: 2.2, dash: "solid" },
  topk: { width: 1, dash: "solid" },
  gd: { width: 2, dash: "dash" },
  sam: { width: 2.6, dash: "10px,4px" },
  usam: { width: 2.2, dash: "dashdot" },
  polyak: { width: 2.2, dash: "dot" },
  nesterov: { width: 2.2, dash: "longdashdot" },
  grad: { width: 2, dash: "solid" },
  gradK: { width: 2, dash: "dot" },
  samK: { width: 2.2, dash: "2px,4px" },
  loss: { width: 2.2, dash: "solid" },
  accuracy: { width: 2, dash: "dot" },
  heldOutLoss: { width: 2, dash: "dash" },
  heldOutAccuracy: { width: 2, dash: "dashdot" },
};

const FAMILY_SHADES = {
  sam: "deep", usam: "deep", polyak: "deep", nesterov: "deep",
  topk: "mid", accuracy: "mid", heldOutAccuracy: "mid", gradK: "mid", samK: "deep",
};

/* ---------------------------------------------------------------- traces */

/** Everything a trace builder needs besides its line: run, its place (null when alone), view, colours. */
function context(state, run, place) {
  return { run, place, view: state.view, palette: state.palette, hidden: state.hidden };
}

function chartTraces(state, chart) {
  const runs = [...state.runs.values()];
  const pair = runs.length > 1;
  const traces = [...branchTraces(state, chart), ...(chart.ghost ? ghostOf(state) : []).map((ghost) => ghostTrace(state, chart, ghost))];
  runs.forEach((run, index) => {
    if (run.rows) traces.push(...runTraces(context(state, run, pair ? index : null), chart));
  });
  if (runs.length > 2 && !chart.wide) shortenLegend(traces, chart);
  if (chart.unitLine && state.span) traces.unshift(unitLine(state));
  return traces;
}

/** With many runs, only their main lines have an entry in the small charts, which have no room for all. */
function shortenLegend(traces, { lines }) {
  const minor = lines.filter((line) => !line.always).map((line) => ` ${line.name}`);
  for (const trace of traces) {
    if (minor.some((ending) => trace.legendgroup.endsWith(ending))) trace.showlegend = false;
  }
}

function runTraces(ctx, chart) {
  const lines = chart.lines.filter((line) => isDrawn(line, ctx) && !(chart.ownEdge && isOther(line, ctx)));
  const smoothed = ctx.view.smooth > 0 ? lines.filter((line) => line.smooth) : [];
  const widths = chart.band ? residuals(ctx, chart.band) : null;
  const raw = (line) => {
    const trace = rawTrace(ctx, line);
    return widths && line === chart.band ? { ...trace, ...residualHover(chart, widths) } : trace;
  };
  return [
    ...(widths ? [residualBand(ctx, chart, widths)] : []),
    ...lines.map((line) => (smoothed.includes(line) ? faintTrace(ctx, line) : raw(line))),
    ...smoothed.map((line) => smoothTrace(ctx, line)),
    ...(chart.measured ? notConverged(ctx) : []),
  ];
}

function isDrawn(line, { run, view }) {
  if (line.topK && !view.top_k) return false;
  const values = run.columns.get(line.column);
  return values !== undefined && (line.always || values.some(Number.isFinite));
}

/** 2/η beside the edge of another rule; where a run came from GD, it had been in force. */
function isOther(line, { run }) {
  return line.column === "gd_edge" && run.rule !== "gd";
}

function rawTrace(ctx, line) {
  const stroke = STROKES[line.role];
  // A dense oscillation in a bold line is a blob.
  const width = ctx.run.rows > 800 ? Math.min(stroke.width, 1.5) : stroke.width;
  const values = ctx.run.columns.get(line.column);
  return lineTrace(ctx, line, line.name, line.magnitude ? values.map(Math.abs) : values, width);
}

/** The raw line under its smoothed one: visible, and switched with it in the legend. */
function faintTrace(ctx, line) {
  const raw = rawTrace(ctx, line);
  return {
    ...raw, opacity: 0.28, showlegend: false, hoverinfo: "skip", hovertemplate: undefined,
    line: { ...raw.line, width: 1.2 },
  };
}

function smoothTrace(ctx, line) {
  const values = movingAverage(ctx.run.columns.get(line.column), ctx.view.smooth);
  return lineTrace(ctx, line, `${line.name} (smoothed)`, values, STROKES[line.role].width);
}

function lineTrace(ctx, line, name, y, width) {
  const color = lineColor(ctx, line.role);
  const short = ctx.run.rows < 40; // a single point draws no line
  const seldom = !short && ctx.place > 1 && Boolean(line.always); // six colours alone are hard to tell apart
  return {
    type: "scatter",
    mode: short || seldom ? "lines+markers" : "lines",
    name: suffixed(ctx, name),
    legendgroup: groupOf(ctx, line.name),
    x: ctx.run.x(ctx.view.x),
    y,
    yaxis: line.yaxis ?? "y",
    connectgaps: Boolean(line.connect),
    opacity: line.fade ?? 1,
    line: { color, width, dash: STROKES[line.role].dash, shape: line.shape ?? "linear" },
    marker: { color, size: 5, symbol: symbolOf(ctx), ...(seldom && { size: 7, maxdisplayed: MARKERS_A_LINE }) },
    hovertemplate: "%{y:.5~g}",
    visible: visibility(ctx, line.name),
  };
}

function lineColor({ place, palette }, role) {
  // 2/η is the same line for both runs of a pair: in one neutral colour they don't fight for it
  return place === null || role === "gd" ? palette[role] : familyOf(palette, place)[FAMILY_SHADES[role] ?? "strong"];
}

function familyOf({ families }, place) {
  return families[place % families.length];
}

const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "x", "star"];
const MARKERS_A_LINE = 12;

function symbolOf({ place }) {
  return SYMBOLS[(place ?? 0) % SYMBOLS.length];
}

function suffixed({ run, place }, name) {
  return place === null ? name : `${name} (${escapeHtml(run.label)})`;
}

/** Key of a legend choice: by place, not by run, so that it outlives a run. */
function groupOf({ place }, name) {
  return `${place ?? 0} ${name}`;
}

function visibility(ctx, name) {
  return ctx.hidden.has(groupOf(ctx, name)) ? "legendonly" : true;
}

/** Moving average with weight `w` on the past, started without bias; NaN stays NaN. */
function movingAverage(values, w) {
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return NaN;
    sum = w * sum + (1 - w) * value;
    weight = w * weight + (1 - w);
    return sum / weight;
  });
}

/**
 * ||Hv - θv|| in the units of a line, one a row (NaN where not measured): an eigenvalue lies within that
 * distance of the sharpness. Null where none is known.
 */
function residuals({ run }, { column }) {
  const [values, sharpness, known] = [column, "sharpness", "residual"].map((name) => run.columns.get(name));
  if (!values || !sharpness || !known?.some(Number.isFinite)) return null;
  return column === "sharpness" ? known : known.map((width, i) => width * (values[i] / sharpness[i]));
}

/** The hover text of a line with a band; it is explained once, where the sharpness itself is drawn. */
function residualHover({ measured }, widths) {
  const meaning = measured ? ` <i>(${BAND_MEANS})</i>` : "";
  return { customdata: widths, hovertemplate: `%{y:.5~g} ± %{customdata:.2~g}${meaning}` };
}

/**
 * The residual as a band around a line; most are thinner than the line itself, until one zooms in. All
 * bands are switched together, by one entry in the legend of the chart that explains them: legends of
 * small charts have no room.
 */
function residualBand(ctx, { band: line, measured }, widths) {
  const { run, view } = ctx;
  const values = run.columns.get(line.column);
  const rows = [];
  for (let i = 0; i < run.rows; i++) if (Number.isFinite(widths[i]) && Number.isFinite(values[i])) rows.push(i);
  const back = [...rows].reverse();
  const xs = run.x(view.x);
  // A log axis has no place for 0, so the lower rim stays a thousandth of the value.
  const lower = (i) => (view.log_y ? Math.max(values[i] - widths[i], values[i] * 1e-3) : values[i] - widths[i]);
  const color = lineColor(ctx, line.role);
  return {
    type: "scatter", mode: "lines", fill: "toself",
    line: { width: 0, color }, fillcolor: translucent(color, 0.3),
    name: BAND, legendgroup: BAND, legendrank: 1001, showlegend: Boolean(measured) && !ctx.place, hoverinfo: "skip",
    x: [...rows, ...back].map((i) => xs[i]),
    y: [...rows.map((i) => values[i] + widths[i]), ...back.map(lower)],
    // without its line it would mean nothing
    visible: visibility(ctx, line.name) === true && (ctx.hidden.has(BAND) ? "legendonly" : true),
  };
}

function notConverged(ctx) {
  const converged = ctx.run.columns.get("converged");
  const values = ctx.run.columns.get("sharpness");
  if (!converged || !values) return [];
  const rows = [];
  values.forEach((value, i) => Number.isFinite(value) && converged[i] === 0 && rows.push(i));
  if (!rows.length) return [];
  const xs = ctx.run.x(ctx.view.x);
  return [{
    type: "scatter", mode: "markers", name: suffixed(ctx, "not converged"),
    legendgroup: groupOf(ctx, "not converged"), hoverinfo: "skip",
    x: rows.map((i) => xs[i]), y: rows.map((i) => values[i]),
    marker: { symbol: `${symbolOf(ctx)}-open`, size: 8, color: ctx.palette.bad, line: { width: 1.6 } },
    visible: visibility(ctx, "not converged"),
  }];
}

/** The last replaced run, as a list of none or one; it is there to be compared with another. */
function ghostOf({ ghost, view, runs }) {
  return ghost && view.previous && runs.size ? [ghost] : [];
}

function ghostTrace(state, chart, run) {
  const { column, name } = chart.ghost;
  return greyTrace(state, run, column, name, `0 ${name}`);
}

/** The branches that were left by rewinding: one entry in the legend switches them in all charts. */
function branchTraces(state, chart) {
  const { column } = chart.ghost ?? chart.lines.find((line) => line.always);
  const branches = [...state.branches.values()].filter((run) => run.rows);
  return branches.map((run, index) => ({
    ...greyTrace(state, run, column, ABANDONED, ABANDONED), showlegend: index === 0,
  }));
}

function greyTrace(state, run, column, name, group) {
  const stroke = group === ABANDONED ? { width: 2, dash: "4px,2px" } : { width: 1.6 };
  return {
    type: "scatter", mode: "lines", name, legendgroup: group, connectgaps: true, hoverinfo: "skip",
    x: run.x(state.view.x), y: run.columns.get(column) ?? [], opacity: 0.65,
    line: { color: state.palette.ghost, ...stroke },
    visible: state.hidden.has(group) ? "legendonly" : true,
  };
}

/** The dashed line at 1: on or over the edge. */
function unitLine(state) {
  return {
    type: "scatter", mode: "lines", name: "edge", legendgroup: "0 edge", hoverinfo: "skip",
    x: state.span, y: [1, 1], line: { color: state.palette.gd, width: 1.8, dash: "dash" },
    visible: state.hidden.has("0 edge") ? "legendonly" : true,
  };
}

/** First and last x over runs, or null without rows. */
function xSpan(runs, quantity) {
  const columns = runs.filter((run) => run.rows).map((run) => run.x(quantity));
  if (!columns.length) return null;
  return [Math.min(...columns.map((xs) => xs[0])), Math.max(...columns.map((xs) => xs.at(-1)))];
}

/** First and last x of all that is drawn, the ghost and abandoned branches included. */
function fullSpan(state) {
  return xSpan([...state.runs.values(), ...state.branches.values(), ...ghostOf(state)], state.view.x);
}

/* ---------------------------------------------------------------- layout */

const MARGIN = { l: 66, r: 16, t: 34, b: 46 };
const LOSS_MARGIN_RIGHT = 62;

function chartLayout(state, chart, traces) {
  const { theme, zoom } = state;
  const empty = !traces.some((trace) => trace.name !== "edge" && trace.x.length);
  const axis = axisStyle(theme);
  const right = traces.some((trace) => trace.yaxis === "y2");
  const marks = empty ? [] : interventionMarks(state);
  const { span } = state;
  return {
    datarevision: state.revision, // the arrays grow in place, so Plotly cannot see that they changed
    autosize: true,
    margin: { ...MARGIN, r: right ? LOSS_MARGIN_RIGHT : MARGIN.r, pad: 0 },
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
    yaxis: yAxis(state, chart, axis, empty),
    ...(right && { yaxis2: rightAxis(axis) }),
    shapes: [...marks.map((mark) => markLine(mark, theme)), ...cursorLines(state)],
    annotations: empty
      ? [emptyNote(state)]
      : chart.marked ? markLabels(state, marks, state.charts.get(chart.name)) : [],
  };
}

function yAxis(state, chart, axis, empty) {
  const title = { text: chart.measured ? noted(state, chart.title) : chart.title, standoff: 8 };
  if (chart.unit) return { ...axis, title, range: [0, 1.02], fixedrange: true, dtick: 0.25 };
  if (empty) return { ...axis, title, range: [0, 1] };
  const log = isLog(state, chart);
  return {
    ...axis, title, type: log ? "log" : "linear", rangemode: log ? "normal" : "tozero", nticks: log ? 3 : 7,
    ...(log && { minor: { ticks: "outside", ticklen: 2 } }),
    ...fixedOrAuto(state.zoom.y.get(chart.name)?.range),
  };
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

function isLog(state, chart) {
  return Boolean(chart.log && state.view.log_y);
}

function fixedOrAuto(range) {
  return range ? { range: [...range], autorange: false } : { autorange: true };
}

function emptyNote({ runs, invitation, theme }) {
  const started = [...runs.values()].some((run) => run.rows);
  return {
    text: started ? "not measured" : invitation, xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false,
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

/* ---------------------------------------------------------------- drawing */

const CONFIG = {
  responsive: true,
  displaylogo: false,
  showSendToCloud: false,
  showTips: false, // its notice covers the legend
  doubleClick: false, // handled here, for all charts at once
};

/** Ask for a redraw: once, however many messages came; a hidden page draws when it is back. */
function scheduleDraw(state) {
  state.dirty = true;
  if (!state.frame && canDraw(state)) state.frame = requestAnimationFrame(() => drawNext(state));
}

function canDraw(state) {
  return state.plotly !== null && !document.hidden && !state.dragging;
}

/** Draw one chart a frame, so that the page stays fluid: all five take longer than a frame. */
function drawNext(state) {
  state.frame = 0;
  if (!canDraw(state)) return; // `dirty` or the queue bring it back
  if (!state.queue.length) beginPass(state);
  const chart = state.queue.shift();
  drawChart(state, chart);
  if (state.hover && state.hover.chart !== chart) hoverAt(state, chart, state.hover.x);
  if (state.queue.length || state.dirty) state.frame = requestAnimationFrame(() => drawNext(state));
}

function beginPass(state) {
  state.dirty = false;
  state.revision += 1;
  state.queue = [...state.set];
  state.span = fullSpan(state); // for the whole pass: rows may arrive between two charts
  dropStranded(state);
  state.follow.hidden = !isZoomed(state);
  showNumbers(state);
}

function drawChart(state, chart) {
  const gd = state.charts.get(chart.name);
  const traces = chartTraces(state, chart);
  // A configuration in every call would be compared each time, and a new button makes a new plot.
  const config = state.revision === 1 ? [chartConfig(state, chart)] : [];
  state.plotly.react(gd, traces, chartLayout(state, chart, traces), ...config);
}

function chartConfig(state, chart) {
  const file = { filename: `samedge-${chart.name.toLowerCase().replace(/\W+/g, "-")}`, scale: 2 };
  const svg = {
    name: "Download as SVG", icon: state.plotly.Icons.disk,
    click: (gd) => state.plotly.downloadImage(gd, { ...file, format: "svg", scale: 1 }),
  };
  const reset = { name: "Follow the run", icon: state.plotly.Icons.home, click: () => follow(state) };
  const modeBarButtons = [["toImage", svg], ["zoom2d", "pan2d", reset]];
  return { ...CONFIG, toImageButtonOptions: file, modeBarButtons };
}

/* ---------------------------------------------------------------- zoom, legend, hover */

function isZoomed({ zoom }) {
  return Boolean(zoom.x) || zoom.y.size > 0;
}

/** Undo zooming in all charts, so that they follow the run again. */
function follow(state) {
  state.zoom = { x: null, y: new Map() };
  scheduleDraw(state);
}

/** New runs that do not reach the zoomed range, or the cursor, would be drawn outside of the view. */
function dropStranded(state) {
  if (!state.replaced) return;
  const span = xSpan([...state.runs.values()], state.view.x);
  if (!span) return;
  state.replaced = false;
  if (state.zoom.x && span[1] < state.zoom.x[0]) state.zoom = { x: null, y: new Map() };
  if (state.cursor > lastStep(state)) {
    state.cursor = null;
    tell(state);
  }
}

/** Take over what the user did to one chart, and link the x axes. */
function onRelayout(state, chart, change) {
  if (Object.keys(change).every((key) => key.startsWith("shapes"))) return; // the cursor's line, moved by us
  const touched = (axis) => Object.keys(change).some((key) => key.startsWith(`${axis}.range`));
  const { layout } = state.charts.get(chart.name);
  if ("dragmode" in change) state.dragmode = change.dragmode;
  if (touched("yaxis")) state.zoom.y.set(chart.name, { range: [...layout.yaxis.range], byUser: true });
  if (touched("xaxis")) {
    state.zoom.x = [...layout.xaxis.range];
    fitOtherY(state);
  }
  scheduleDraw(state);
}

/** Fit y to the zoomed x range, once, in charts whose y the user has not set. */
function fitOtherY(state) {
  for (const chart of state.set) {
    if (chart.unit || state.zoom.y.get(chart.name)?.byUser) continue;
    const range = visibleRange(state.charts.get(chart.name).data, state.zoom.x, isLog(state, chart));
    if (range) state.zoom.y.set(chart.name, { range, byUser: false });
  }
}

/** Range of y over the traces within an x range, in axis units, with a margin; null if nothing is there. */
function visibleRange(traces, [from, to], log) {
  let low = Infinity;
  let high = -Infinity;
  for (const trace of traces) {
    if (trace.yaxis === "y2" || trace.visible === "legendonly") continue;
    for (let i = 0; i < trace.x.length; i++) {
      const y = log ? Math.log10(trace.y[i]) : trace.y[i];
      if (trace.x[i] < from || trace.x[i] > to || !Number.isFinite(y)) continue;
      low = Math.min(low, y);
      high = Math.max(high, y);
    }
  }
  if (low > high) return null;
  const margin = 0.06 * (high - low) || 0.1 * Math.abs(high) || 0.1;
  return [low - margin, high + margin];
}

/** Remember which legend entries are off; a group (raw and smoothed line) goes together. */
function onLegendChange(state, chart) {
  for (const trace of state.charts.get(chart.name).data) {
    if (trace.visible === "legendonly") state.hidden.add(trace.legendgroup);
    else if (trace.visible !== false) state.hidden.delete(trace.legendgroup);
  }
  scheduleDraw(state); // the residual's band goes with its line
}

function onHover(state, chart, event) {
  if (!event.event) return; // a hover that we made ourselves
  state.hover = { chart, x: event.xvals?.[0] ?? event.points[0].x };
  hoverOthers(state, chart, state.hover.x);
}

function hoverOthers(state, origin, x) {
  for (const chart of state.set) {
    if (chart !== origin) hoverAt(state, chart, x);
  }
}

function hoverAt(state, chart, x) {
  state.plotly.Fx.hover(state.charts.get(chart.name), { xval: x }, "xy");
}

function onUnhover(state, chart) {
  if (state.hover?.chart !== chart) return;
  state.hover = null;
  for (const other of state.set) if (other !== chart) state.plotly.Fx.unhover(state.charts.get(other.name));
}

/* ---------------------------------------------------------------- the cursor */

const CURSOR = "cursor";
const DOUBLE_CLICK_MS = 300; // as Plotly has it

/** Last step of the shown runs. */
function lastStep({ runs }) {
  return Math.max(...[...runs.values()].map((run) => run.lastStep));
}

/** Shown runs that have come to the cursor, with their place. */
function runsAtCursor({ runs, cursor }) {
  const placed = [...runs.values()].map((run, place) => ({ run, place }));
  return cursor === null ? [] : placed.filter(({ run }) => run.rowAt(cursor) >= 0 && run.lastStep >= cursor);
}

/** The lines at the cursor: one, but for runs that came to this step at another time or cost. */
function cursorLines(state) {
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

/**
 * Put the lines of one chart where they are now. All shapes at once: a new place for one of them would
 * make Plotly compute the whole chart anew, at ten times the cost.
 */
function moveLines(plotly, gd, lines) {
  const others = (gd.layout.shapes ?? []).filter(({ name }) => name !== CURSOR);
  plotly.relayout(gd, { shapes: [...others, ...lines] });
}

/** Put the cursor at a step, or nowhere (null); its lines and numbers follow in the next frame. */
function moveCursor(state, step) {
  state.cursor = step;
  state.cursorFrame ||= requestAnimationFrame(() => {
    state.cursorFrame = 0;
    showNumbers(state);
    if (!state.revision) return; // not drawn yet
    const lines = cursorLines(state);
    for (const gd of state.charts.values()) moveLines(state.plotly, gd, lines);
  });
}

function showNumbers(state) {
  if (!state.scrubber) return;
  const runs = [...state.runs.values()];
  const colour = (place) => (runs.length > 1 ? familyOf(state.palette, place).strong : "");
  const rows = runs.map((run, place) => ({ run, color: colour(place) })).filter(({ run }) => run.rows);
  drawScrubber(state.scrubber, rows, state.cursor);
}

/** The first of two clicks sets the cursor at once; the second takes that back: it undoes zooming. */
function onChartClick(state, x) {
  const { click } = state;
  clearTimeout(click?.timer);
  state.click = null;
  if (click) {
    moveCursor(state, click.before);
    return;
  }
  const runs = [...state.runs.values()].filter((run) => run.rows);
  if (!runs.length) return;
  const reached = runs.find((run) => run.x(state.view.x).at(-1) >= x) ?? runs[0];
  const timer = setTimeout(() => {
    state.click = null;
    tell(state);
  }, DOUBLE_CLICK_MS);
  state.click = { before: state.cursor, timer };
  moveCursor(state, reached.stepAt(x, state.view.x));
}

/** Tell the server where the cursor has come to rest. */
function tell(state) {
  if (state.told === state.cursor) return;
  state.told = state.cursor;
  state.send("cursor", state.cursor);
}

/** The server may place the cursor too: each new count is obeyed once. */
function adoptCursor(state, cursor) {
  if (!cursor || cursor.count === state.obeyed) return;
  state.obeyed = cursor.count;
  moveCursor(state, cursor.step);
}

/* ---------------------------------------------------------------- messages from the server */

const RESYNC_AGAIN_MS = 3000; // an answer can be lost like any other message

/** Take in a message; returns whether there is anything new to draw. */
function receive(state, data, askForAll) {
  const viewChanged = applyView(state, data.view);
  const ids = (abandoned) => data.runs.filter((run) => run.abandoned === abandoned).map((run) => run.id);
  const branchesChanged = adoptBranches(state, ids(true));
  const runsChanged = adoptRuns(state, ids(false));
  adoptCursor(state, data.cursor);
  const bufferOf = ({ abandoned, id }) => (abandoned ? state.branches : state.runs).get(id);
  const outcomes = data.runs.map((update) => bufferOf(update).accept(update));
  state.lacking = outcomes.includes("gap");
  if (state.lacking) requestAll(state, askForAll);
  return viewChanged || branchesChanged || runsChanged || outcomes.includes("new");
}

function applyView(state, view) {
  const old = state.view;
  if (JSON.stringify(old) === JSON.stringify(view)) return false;
  state.view = view;
  if (old && (old.x !== view.x || old.fit !== view.fit)) state.zoom = { x: null, y: new Map() };
  if (old && old.log_y !== view.log_y) {
    state.zoom.y.clear(); // its units changed
    if (state.zoom.x && state.plotly) fitOtherY(state);
  }
  return true;
}

/** Make the abandoned branches those of the message; each has a buffer apart from the run's own. */
function adoptBranches(state, ids) {
  const same = ids.length === state.branches.size && ids.every((id) => state.branches.has(id));
  state.branches = new Map(ids.map((id) => [id, state.branches.get(id) ?? new RunBuffer(id)]));
  if (ids.includes(state.ghost?.id)) state.ghost = null;
  return !same;
}

/** Make the shown runs those of the message; a replaced run becomes the ghost, others are forgotten. */
function adoptRuns(state, ids) {
  const gone = [...state.runs.values()].filter((run) => !ids.includes(run.id));
  const come = ids.filter((id) => !state.runs.has(id));
  if (!gone.length && !come.length) return false;
  const leaving = gone.findLast((run) => run.rows > 1 && !state.branches.has(run.id));
  // No run at all is a pause between two runs: the one that left is the ghost of the next.
  if (leaving && (come.length || !ids.length)) state.ghost = leaving;
  state.replaced = come.length > 0;
  const known = (id) => state.runs.get(id) ?? (state.ghost?.id === id ? state.ghost : new RunBuffer(id));
  state.runs = new Map(ids.map((id) => [id, known(id)]));
  if (ids.includes(state.ghost?.id)) state.ghost = null;
  return true;
}

/** Ask, and ask again while the answer does not come: messages that say the same are not delivered twice. */
function requestAll(state, askForAll) {
  if (state.asking) return;
  askForAll([...state.runs.values()].map(({ id, have }) => ({ id, have })));
  state.asking = setTimeout(() => {
    state.asking = 0;
    if (state.lacking && !state.abort.signal.aborted) requestAll(state, askForAll);
  }, RESYNC_AGAIN_MS);
}

/* ---------------------------------------------------------------- mounting */

const STYLE = `
.samedge-live { container-type: inline-size; position: relative; }
.samedge-grid { display: grid; grid-template-columns: 1fr 1fr; gap: ${GAP}px; }
.samedge-grid > div { height: ${SHORT}px; min-width: 0; contain: strict; }
.samedge-even > div { height: ${EVEN}px; }
.samedge-grid > .samedge-wide { grid-column: 1 / -1; height: ${TALL}px; }
@container (max-width: 899px) { .samedge-grid { grid-template-columns: 1fr; } }
.samedge-follow { position: absolute; top: ${TALL - 84}px; right: 28px; z-index: 5; padding: 2px 12px;
  font: inherit; font-size: 13px; border-radius: 999px; cursor: pointer; color: var(--st-text-color, inherit);
  background: var(--st-secondary-background-color, #eee); border: 1px solid var(--st-border-color, #999); }
.samedge-follow[hidden] { display: none; }
${SCRUBBER_STYLE}`;

/** State of each mounted component; Streamlit keeps the element while it stays mounted. */
const mounted = new WeakMap();

const takeOver = memory([
  "runs", "branches", "ghost", "view", "zoom", "hidden", "dragmode", "cursor", "obeyed",
]);

/** Called by Streamlit through the bootstrap of assets.py, at every message and change of theme. */
export function update({ parentElement, data, setStateValue, setTriggerValue }) {
  let state = mounted.get(parentElement);
  if (!state) mounted.set(parentElement, (state = takeOver(data.key, mount(parentElement, data))));
  state.send = setStateValue;
  const theme = readTheme(parentElement);
  const themed = JSON.stringify(theme) !== JSON.stringify(state.theme);
  state.theme = theme;
  state.palette = theme.dark ? DARK : LIGHT;
  const news = receive(state, data, (have) => setTriggerValue("resync", have));
  if (news || themed) scheduleDraw(state);
  if (!state.click && !state.scrubber?.held) tell(state); // after a remount, or when the server placed it
}

/** Clean up. Streamlit may call this while the element stays: only what has left the page is purged. */
export function release(parentElement) {
  setTimeout(() => {
    const state = mounted.get(parentElement);
    if (!state || parentElement.isConnected) return;
    state.abort.abort();
    state.observer?.disconnect();
    cancelAnimationFrame(state.frame);
    cancelAnimationFrame(state.cursorFrame);
    clearTimeout(state.click?.timer);
    for (const gd of state.charts.values()) state.plotly?.purge(gd);
    mounted.delete(parentElement);
  });
}

function mount(host, { charts: name, cursor }) {
  const { set, invitation } = CHART_SETS[name];
  addStyle("samedge-live-style", STYLE);
  const root = element("div", "samedge-live");
  const grid = element("div", "samedge-grid");
  const followButton = element("button", "samedge-follow");
  followButton.textContent = "Zoomed – double-click to follow";
  followButton.hidden = true;
  if (!set.some((chart) => chart.wide)) grid.classList.add("samedge-even");
  const charts = new Map(set.map((chart) => [chart.name, figure(chart)]));
  grid.append(...charts.values());
  root.append(grid, followButton);
  host.replaceChildren(root);
  host.style.minHeight = ""; // set by the bootstrap, until the charts hold their own height
  const state = {
    set, invitation, charts, follow: followButton, abort: new AbortController(), observer: null, plotly: null,
    runs: new Map(), branches: new Map(), ghost: null, replaced: false, lacking: false, asking: 0,
    view: null, theme: null, palette: null, zoom: { x: null, y: new Map() }, hidden: new Set(),
    dragmode: "zoom", hover: null, dragging: false, frame: 0, queue: [], dirty: false, revision: 0, span: null,
    cursor: null, obeyed: 0, told: null, click: null, cursorFrame: 0, scrubber: null, send: null,
  };
  if (cursor) addScrubber(state, root);
  listen(state, grid);
  loadPlotly().then((plotly) => start(state, plotly), () => {
    root.textContent = "The charts could not be loaded: plotly.min.js is missing. Restart the app.";
  });
  return state;
}

function figure(chart) {
  const gd = element("div", chart.wide ? "samedge-wide" : "");
  gd.setAttribute("role", "figure");
  gd.setAttribute("aria-label", chart.name);
  return gd;
}

function addScrubber(state, root) {
  state.scrubber = makeScrubber({
    moved: (step) => moveCursor(state, step),
    settled: () => tell(state),
    signal: state.abort.signal,
  });
  root.append(state.scrubber.root);
  document.addEventListener("keydown", (event) => {
    const ours = event.target === document.body || root.contains(event.target);
    if (event.key !== "Escape" || !ours || state.cursor === null) return;
    moveCursor(state, null);
    tell(state);
  }, { signal: state.abort.signal });
}

function listen(state, grid) {
  const { signal } = state.abort;
  const resume = () => {
    if (state.dirty || state.queue.length) scheduleDraw(state);
  };
  state.follow.addEventListener("click", () => follow(state), { signal });
  document.addEventListener("visibilitychange", resume, { signal });
  // A redraw under a drag would end it: wait for the button to be released.
  grid.addEventListener("pointerdown", () => { state.dragging = true; }, { signal, capture: true });
  for (const type of ["pointerup", "pointercancel", "blur"]) {
    window.addEventListener(type, () => { state.dragging = false; resume(); }, { signal });
  }
}

/** First draw, then events: Plotly adds its `on` to the element at the first draw. */
function start(state, plotly) {
  if (state.abort.signal.aborted) return; // released while Plotly was loading
  state.plotly = plotly;
  beginPass(state);
  for (const chart of state.queue.splice(0)) {
    drawChart(state, chart);
    const gd = state.charts.get(chart.name);
    gd.on("plotly_relayout", (change) => onRelayout(state, chart, change));
    gd.on("plotly_restyle", () => onLegendChange(state, chart));
    gd.on("plotly_doubleclick", () => follow(state));
    gd.on("plotly_hover", (event) => onHover(state, chart, event));
    gd.on("plotly_unhover", () => onUnhover(state, chart));
    if (state.scrubber) onClick(gd, state.abort.signal, ({ x }) => onChartClick(state, x));
  }
  state.observer = new ResizeObserver((entries) => {
    for (const { target } of entries) if (target.offsetParent) plotly.Plots.resize(target);
  });
  for (const gd of state.charts.values()) state.observer.observe(gd);
}
