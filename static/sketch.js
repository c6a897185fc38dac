/**
 * A chart to draw a curve on before a run (pages/parts/components/sketch.py): with a finger, a pen or a mouse, or point
 * by point with the keys of a slider. Below it are the lines that the curve is held against.
 */

/** @import { Component, Curve, Part, Place, SketchData, SketchLine, SketchState } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const PARTS = /** @type {const} */ (["theme.js", "decode.js", "page.js"]);
PARTS.forEach(part); // all at once: below, each waits for the one before
const { readLook } = await part("theme.js");
const { decode } = await part("decode.js");
const { addStyle, count, element, fill, lifecycle, memory, shape, shownNumber } = await part("page.js");

const HANDLES = 6; // points that keys move
const TEXT = 14;
const BOX = { left: 42, right: 12, top: 10, foot: 44 }; // around the chart, in pixels of small text
const SETTLED_MS = 250; // keys come in bursts
const MOST_UNDONE = 200;

/* ---------------------------------------------------------------- the curve: shares of the height, null where there is none */

/** @type {(text: string, data: Pick<SketchData, "columns" | "levels">) => Curve} */
export function read(text, { columns, levels }) {
  return Array.from({ length: columns + 1 }, (_, i) => {
    const level = parseInt(text.slice(2 * i, 2 * i + 2), 36); // no number where it is "--" or nothing
    return Number.isNaN(level) ? null : level / levels;
  });
}

export function write(/** @type {Curve} */ curve, /** @type {number} */ levels) {
  if (curve.every((value) => value === null)) return "";
  return curve.map((value) => (value === null ? "--" : Math.round(value * levels).toString(36).padStart(2, "0"))).join("");
}

/**
 * The curve after a stroke from one point to another, in columns and shares of the height. Where it goes back over
 * itself, what is drawn last counts; beyond the chart it follows the rim.
 * @type {(curve: Curve, from: Place, to: Place) => Curve}
 */
export function stroked(curve, from, to) {
  const [[x0, y0], [x1, y1]] = from[0] <= to[0] ? [from, to] : [to, from];
  const drawn = [...curve];
  const last = curve.length - 1;
  for (let x = Math.max(0, Math.ceil(x0)); x <= Math.min(last, x1); x++) {
    drawn[x] = clamp(x1 > x0 ? y0 + ((y1 - y0) * (x - x0)) / (x1 - x0) : y1);
  }
  drawn[Math.round(clamp(to[0] / last) * last)] = clamp(to[1]); // a tap, too, leaves a point
  return drawn;
}

/**
 * The curve with a point moved, and straight from there to the points `apart` columns to both sides; to the left from
 * the nearest there is, at first from the start.
 * @type {(curve: Curve, at: number, share: number, apart: number, start: number) => Curve}
 */
export function moved(curve, at, share, apart, start) {
  let left = at - apart;
  while (left > 0 && curve[left] === null) left -= 1;
  const right = curve[at + apart] ?? null;
  const half = stroked(curve, [left, curve[left] ?? start], [at, share]);
  return right === null ? half : stroked(half, [at + apart, right], [at, share]);
}

function clamp(/** @type {number} */ share) {
  return Math.min(1, Math.max(0, share));
}

/* ---------------------------------------------------------------- drawing */

function draw(/** @type {SketchState} */ state) {
  const { data, svg, theme: { scale } } = state;
  if (!data) return;
  const width = svg.clientWidth / scale;
  const height = svg.clientHeight / scale;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [wide, high] = [width - BOX.left - BOX.right, height - BOX.top - BOX.foot];
  /** @type {(step: number, sharpness: number) => Place} */
  const place = (step, sharpness) => [BOX.left + (wide * step) / data.steps, BOX.top + high * (1 - sharpness / data.top)];
  const lines = [...data.lines, ownLine(state, data)];
  svg.replaceChildren(
    ...axes(state, data, place), ...lines.flatMap((line) => curveOf(state, line, place, high)), ...startOf(state, data, place),
  );
  showLegend(state, lines);
  showHandles(state, data, place);
  const told = lines.flatMap(({ name, x, y }) => (x.length ? [`${name} ${shownNumber(y[y.length - 1])} at step ${count(Math.round(x[x.length - 1]))}`] : []));
  state.summary.textContent = [`Starts at ${shownNumber(data.start)}`, ...told].join("; ");
  state.undoButton.disabled = !state.undo.length;
  state.clearButton.disabled = state.curve.every((value) => value === null);
  state.tools.hidden = data.locked;
  state.pad.dataset.locked = String(data.locked);
  state.pad.style.inset = [BOX.top, BOX.right, BOX.foot, BOX.left].map((side) => `${side * scale}px`).join(" ");
}

/** The reader's curve as a line. @type {(state: SketchState, data: SketchData) => SketchLine} */
function ownLine({ curve }, { columns, steps, top }) {
  const drawn = curve.flatMap((share, i) => (share === null ? [] : [i]));
  return {
    name: "your curve", role: "usam", dash: "1 6", width: 4, marker: "ring",
    x: drawn.map((i) => (i * steps) / columns), y: drawn.map((i) => (curve[i] ?? 0) * top),
  };
}

/** @type {(state: SketchState, data: SketchData, place: (step: number, sharpness: number) => Place) => SVGElement[]} */
function axes({ theme, curve }, { steps, top, locked }, place) {
  const text = { fill: theme.text, "font-size": TEXT };
  const [[left, foot], [right, upper]] = [place(0, 0), place(steps, top)];
  const levels = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => {
    const [, y] = place(0, share * top);
    return [
      shape("line", { x1: left, x2: right, y1: y, y2: y, stroke: share ? theme.grid : theme.mark }),
      shape("text", { ...text, x: left - 6, y: y + 5, "text-anchor": "end" }, shownNumber(share * top)),
    ];
  });
  const ticks = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => {
    const step = Math.round(share * steps);
    const [x] = place(step, 0);
    const anchor = share === 1 ? "end" : "middle";
    return [
      shape("line", { x1: x, x2: x, y1: foot, y2: foot + 5, stroke: theme.mark }),
      shape("text", { ...text, x, y: foot + 5 + TEXT, "text-anchor": anchor }, count(step)),
    ];
  });
  const empty = !locked && curve.every((value) => value === null);
  const middle = { ...text, x: (left + right) / 2, "text-anchor": "middle", fill: theme.muted };
  return [
    ...levels, ...ticks,
    shape("text", { ...text, x: (left + right) / 2, y: foot + 9 + 2 * TEXT, "text-anchor": "middle" }, "step"),
    ...(empty ? ["Draw the sharpness here,", "or press Tab and use the arrow keys"] : []).map((line, i) =>
      shape("text", { ...middle, y: upper + (foot - upper) / 8 + TEXT * (1.3 * i - 0.3) }, line)),
  ];
}

/** @type {(state: SketchState, line: SketchLine, place: (step: number, sharpness: number) => Place, high: number) => SVGElement[]} */
function curveOf({ palette, theme, data }, { role, dash, width, marker, x, y }, place, high) {
  const stroke = palette[role];
  const points = Array.from(x, (step, i) => place(step, y[i]));
  const gap = data ? data.steps / data.columns : 0;
  // a part that has not been drawn stays open, and what is higher than the chart is cut at its rim
  const path = points.map(([px, py], i) => {
    const apart = marker === "ring" && i && x[i] - x[i - 1] > 1.5 * gap;
    return `${i && !apart ? "L" : "M"}${px.toFixed(1)},${Math.min(BOX.top + high, Math.max(BOX.top, py)).toFixed(1)}`;
  }).join("");
  const every = Math.max(1, Math.round(points.length / HANDLES));
  const marked = points.filter((_, i) => (marker === "circle" ? i === points.length - 1 : marker && i % every === every >> 1));
  return [
    shape("path", { d: path, fill: "none", stroke, "stroke-width": width, "stroke-dasharray": dash, "stroke-linecap": marker === "ring" ? "round" : "butt", "stroke-linejoin": "round" }),
    ...marked.map(([px, py]) => markerAt(marker, px, py, stroke, theme.background)),
  ];
}

/** @type {(marker: string, x: number, y: number, stroke: string, ground: string) => SVGElement} */
function markerAt(marker, x, y, stroke, ground) {
  const look = { stroke, "stroke-width": 2, fill: marker === "circle" ? stroke : ground };
  if (marker === "diamond") return shape("path", { ...look, d: `M${x - 6},${y}l6,-6l6,6l-6,6z` });
  return shape("circle", { ...look, cx: x, cy: y, r: marker === "circle" ? 6 : 5 });
}

/** Where every run begins. @type {(state: SketchState, data: SketchData, place: (step: number, sharpness: number) => Place) => SVGElement[]} */
function startOf({ theme, curve }, { start, locked }, place) {
  const [x, y] = place(0, start);
  const label = { x: x + 12, y: y + 5, "font-size": TEXT, fill: theme.text };
  return [shape("circle", { cx: x, cy: y, r: 6, fill: theme.text, stroke: theme.background, "stroke-width": 2 }),
    ...(locked || curve.some((value) => value !== null) ? [] : [shape("text", label, `start: ${shownNumber(start)}`)])];
}

function showLegend(/** @type {SketchState} */ state, /** @type {SketchLine[]} */ lines) {
  const { legend, palette, theme } = state;
  legend.replaceChildren(...lines.filter(({ x }) => x.length).map(({ name, role, dash, width, marker }) => {
    const svg = shape("svg", { viewBox: "0 0 44 16", "aria-hidden": "true" });
    svg.append(shape("line", { x1: 2, x2: 42, y1: 8, y2: 8, stroke: palette[role], "stroke-width": width, "stroke-dasharray": dash, "stroke-linecap": marker === "ring" ? "round" : "butt" }));
    if (marker) svg.append(markerAt(marker, 22, 8, palette[role], theme.background));
    const item = element("span", "", "");
    item.append(svg, name);
    return item;
  }));
}

/* ---------------------------------------------------------------- keys */

/** @type {(state: SketchState, data: SketchData, place: (step: number, sharpness: number) => Place) => void} */
function showHandles({ curve, handles, theme: { scale } }, data, place) {
  handles.forEach((handle, i) => {
    const at = ((i + 1) * data.columns) / HANDLES;
    const step = Math.round((at * data.steps) / data.columns);
    const share = curve[at];
    const before = curve.slice(0, at).findLast((value) => value !== null) ?? data.start / data.top;
    const value = Number(((share ?? before) * data.top).toFixed(2));
    Object.assign(handle, { min: "0", max: String(data.top), step: String(data.top / 100), disabled: data.locked });
    handle.value = String(value);
    handle.setAttribute("aria-label", `Sharpness of your curve at step ${count(step)}`);
    handle.setAttribute("aria-valuetext", share === null ? "not drawn yet" : String(value));
    const [x, y] = place(step, value);
    Object.assign(handle.style, { left: `${(x - BOX.left) * scale}px`, top: `${(y - BOX.top) * scale}px` });
  });
}

/** @type {(state: SketchState, index: number) => HTMLInputElement} */
function makeHandle(state, index) {
  const handle = Object.assign(element("input", "samedge-sketch-handle"), { type: "range" });
  handle.addEventListener("input", () => {
    const { data } = state;
    if (!data) return;
    const [at, start] = [((index + 1) * data.columns) / HANDLES, data.start / data.top];
    change(state, moved(state.curve, at, Number(handle.value) / data.top, data.columns / HANDLES, start));
  });
  return handle;
}

/* ---------------------------------------------------------------- strokes */

/** Where a pointer is, in columns and shares of the height; beyond 0 and 1 outside of the chart. */
function placeOf(/** @type {SketchState} */ { pad, curve }, /** @type {PointerEvent} */ { clientX, clientY }) {
  const box = pad.getBoundingClientRect();
  return /** @type {Place} */ ([((clientX - box.left) / box.width) * (curve.length - 1), 1 - (clientY - box.top) / box.height]);
}

function listen(/** @type {SketchState} */ state) {
  const { pad } = state;
  pad.addEventListener("pointerdown", (event) => {
    if (state.stroke || event.button !== 0 || !state.data || state.data.locked) return;
    pad.setPointerCapture(event.pointerId);
    state.stroke = { id: event.pointerId, at: placeOf(state, event), before: state.curve };
    follow(state, event);
  });
  pad.addEventListener("pointermove", (event) => {
    for (const one of event.getCoalescedEvents?.() ?? []) follow(state, one);
    follow(state, event);
  });
  pad.addEventListener("pointerup", (event) => {
    if (state.stroke?.id !== event.pointerId) return;
    const { before } = state.stroke;
    state.stroke = null;
    const drawn = state.curve;
    state.curve = before;
    change(state, drawn);
  });
  for (const type of ["pointercancel", "lostpointercapture"]) pad.addEventListener(type, (event) => {
    if (state.stroke?.id !== /** @type {PointerEvent} */ (event).pointerId) return;
    state.curve = state.stroke.before;
    state.stroke = null;
    state.note.textContent = "That stroke was interrupted and is not kept. Draw it again, with one finger.";
    draw(state);
  });
}

function follow(/** @type {SketchState} */ state, /** @type {PointerEvent} */ event) {
  const { stroke, data } = state;
  if (!stroke || !data || stroke.id !== event.pointerId) return;
  const to = placeOf(state, event);
  const outside = to[1] < 0 || to[1] > 1;
  state.note.textContent = outside ? `The chart goes from 0 to ${shownNumber(data.top)}: your curve follows its rim.` : "";
  state.curve = stroked(state.curve, stroke.at, to);
  stroke.at = to;
  draw(state);
}

/** Take over a curve that the reader has made. */
function change(/** @type {SketchState} */ state, /** @type {Curve} */ curve) {
  state.undo = [...state.undo, state.curve].slice(-MOST_UNDONE);
  put(state, curve);
}

function put(/** @type {SketchState} */ state, /** @type {Curve} */ curve) {
  state.curve = curve;
  state.count += 1;
  draw(state);
  clearTimeout(state.timer);
  state.timer = setTimeout(() => {
    if (state.data) state.set("drawn", { text: write(state.curve, state.data.levels), count: state.count });
  }, SETTLED_MS);
}

/* ---------------------------------------------------------------- messages from the server, mounting */

/** @type {(state: SketchState, component: Component<SketchData>) => void} */
function receive(state, { parentElement, data, setStateValue }) {
  Object.assign(state, { set: setStateValue, ...readLook(parentElement) });
  const other = state.scene !== data.scene;
  state.data = decode(data);
  if (other) Object.assign(state, { scene: data.scene, undo: [], stroke: null });
  state.count = Math.max(state.count, data.heard);
  // what is being drawn, or on its way, is newer than what the server knows
  if (other || (data.heard >= state.count && !state.stroke)) state.curve = read(data.text, data);
  state.root.setAttribute("aria-label", data.name);
  draw(state);
}

const STYLE = `
.samedge-sketch { font-size: 0.875rem; }
.samedge-sketch [hidden] { display: none; }
.samedge-sketch-summary { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }
.samedge-sketch-head, .samedge-sketch-legend { display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: center; min-height: 2rem; }
.samedge-sketch-legend { flex: 1; }
.samedge-sketch-legend span { display: inline-flex; align-items: center; gap: 5px; white-space: nowrap; }
.samedge-sketch-legend svg { width: 44px; height: 16px; }
.samedge-sketch-tools { display: flex; gap: 8px; }
.samedge-sketch-tools button { font: inherit; color: inherit; background: none; padding: 0.3rem 0.8rem; border-radius: 8px;
  border: 1px solid var(--st-border-color, #9996); cursor: pointer; }
.samedge-sketch-tools button:disabled { opacity: 0.45; cursor: default; }
.samedge-sketch-tools button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
.samedge-sketch-board { position: relative; height: clamp(300px, 56vh, 620px); }
.samedge-sketch-board svg { display: block; width: 100%; height: 100%; }
.samedge-sketch-pad { position: absolute; cursor: crosshair; touch-action: none; user-select: none; -webkit-user-select: none; }
.samedge-sketch-pad[data-locked=true] { cursor: default; touch-action: auto; }
.samedge-sketch-handle { position: absolute; width: 28px; height: 28px; margin: -14px; padding: 0; pointer-events: none;
  appearance: none; background: none; border-radius: 50%; }
.samedge-sketch-handle::-webkit-slider-thumb { opacity: 0; }
.samedge-sketch-handle::-moz-range-thumb { opacity: 0; }
.samedge-sketch-handle::-moz-range-track { opacity: 0; }
.samedge-sketch-handle:focus-visible { outline: 3px solid var(--st-primary-color); }
.samedge-sketch-note { min-height: 1.3em; margin: 0; }
@media (pointer: coarse) { .samedge-sketch-tools button { min-height: 44px; min-width: 64px; } }
@media (max-width: 640px) { .samedge-sketch-board { height: clamp(240px, 36vh, 420px); } }
`;

const takeOver = memory(["scene", "curve", "undo", "count"]);

export const { update, release } = lifecycle(mount, receive, (state) => state.observer.disconnect());

/** @type {(component: Component<SketchData>) => SketchState} */
function mount({ parentElement, data, setStateValue }) {
  addStyle("samedge-sketch-style", STYLE);
  const [root, head, board] = ["", "-head", "-board"].map((name) => element("div", `samedge-sketch${name}`));
  const button = (/** @type {string} */ label, /** @type {() => void} */ act) => {
    const made = Object.assign(element("button", "", label), { type: "button" });
    made.addEventListener("click", act);
    return made;
  };
  const svg = /** @type {SVGSVGElement} */ (shape("svg", { "aria-hidden": "true" }));
  const observer = new ResizeObserver(() => {
    state.theme = readLook(root).theme; // the text may be larger, too
    draw(state);
  });
  /** @type {SketchState} */
  const state = {
    root, svg, observer, legend: element("div", "samedge-sketch-legend"), tools: element("div", "samedge-sketch-tools"),
    pad: element("div", "samedge-sketch-pad"), note: element("p", "samedge-sketch-note"), summary: element("p", "samedge-sketch-summary"),
    undoButton: button("Undo", () => put(state, state.undo.pop() ?? state.curve)),
    clearButton: button("Clear", () => change(state, state.curve.map(() => null))), handles: [],
    ...readLook(parentElement), data: null, scene: null, curve: [], undo: [], stroke: null, count: 0, timer: 0, set: setStateValue,
  };
  state.handles = Array.from({ length: HANDLES }, (_, i) => makeHandle(state, i));
  state.note.setAttribute("role", "status");
  state.summary.id = crypto.randomUUID();
  root.setAttribute("role", "figure");
  root.setAttribute("aria-describedby", state.summary.id);
  state.tools.append(state.undoButton, state.clearButton);
  state.pad.append(...state.handles);
  head.append(state.legend, state.tools);
  board.append(svg, state.pad);
  root.append(head, board, state.note, state.summary);
  listen(state);
  fill(parentElement, root);
  observer.observe(svg);
  return takeOver(data.key, state);
}
