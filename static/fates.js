/**
 * A map of fates that zooms: a picture of numbers from the server (samedge_core/sweeps/fate_map.py), coloured and
 * drawn here. While it moves, the picture of before is stretched and a coarse one is asked for; once it is still, a fine
 * one. The next is asked for when the last has come, so that a slow server lags by one picture and not by a queue.
 */

/** @import { Component, FatesData, FatesPicture, FatesState, FatesView, Look, Part } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { decode } = await part("decode.js");
const { addStyle, element, fill, lifecycle, memory } = await part("page.js");
const { moved, ticks, zoomed } = await part("mapView.js");
const { channels, readLook, textWidth } = await part("theme.js");

export const FATE = 1 << 14; // as samedge_core/sweeps/following.py writes them
const PERIOD = 1 << 10;
const [CONVERGED, HOPS, , DIVERGED] = [0, 1, 2, 3];
const STILL_MS = 180;
const ANSWER_MS = 6000; // an answer can be lost: ask again
const WHEEL = 1.0015; // of the view's width, to the power of the pixels that a wheel turns
const KEY_ZOOM = 1.6;
const CLICK_MS = 250;
/** @type {[number, number]} */
const MIDDLE = [0.5, 0.5];
const SLACK = 4; // pixels that a hand may move while it clicks

/* ---------------------------------------------------------------- numbers in words and colours */

/** A value of the picture in words. @type {(words: string[], value: number) => string} */
export function told(words, value) {
  const [fate, number] = [Math.floor(value / FATE), value % FATE];
  const period = Math.floor(number / PERIOD);
  return words[fate]
    .replace("{number}", number.toLocaleString("en") + (number < FATE - 1 ? "" : " or more"))
    .replace("{period}", period ? `period ${period}` : "no period")
    .replace("{multiplier}", ((number % PERIOD) / 1000).toFixed(3));
}

/** The colours of hops by their period: none, 2, 3, 4, and more. @type {(look: Look) => Record<string, string>} */
function hopColours({ palette }) {
  return { 2: palette.sam, 3: palette.nesterov, 4: palette.polyak, more: palette.usam, none: palette.loss };
}

/** Between which two colours a fate is shaded, by steps. @type {(look: Look) => Record<number, [string, string]>} */
function ends({ palette }) {
  return { [CONVERGED]: [palette.shrinks, palette.grad], [DIVERGED]: [palette.gone, palette.going] };
}

/** The colour of each value, as pixels of a canvas. @type {(look: Look) => Uint32Array} */
function colourTable(look) {
  const table = new Uint32Array(4 * FATE);
  const pixel = (/** @type {number[]} */ [r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  table.fill(pixel(channels(look.palette.ghost)));
  for (const [fate, [from, to]] of Object.entries(ends(look))) {
    const [low, high] = [channels(from), channels(to)];
    for (let number = 0; number < FATE; number += 1) {
      const share = Math.min(Math.log1p(number) / Math.log1p(500), 1);
      table[Number(fate) * FATE + number] = pixel(low.map((c, i) => Math.round(c + (high[i] - c) * share)));
    }
  }
  const hops = hopColours(look);
  for (let period = 0; period < FATE / PERIOD; period += 1) {
    const start = HOPS * FATE + period * PERIOD;
    const colour = hops[period] ?? (period ? hops.more : hops.none);
    table.fill(pixel(channels(colour)), start, start + PERIOD);
  }
  return table;
}

/** The numbers of a picture, which travel deflated. @type {(bytes: Uint8Array) => Promise<Uint16Array>} */
async function inflate(bytes) {
  const stream = new Blob([/** @type {BlobPart} */ (bytes)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint16Array(await new Response(stream).arrayBuffer());
}

/** A picture as an image, its first row lowest. @type {(picture: FatesPicture, table: Uint32Array) => HTMLCanvasElement} */
function paint({ values, count }, table) {
  const canvas = element("canvas");
  canvas.width = canvas.height = count;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(count, count);
  const pixels = new Uint32Array(image.data.buffer);
  for (let row = 0; row < count; row += 1) {
    const to = (count - 1 - row) * count;
    for (let column = 0; column < count; column += 1) pixels[to + column] = table[values[row * count + column]];
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/* ---------------------------------------------------------------- asking */

function ask(/** @type {FatesState} */ state) {
  const { data, picture, view } = state;
  const now = performance.now();
  if (!data || (state.waiting && now - state.askedAt < ANSWER_MS)) return;
  const points = now - state.movedAt < STILL_MS ? data.coarse : data.fine;
  const there = picture?.view.every((v, i) => v === view[i]);
  if (there && (picture?.count ?? 0) >= points) return;
  state.waiting = true;
  state.askedAt = now;
  state.trigger("asked", { view, settled: points === data.fine });
  setTimeout(() => ask(state), ANSWER_MS + 1);
}

function show(/** @type {FatesState} */ state, /** @type {FatesView} */ view) {
  state.view = view;
  state.movedAt = performance.now();
  draw(state);
  ask(state);
  setTimeout(() => ask(state), STILL_MS + 1);
}

/* ---------------------------------------------------------------- drawing */

function draw(/** @type {FatesState} */ state) {
  state.frame ||= requestAnimationFrame(() => {
    state.frame = 0;
    if (state.data) drawNow(state, state.data);
  });
}

function drawNow(/** @type {FatesState} */ state, /** @type {FatesData} */ data) {
  const { canvas, root, view } = state;
  const look = readLook(root);
  if (state.scheme !== look.theme.background) {
    state.scheme = look.theme.background;
    state.table = colourTable(look);
    if (state.picture) state.picture.image = paint(state.picture, state.table);
    drawLegend(state, look);
  }
  const unit = Math.sqrt(look.theme.scale);
  const width = root.clientWidth;
  const height = Math.max(220, Math.min(width * 0.92, 620 * unit, window.innerHeight * 0.72));
  const yTicks = ticks(view[2], view[3], data.log[1], Math.floor(height / (46 * unit)));
  const left = 26 * unit + Math.max(...yTicks.map(([, text]) => textWidth(text, look.theme)), 10);
  state.box = { left, top: 6, width: Math.max(width - left - 10, 40), height: height - 6 - 46 * unit };
  const ratio = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  canvas.style.height = `${height}px`;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(ratio, ratio);
  context.font = `${13 * look.theme.scale}px ${look.theme.font}`;
  drawPicture(context, state);
  drawLines(context, state, data, look);
  drawAxes(context, state, data, look, yTicks);
}

/** Where a point lies on the canvas, in pixels. @type {(state: FatesState, x: number, y: number) => [number, number]} */
function onCanvas({ box, view }, x, y) {
  const [u, v] = [(x - view[0]) / (view[1] - view[0]), (y - view[2]) / (view[3] - view[2])];
  return [box.left + u * box.width, box.top + (1 - v) * box.height];
}

/** @type {(context: CanvasRenderingContext2D, state: FatesState) => void} */
function drawPicture(context, state) {
  const { box, picture } = state;
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.width, box.height);
  context.clip();
  context.imageSmoothingEnabled = false; // a pixel is a point that was computed
  if (picture?.image) {
    const [left, bottom] = onCanvas(state, picture.view[0], picture.view[2]);
    const [right, top] = onCanvas(state, picture.view[1], picture.view[3]);
    context.drawImage(picture.image, left, top, right - left, bottom - top);
  }
  context.restore();
}

const DASHES = [[], [7, 5]];

/** Theory's curves, sent as shares of the picture's view; and the chosen point. @type {(context: CanvasRenderingContext2D, state: FatesState, data: FatesData, look: Look) => void} */
function drawLines(context, state, data, { theme }) {
  const { box, picture } = state;
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.width, box.height);
  context.clip();
  const [x0, x1, y0, y1] = picture?.view ?? state.view;
  for (const [style, curve] of data.lines.entries()) {
    for (const [width, colour] of /** @type {[number, string][]} */ ([[5, theme.background], [2.2, theme.text]])) {
      context.beginPath();
      let pen = false;
      curve.x.forEach((/** @type {number} */ u, /** @type {number} */ i) => {
        const v = curve.y[i];
        const at = onCanvas(state, x0 + u * (x1 - x0), y0 + v * (y1 - y0));
        if (Number.isFinite(u) && Number.isFinite(v)) context[pen ? "lineTo" : "moveTo"](...at);
        pen = Number.isFinite(u) && Number.isFinite(v);
      });
      context.setLineDash(DASHES[curve.dash] ?? DASHES[style % 2]);
      Object.assign(context, { lineWidth: width, strokeStyle: colour });
      context.stroke();
    }
  }
  context.setLineDash([]);
  for (const mark of data.marks) drawMark(context, onCanvas(state, ...mark), theme);
  if (document.activeElement === state.canvas && state.keys) drawMark(context, [box.left + box.width / 2, box.top + box.height / 2], theme, 4);
  context.restore();
}

/** @type {(context: CanvasRenderingContext2D, at: [number, number], theme: Look["theme"], size?: number) => void} */
function drawMark(context, [x, y], theme, size = 8) {
  for (const [width, colour] of /** @type {[number, string][]} */ ([[5, theme.background], [2, theme.text]])) {
    context.beginPath();
    context.arc(x, y, size, 0, 2 * Math.PI);
    Object.assign(context, { lineWidth: width, strokeStyle: colour });
    context.stroke();
  }
}

/** @type {(context: CanvasRenderingContext2D, state: FatesState, data: FatesData, look: Look, yTicks: [number, string][]) => void} */
function drawAxes(context, state, data, { theme }, yTicks) {
  const { box, view } = state;
  const [right, bottom, unit] = [box.left + box.width, box.top + box.height, Math.sqrt(theme.scale)];
  Object.assign(context, { fillStyle: theme.text, strokeStyle: theme.border, lineWidth: 1 });
  context.strokeRect(box.left, box.top, box.width, box.height);
  Object.assign(context, { textAlign: "right", textBaseline: "middle" });
  for (const [place, text] of yTicks) {
    const [, y] = onCanvas(state, view[0], place);
    context.fillRect(box.left - 4, y, 4, 1);
    context.fillText(text, box.left - 6, Math.max(box.top + 7, y));
  }
  Object.assign(context, { textAlign: "center", textBaseline: "top" });
  let xTicks = ticks(view[0], view[1], data.log[0], Math.floor(box.width / (60 * unit)));
  const widest = Math.max(...xTicks.map(([, text]) => textWidth(text, theme)), 10);
  xTicks = ticks(view[0], view[1], data.log[0], Math.max(1, Math.floor(box.width / (widest + 24))));
  for (const [place, text] of xTicks) {
    const [x] = onCanvas(state, place, view[2]);
    const half = textWidth(text, theme) / 2;
    context.fillRect(x, bottom, 1, 4);
    context.fillText(text, Math.min(x, right + 8 - half), bottom + 6);
  }
  context.fillText(data.labels[0], box.left + box.width / 2, bottom + 24 * unit);
  context.save();
  context.translate(3, box.top + box.height / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(data.labels[1], 0, 0);
  context.restore();
}

function drawLegend(/** @type {FatesState} */ state, /** @type {Look} */ look) {
  const { data, legend } = state;
  const [settles, diverges, hops] = [ends(look)[CONVERGED], ends(look)[DIVERGED], hopColours(look)];
  const bar = (/** @type {string[]} */ colours) => `linear-gradient(90deg, ${colours.join(", ")})`;
  /** @type {[string, string][]} */
  const rows = [
    [bar(settles), "converges: at once … slowly"],
    [bar([hops[2], hops[2]]), "never settles, hops: period 2"],
    ...Object.entries(hops).slice(1).map(([name, c]) => /** @type {[string, string]} */ ([bar([c, c]), name === "none" ? "no period" : name])),
    [bar([look.palette.ghost, look.palette.ghost]), "still settling"],
    [bar(diverges), "diverges: at once … slowly"],
  ];
  const items = rows.map(([background, text]) => {
    const item = element("span", "", text);
    const swatch = element("i");
    swatch.style.background = background;
    item.prepend(swatch);
    return item;
  });
  const curves = data?.lines.map(({ name, dash }) => element("span", "", `${dash ? "╌╌" : "──"} ${name}`)) ?? [];
  legend.replaceChildren(...items, ...curves.filter((one, i) => i === 0 || one.textContent !== curves[i - 1].textContent));
}

/* ---------------------------------------------------------------- what a hand does */

/** The shares of the box at which an event lies; null beside the box. @type {(state: FatesState, at: { clientX: number, clientY: number }) => [number, number] | null} */
function shareAt({ box, canvas }, { clientX, clientY }) {
  const frame = canvas.getBoundingClientRect();
  const [x, y] = [(clientX - frame.left - box.left) / box.width, 1 - (clientY - frame.top - box.top) / box.height];
  return x >= 0 && x <= 1 && y >= 0 && y <= 1 ? [x, y] : null;
}

/** The picture's own point, the middle of a pixel, under a share of the box. @type {(state: FatesState, share: [number, number]) => { x: number, y: number, value: number } | null} */
function pointAt({ picture, view }, share) {
  if (!picture) return null;
  const { view: own, count, values } = picture;
  const [column, row] = [0, 2].map((k) => {
    const at = view[k] + share[k / 2] * (view[k + 1] - view[k]);
    return Math.floor(((at - own[k]) / (own[k + 1] - own[k])) * count);
  });
  if (Math.min(column, row) < 0 || Math.max(column, row) >= count) return null;
  // as samedge_core/sweeps/fate_map.py has them, to the last bit
  const middle = (/** @type {number} */ k, /** @type {number} */ i) => own[k] + (i + 0.5) * ((own[k + 1] - own[k]) / count);
  return { x: middle(0, column), y: middle(2, row), value: values[row * count + column] };
}

function pick(/** @type {FatesState} */ state, /** @type {[number, number]} */ share) {
  const point = pointAt(state, share);
  if (point) state.trigger("picked", { x: point.x, y: point.y });
}

/** @type {(state: FatesState, share: [number, number] | null) => void} */
function hover(state, share) {
  const { box, data, tip } = state;
  const point = share && pointAt(state, share);
  tip.hidden = !point || !data;
  if (!share || !point || !data) return;
  const texts = [point.x, point.y].map((v, i) => {
    const width = state.view[2 * i + 1] - state.view[2 * i];
    const digits = Math.min(17, Math.max(3, 3 + Math.ceil(Math.log10(Math.abs(v) / width || 1))));
    return `${data.labels[i]} ${Number((data.log[i] ? 10 ** v : v).toPrecision(digits))}`;
  });
  tip.textContent = `${texts.join(", ")}: ${told(data.words, point.value)}`;
  tip.style.top = `${box.top + (1 - share[1]) * box.height + (share[1] > 0.75 ? 14 : -14 - tip.offsetHeight)}px`;
  const left = box.left + share[0] * box.width - tip.offsetWidth / 2;
  tip.style.left = `${Math.max(0, Math.min(left, state.root.clientWidth - tip.offsetWidth))}px`;
}

function listen(/** @type {FatesState} */ state) {
  const { canvas } = state;
  const { signal } = state.abort;
  canvas.addEventListener("wheel", (event) => {
    const share = shareAt(state, event);
    if (!share || !state.data) return;
    const pixels = event.deltaY * (event.deltaMode ? 30 : 1);
    const view = zoomed(state.view, WHEEL ** Math.max(-400, Math.min(pixels, 400)), share, state.data);
    if (view.every((v, i) => v === state.view[i])) return; // nothing farther out: the page scrolls
    event.preventDefault();
    show(state, view);
  }, { signal, passive: false });
  canvas.addEventListener("dblclick", (event) => {
    clearTimeout(state.click);
    zoomBy(state, 4, shareAt(state, event));
  }, { signal });
  canvas.addEventListener("keydown", (event) => onKey(state, event), { signal });
  for (const type of ["focus", "blur"]) canvas.addEventListener(type, () => { state.keys = false; draw(state); }, { signal });
  onPointers(state);
}

/** Drag to move, pinch to zoom (one finger scrolls the page), click to choose. */
function onPointers(/** @type {FatesState} */ state) {
  const { canvas, down } = state;
  const { signal } = state.abort;
  let travelled = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !shareAt(state, event)) return;
    if (!down.size) travelled = 0;
    down.set(event.pointerId, [event.clientX, event.clientY]);
    if (event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId);
  }, { signal });
  canvas.addEventListener("pointermove", (event) => {
    const from = down.get(event.pointerId);
    if (!from || !state.data) return void hover(state, event.pointerType === "touch" ? null : shareAt(state, event));
    travelled += Math.hypot(event.clientX - from[0], event.clientY - from[1]);
    const before = [...down.values()];
    down.set(event.pointerId, [event.clientX, event.clientY]);
    if (travelled < SLACK || (event.pointerType === "touch" && down.size < 2)) return;
    hover(state, null);
    drag(state, state.data, before, [...down.values()]);
  }, { signal });
  canvas.addEventListener("pointerup", (event) => {
    const share = shareAt(state, event);
    if (!down.delete(event.pointerId) || !share || down.size || travelled >= SLACK) return;
    clearTimeout(state.click);
    state.click = setTimeout(() => pick(state, share), CLICK_MS); // unless it was the first of two
  }, { signal });
  for (const type of ["pointercancel", "pointerleave"]) {
    canvas.addEventListener(type, (event) => { down.delete(/** @type {PointerEvent} */ (event).pointerId); hover(state, null); }, { signal });
  }
  canvas.addEventListener("touchmove", (event) => { if (event.touches.length > 1) event.preventDefault(); }, { signal, passive: false });
}

/** What was between the fingers stays there. @type {(state: FatesState, data: FatesData, before: [number, number][], after: [number, number][]) => void} */
function drag(state, data, before, after) {
  const middle = (/** @type {[number, number][]} */ points, /** @type {0 | 1} */ k) => points.reduce((sum, p) => sum + p[k], 0) / points.length;
  const apart = (/** @type {[number, number][]} */ [p, q]) => (q ? Math.hypot(p[0] - q[0], p[1] - q[1]) : 1);
  const { box } = state;
  const [dx, dy] = [middle(after, 0) - middle(before, 0), middle(after, 1) - middle(before, 1)];
  const view = moved(state.view, -dx / box.width, dy / box.height, data);
  const share = shareAt(state, { clientX: middle(after, 0), clientY: middle(after, 1) }) ?? MIDDLE;
  show(state, zoomed(view, apart(before) / Math.max(apart(after), 1), share, data));
}

/** @type {(state: FatesState, factor: number, share?: [number, number] | null) => void} */
function zoomBy(state, factor, share = MIDDLE) {
  if (state.data && share) show(state, zoomed(state.view, factor, share, state.data));
}

function onKey(/** @type {FatesState} */ state, /** @type {KeyboardEvent} */ event) {
  const { data, view } = state;
  if (!data || event.ctrlKey || event.metaKey || event.altKey) return;
  /** @type {Record<string, () => void>} */
  const keys = {
    "+": () => zoomBy(state, 1 / KEY_ZOOM), "=": () => zoomBy(state, 1 / KEY_ZOOM), "-": () => zoomBy(state, KEY_ZOOM),
    0: () => show(state, data.whole), Enter: () => pick(state, MIDDLE),
    ArrowLeft: () => show(state, moved(view, -0.1, 0, data)), ArrowRight: () => show(state, moved(view, 0.1, 0, data)),
    ArrowUp: () => show(state, moved(view, 0, 0.1, data)), ArrowDown: () => show(state, moved(view, 0, -0.1, data)),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  event.stopPropagation();
  state.keys = true;
  keys[event.key]();
}

/* ---------------------------------------------------------------- mounting */

const STYLE = `
.samedge-fates { position: relative; font-size: 0.875rem; }
.samedge-fates canvas { display: block; width: 100%; touch-action: pan-x pan-y; cursor: crosshair; image-rendering: pixelated; }
.samedge-fates canvas:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.samedge-fates-buttons { position: absolute; top: 12px; right: 16px; display: flex; gap: 4px; }
.samedge-fates-buttons button { min-width: 2.3em; height: 2.3em; font: inherit; font-size: 1.05em; cursor: pointer; border-radius: 6px;
  color: var(--st-text-color); background: var(--st-background-color); border: 1px solid var(--st-border-color, #9996); }
.samedge-fates-tip { position: absolute; z-index: 5; pointer-events: none; max-width: 22em; padding: 4px 8px; border-radius: 6px;
  color: var(--st-text-color); background: var(--st-background-color); border: 1px solid var(--st-border-color, #999);
  font-variant-numeric: tabular-nums; }
.samedge-fates-tip[hidden] { display: none; }
.samedge-fates-legend { display: flex; flex-wrap: wrap; gap: 2px 14px; padding: 4px 0 0; }
.samedge-fates-legend i { display: inline-block; width: 2em; height: 0.8em; margin-right: 5px; border: 1px solid #8888; }
`;

export const { update, release } = lifecycle(mount, receive, (state) => { state.abort.abort(); state.watch.disconnect(); });
const remembered = memory(["view", "picture", "origin"]);

/** @type {(state: FatesState, component: Component<any>) => void} */
function receive(state, { data: sent, setTriggerValue }) {
  state.trigger = setTriggerValue;
  /** @type {FatesData} */
  const data = decode(sent);
  state.data = data;
  if (data.origin !== state.origin) [state.view, state.origin] = [data.view, data.origin];
  state.latest += 1;
  const number = state.latest;
  inflate(data.picture).then((values) => {
    if (number !== state.latest) return;
    state.picture = { values, count: data.count, view: data.view };
    state.picture.image = state.table && paint(state.picture, state.table);
    state.waiting = false;
    const look = readLook(state.root);
    drawLegend(state, look);
    state.canvas.setAttribute("aria-label", `Map of fates: ${data.summary} Arrows move, + and − zoom, 0 shows all, Enter chooses the middle.`);
    Object.assign(state.root.dataset, { count: data.count, view: data.view.join(" ") });
    draw(state);
    if (data.count < data.fine) state.movedAt = performance.now(); // a slider may still be on its way
    ask(state);
    setTimeout(() => ask(state), STILL_MS + 1);
  });
}

/** @type {(component: Component<any>) => FatesState} */
function mount({ parentElement, data, setTriggerValue }) {
  addStyle("samedge-fates-style", STYLE);
  const root = element("div", "samedge-fates");
  const canvas = Object.assign(element("canvas"), { tabIndex: 0 });
  canvas.setAttribute("role", "application");
  const [tip, legend, buttons] = ["tip", "legend", "buttons"].map((name) => element("div", `samedge-fates-${name}`));
  tip.hidden = true;
  tip.setAttribute("role", "status");
  root.append(canvas, buttons, tip, legend);
  fill(parentElement, root);
  /** @type {FatesState} */
  const state = remembered(data.key, {
    root, canvas, tip, legend, trigger: setTriggerValue, abort: new AbortController(), data: null, picture: null, table: null,
    view: /** @type {FatesView} */ ([0, 1, 0, 1]), box: { left: 0, top: 0, width: 1, height: 1 }, origin: "", latest: 0, frame: 0, scheme: "",
    waiting: false, askedAt: 0, movedAt: 0, keys: false, click: undefined, down: new Map(), watch: new ResizeObserver(() => draw(state)),
  });
  const actions = /** @type {[string, string, () => void][]} */ ([
    ["+", "Zoom in", () => zoomBy(state, 1 / KEY_ZOOM)], ["−", "Zoom out", () => zoomBy(state, KEY_ZOOM)],
    ["⌂", "The whole map", () => state.data && show(state, state.data.whole)],
  ]);
  buttons.append(...actions.map(([text, title, act]) => {
    const button = Object.assign(element("button", "", text), { type: "button", title, onclick: act });
    button.setAttribute("aria-label", title);
    return button;
  }));
  state.watch.observe(root);
  listen(state);
  return state;
}
