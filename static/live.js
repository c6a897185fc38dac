/**
 * The live charts of SAMEdge: Plotly charts over rows kept in the browser; those of the lab or of a
 * lesson, or the figures of the paper.
 *
 * Streamlit calls `update` at every message and at every change of theme. A message carries only the
 * new rows (see pages/parts/components/live.py); they go into a RunBuffer, and one redraw per animation frame
 * hands the buffers to Plotly.react. Zoom, hidden traces and drag mode are kept here, not in Plotly,
 * so that they survive every redraw and can be linked across charts.
 */

// Parts are imported under the version of this file, so that a browser never mixes old and new.
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url));
const { DARK, LIGHT, readTheme } = await part("theme.js");
const { RunBuffer } = await part("buffer.js");
const { addStyle, element, loadPlotly, memory, onClick } = await part("page.js");
const { SCRUBBER_STYLE, drawScrubber, makeScrubber } = await part("scrubber.js");
const { CHART_SETS, chartTraces, familyOf, fullSpan, isNeeded, xSpan } = await part("traces.js");
const { CURSOR, chartLayout, cursorLines, isLog } = await part("layout.js");

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

/** Draw one chart a frame, so that the page stays fluid: all of them take longer than a frame. */
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
  for (const chart of state.set) state.charts.get(chart.name).hidden = !isNeeded(state, chart);
  state.queue = visibleCharts(state);
  state.span = fullSpan(state); // for the whole pass: rows may arrive between two charts
  dropStranded(state);
  state.follow.hidden = !isZoomed(state);
  showNumbers(state);
}

function visibleCharts({ set, charts }) {
  return set.filter((chart) => !charts.get(chart.name).hidden);
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
  for (const chart of visibleCharts(state)) {
    if (chart !== origin) hoverAt(state, chart, x);
  }
}

function hoverAt(state, chart, x) {
  state.plotly.Fx.hover(state.charts.get(chart.name), { xval: x }, "xy");
}

function onUnhover(state, chart) {
  if (state.hover?.chart !== chart) return;
  state.hover = null;
  for (const other of visibleCharts(state)) if (other !== chart) state.plotly.Fx.unhover(state.charts.get(other.name));
}

/* ---------------------------------------------------------------- the cursor */

const DOUBLE_CLICK_MS = 300; // as Plotly has it

/** Last step of the shown runs. */
function lastStep({ runs }) {
  return Math.max(...[...runs.values()].map((run) => run.lastStep));
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
    for (const { name } of visibleCharts(state)) moveLines(state.plotly, state.charts.get(name), lines);
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
  if (state.cursor !== null) showNumbers(state); // the whole row at the cursor may have come
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

const TALL = 330;
const SHORT = 230;
const EVEN = 300; // where the first chart is not wide
const GAP = 10;

const STYLE = `
.samedge-live { container-type: inline-size; position: relative; }
.samedge-grid { display: grid; grid-template-columns: 1fr 1fr; gap: ${GAP}px; }
.samedge-grid > div { height: ${SHORT}px; min-width: 0; contain: strict; }
.samedge-even > div { height: ${EVEN}px; }
.samedge-grid > .samedge-wide { grid-column: 1 / -1; height: ${TALL}px; }
@container (max-width: 899px) { .samedge-grid:not(.samedge-dense) { grid-template-columns: 1fr; } }
@container (max-width: 479px) { .samedge-grid { grid-template-columns: 1fr; } }
.samedge-follow { position: absolute; top: ${TALL - 84}px; right: 28px; z-index: 5; padding: 2px 12px;
  font: inherit; font-size: 13px; border-radius: 999px; cursor: pointer; color: var(--st-text-color, inherit);
  background: var(--st-secondary-background-color, #eee); border: 1px solid var(--st-border-color, #999); }
.samedge-follow[hidden] { display: none; }
${SCRUBBER_STYLE}`;

/** State of each mounted component; Streamlit keeps the element while it stays mounted. */
const mounted = new WeakMap();

const takeOver = memory([
  "edges", "runs", "branches", "ghost", "view", "zoom", "hidden", "dragmode", "cursor", "obeyed",
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
  Object.assign(state.edges, data.edges); // how they are drawn; a run keeps those of its earlier rules
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
  const { set, invitation, dense } = CHART_SETS[name];
  addStyle("samedge-live-style", STYLE);
  const root = element("div", "samedge-live");
  const grid = element("div", "samedge-grid");
  const followButton = element("button", "samedge-follow");
  followButton.textContent = "Zoomed – double-click to follow";
  followButton.hidden = true;
  if (!set[0].wide) grid.classList.add("samedge-even");
  if (dense) grid.classList.add("samedge-dense");
  const charts = new Map(set.map((chart) => [chart.name, figure(chart)]));
  grid.append(...charts.values());
  root.append(grid, followButton);
  host.replaceChildren(root);
  host.style.minHeight = ""; // set by the bootstrap, until the charts hold their own height
  const state = {
    set, invitation, dense, charts, follow: followButton, abort: new AbortController(), observer: null, plotly: null,
    edges: {}, runs: new Map(), branches: new Map(), ghost: null, replaced: false, lacking: false, asking: 0,
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
  gd.hidden = Boolean(chart.needs); // until there are rows
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
  state.queue = [];
  for (const chart of state.set) { // a hidden one gets its size when it is shown
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
