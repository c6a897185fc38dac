/** How the cells of a phase diagram are drawn: their places, colours and marks on a canvas. Nothing is interpolated. */

/** @import { DiagramAxis, DiagramPlace, DiagramTable, DiagramView, Look, Part } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { channels, translucent } = await part("theme.js");
const { shownNumber } = await part("page.js");

export const EMPTY = 255; // the fate of a cell that is not computed
const MARK = { room: 7, most: 8, share: 0.28 }; // pixels that one needs; half of it, also as a share of its cell
const RING = { least: 3, most: 13, share: 0.4 }; // its radius in pixels, and as a share of its cell
const DIGITS = 3;

/* ---------------------------------------------------------------- colours */

/** Viridis: even steps to the eye, also without red or green vision, and in grey. @type {[number, string][]} */
const SEQUENCE = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"]
  .map((color, i) => [i / 8, color]);
/** @type {Record<string, (look: Look) => [number, string][]>} */
const SCALES = {
  sequence: () => SEQUENCE,
  // yellow is the edge, reached from below; beyond it, red
  edge: () => [...SEQUENCE.map(([at, color]) => /** @type {[number, string]} */ ([at / 1.5, color])), [0.8, "#f3722c"], [1, "#9d0208"]],
  difference: ({ palette }) => [[0, "#1f5fbf"], [0.5, palette.ghost], [1, "#f0641e"]],
};

/** The colours of a scale as 256 triples. @type {(name: string, look: Look) => number[][]} */
export function shades(name, look) {
  const stops = SCALES[name](look).map(([at, color]) => /** @type {const} */ ([at, channels(color)]));
  return Array.from({ length: 256 }, (_, i) => {
    const above = Math.max(1, stops.findIndex(([at]) => i / 255 <= at));
    const [[low, a], [high, b]] = [stops[above - 1], stops[above]];
    const share = (i / 255 - low) / (high - low);
    return [0, 1, 2].map((k) => Math.round(a[k] + (b[k] - a[k]) * share));
  });
}

/**
 * The values at both ends of the colours: those of the view, else all but the outer hundredths of the measured
 * cells, so that one cell does not take all colours. Null without any.
 * @type {(table: DiagramTable, view: DiagramView) => [number, number] | null}
 */
export function colourRange({ fate, columns }, { quantity, blank }) {
  if (quantity.range) return quantity.range;
  const known = Float64Array.from(columns[quantity.name].filter((value, i) =>
    !blank.includes(fate[i]) && Number.isFinite(value) && (!quantity.log || value > 0))).sort();
  if (!known.length) return null;
  const [low, high] = [0.01, 0.99].map((share) => known[Math.round(share * (known.length - 1))]);
  if (quantity.scale !== "difference") return [low, high];
  const far = Math.max(Math.abs(low), Math.abs(high)) || 1;
  return [-far, far];
}

/** Where a value lies in the colours, 0 to 255. @type {(value: number, range: [number, number], log: boolean) => number} */
export function shadeOf(value, [low, high], log) {
  const [at, from, to] = log ? [value, low, high].map(Math.log10) : [value, low, high];
  const share = to > from ? (at - from) / (to - from) : 0.5;
  return Math.round(255 * Math.min(Math.max(share, 0), 1));
}

/* ---------------------------------------------------------------- places */

/** Where a value lies on its axis: its logarithm where that is even. @type {(axis: DiagramAxis, value: number) => number} */
const scaled = ({ log }, value) => (log ? Math.log10(value) : value);

/** The borders of an axis's cells, half way between their values. @type {(axis: DiagramAxis) => number[]} */
export function borders(axis) {
  const at = Array.from(axis.values, (value) => scaled(axis, value));
  if (at.length === 1) return [at[0] - 0.5, at[0] + 0.5];
  const inner = at.slice(1).map((value, i) => (at[i] + value) / 2);
  return [2 * at[0] - inner[0], ...inner, 2 * at[at.length - 1] - inner[inner.length - 1]];
}

/**
 * Places on a canvas of `width` x `height` pixels, with texts of `size`.
 * @type {(x: DiagramAxis, y: DiagramAxis | null, width: number, height: number, size: number) => DiagramPlace}
 */
export function placeIn(x, y, width, height, size) {
  const box = { left: y ? 5.2 * size : size, top: size, right: width - size, bottom: height - 3.4 * size };
  /** @type {(axis: DiagramAxis, from: number, to: number) => { cuts: number[], at: (value: number) => number }} */
  const along = (axis, from, to) => {
    const ends = borders(axis);
    const [low, high] = [ends[0], ends[ends.length - 1]];
    const place = (/** @type {number} */ value) => from + ((value - low) / (high - low)) * (to - from);
    return { cuts: ends.map(place), at: (value) => place(scaled(axis, value)) };
  };
  const across = along(x, box.left, box.right);
  const up = y ? along(y, box.bottom, box.top) : { cuts: [box.bottom, box.top], at: () => (box.top + box.bottom) / 2 };
  return { box, size, xs: across.cuts, ys: up.cuts, xAt: across.at, yAt: up.at };
}

/** The column and row under a point; null beside all. @type {(place: DiagramPlace, x: number, y: number) => [number, number] | null} */
export function cellAt({ xs, ys }, x, y) {
  const ix = xs.findLastIndex((cut) => cut <= x);
  const iy = ys.findLastIndex((cut) => cut >= y);
  return ix < 0 || iy < 0 || ix > xs.length - 2 || iy > ys.length - 2 ? null : [ix, iy];
}

/** The values that an axis is labelled at: all of few, else round ones. @type {(axis: DiagramAxis) => number[]} */
export function ticks(axis) {
  const { values, log } = axis;
  if (values.length <= 6) return Array.from(values);
  const [low, high] = [values[0], values[values.length - 1]];
  if (!log || high / low < 5) { // in less, there may be none of 1, 2 and 5
    const step = [1, 2, 5, 10].map((k) => k * 10 ** Math.floor(Math.log10((high - low) / 5))).find((s) => (high - low) / s <= 6) ?? 1;
    return Array.from({ length: 8 }, (_, i) => Number((Math.ceil(low / step - 1e-9) * step + i * step).toPrecision(12))).filter((v) => v <= high * (1 + 1e-9));
  }
  const factors = high / low < 150 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    found.push(...factors.map((factor) => Number(`${factor}e${power}`)));
  }
  return found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
}

/* ---------------------------------------------------------------- drawing */

/** @type {Record<string, (path: Path2D, x: number, y: number, r: number) => void>} */
const MARKS = {
  diverged(path, x, y, r) {
    MARKS["above its edge"](path, x, y, r);
    MARKS["below its edge"](path, x, y, r);
  },
  "above its edge"(path, x, y, r) {
    path.moveTo(x - r, y - r);
    path.lineTo(x + r, y + r);
  },
  "below its edge"(path, x, y, r) {
    path.moveTo(x - r, y + r);
    path.lineTo(x + r, y - r);
  },
  converged(path, x, y, r) {
    path.moveTo(x - r, y);
    path.lineTo(x + r, y);
  },
  dead(path, x, y, r) {
    path.moveTo(x + 0.5 * r, y);
    path.arc(x, y, 0.5 * r, 0, 7);
  },
  "another fate": ring,
  failed(path, x, y, r) {
    path.moveTo(x, y - r);
    path.lineTo(x, y + r);
  },
};

/** The mark of a fate, in a legend or a cell. @type {(path: Path2D, fate: string, x: number, y: number, r: number) => void} */
export function mark(path, fate, x, y, r) {
  MARKS[fate]?.(path, x, y, r);
}

/** Draw all cells: a colour for the quantity, a mark for the fate. @type {(context: CanvasRenderingContext2D, place: DiagramPlace, table: DiagramTable, view: DiagramView, look: Look) => void} */
export function drawCells(context, { box, xs, ys }, table, view, look) {
  const { theme } = look;
  const range = colourRange(table, view);
  const colours = shades(view.quantity.scale, look);
  const marks = { dark: new Path2D(), light: new Path2D(), muted: new Path2D() };
  const values = table.columns[view.quantity.name];
  context.fillStyle = translucent(theme.text, 0.05);
  context.fillRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  const nx = xs.length - 1;
  // of cells that are smaller than a mark, some have one
  const side = Math.min((box.right - box.left) / nx, (box.bottom - box.top) / (ys.length - 1));
  const every = Math.max(1, Math.ceil(MARK.room / side));
  table.fate.forEach((fate, i) => {
    if (fate === EMPTY) return;
    // to whole pixels: neighbours leave neither a gap nor a seam
    const [left, right] = [xs[i % nx], xs[(i % nx) + 1]].map(Math.round);
    const [bottom, top] = [ys[Math.floor(i / nx)], ys[Math.floor(i / nx) + 1]].map(Math.round);
    const known = range && !view.blank.includes(fate) && Number.isFinite(values[i]) && (!view.quantity.log || values[i] > 0);
    const colour = known ? colours[shadeOf(values[i], range, view.quantity.log)] : null;
    context.fillStyle = colour ? `rgb(${colour})` : translucentOnce(theme.text);
    context.fillRect(left, top, right - left, bottom - top);
    if ([i % nx, Math.floor(i / nx)].some((at) => at % every !== every >> 1)) return;
    const r = Math.min(MARK.most, MARK.share * every * Math.min(right - left, bottom - top));
    const tone = colour ? (0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 120 ? "dark" : "light") : "muted";
    mark(marks[tone], view.fates[fate], (left + right) / 2, (top + bottom) / 2, r);
  });
  context.lineWidth = 1.4;
  for (const [path, colour] of /** @type {const} */ ([[marks.dark, "rgba(0,0,0,0.75)"], [marks.light, "rgba(255,255,255,0.85)"], [marks.muted, theme.muted]])) {
    context.strokeStyle = colour;
    context.stroke(path);
  }
}

/** @type {[string, string]} */
let lastGrey = ["", ""];

/** What cells without a number are filled with; asking the browser ten thousand times takes long. */
function translucentOnce(/** @type {string} */ text) {
  if (lastGrey[0] !== text) lastGrey = [text, translucent(text, 0.16)];
  return lastGrey[1];
}

/** Draw the frame, the numbers and the titles of both axes. @type {(context: CanvasRenderingContext2D, place: DiagramPlace, x: DiagramAxis, y: DiagramAxis | null, look: Look) => void} */
export function drawAxes(context, { box, size, xAt, yAt }, x, y, { theme }) {
  Object.assign(context, { strokeStyle: theme.border, fillStyle: theme.text, lineWidth: 1, font: `${size}px ${theme.font}` });
  context.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  context.textAlign = "center";
  let free = -Infinity;
  for (const value of ticks(x)) {
    const [text, at] = [shownNumber(Number(value.toPrecision(DIGITS))), xAt(value)];
    const half = context.measureText(text).width / 2;
    context.fillRect(at, box.bottom, 1, 4);
    if (at - half < free) continue; // numbers must not run into each other
    context.fillText(text, at, box.bottom + 5 + size);
    free = at + half + 0.6 * size;
  }
  context.fillText(`${x.label}${x.log ? " (log)" : ""}`, (box.left + box.right) / 2, box.bottom + 2.8 * size);
  if (!y) return;
  context.textAlign = "right";
  free = Infinity;
  for (const value of ticks(y)) {
    const at = yAt(value);
    context.fillRect(box.left - 4, at, 4, 1);
    if (at + 0.6 * size > free) continue;
    context.fillText(shownNumber(Number(value.toPrecision(DIGITS))), box.left - 6, at + 0.35 * size);
    free = at - 0.8 * size;
  }
  context.save();
  context.translate(size, (box.top + box.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(`${y.label}${y.log ? " (log)" : ""}`, 0, 0);
  context.restore();
}

/** Draw what theory says over the cells. @type {(context: CanvasRenderingContext2D, place: DiagramPlace, view: DiagramView, look: Look) => void} */
export function drawLines(context, { box, xAt, yAt }, view, look) {
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  context.clip();
  for (const { x, y, dash } of view.lines) {
    const path = new Path2D();
    Array.from(x).forEach((value, i) => { path.lineTo(xAt(value), yAt(y[i])); });
    overlay(context, path, look, dash);
  }
  context.restore();
}

/** Draw a line over the cells, with a rim that sets it apart from any colour. @type {(context: CanvasRenderingContext2D, path: Path2D, look: Look, dash?: number[]) => void} */
export function overlay(context, path, { theme }, dash = []) {
  context.setLineDash([]);
  Object.assign(context, { lineWidth: 5, strokeStyle: translucent(theme.background, 0.85) });
  context.stroke(path);
  context.setLineDash(dash);
  Object.assign(context, { lineWidth: 2.2, strokeStyle: theme.text });
  context.stroke(path);
  context.setLineDash([]);
}

/** A ring around a mark. @type {(path: Path2D, x: number, y: number, r: number) => void} */
export function ring(path, x, y, r) {
  path.moveTo(x + r, y);
  path.arc(x, y, r, 0, 7);
}

/** Draw what a flow says: the borders between unlike fates, and a ring in each cell that has ended otherwise. @type {(context: CanvasRenderingContext2D, place: DiagramPlace, table: DiagramTable, look: Look) => void} */
export function drawPredicted(context, { xs, ys }, { predicted, wrong }, look) {
  const [borders, rings] = [new Path2D(), new Path2D()];
  const nx = xs.length - 1;
  /** @type {(i: number, j: number) => boolean} */
  const unlike = (i, j) => j < predicted.length && predicted[j] !== EMPTY && predicted[i] !== predicted[j];
  predicted.forEach((fate, i) => {
    if (fate === EMPTY) return;
    const [ix, iy] = [i % nx, Math.floor(i / nx)];
    const [left, right, bottom, top] = [xs[ix], xs[ix + 1], ys[iy], ys[iy + 1]];
    if (ix < nx - 1 && unlike(i, i + 1)) {
      borders.moveTo(right, bottom);
      borders.lineTo(right, top);
    }
    if (unlike(i, i + nx)) {
      borders.moveTo(left, top);
      borders.lineTo(right, top);
    }
    if (wrong[i]) ring(rings, (left + right) / 2, (bottom + top) / 2, Math.min(RING.most, Math.max(RING.least, RING.share * Math.min(right - left, bottom - top))));
  });
  for (const path of [borders, rings]) overlay(context, path, look);
}
