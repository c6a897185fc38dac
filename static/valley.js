/**
 * A step that hops in a valley (pages/parts/components/valley.py), drawn without Plotly, so that the first
 * picture of a visit moves before that has loaded.
 */

/** @import { Component, Look, Part, ValleyData, ValleyState } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const PARTS = /** @type {const} */ (["theme.js", "decode.js", "page.js", "player.js"]);
PARTS.forEach(part); // all at once: below, each waits for the one before
const { readLook } = await part("theme.js");
const { decode } = await part("decode.js");
const { addStyle, element, fill, lifecycle, memory, shape } = await part("page.js");
const { PLAYER_STYLE, autoplay, drawPlayer, makePlayer, stopPlaying } = await part("player.js");

const HEIGHT = 200; // pixels, as the numbers below; more with large text
const TEXT = 14;
const FOOT = 44; // under the lowest point: the axis, its numbers and its name
const TRAIL = 8; // hops drawn behind the current one

/** @typedef {(w: number, loss: number) => [x: number, y: number]} Place pixels of a point */

/* ---------------------------------------------------------------- drawing */

function draw(/** @type {ValleyState} */ state) {
  const { data, svg, theme: { scale } } = state;
  if (!data) return;
  const [width, height] = [svg.clientWidth / scale, HEIGHT];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${HEIGHT * scale}px`;
  /** @type {Place} */
  const place = (w, loss) => [((w / data.half + 1) / 2) * width, (height - FOOT) * (1 - loss / data.top)];
  svg.replaceChildren(...ground(data, state, place, width), ...hops(state, data, place));
  drawPlayer(state.player, state);
}

/** The loss and its axes. @type {(data: ValleyData, look: Look, place: Place, width: number) => SVGElement[]} */
function ground({ curve, path, left }, { theme, palette }, place, width) {
  const points = Array.from(curve.x, (w, i) => place(w, curve.y[i]));
  const axis = HEIGHT - FOOT + 14;
  const text = { fill: theme.text, "font-size": TEXT, y: axis + 6 + TEXT };
  const numbers = [-1, 0, 1].flatMap((w) => {
    const [x] = place(w, 0);
    const tick = shape("line", { x1: x, x2: x, y1: axis, y2: axis + 5, stroke: theme.mark });
    return [tick, shape("text", { ...text, x, "text-anchor": "middle" }, String(w).replace("-", "−"))];
  });
  const right = { x: width - 2, "text-anchor": "end" };
  const [near, far] = path.x[path.x.length - 1] > 0 ? [right, { x: 2 }] : [{ x: 2 }, right];
  const beside = { ...text, y: HEIGHT - FOOT }; // outside of the valley, where no hop is
  return [
    shape("polyline", { points: points.join(" "), fill: "none", stroke: theme.muted, "stroke-width": 3 }),
    shape("line", { x1: 0, x2: width, y1: axis, y2: axis, stroke: theme.mark }),
    ...numbers,
    shape("text", { ...text, ...right }, width < 320 ? "w" : "weight w"),
    shape("text", { ...beside, ...far }, "loss"),
    ...(left ? [shape("text", { ...beside, ...near, fill: palette.bad }, "thrown out")] : []),
  ];
}

/** The newest hops up to the step that is shown. @type {(state: ValleyState, data: ValleyData, place: Place) => SVGElement[]} */
function hops({ at, theme, palette }, { path, left }, place) {
  const last = Math.min(at, path.x.length - 1);
  const first = Math.max(0, last - TRAIL + 1);
  const points = Array.from({ length: last - first + 1 }, (_, i) => place(path.x[first + i], path.y[first + i]));
  const color = left ? palette.bad : palette.sharpness;
  const [cx, cy] = points[points.length - 1];
  return [
    shape("polyline", { points: points.join(" "), fill: "none", stroke: color, "stroke-width": 2, opacity: 0.5 }),
    ...points.map(([cx, cy]) => shape("circle", { cx, cy, r: 3.5, fill: color, opacity: 0.7 })),
    shape("circle", { cx, cy, r: 8.5, fill: color, stroke: theme.background, "stroke-width": 2 }),
  ];
}

/* ---------------------------------------------------------------- messages from the server */

/** @type {(state: ValleyState, component: Component<ValleyData>) => void} */
function receive(state, { parentElement, data }) {
  Object.assign(state, readLook(parentElement));
  const first = state.scene === null;
  if (state.scene !== data.scene) {
    state.at = Infinity;
    stopPlaying(state);
  }
  state.data = decode(data);
  [state.scene, state.scrub] = [data.scene, state.data?.scrub ?? null];
  draw(state);
  autoplay(state, () => draw(state), first ? 0 : undefined);
}

/* ---------------------------------------------------------------- mounting */

const STYLE = `
.samedge-valley svg { display: block; width: 100%; }
.samedge-valley [hidden] { display: none; }
${PLAYER_STYLE}`;

const takeOver = memory(["scene", "at", "held"]);

export const { update, release } = lifecycle(mount, receive, (state) => {
  stopPlaying(state);
  state.observer.disconnect();
});

/** @type {(component: Component<ValleyData>) => ValleyState} */
function mount({ parentElement, data }) {
  addStyle("samedge-valley-style", STYLE);
  const root = element("div", "samedge-valley");
  const svg = /** @type {SVGSVGElement} */ (shape("svg", { role: "img", "aria-label": data.name }));
  const redraw = () => draw(state);
  const observer = new ResizeObserver(() => {
    state.theme = readLook(root).theme; // the text may be larger, too
    draw(state);
  });
  const player = makePlayer(/** @type {() => ValleyState} */ (() => state), redraw);
  /** @type {ValleyState} */
  const state = {
    svg, observer, player, ...readLook(parentElement), data: null,
    scene: null, scrub: null, at: Infinity, playing: 0, held: false, timer: 0,
  };
  root.append(svg, player.row);
  fill(parentElement, root);
  observer.observe(svg);
  return takeOver(data.key, state);
}
