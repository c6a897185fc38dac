/**
 * A phase diagram: a cell for each run of a grid, which fills while one watches. The server sends the cells that are
 * new (see pages/parts/components/diagram.py); they are kept here, so that another quantity asks for none again. The
 * pointer or the arrow keys tell a cell's numbers, a click or Enter chooses it, a drag or Shift and arrows mark a part.
 */

/** @import { Component, DiagramData, DiagramState, Part } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { readLook } = await part("theme.js");
const { decode } = await part("decode.js");
const { addStyle, element, fill, lifecycle, memory, shownNumber } = await part("page.js");
const { EMPTY, cellAt, colourRange, drawAxes, drawCells, drawLines, drawPredicted, mark, overlay, ring, placeIn, shades } = await part("cells.js");

const FONT = 13;
const DRAG = 5; // pixels that a hand may move while it clicks

/* ---------------------------------------------------------------- messages */

/** Take in the cells of a message: all of them, or those that are new since the `base` that is here. */
export function accept(/** @type {DiagramState} */ state, /** @type {DiagramData} */ message) {
  const { diagram, base, version } = message;
  if (state.id !== diagram.id) Object.assign(state, { id: diagram.id, version: -1, at: null, from: null });
  if (version <= state.version) return true; // a change of theme brings the last message again
  const n = diagram.x.values.length * (diagram.y?.values.length ?? 1);
  if (base < 0) state.table = { ...noCells(n), columns: {}, lows: {}, highs: {} };
  else if (base > state.version) return false;
  const { table } = state;
  for (const part of /** @type {const} */ (["fate", "predicted", "wrong"])) {
    message.cells.forEach((cell, i) => { table[part][cell] = message[part]?.[i] ?? table[part][cell]; });
  }
  for (const part of /** @type {const} */ (["columns", "lows", "highs"])) {
    for (const [name, values] of Object.entries(message[part])) {
      table[part][name] ??= new Float32Array(n).fill(Number.NaN);
      message.cells.forEach((cell, i) => { table[part][name][cell] = values[i]; });
    }
  }
  state.version = version;
  return true;
}

/** The fates of n cells of which nothing is known yet. */
const noCells = (/** @type {number} */ n) => ({ fate: new Uint8Array(n).fill(EMPTY), predicted: new Uint8Array(n).fill(EMPTY), wrong: new Uint8Array(n) });

/** @type {(state: DiagramState, component: Component<any>) => void} */
function receive(state, { parentElement, data, setTriggerValue }) {
  Object.assign(state, { send: setTriggerValue, ...readLook(parentElement) });
  state.data = decode(data);
  if (!accept(state, state.data)) state.send("resync", state.version); // a message was lost
  state.board.setAttribute("aria-label", `${state.data.name}. Arrow keys go from cell to cell, Enter chooses one, Shift and arrow keys mark a part.`);
  draw(state);
}

/* ---------------------------------------------------------------- drawing */

/** Make a canvas as sharp as the screen. @type {(canvas: HTMLCanvasElement, width: number, height: number) => CanvasRenderingContext2D} */
function sized(canvas, width, height) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  [canvas.width, canvas.height] = [width * devicePixelRatio, height * devicePixelRatio];
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  context.scale(devicePixelRatio, devicePixelRatio);
  return context;
}

function draw(/** @type {DiagramState} */ state) {
  const { data, table, theme } = state;
  const width = Math.floor(state.root.clientWidth);
  if (!data || !width || !Object.keys(table.columns).length) return;
  const { x, y } = data.diagram;
  const size = FONT * theme.scale;
  const height = y ? Math.round(Math.min((width < 500 ? 0.85 : 0.62) * width, Math.max(innerHeight - 390, 300))) : Math.round(110 + 3.4 * size);
  state.place = placeIn(x, y, width, height, size);
  const context = sized(state.canvas, width, height);
  state.board.style.height = `${height}px`;
  drawCells(context, state.place, table, data.view, state);
  drawLines(context, state.place, data.view, state);
  if (data.view.predicted) drawPredicted(context, state.place, table, state);
  drawAxes(context, state.place, x, y, state);
  drawOver(state);
  drawLegend(state);
}

/** Draw what moves: cells at work, the chosen one, the one that is looked at, the marked part. */
function drawOver(/** @type {DiagramState} */ state) {
  const { data, place, palette, theme } = state;
  if (!place || !data) return;
  const context = sized(state.over, state.canvas.clientWidth, state.canvas.clientHeight);
  const nx = data.diagram.x.values.length;
  /** @type {(cells: [number, number][], color: string, width: number) => void} */
  const outline = (cells, color, width) => {
    const [[x0, y0], [x1, y1]] = [cells[0], cells[cells.length - 1]].map(([ix, iy]) => [ix, iy]);
    const [left, right] = [place.xs[Math.min(x0, x1)], place.xs[Math.max(x0, x1) + 1]];
    const [bottom, top] = [place.ys[Math.min(y0, y1)], place.ys[Math.max(y0, y1) + 1]];
    for (const [colour, line] of /** @type {[string, number][]} */ ([[theme.background, width + 2.5], [color, width]])) {
      Object.assign(context, { strokeStyle: colour, lineWidth: line });
      context.strokeRect(left + 0.5, top + 0.5, right - left - 1, bottom - top - 1);
    }
  };
  context.strokeStyle = palette.sharpness;
  context.lineWidth = 1.5;
  for (const cell of data.running) {
    const [ix, iy] = [cell % nx, Math.floor(cell / nx)];
    context.strokeRect(place.xs[ix] + 1, place.ys[iy + 1] + 1, place.xs[ix + 1] - place.xs[ix] - 2, place.ys[iy] - place.ys[iy + 1] - 2);
  }
  if (data.chosen) outline([data.chosen], theme.text, 2.5);
  if (state.at) outline(state.from ? [state.from, state.at] : [state.at], palette.sam, 2);
}

function drawLegend(/** @type {DiagramState} */ state) {
  const { data: { view, running, total }, table } = state;
  const counts = view.fates.map((_, i) => table.fate.reduce((sum, fate) => sum + Number(fate === i), 0));
  const entries = view.fates.flatMap((fate, i) => (counts[i] ? [entry(state, fate, `${fate}: ${counts[i].toLocaleString("en")}`)] : []));
  if (running.length) entries.push(entry(state, "", `being computed: ${running.length}`, true));
  for (const line of view.lines) entries.push(lineEntry(state, line));
  if (view.predicted) entries.push(...predictedEntries(state));
  const done = counts.reduce((sum, count) => sum + count, 0);
  state.legend.replaceChildren(...scaleBar(state), ...entries);
  const text = `${done.toLocaleString("en")} of ${total.toLocaleString("en")} cells`;
  if (state.summary.textContent !== text) state.summary.textContent = text;
}

/** The colours of the quantity with the values at their ends. @type {(state: DiagramState) => HTMLElement[]} */
function scaleBar(state) {
  const { quantity } = state.data.view;
  const range = colourRange(state.table, state.data.view);
  if (!range) return [];
  const bar = element("span", "samedge-diagram-bar");
  bar.style.background = `linear-gradient(90deg, ${shades(quantity.scale, state).filter((_, i) => i % 15 === 0).map((colour) => `rgb(${colour})`)})`;
  const [low, high] = range.map((value) => shownNumber(Number(value.toPrecision(3))));
  const whole = element("span", "samedge-diagram-entry");
  whole.append(element("strong", "", quantity.label), element("span", "", low), bar, element("span", "", `${high}${quantity.log ? " (log)" : quantity.scale === "edge" ? " (yellow: 1)" : ""}`));
  return [whole];
}

/** @type {(state: DiagramState, fate: string, text: string, running?: boolean) => HTMLElement} */
function entry({ theme, palette }, fate, text, running = false) {
  const [canvas, path] = [element("canvas"), new Path2D()];
  const context = sized(canvas, 16, 16);
  mark(path, fate, 8, 8, 4.5);
  Object.assign(context, { strokeStyle: running ? palette.sharpness : theme.border });
  context.strokeRect(1, 1, 14, 14);
  Object.assign(context, { strokeStyle: theme.text, lineWidth: 1.5 });
  context.stroke(path);
  return labelled(canvas, text);
}

/** @type {(state: DiagramState, line: DiagramState["data"]["view"]["lines"][number]) => HTMLElement} */
function lineEntry({ theme }, { name, dash }) {
  const canvas = element("canvas");
  const context = sized(canvas, 26, 16);
  Object.assign(context, { strokeStyle: theme.text, lineWidth: 2.2 }).setLineDash(dash);
  context.strokeRect(-1, 8, 40, 20);
  return labelled(canvas, name);
}

/** The borders of the predicted fates, and the ring where these are wrong. @type {(state: DiagramState) => HTMLElement[]} */
function predictedEntries(state) {
  const { predicted, wrong } = state.table;
  const [known, others] = [predicted.filter((fate) => fate !== EMPTY), wrong.filter(Boolean)];
  if (!known.length) return [];
  const canvas = element("canvas");
  const path = new Path2D();
  ring(path, 9, 9, 6);
  overlay(sized(canvas, 18, 18), path, state);
  const of = known.length < state.data.total ? ` of ${known.length.toLocaleString("en")}` : "";
  return [lineEntry(state, { name: "border of predicted fates", x: [], y: [], dash: [] }), labelled(canvas, `predicted otherwise: ${others.length.toLocaleString("en")}${of}`)];
}

/** A button that saves the picture, as it is seen. */
function saveButton(/** @type {DiagramState} */ state) {
  const button = element("button", "samedge-diagram-save", "Save as PNG");
  button.addEventListener("click", () => {
    const whole = element("canvas");
    [whole.width, whole.height] = [state.canvas.width, state.canvas.height];
    const context = /** @type {CanvasRenderingContext2D} */ (whole.getContext("2d"));
    context.fillStyle = state.theme.background;
    context.fillRect(0, 0, whole.width, whole.height);
    context.drawImage(state.canvas, 0, 0);
    Object.assign(element("a"), { href: whole.toDataURL(), download: "samedge-phase-diagram.png" }).click();
  });
  return button;
}

/** @type {(canvas: HTMLCanvasElement, text: string) => HTMLElement} */
function labelled(canvas, text) {
  const whole = element("span", "samedge-diagram-entry");
  canvas.setAttribute("aria-hidden", "true");
  whole.append(canvas, element("span", "", text));
  return whole;
}

/* ---------------------------------------------------------------- a cell's numbers */

/** The numbers of the cell that is looked at, as lines of a name and a text. @type {(state: DiagramState) => [string, string][]} */
export function told({ at, data, table }) {
  if (!at) return [];
  const { diagram: { x, y }, view, running } = data;
  const cell = at[1] * x.values.length + at[0];
  const place = [x, y].flatMap((axis, k) => (axis ? [`${axis.label} ${digits(axis.values[at[k]])}`] : [])).join(", ");
  const fate = view.fates[table.fate[cell]] ?? (running.includes(cell) ? "being computed" : "not computed yet");
  const numbers = view.quantities.flatMap(({ name, label }) => {
    const value = table.columns[name]?.[cell];
    if (!Number.isFinite(value)) return [];
    const [low, high] = [table.lows, table.highs].map((part) => part[name]?.[cell]);
    const spread = low < high ? ` (${[low, high].map(digits).join(" to ")})` : "";
    return [/** @type {[string, string]} */ ([label, digits(value) + spread])];
  });
  const said = view.predicted ? view.fates[table.predicted[cell]] : undefined;
  const wrong = table.wrong[cell] > 1 ? ` (otherwise for ${table.wrong[cell]} seeds)` : "";
  return [[place, fate], ...(said ? [/** @type {[string, string]} */ (["Predicted fate", said + wrong])] : []), ...numbers];
}

const digits = (/** @type {number} */ value) => shownNumber(Number(value.toPrecision(4)));

/** Look at a cell, or at none. @type {(state: DiagramState, at: [number, number] | null, spoken?: boolean) => void} */
function look(state, at, spoken = false) {
  if (at?.join() === state.at?.join() && !spoken) return;
  state.at = at;
  const lines = told(state);
  state.card.hidden = !lines.length;
  state.card.replaceChildren(...lines.flatMap(([name, text]) => [element("span", "", name), element("span", "", text)]));
  if (spoken) state.summary.textContent = lines.map((line) => line.join(": ")).join("; ");
  drawOver(state);
  if (!at || !state.place) return;
  const { box, xs, ys } = state.place;
  const { card, root } = state;
  const right = xs[at[0]] < (box.left + box.right) / 2; // beside the cell, where there is room
  const left = right ? Math.min(xs[at[0] + 1] + 10, root.clientWidth - card.offsetWidth) : xs[at[0]] - 10 - card.offsetWidth;
  const top = Math.min(ys[at[1] + 1] - 20, box.bottom - card.offsetHeight);
  Object.assign(card.style, { left: `${Math.max(0, left)}px`, top: `${Math.max(0, top)}px` });
}

/* ---------------------------------------------------------------- hands */

/** Tell the server of the marked part, or of the chosen cell. */
function choose(/** @type {DiagramState} */ state) {
  const { at, from } = state;
  if (!at) return;
  if (from && from.join() !== at.join()) {
    const [x, y] = [0, 1].map((k) => [Math.min(from[k], at[k]), Math.max(from[k], at[k])]);
    state.send("marked", { x, y });
  } else state.send("chosen", { x: at[0], y: at[1] });
}

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function onKey(/** @type {DiagramState} */ state, /** @type {KeyboardEvent} */ event) {
  const move = ARROWS[event.key];
  if (event.key === "Escape") {
    state.from = null;
    look(state, null);
  } else if (event.key === "Enter") choose(state);
  else if (move) {
    const { x, y } = state.data.diagram;
    const sizes = [x.values.length, y?.values.length ?? 1];
    const at = state.at ?? state.data.chosen ?? [-move[0], -move[1]].map((step, k) => (step > 0 ? sizes[k] : step ? -1 : 0));
    state.from = event.shiftKey ? (state.from ?? state.at) : null;
    look(state, /** @type {[number, number]} */ (move.map((step, k) => Math.min(Math.max(at[k] + step, 0), sizes[k] - 1))), true);
  } else return;
  event.preventDefault();
}

/** @type {(state: DiagramState, event: PointerEvent) => [number, number] | null} */
function under(state, event) {
  const box = state.canvas.getBoundingClientRect();
  return state.place && cellAt(state.place, event.clientX - box.left, event.clientY - box.top);
}

function listen(/** @type {DiagramState} */ state) {
  const { board } = state;
  /** @type {{ at: [number, number], x: number, y: number } | null} */
  let down = null;
  board.addEventListener("keydown", (event) => onKey(state, event));
  board.addEventListener("pointerleave", () => {
    if (down) return;
    state.from = null;
    look(state, null);
  });
  board.addEventListener("pointermove", (event) => {
    const at = under(state, event);
    if (down && at && Math.hypot(event.clientX - down.x, event.clientY - down.y) > DRAG) state.from = down.at;
    if (at || !down) look(state, at);
  });
  board.addEventListener("pointerdown", (event) => {
    const at = under(state, event);
    state.from = null;
    if (!at || event.button !== 0) return;
    look(state, at);
    if (event.pointerType === "touch") return; // a finger scrolls the page; a tap comes as a click
    down = { at, x: event.clientX, y: event.clientY };
    board.setPointerCapture(event.pointerId);
  });
  board.addEventListener("pointerup", () => {
    if (down) choose(state);
    [down, state.from] = [null, null];
  });
  board.addEventListener("click", (event) => {
    const tap = /** @type {PointerEvent} */ (event);
    if (tap.pointerType !== "touch") return;
    look(state, under(state, tap)); // until another tap: a finger can't hover
    choose(state);
  });
  board.addEventListener("blur", () => look(state, null));
}

/* ---------------------------------------------------------------- mounting */

const STYLE = `
.samedge-diagram { position: relative; width: 100%; }
.samedge-diagram-board { position: relative; cursor: crosshair; touch-action: pan-y; }
.samedge-diagram-board:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
.samedge-diagram-board canvas { position: absolute; inset: 0; }
.samedge-diagram-card { position: absolute; z-index: 5; pointer-events: none; display: grid; grid-template-columns: auto auto;
  gap: 0 0.8rem; padding: 0.5rem 0.7rem; border-radius: 0.5rem; font-size: 0.8rem; line-height: 1.35; width: max-content; max-width: min(21rem, 70%);
  background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color, #8886); box-shadow: 0 2px 10px #0003; }
@media (max-width: 640px) { .samedge-diagram-card { position: static; max-width: none; width: auto; } } /* below the picture */
.samedge-diagram-card[hidden] { display: none; }
.samedge-diagram-card span:nth-child(-n+2) { font-weight: 600; grid-column: 1 / -1; }
.samedge-diagram-legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; font-size: 0.875rem; padding: 0.2rem 0; }
.samedge-diagram-entry { display: inline-flex; align-items: center; gap: 0.4rem; }
.samedge-diagram-entry span { white-space: nowrap; }
.samedge-diagram-bar { display: inline-block; width: 7rem; height: 0.8rem; border-radius: 2px; }
.samedge-diagram-save { font: inherit; color: inherit; background: none; border: none; padding: 0; text-decoration: underline; cursor: pointer; font-size: 0.875rem; }
.samedge-diagram-summary { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }`;

const takeOver = memory(["id", "version", "table"]);

export const { update, release } = lifecycle(mount, receive, (state) => state.observer.disconnect());

/** @type {(component: Component<any>) => DiagramState} */
function mount({ parentElement, data, setTriggerValue }) {
  addStyle("samedge-diagram-style", STYLE);
  const root = element("div", "samedge-diagram");
  const board = element("div", "samedge-diagram-board");
  const [canvas, over, card] = [element("canvas"), element("canvas"), element("div", "samedge-diagram-card")];
  const [legend, summary] = [element("div", "samedge-diagram-legend"), element("p", "samedge-diagram-summary")];
  Object.assign(board, { tabIndex: 0, role: "application" });
  summary.setAttribute("aria-live", "polite");
  card.hidden = true;
  card.setAttribute("aria-hidden", "true"); // the summary says the same
  board.append(canvas, over);
  root.append(board, card, legend, summary);
  const observer = new ResizeObserver(() => draw(state));
  /** @type {DiagramState} */
  const state = {
    root, board, canvas, over, card, legend, summary, observer, send: setTriggerValue, ...readLook(parentElement),
    id: "", version: -1, table: { ...noCells(0), columns: {}, lows: {}, highs: {} },
    data: /** @type {any} */ (null), place: null, at: null, from: null,
  };
  legend.after(saveButton(state));
  listen(state);
  fill(parentElement, root);
  observer.observe(root);
  return takeOver(data.key, state);
}
