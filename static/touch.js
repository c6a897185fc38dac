/** Fingers on a chart. */

/** @import { Plot, Plotly, Range } from "./types.d.ts" */

/**
 * One finger scrolls the page and two zoom; taps come as clicks. Plotly itself would take a swipe for a zoom.
 * @type {(plot: Plot, plotly: Plotly, signal: AbortSignal, axes: string[]) => void}
 */
export function onTouch(plot, plotly, signal, axes) {
  /** @type {{ width: number, under: [name: string, at: number, range: Range][] } | null} */
  let pinch = null;
  plot.addEventListener("touchstart", (event) => {
    event.stopPropagation();
    pinch = null;
    if (event.touches.length !== 2) return;
    const held = axes.filter((name) => !plot._fullLayout[name].fixedrange);
    pinch = { width: apart(event), under: held.map((name) => [name, between(event, plot, name), plot._fullLayout[name].range.slice()]) };
  }, { signal, capture: true, passive: true });
  plot.addEventListener("touchmove", (event) => {
    if (!pinch || event.touches.length !== 2) return;
    event.preventDefault();
    const zoomed = pinch.width / Math.max(apart(event), 1);
    plotly.relayout(plot, Object.fromEntries(pinch.under.map(([name, at, [low, high]]) => {
      const start = low + at * (high - low) - between(event, plot, name) * zoomed * (high - low);
      return [`${name}.range`, [start, start + zoomed * (high - low)]]; // what was between the fingers stays there
    })));
  }, { signal, passive: false });
}

/** Pixels between two fingers. */
function apart(/** @type {TouchEvent} */ { touches: [a, b] }) {
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
}

/** The middle between two fingers, as a share of an axis. @type {(event: TouchEvent, plot: Plot, name: string) => number} */
function between({ touches: [a, b] }, plot, name) {
  const { _offset, _length } = plot._fullLayout[name];
  const box = plot.getBoundingClientRect();
  if (name.startsWith("x")) return ((a.clientX + b.clientX) / 2 - box.left - _offset) / _length;
  return 1 - ((a.clientY + b.clientY) / 2 - box.top - _offset) / _length;
}
