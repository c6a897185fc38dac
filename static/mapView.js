/** Views of a map, as four numbers in axis units (x from, x to, y from, y to), and the numbers on its axes. */

/** @import { FatesView, MapBounds } from "./types.d.ts" */

/** The view about a point that keeps its place, within the map. @type {(view: FatesView, factor: number, at: [number, number], data: MapBounds) => FatesView} */
export function zoomed(view, factor, [x, y], data) {
  return /** @type {FatesView} */ ([0, 2].flatMap((k) => {
    const [low, high, whole] = [view[k], view[k + 1], data.whole[k + 1] - data.whole[k]];
    const least = Math.min(k ? data.finest[1] : data.finest[0], high - low);
    const width = Math.min(Math.max((high - low) * factor, least), whole);
    const share = k ? y : x;
    const start = low + share * (high - low - width);
    return kept(start, width, data.whole[k], data.whole[k + 1]);
  }));
}

/** @type {(view: FatesView, x: number, y: number, data: MapBounds) => FatesView} */
export function moved(view, x, y, data) {
  return /** @type {FatesView} */ ([0, 2].flatMap((k) => {
    const width = view[k + 1] - view[k];
    return kept(view[k] + (k ? y : x) * width, width, data.whole[k], data.whole[k + 1]);
  }));
}

/** @type {(start: number, width: number, low: number, high: number) => number[]} */
function kept(start, width, low, high) {
  const from = Math.max(low, Math.min(start, high - width));
  return [from, Math.min(from + width, high)];
}

/** Numbers for an axis, at most `most`, as places in axis units and texts. @type {(low: number, high: number, log: boolean, most: number) => [number, string][]} */
export function ticks(low, high, log, most) {
  const place = (/** @type {number} */ v) => (log ? Math.log10(v) : v);
  if (log && high - low > 1) {
    const every = Math.ceil((high - low) / most);
    const first = Math.ceil(low / every) * every;
    const exponents = Array.from({ length: Math.floor((high - first) / every) + 1 }, (_, i) => first + i * every);
    return exponents.map((e) => [e, e > -4 && e < 6 ? String(Number(`1e${e}`)) : `1e${e}`]);
  }
  const [from, to] = log ? [10 ** low, 10 ** high] : [low, high];
  const rough = (to - from) / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  /** @type {[number, string][]} */
  const found = [];
  for (let i = Math.ceil(from / step - 1e-9); i <= to / step + 1e-9 && found.length <= most; i += 1) {
    const text = digits > 17 || Math.abs(to) < 1e-4 ? (i * step).toPrecision(4) : (i * step).toFixed(digits);
    if (text !== found.at(-1)?.[1]) found.push([place(i * step), text]);
  }
  return found;
}
