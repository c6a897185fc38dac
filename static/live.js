/**
 * The live charts of SAMEdge: Plotly charts over rows kept in the browser; those of the lab or of a
 * lesson, or the figures of the paper.
 *
 * A message carries only the new rows (see pages/parts/components/live.py); they go into a RunBuffer, and
 * one redraw per animation frame hands the buffers to Plotly.react. Zoom, hidden traces and drag mode are
 * kept here, not in Plotly, so that they survive every redraw and can be linked across charts.
 */

/** @import { Chart, Component, LiveData, LiveState, Options, Part, Plot, Plotly, View } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
// ask for all at once: below, each waits for the one before
const PARTS = /** @type {const} */ ([
  "theme.js", "updates.js", "decode.js", "page.js", "plot.js", "summary.js", "touch.js", "scrubber.js", "traces.js", "envelope.js", "layout.js",
]);
PARTS.forEach(part);
const { enlarged, readLook } = await part("theme.js");
const { applyUpdates } = await part("updates.js");
const { decode } = await part("decode.js");
const { addStyle, element, fill, lifecycle, memory } = await part("page.js");
const { BY_TOUCH, loadPlotly, onClick, plotConfig, plotElement } = await part("plot.js");
const { describe } = await part("summary.js");
const { onTouch } = await part("touch.js");
const { SCRUBBER_STYLE, drawScrubber, makeScrubber } = await part("scrubber.js");
const { CHART_SETS, chartTraces, familyOf, fullSpan, isLog, isNeeded, xSpan } = await part("traces.js");
const { CURSOR, chartLayout, cursorLines, visibleRange } = await part("layout.js");

/* ---------------------------------------------------------------- drawing */

/** Ask for a redraw: once, however many messages came; a hidden page draws when it is back. */
function scheduleDraw(/** @type {LiveState} */ state) {
  state.dirty = true;
  if (!state.frame && canDraw(state)) state.frame = requestAnimationFrame(() => drawNext(state));
}

function canDraw(/** @type {LiveState} */ state) {
  return state.plotly !== null && !document.hidden && !state.dragging;
}

/** Draw one chart a frame, so that the page stays fluid: all of them take longer than a frame. */
function drawNext(/** @type {LiveState} */ state) {
  state.frame = 0;
  if (!canDraw(state)) return; // `dirty` or the queue bring it back
  if (!state.queue.length) beginPass(state);
  const chart = state.queue.shift();
  if (!chart) return;
  drawChart(state, chart);
  if (state.hover && state.hover.chart !== chart) hoverAt(state, chart, state.hover.x);
  if (state.queue.length || state.dirty) state.frame = requestAnimationFrame(() => drawNext(state));
}

function beginPass(/** @type {LiveState} */ state) {
  state.dirty = false;
  state.revision += 1;
  hideUnneeded(state);
  state.queue = visibleCharts(state);
  state.span = fullSpan(state); // for the whole pass: rows may arrive between two charts
  dropStranded(state);
  state.follow.hidden = !isZoomed(state);
  showNumbers(state);
}

/** Hide the charts of what no run has. */
function hideUnneeded(/** @type {LiveState} */ state) {
  for (const chart of state.set) plotOf(state, chart).hidden = !isNeeded(state, chart);
}

/** The element of a chart: each has one from the start. @type {(state: LiveState, chart: Chart) => Plot} */
function plotOf({ charts }, { name }) {
  return /** @type {Plot} */ (charts.get(name));
}

function visibleCharts(/** @type {LiveState} */ state) {
  return state.set.filter((chart) => !plotOf(state, chart).hidden);
}

/** @type {(state: LiveState, chart: Chart) => void} */
function drawChart(state, chart) {
  if (!state.plotly) return;
  const traces = chartTraces(state, chart).map((trace) => enlarged(trace, state.theme));
  const layout = chartLayout(state, chart, traces);
  const first = state.revision === 1;
  const config = first ? [plotConfig(state.plotly, chart.name, "Follow the run", () => follow(state))] : [];
  state.plotly.react(plotOf(state, chart), traces, layout, ...config);
  describe(plotOf(state, chart), traces, layout);
}

/* ---------------------------------------------------------------- zoom, legend, hover */

function isZoomed(/** @type {LiveState} */ { zoom }) {
  return Boolean(zoom.x) || zoom.y.size > 0;
}

/** Undo zooming in all charts, so that they follow the run again. */
function follow(/** @type {LiveState} */ state) {
  state.zoom = { x: null, y: new Map() };
  scheduleDraw(state);
}

/** New runs that do not reach the zoomed range, or the cursor, would be drawn outside of the view. */
function dropStranded(/** @type {LiveState} */ state) {
  if (!state.replaced) return;
  const span = xSpan([...state.runs.values()], state.view.x);
  if (!span) return;
  state.replaced = false;
  if (state.zoom.x && span[1] < state.zoom.x[0]) state.zoom = { x: null, y: new Map() };
  if ((state.cursor ?? -1) > lastStep(state)) {
    state.cursor = null;
    reportCursor(state);
  }
}

/**
 * Take over what the user did to one chart, and link the x axes.
 * @type {(state: LiveState, chart: Chart, change: Options) => void}
 */
function onRelayout(state, chart, change) {
  if (Object.keys(change).every((key) => key.startsWith("shapes"))) return; // the cursor's line, moved by us
  const touched = (/** @type {string} */ axis) => Object.keys(change).some((key) => key.startsWith(`${axis}.range`));
  const { layout } = plotOf(state, chart);
  if ("dragmode" in change) state.dragmode = change.dragmode;
  if (touched("yaxis")) state.zoom.y.set(chart.name, { range: layout.yaxis.range.slice(), byUser: true });
  if (touched("xaxis")) {
    state.zoom.x = layout.xaxis.range.slice();
    fitOtherY(state);
  }
  scheduleDraw(state);
}

/** Fit y to the zoomed x range, once, in charts whose y the user has not set. */
function fitOtherY(/** @type {LiveState} */ state) {
  const { x, y } = state.zoom;
  for (const chart of state.set) {
    if (!x || chart.unit || y.get(chart.name)?.byUser) continue;
    const range = visibleRange(plotOf(state, chart).data, x, isLog(state, chart));
    if (range) y.set(chart.name, { range, byUser: false });
  }
}

/**
 * Remember which legend entries are off; a group (raw and smoothed line) goes together.
 * @type {(state: LiveState, chart: Chart) => void}
 */
function onLegendChange(state, chart) {
  for (const { visible, legendgroup = "" } of plotOf(state, chart).data) {
    if (visible === "legendonly") state.hidden.add(legendgroup);
    else if (visible !== false) state.hidden.delete(legendgroup);
  }
  scheduleDraw(state); // the residual's band goes with its line
}

/** A hover in one chart is shown in all. @type {(state: LiveState, chart: Chart, event: Options) => void} */
function onHover(state, chart, event) {
  if (!event.event) return; // a hover that we made ourselves
  const x = event.xvals?.[0] ?? event.points[0].x;
  state.hover = { chart, x };
  for (const other of visibleCharts(state)) if (other !== chart) hoverAt(state, other, x);
}

/** @type {(state: LiveState, chart: Chart, x: number) => void} */
function hoverAt(state, chart, x) {
  state.plotly?.Fx.hover(plotOf(state, chart), { xval: x }, "xy");
}

/** @type {(state: LiveState, chart: Chart) => void} */
function onUnhover(state, chart) {
  if (state.hover?.chart !== chart) return;
  state.hover = null;
  for (const other of visibleCharts(state)) if (other !== chart) state.plotly?.Fx.unhover(plotOf(state, other));
}

/* ---------------------------------------------------------------- the cursor */

const DOUBLE_CLICK_MS = 300; // as Plotly has it

/** Last step of the shown runs. */
function lastStep(/** @type {LiveState} */ { runs }) {
  return Math.max(...[...runs.values()].map((run) => run.lastStep));
}

/**
 * Put the lines of one chart where they are now. All shapes at once: a new place for one of them would
 * make Plotly compute the whole chart anew, at ten times the cost.
 * @type {(state: LiveState, chart: Chart, lines: Options[]) => void}
 */
function moveLines(state, chart, lines) {
  const plot = plotOf(state, chart);
  const others = (plot.layout.shapes ?? []).filter((/** @type {Options} */ { name }) => name !== CURSOR);
  state.plotly?.relayout(plot, { shapes: [...others, ...lines] });
}

/** Put the cursor at a step, or nowhere (null); its lines and numbers follow in the next frame. */
function moveCursor(/** @type {LiveState} */ state, /** @type {number | null} */ step) {
  state.cursor = step;
  state.cursorFrame ||= requestAnimationFrame(() => {
    state.cursorFrame = 0;
    showNumbers(state);
    if (!state.revision) return; // not drawn yet
    const lines = cursorLines(state);
    for (const chart of visibleCharts(state)) moveLines(state, chart, lines);
  });
}

/** Show the numbers at the cursor, a row for each run. */
function showNumbers(/** @type {LiveState} */ state) {
  if (!state.scrubber) return;
  const several = state.runs.size > 1;
  const rows = [...state.runs.values()]
    .map((run, place) => ({ run, color: several ? familyOf(state.palette, place).strong : "" }))
    .filter(({ run }) => run.rows);
  drawScrubber(state.scrubber, rows, state.cursor);
}

/** The first of two clicks sets the cursor at once; the second takes that back: it undoes zooming. */
function onChartClick(/** @type {LiveState} */ state, /** @type {number} */ x) {
  const { click } = state;
  clearTimeout(click?.timer);
  state.click = null;
  if (click) {
    moveCursor(state, click.before);
    return;
  }
  const runs = [...state.runs.values()].filter((run) => run.rows);
  if (!runs.length) return;
  const reached = runs.find((run) => (xSpan([run], state.view.x)?.[1] ?? -1) >= x) ?? runs[0];
  const timer = window.setTimeout(() => {
    state.click = null;
    reportCursor(state);
  }, DOUBLE_CLICK_MS);
  state.click = { before: state.cursor, timer };
  moveCursor(state, reached.stepAt(x, state.view.x));
}

/** Report to the server where the cursor has come to rest. */
function reportCursor(/** @type {LiveState} */ state) {
  if (state.reported === state.cursor) return;
  state.reported = state.cursor;
  state.send("cursor", state.cursor);
}

/**
 * The server may place the cursor too: once for each new count.
 * @type {(state: LiveState, cursor: LiveData["cursor"]) => void}
 */
function placeCursor(state, cursor) {
  if (!cursor || cursor.count === state.cursorCount) return;
  state.cursorCount = cursor.count;
  moveCursor(state, cursor.step);
}

/* ---------------------------------------------------------------- messages from the server */

const RESYNC_AGAIN_MS = 3000; // an answer can be lost like any other message

/**
 * Take in a message, and a change of theme.
 * @type {(state: LiveState, component: Component<LiveData>) => void}
 */
function receive(state, { parentElement, data, setStateValue, setTriggerValue }) {
  state.send = setStateValue;
  const look = readLook(parentElement);
  const themed = JSON.stringify(look.theme) !== JSON.stringify(state.theme);
  Object.assign(state, look);
  const changed = applyMessage(state, data, (have) => setTriggerValue("resync", have));
  if (changed || themed) scheduleDraw(state);
  if (!state.click && !state.scrubber?.held) reportCursor(state); // after a remount, or when the server placed it
}

/** What the browser has of a run, by its id. @typedef {{ id: string, have: number }} Have */

/**
 * Take over the runs, their new rows and the view; returns whether there is anything new to draw.
 * @type {(state: LiveState, data: LiveData, askForAll: (have: Have[]) => void) => boolean}
 */
function applyMessage(state, data, askForAll) {
  const viewChanged = applyView(state, data.view);
  Object.assign(state.edges, data.edges); // a run keeps those of its earlier rules
  const { changed, gap } = applyUpdates(state, decode(data.runs));
  placeCursor(state, data.cursor);
  if (state.cursor !== null) showNumbers(state); // the whole row at the cursor may have come
  state.lacking = gap;
  if (state.lacking) requestAll(state, askForAll);
  return viewChanged || changed;
}

/**
 * Draw as the page says from now on; returns whether that is new.
 * @type {(state: LiveState, view: View) => boolean}
 */
function applyView(state, view) {
  const old = state.view;
  if (JSON.stringify(old) === JSON.stringify(view)) return false;
  state.view = view;
  if (old.x !== view.x || old.fit !== view.fit) state.zoom = { x: null, y: new Map() };
  if (old.log_y !== view.log_y) {
    state.zoom.y.clear(); // its units changed
    if (state.zoom.x && state.plotly) fitOtherY(state);
  }
  return true;
}

/**
 * Ask for all rows, and again while the answer does not come: messages that say the same are not delivered twice.
 * @type {(state: LiveState, askForAll: (have: Have[]) => void) => void}
 */
function requestAll(state, askForAll) {
  if (state.asking) return;
  askForAll([...state.runs.values()].map(({ id, covered }) => ({ id, have: covered })));
  state.asking = window.setTimeout(() => {
    state.asking = 0;
    if (state.lacking && !state.abort.signal.aborted) requestAll(state, askForAll);
  }, RESYNC_AGAIN_MS);
}

/* ---------------------------------------------------------------- mounting */

const TALL = "min(20.625rem, max(16rem, 100vh - 24.5rem))"; // on a low screen, in view with what stands above
const SHORT = "14.375rem";
const EVEN = "18.75rem"; // where the first chart is not wide
const GAP = 10;

const STYLE = `
.samedge-live { container-type: inline-size; position: relative; }
.samedge-grid { display: grid; grid-template-columns: 1fr 1fr; gap: ${GAP}px; }
.samedge-grid > div { height: ${SHORT}; min-width: 0; contain: strict; }
.samedge-even > div { height: ${EVEN}; }
.samedge-grid > .samedge-wide { grid-column: 1 / -1; height: ${TALL}; }
@container (max-width: 899px) { .samedge-grid:not(.samedge-dense) { grid-template-columns: 1fr; } }
@container (max-width: 479px) { .samedge-grid { grid-template-columns: 1fr; } }
.samedge-follow { position: absolute; top: calc(${TALL} - 5.25rem); right: 28px; z-index: 5; padding: 2px 12px;
  font: inherit; font-size: 0.8125rem; border-radius: 999px; cursor: pointer; color: var(--st-text-color, inherit);
  background: var(--st-secondary-background-color, #eee); border: 1px solid var(--st-border-color, #999); }
.samedge-follow[hidden] { display: none; }
${SCRUBBER_STYLE}`;

const takeOver = memory([
  "edges", "runs", "branches", "predictions", "ghost", "view", "zoom", "hidden", "dragmode", "cursor", "cursorCount",
]);

export const { update, release } = lifecycle(mount, receive, (state) => {
  state.abort.abort();
  state.observer?.disconnect();
  cancelAnimationFrame(state.frame);
  cancelAnimationFrame(state.cursorFrame);
  clearTimeout(state.click?.timer);
  for (const plot of state.charts.values()) state.plotly?.purge(plot);
});

/** @type {(component: Component<LiveData>) => LiveState} */
function mount({ parentElement, data, setStateValue }) {
  const { set, invitation, dense } = CHART_SETS[data.charts];
  addStyle("samedge-live-style", STYLE);
  const root = element("div", "samedge-live");
  const grid = element("div", "samedge-grid");
  const followButton = element("button", "samedge-follow", `Zoomed – ${BY_TOUCH ? "tap here" : "double-click"} to follow`);
  followButton.hidden = true;
  if (!set[0].wide) grid.classList.add("samedge-even");
  if (dense) grid.classList.add("samedge-dense");
  const charts = new Map(set.map((chart) => [chart.name, plotElement(chart.name, chart.wide ? "samedge-wide" : "")]));
  grid.append(...charts.values());
  root.append(grid, followButton);
  fill(parentElement, root);
  /** @type {LiveState} */
  const state = {
    set, invitation, dense, charts, follow: followButton, send: setStateValue, ...readLook(parentElement),
    abort: new AbortController(), observer: null, plotly: null, scrubber: null,
    edges: {}, runs: new Map(), branches: new Map(), predictions: new Map(), ghost: null, replaced: false, lacking: false, asking: 0,
    view: data.view, zoom: { x: null, y: new Map() }, hidden: new Set(), dragmode: "zoom", hover: null, dragging: false,
    frame: 0, queue: [], dirty: false, revision: 0, span: null,
    cursor: null, cursorCount: 0, reported: null, click: null, cursorFrame: 0,
  };
  if (data.cursor) addScrubber(state, root);
  listen(state, grid);
  loadPlotly(root, (plotly) => start(state, plotly, grid));
  takeOver(data.key, state);
  hideUnneeded(state); // Plotly may take a second to load, in which an empty place would be seen
  return state;
}

function addScrubber(/** @type {LiveState} */ state, /** @type {HTMLElement} */ root) {
  state.scrubber = makeScrubber({
    moved: (step) => moveCursor(state, step),
    settled: () => reportCursor(state),
    signal: state.abort.signal,
  });
  root.append(state.scrubber.root);
  document.addEventListener("keydown", (event) => {
    const ours = event.target === document.body || root.contains(/** @type {Node} */ (event.target));
    if (event.key !== "Escape" || !ours || state.cursor === null) return;
    moveCursor(state, null);
    reportCursor(state);
  }, { signal: state.abort.signal });
}

function listen(/** @type {LiveState} */ state, /** @type {HTMLElement} */ grid) {
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

/**
 * First draw, then events: Plotly adds its `on` to the element at the first draw.
 * @type {(state: LiveState, plotly: Plotly, grid: HTMLElement) => void}
 */
function start(state, plotly, grid) {
  if (state.abort.signal.aborted) return; // released while Plotly was loading
  state.plotly = plotly;
  beginPass(state);
  state.queue = [];
  for (const chart of state.set) { // a hidden one gets its size when it is shown
    drawChart(state, chart);
    const plot = plotOf(state, chart);
    plot.on("plotly_relayout", (change) => onRelayout(state, chart, change));
    plot.on("plotly_restyle", () => onLegendChange(state, chart));
    plot.on("plotly_doubleclick", () => follow(state));
    plot.on("plotly_hover", (event) => onHover(state, chart, event));
    plot.on("plotly_unhover", () => onUnhover(state, chart));
    onTouch(plot, plotly, state.abort.signal, ["xaxis"]);
    if (state.scrubber) onClick(plot, state.abort.signal, ({ x }) => onChartClick(state, x));
  }
  state.observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (/** @type {HTMLElement} */ (target).offsetParent) plotly.Plots.resize(target);
    }
    Object.assign(state, readLook(grid)); // a height changes with the size of the text
    scheduleDraw(state); // how many points there are depends on the width
  });
  for (const plot of state.charts.values()) state.observer.observe(plot);
}
