/**
 * Figures that answer to sliders. The server sends whole Plotly figures (see pages/parts/components/figures.py);
 * here they are given the theme, drawn with Plotly.react so that nothing is mounted anew, and kept at
 * the zoom that the reader has chosen. Traces that carry `meta.step` can be played and scrubbed
 * without asking the server.
 */

const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url));
const { DARK, LIGHT, axisStyle, channels, readTheme, translucent } = await part("theme.js");
const { lowerBound } = await part("buffer.js");
const { addStyle, element, loadPlotly, memory, onClick, shownNumber } = await part("page.js");

/* ---------------------------------------------------------------- what the server sends */

const ARRAYS = { f4: Float32Array, f8: Float64Array, u1: Uint8Array };

function decodeArray(type, { [type]: text, columns }) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const values = new ARRAYS[type](bytes.buffer);
  if (!columns) return values;
  return Array.from({ length: values.length / columns }, (_, i) => values.subarray(i * columns, (i + 1) * columns));
}

/** A colour of the theme by its name, "@sam" or, with an opacity, "@sam/0.3". */
function colour(token, { palette, theme }) {
  const [name, alpha] = token.slice(1).split("/");
  const found = palette[name] ?? theme[name];
  return alpha ? translucent(found, Number(alpha)) : found;
}

/** A copy of what the server sent, with arrays decoded and colours of the theme. */
function resolve(value, look) {
  if (typeof value === "string") return value.startsWith("@") ? colour(value, look) : value;
  if (Array.isArray(value)) return value.map((item) => resolve(item, look));
  if (value === null || typeof value !== "object") return value;
  const type = Object.keys(ARRAYS).find((name) => name in value);
  if (type) return decodeArray(type, value);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, look)]));
}

/* ---------------------------------------------------------------- steps */

/** Steps that are shown: the last one is the place of the scrubber. */
function currentStep({ scrub, at }) {
  if (!scrub) return Infinity;
  return at >= scrub.steps.length - 1 ? Infinity : scrub.steps[at];
}

/** The part of a trace up to a step, or of its last `meta.trail` steps. */
function upTo(trace, step) {
  const steps = trace.meta?.step;
  if (!steps?.length) return trace;
  const end = Math.min(step, steps.at(-1));
  const first = trace.meta.trail ? lowerBound(steps, end - trace.meta.trail + 1) : 0;
  const past = lowerBound(steps, end + 1);
  return { ...trace, x: trace.x.slice(first, past), y: trace.y.slice(first, past) };
}

/* ---------------------------------------------------------------- rasters */

/**
 * A coloured grid as an image under the traces: a tenth of the time of a Plotly heat map, which paints
 * every pixel of the screen itself. Row 0 is at the bottom; on a log axis the grid is even in logs.
 */
function rasterImage({ z, x, y, stops }) {
  const canvas = element("canvas");
  [canvas.width, canvas.height] = [z[0].length, z.length];
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const scale = stops.map(([value, color]) => [value, channels(color)]);
  let at = 0;
  for (let row = z.length - 1; row >= 0; row--) {
    for (const value of z[row]) {
      image.data.set(between(scale, value), at);
      at += 4;
    }
  }
  context.putImageData(image, 0, 0);
  return {
    source: canvas.toDataURL(), xref: "x", yref: "y", x: x[0], y: y[1], sizex: x[1] - x[0], sizey: y[1] - y[0],
    sizing: "stretch", layer: "below",
  };
}

function between(scale, value) {
  const above = scale.findIndex(([stop]) => value <= stop);
  if (above <= 0) return scale.at(above)[1]; // at or below the first stop, or above the last
  const [[low, a], [high, b]] = [scale[above - 1], scale[above]];
  const share = (value - low) / (high - low);
  return a.map((channel, i) => channel + (b[i] - channel) * share);
}

/* ---------------------------------------------------------------- drawing */

function scheduleDraw(state) {
  state.frame ||= requestAnimationFrame(() => {
    state.frame = 0;
    if (state.plotly && state.sent) drawAll(state);
  });
}

function drawAll(state) {
  const step = currentStep(state);
  for (const figure of state.figures) {
    const gd = state.plots.get(figure.name);
    const traces = figure.traces.map((trace) => upTo(trace, step));
    for (const trace of traces) {
      if (state.hidden.has(`${figure.name} ${trace.legendgroup ?? trace.name}`)) trace.visible = "legendonly";
    }
    const first = !gd.classList.contains("js-plotly-plot");
    state.plotly.react(gd, traces, layoutOf(state, figure, step), ...(first ? [configOf(state, figure)] : []));
    if (first) listenToPlot(state, figure.name, gd);
  }
  drawScrubber(state);
}

function layoutOf(state, figure, step) {
  const { theme, font } = state;
  const layout = merge(baseLayout(theme, font, axesOf(figure.layout)), figure.layout);
  layout.images = figure.images;
  for (const [axis, range] of state.zoom.get(figure.name) ?? []) {
    layout[axis] = { ...layout[axis], range: [...range], autorange: false };
  }
  if (figure.cursor && Number.isFinite(step)) layout.shapes = [...(layout.shapes ?? []), cursorLine(step, theme)];
  return layout;
}

function cursorLine(step, theme) {
  return {
    type: "line", xref: "x", yref: "paper", x0: step, x1: step, y0: 0, y1: 1,
    line: { color: theme.mark, width: 1.5, dash: "dot" },
  };
}

function baseLayout(theme, size, axes) {
  const axis = { ...axisStyle(theme), tickfont: { size }, title: { standoff: 6, font: { size } } };
  return {
    autosize: true, paper_bgcolor: theme.background, plot_bgcolor: theme.background,
    margin: { l: 46 + 1.5 * size, r: 14, t: 20 + size, b: 22 + 1.6 * size },
    font: { family: theme.font, size, color: theme.text },
    hoverlabel: { bgcolor: translucent(theme.panel, 0.95), bordercolor: theme.border, font: { size, color: theme.text } },
    legend: {
      orientation: "h", x: 0, xanchor: "left", y: 1.01, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)",
      itemwidth: 30, font: { size }, traceorder: "normal",
    },
    ...Object.fromEntries(axes.map((name) => [name, { ...axis }])),
  };
}

function axesOf(layout) {
  return Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
}

function merge(base, over) {
  if (!isPlain(base) || !isPlain(over)) return over ?? base;
  const keys = new Set([...Object.keys(base), ...Object.keys(over)]);
  return Object.fromEntries([...keys].map((key) => [key, key in over ? merge(base[key], over[key]) : base[key]]));
}

function isPlain(value) {
  return value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype;
}

function configOf(state, figure) {
  const file = { filename: `samedge-${figure.name.toLowerCase().replace(/\W+/g, "-")}`, scale: 2 };
  const home = { name: "Reset the view", icon: state.plotly.Icons.home, click: () => resetZoom(state, figure.name) };
  return {
    responsive: true, displaylogo: false, showSendToCloud: false, showTips: false, doubleClick: false,
    toImageButtonOptions: file, modeBarButtons: [["toImage"], ["zoom2d", "pan2d", home]],
  };
}

/* ---------------------------------------------------------------- zoom, legend, clicks */

function resetZoom(state, name) {
  state.zoom.delete(name);
  scheduleDraw(state);
}

function listenToPlot(state, name, gd) {
  gd.on("plotly_relayout", (change) => {
    const axes = new Set(Object.keys(change).map((key) => key.match(/^([xy]axis\d*)\.range/)?.[1]).filter(Boolean));
    const zoom = state.zoom.get(name) ?? new Map();
    for (const axis of axes) zoom.set(axis, [...gd.layout[axis].range]);
    if (axes.size) state.zoom.set(name, zoom);
  });
  gd.on("plotly_restyle", () => {
    for (const trace of gd.data) {
      const entry = `${name} ${trace.legendgroup ?? trace.name}`;
      if (trace.visible === "legendonly") state.hidden.add(entry);
      else state.hidden.delete(entry);
    }
  });
  gd.on("plotly_doubleclick", () => {
    if (!figureOf(state, name)?.click) resetZoom(state, name); // there, each click has set a point
  });
  onClick(gd, state.abort.signal, (at) => {
    if (figureOf(state, name)?.click) state.send("clicked", { figure: name, ...at });
  });
}

function figureOf(state, name) {
  return state.figures.find((figure) => figure.name === name);
}

/* ---------------------------------------------------------------- the scrubber */

const PLAY_SECONDS = [1.5, 6]; // a few steps go slowly enough to follow, many do not bore
const SECONDS_A_STEP = 0.15;

function play(state) {
  const last = state.scrub.steps.length - 1;
  const from = state.at >= last ? 0 : state.at;
  const seconds = Math.min(Math.max(last * SECONDS_A_STEP, PLAY_SECONDS[0]), PLAY_SECONDS[1]);
  const began = performance.now();
  const advance = (now) => {
    if (!state.playing) return;
    state.at = Math.min(last, from + Math.floor(((now - began) / 1000 / seconds) * last));
    drawAll(state);
    state.playing = state.at < last ? requestAnimationFrame(advance) : 0;
    if (!state.playing) drawScrubber(state);
  };
  state.playing = requestAnimationFrame(advance);
}

function stopPlaying(state) {
  cancelAnimationFrame(state.playing);
  state.playing = 0;
}

function makeScrubber(state) {
  const root = element("div", "samedge-scrub");
  const button = element("button", "samedge-play");
  const range = element("input");
  const label = element("output");
  const table = element("table", "samedge-readout");
  Object.assign(range, { type: "range", min: 0, step: 1 });
  range.setAttribute("aria-label", "Step shown");
  button.addEventListener("click", () => {
    if (state.playing) stopPlaying(state);
    else play(state);
    drawScrubber(state);
  });
  range.addEventListener("input", () => {
    stopPlaying(state);
    state.at = Number(range.value);
    drawAll(state);
  });
  const row = element("div", "samedge-scrub-row");
  row.append(button, range, label);
  root.append(row, table);
  return { root, button, range, label, table };
}

function drawScrubber(state) {
  const { scrub, scrubber, at } = state;
  scrubber.root.hidden = !scrub;
  if (!scrub) return;
  const last = scrub.steps.length - 1;
  const index = Math.min(at, last);
  scrubber.button.textContent = state.playing ? "❚❚ Hold" : "▶ Play";
  scrubber.button.setAttribute("aria-label", state.playing ? "Hold the steps" : "Play the steps");
  scrubber.range.max = last;
  scrubber.range.value = index;
  const count = (step) => step.toLocaleString("en");
  scrubber.label.textContent = `step ${count(scrub.steps[index])} of ${count(scrub.steps[last])}`;
  scrubber.table.replaceChildren(...readout(state, index));
}

/** The numbers at the step shown: a row for each rule. */
function readout({ scrub, look }, index) {
  const cell = (tag, text) => Object.assign(element(tag), { textContent: text });
  const head = element("tr");
  head.append(cell("th", ""), ...scrub.columns.map((name) => cell("th", name)));
  const rows = scrub.rows.map(({ label, color, values }) => {
    const row = element("tr");
    const name = cell("th", label);
    name.style.color = resolve(color, look);
    row.append(name, ...values.map((column) => cell("td", shownNumber(column[index]))));
    return row;
  });
  return [head, ...rows];
}

/* ---------------------------------------------------------------- mounting */

const STYLE = `
.samedge-figures { container-type: inline-size; }
.samedge-figures-grid { display: grid; grid-template-columns: repeat(6, 1fr); gap: 8px; }
.samedge-figures-grid > div { min-width: 0; overflow: hidden; }
@container (max-width: 56rem) { .samedge-figures-grid > div { grid-column: 1 / -1 !important; grid-row: auto !important; } }
.samedge-scrub-row { display: flex; align-items: center; gap: 12px; margin: 6px 4px; }
.samedge-scrub[hidden] { display: none; }
.samedge-scrub input { flex: 1; accent-color: var(--st-primary-color); }
.samedge-scrub output { min-width: 11em; font-variant-numeric: tabular-nums; }
.samedge-play { font: inherit; padding: 3px 14px; border-radius: 8px; cursor: pointer; min-width: 6em;
  color: var(--st-text-color); background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color, #999); }
.samedge-readout { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 0 4px 4px; }
.samedge-readout th { font-weight: 600; text-align: left; padding: 2px 18px 2px 0; }
.samedge-readout td { padding: 2px 18px 2px 0; min-width: 6em; border-top: 1px solid var(--st-border-color, #9994); }
`;

const mounted = new WeakMap();

const takeOver = memory(["scene", "at", "scrub", "zoom", "hidden"]);

/** Called by Streamlit through the bootstrap of assets.py, at every message and change of theme. */
export function update({ parentElement, data, setTriggerValue }) {
  let state = mounted.get(parentElement);
  if (!state) mounted.set(parentElement, (state = takeOver(data.key, mount(parentElement))));
  state.send = setTriggerValue;
  state.theme = readTheme(parentElement);
  state.palette = state.theme.dark ? DARK : LIGHT;
  state.look = { theme: state.theme, palette: state.palette };
  receive(state, data);
  scheduleDraw(state);
}

/** Clean up. Streamlit may call this while the element stays: only what has left the page is purged. */
export function release(parentElement) {
  setTimeout(() => {
    const state = mounted.get(parentElement);
    if (!state || parentElement.isConnected) return;
    stopPlaying(state);
    cancelAnimationFrame(state.frame);
    state.abort.abort();
    state.observer.disconnect();
    for (const gd of state.plots.values()) state.plotly?.purge(gd);
    mounted.delete(parentElement);
  });
}

function receive(state, data) {
  const wasAtEnd = !state.scrub || state.at >= state.scrub.steps.length - 1;
  if (state.scene !== data.scene) {
    state.scene = data.scene; // another part of the page: its figures start afresh
    state.at = Infinity;
    stopPlaying(state);
  }
  state.sent = data;
  state.font = data.font;
  state.figures = data.figures.map((figure) => ({
    ...figure,
    traces: resolve(figure.traces, state.look),
    layout: resolve(figure.layout, state.look),
    images: figure.rasters.map((raster) => rasterImage(resolve(raster, state.look))),
  }));
  state.scrub = data.scrub && {
    ...data.scrub,
    steps: resolve(data.scrub.steps, state.look),
    rows: data.scrub.rows.map((row) => ({ ...row, values: resolve(row.values, state.look) })),
  };
  if (wasAtEnd && !state.playing) state.at = Infinity;
  arrange(state);
}

/** One element for each figure, in order; those that are gone are purged. */
function arrange(state) {
  const wanted = new Set(state.figures.map(({ name }) => name));
  for (const [name, gd] of state.plots) {
    if (wanted.has(name)) continue;
    state.observer.unobserve(gd);
    state.plotly?.purge(gd);
    gd.remove();
    state.plots.delete(name);
    state.zoom.delete(name);
  }
  const scale = 0.5 + state.font / 28; // room for larger text
  state.figures.forEach(({ name, columns, rows, height }, order) => {
    const gd = state.plots.get(name) ?? addPlot(state, name);
    const place = { order, gridColumn: `span ${columns}`, gridRow: `span ${rows}` };
    Object.assign(gd.style, { ...place, height: `${height * scale}px` });
  });
  state.scrubber.root.style.fontSize = `${state.font}px`;
}

function addPlot(state, name) {
  const gd = element("div");
  gd.setAttribute("role", "figure");
  gd.setAttribute("aria-label", name);
  state.plots.set(name, gd);
  state.grid.append(gd);
  state.observer.observe(gd);
  return gd;
}

function mount(host) {
  addStyle("samedge-figures-style", STYLE);
  const root = element("div", "samedge-figures");
  const grid = element("div", "samedge-figures-grid");
  const state = {
    grid, plotly: null, frame: 0, sent: null, scene: null, figures: [], plots: new Map(), font: 14,
    scrub: null, at: Infinity, playing: 0, zoom: new Map(), hidden: new Set(), abort: new AbortController(),
    theme: null, palette: null, look: null, send: null, observer: null, scrubber: null,
  };
  state.observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.offsetParent && target.classList.contains("js-plotly-plot")) state.plotly.Plots.resize(target);
    }
  });
  state.scrubber = makeScrubber(state);
  root.append(grid, state.scrubber.root);
  host.replaceChildren(root);
  host.style.minHeight = "";
  loadPlotly().then((plotly) => {
    if (state.abort.signal.aborted) return;
    state.plotly = plotly;
    scheduleDraw(state);
  }, () => {
    root.textContent = "The figures could not be loaded: plotly.min.js is missing. Restart the app.";
  });
  return state;
}
