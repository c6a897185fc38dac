/**
 * Figures that answer to sliders. The server sends whole Plotly figures (see pages/parts/components/figures.py);
 * here they are given the theme, drawn with Plotly.react so that nothing is mounted anew, and kept at
 * the zoom that the reader has chosen. Traces that carry `meta.step` can be played and scrubbed
 * without asking the server.
 */

/** @import { Component, Figure, FiguresData, FiguresState, Look, Options, Part } from "./types.d.ts" */
/** @import { Plot, Plotly, Raster, Theme, Trace } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
// ask for all at once: below, each waits for the one before
const PARTS = /** @type {const} */ (["theme.js", "buffer.js", "decode.js", "page.js", "plot.js", "summary.js", "touch.js", "player.js"]);
PARTS.forEach(part);
const { axisStyle, baseLayout, channels, enlarged, readLook, translucent } = await part("theme.js");
const { lowerBound } = await part("buffer.js");
const { decode } = await part("decode.js");
const { addStyle, element, fill, lifecycle, memory } = await part("page.js");
const { loadPlotly, onClick, plotConfig, plotElement } = await part("plot.js");
const { describe } = await part("summary.js");
const { onTouch } = await part("touch.js");
const { PLAYER_STYLE, currentStep, drawPlayer, makePlayer, stopPlaying } = await part("player.js");

/* ---------------------------------------------------------------- what the server sends */

/** A colour of the theme by its name, "@sam" or, with an opacity, "@sam/0.3"; other texts as they are. */
function coloured(/** @type {string} */ text, /** @type {Look} */ { palette, theme }) {
  if (!text.startsWith("@")) return text;
  const [name, alpha] = text.slice(1).split("/");
  const found = palette[name] ?? theme[/** @type {keyof Theme} */ (name)] ?? text;
  return alpha ? translucent(found, Number(alpha)) : found;
}

/**
 * The part of a trace up to a step, or of its last `meta.trail` steps.
 * @type {(trace: Trace, step: number) => Trace}
 */
function upTo(trace, step) {
  const steps = trace.meta?.step;
  if (!steps?.length) return trace;
  const end = Math.min(step, steps.at(-1));
  const first = trace.meta.trail ? lowerBound(steps, end - trace.meta.trail + 1) : 0;
  const past = lowerBound(steps, end + 1);
  return { ...trace, x: trace.x.slice(first, past), y: trace.y.slice(first, past) };
}

/* ---------------------------------------------------------------- rasters */

/** @typedef {[value: number, channels: number[]][]} Scale colours by value, growing */

/**
 * A raster as an image of a layout; painted anew only where its grid or its colours differ from those of before,
 * as a slider seldom changes them. `coded`: the grid as it was sent.
 * @type {(state: FiguresState, name: string, raster: Raster, coded: unknown) => Options}
 */
function illustrated({ painted }, name, { z, x, y, stops }, coded) {
  const key = JSON.stringify([coded, stops]);
  if (painted.get(name)?.key !== key) painted.set(name, { key, source: rasterSource(z, stops) });
  return {
    source: painted.get(name)?.source, xref: "x", yref: "y", x: x[0], y: y[1], sizex: x[1] - x[0], sizey: y[1] - y[0],
    sizing: "stretch", layer: "below",
  };
}

/**
 * A coloured grid as an image under the traces: a tenth of the time of a Plotly heat map, which paints
 * every pixel of the screen itself. Row 0 is at the bottom; on a log axis the grid is even in logs.
 */
function rasterSource(/** @type {Raster["z"]} */ z, /** @type {Raster["stops"]} */ stops) {
  const canvas = element("canvas");
  [canvas.width, canvas.height] = [z[0].length, z.length];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(canvas.width, canvas.height);
  /** @type {Scale} */
  const scale = stops.map(([value, color]) => [value, channels(color)]);
  let at = 0;
  for (const row of z.toReversed()) {
    for (const value of Array.from(row)) {
      image.data.set(colourAt(scale, value), at);
      at += 4;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

/** The channels of a value, between those of its neighbours. */
function colourAt(/** @type {Scale} */ scale, /** @type {number} */ value) {
  const above = scale.findIndex(([stop]) => value <= stop);
  if (above === 0) return scale[0][1];
  if (above < 0) return scale[scale.length - 1][1];
  const [[low, a], [high, b]] = [scale[above - 1], scale[above]];
  const share = (value - low) / (high - low);
  return a.map((channel, i) => channel + (b[i] - channel) * share);
}

/* ---------------------------------------------------------------- drawing */

const FONT = 14;

function scheduleDraw(/** @type {FiguresState} */ state) {
  state.frame ||= requestAnimationFrame(() => {
    state.frame = 0;
    drawAll(state);
  });
}

function drawAll(/** @type {FiguresState} */ state) {
  const { plotly } = state;
  if (!plotly) return;
  const step = currentStep(state);
  for (const figure of state.figures) {
    const { name } = figure;
    const plot = state.plots.get(name) ?? addPlot(state, name);
    const traces = figure.traces.map((trace) => enlarged(upTo(trace, step), state.theme));
    const layout = layoutOf(state, figure, step);
    for (const trace of traces) if (state.hidden.has(entryOf(name, trace))) trace.visible = "legendonly";
    const first = !plot.classList.contains("js-plotly-plot");
    const config = first ? [plotConfig(plotly, name, "Reset the view", () => resetZoom(state, name))] : [];
    plotly.react(plot, traces, layout, ...config);
    describe(plot, traces, layout, figure.summary);
    if (first) listenToPlot(state, plotly, figure, plot);
  }
  drawPlayer(state.player, state);
}

/** Key of a legend choice. */
function entryOf(/** @type {string} */ figure, /** @type {Trace} */ trace) {
  return `${figure} ${trace.legendgroup ?? trace.name}`;
}

/** @type {(state: FiguresState, figure: FiguresState["figures"][number], step: number) => Options} */
function layoutOf({ theme, zoom }, figure, step) {
  const layout = merge(ownLayout(theme, FONT * theme.scale, figure.layout), figure.layout);
  for (const axis of axesOf(layout)) if (layout[axis].type === "log") layout[axis].title.text += " (log)";
  layout.images = figure.images;
  for (const [axis, range] of zoom.get(figure.name) ?? []) {
    layout[axis] = { ...layout[axis], range: [...range], autorange: false };
  }
  if (figure.cursor && Number.isFinite(step)) layout.shapes = [...(layout.shapes ?? []), cursorLine(step, theme)];
  return layout;
}

function cursorLine(/** @type {number} */ step, /** @type {Theme} */ theme) {
  return {
    type: "line", xref: "x", yref: "paper", x0: step, x1: step, y0: 0, y1: 1,
    line: { color: theme.mark, width: 1.5, dash: "dot" },
  };
}

/**
 * What a layout has where the server has not said otherwise.
 * @type {(theme: Theme, size: number, layout: Options) => Options}
 */
function ownLayout(theme, size, layout) {
  const axis = { ...axisStyle(theme), tickfont: { size }, title: { standoff: 6, font: { size } } };
  return {
    ...baseLayout(theme, size),
    margin: { l: 46 + 1.5 * size, r: 14, t: 20 + size, b: 22 + 1.6 * size },
    ...Object.fromEntries(axesOf(layout).map((name) => [name, axis])),
  };
}

function axesOf(/** @type {Options} */ layout) {
  return Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
}

/** A copy of `base` in which the values of `over` stand, at any depth. @type {(base: any, over: any) => any} */
function merge(base, over) {
  if (!isPlain(base) || !isPlain(over)) return over ?? base;
  const keys = new Set([...Object.keys(base), ...Object.keys(over)]);
  return Object.fromEntries([...keys].map((key) => [key, key in over ? merge(base[key], over[key]) : base[key]]));
}

function isPlain(/** @type {unknown} */ value) {
  return value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype;
}

/* ---------------------------------------------------------------- zoom, legend, clicks */

function resetZoom(/** @type {FiguresState} */ state, /** @type {string} */ name) {
  state.zoom.delete(name);
  scheduleDraw(state);
}

/** @type {(state: FiguresState, plotly: Plotly, figure: Figure, plot: Plot) => void} */
function listenToPlot(state, plotly, { name, cursor, layout }, plot) {
  onTouch(plot, plotly, state.abort.signal, cursor ? ["xaxis"] : axesOf(layout));
  plot.on("plotly_relayout", (change) => {
    const axes = Object.keys(change).flatMap((key) => key.match(/^([xy]axis\d*)\.range/)?.[1] ?? []);
    const zoom = state.zoom.get(name) ?? new Map();
    for (const axis of axes) zoom.set(axis, [...plot.layout[axis].range]);
    if (axes.length) state.zoom.set(name, zoom);
  });
  plot.on("plotly_restyle", () => {
    for (const trace of plot.data) {
      if (trace.visible === "legendonly") state.hidden.add(entryOf(name, trace));
      else state.hidden.delete(entryOf(name, trace));
    }
  });
  plot.on("plotly_doubleclick", () => {
    if (!figureOf(state, name)?.click) resetZoom(state, name); // there, each click has set a point
  });
  onClick(plot, state.abort.signal, (at) => {
    if (figureOf(state, name)?.click) state.send("clicked", { figure: name, ...at });
  });
}

function figureOf(/** @type {FiguresState} */ state, /** @type {string} */ name) {
  return state.figures.find((figure) => figure.name === name);
}

/* ---------------------------------------------------------------- messages from the server */

/** @type {(state: FiguresState, component: Component<FiguresData>) => void} */
function receive(state, { parentElement, data, setTriggerValue }) {
  Object.assign(state, { send: setTriggerValue, ...readLook(parentElement) });
  const wasAtEnd = currentStep(state) === Infinity;
  if (state.scene !== data.scene) {
    state.scene = data.scene; // another part of the page: its figures start afresh
    state.at = Infinity;
    stopPlaying(state);
  }
  const { figures, scrub } = decode({ figures: data.figures, scrub: data.scrub }, (text) => coloured(text, state));
  state.figures = figures.map((/** @type {Figure} */ figure, /** @type {number} */ i) => {
    const coded = data.figures[i].rasters.map(({ z }) => z);
    return { ...figure, images: figure.rasters.map((raster, k) => illustrated(state, `${figure.name} ${k}`, raster, coded[k])) };
  });
  state.scrub = scrub;
  if (wasAtEnd && !state.playing) state.at = Infinity;
  arrange(state);
  scheduleDraw(state);
}

/** One element for each figure, in order; those that are gone are purged. */
function arrange(/** @type {FiguresState} */ state) {
  for (const [name, plot] of state.plots) {
    if (figureOf(state, name)) continue;
    state.observer.unobserve(plot);
    state.plotly?.purge(plot);
    plot.remove();
    state.plots.delete(name);
    state.zoom.delete(name);
  }
  state.figures.forEach(({ name, columns, rows, height }, order) => {
    const { style } = state.plots.get(name) ?? addPlot(state, name);
    style.setProperty("--height", String(height));
    Object.assign(style, { order: 2 * order, gridColumn: `span ${columns}`, gridRow: `span ${rows}` });
  });
}

function addPlot(/** @type {FiguresState} */ state, /** @type {string} */ name) {
  const plot = plotElement(name);
  state.plots.set(name, plot);
  state.grid.append(plot);
  state.observer.observe(plot);
  return plot;
}

/* ---------------------------------------------------------------- mounting */

const STYLE = `
.samedge-figures { container-type: inline-size; }
.samedge-figures-grid { display: grid; grid-template-columns: repeat(6, 1fr); gap: 8px; }
.samedge-figures-grid > div { min-width: 0; overflow: hidden; }
.samedge-figures-grid > [role=figure] { --own: calc(var(--height) * (0.5px + 0.03125rem));
  height: clamp(min(var(--own), 12rem), (100vh - 17rem) * var(--height) / 560, var(--own)); }
/* the player stands above all figures, or under the first one of a column */
.samedge-scrub-row { order: -1; grid-column: 1 / -1; }
@container (max-width: 895px) {
  .samedge-figures-grid > div { grid-column: 1 / -1 !important; grid-row: auto !important; }
  .samedge-scrub-row { order: 1; }
}
@container (max-width: 575px) {
  .samedge-figures-grid > [role=figure] { height: clamp(min(var(--own), 12rem), var(--own) * 0.72, var(--own)); }
}
${PLAYER_STYLE}`;

const takeOver = memory(["scene", "at", "scrub", "zoom", "hidden"]);

export const { update, release } = lifecycle(mount, receive, (state) => {
  stopPlaying(state);
  cancelAnimationFrame(state.frame);
  state.abort.abort();
  state.observer.disconnect();
  for (const plot of state.plots.values()) state.plotly?.purge(plot);
});

/** @type {(component: Component<FiguresData>) => FiguresState} */
function mount({ parentElement, data, setTriggerValue }) {
  addStyle("samedge-figures-style", STYLE);
  const root = element("div", "samedge-figures");
  const grid = element("div", "samedge-figures-grid");
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const drawn = target.classList.contains("js-plotly-plot");
      if (drawn && /** @type {HTMLElement} */ (target).offsetParent) state.plotly?.Plots.resize(target);
    }
    const { theme } = readLook(grid);
    if (theme.scale === state.theme.scale) return;
    state.theme = theme; // a height changes with the size of the text
    scheduleDraw(state);
  });
  const player = makePlayer(/** @type {() => FiguresState} */ (() => state), () => drawAll(state));
  /** @type {FiguresState} */
  const state = {
    grid, observer, player, send: setTriggerValue, ...readLook(parentElement), abort: new AbortController(),
    plotly: null, frame: 0, scene: null, figures: [], plots: new Map(),
    scrub: null, at: Infinity, playing: 0, held: false, timer: 0, zoom: new Map(), hidden: new Set(), painted: new Map(),
  };
  grid.append(player.row);
  root.append(grid, player.table);
  fill(parentElement, root);
  loadPlotly(root, (plotly) => {
    if (state.abort.signal.aborted) return;
    state.plotly = plotly;
    scheduleDraw(state);
  });
  return takeOver(data.key, state);
}
