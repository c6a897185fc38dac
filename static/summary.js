/** A chart in words, for those who can't see it. */

/** @import { Options, Part, Plot, Trace } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { count, shownNumber } = await part("page.js");

/** Group of the legend: one entry switches the predictions of all runs in all charts. */
export const PREDICTED = "predicted";

/**
 * Say in words where the lines of a chart have come to, or what is `given`.
 * @type {(plot: Plot, traces: Trace[], layout: Options, given?: string) => void}
 */
export function describe(plot, traces, layout, given) {
  const summary = /** @type {HTMLElement} */ (plot.querySelector(".samedge-summary"));
  const text = given || summaryOf(traces, layout);
  if (summary.textContent !== text) summary.textContent = text;
}

/**
 * The last values of all that has a hover text: at one x, "step 40: sharpness 0.51, 2/η 2", under the titles of the
 * axes where there are several; else point by point, "SAM: w 0.6, loss 1.2".
 * @type {(traces: Trace[], layout: Options) => string}
 */
export function summaryOf(traces, layout) {
  const said = traces.flatMap((trace) => {
    // a prediction ends where the run has yet to come: the page says in words how far it is off
    const at = trace.hoverinfo === "skip" || trace.legendgroup === PREDICTED || trace.visible === "legendonly" || trace.fill ? -1 : lastFinite(trace.y);
    return at < 0 ? [] : [{ name: plainText(trace.name), x: xOf(trace, at), y: trace.y[at], axis: trace.yaxis ?? "y" }];
  });
  if (!said.length) return "";
  /** @type {(axis: string) => string} */
  const title = (axis) => plainText(layout[axis.replace(/^[xy]/, "$&axis")]?.title?.text);
  if (layout.hovermode !== "x unified") {
    return said.map(({ name, x, y, axis }) => `${name}: ${title("x")} ${spoken(x)}, ${title(axis)} ${spoken(y)}`).join("; ");
  }
  const axes = [...new Set(said.map(({ axis }) => axis))].filter((axis) => !layout[axis.replace("y", "yaxis")]?.overlaying);
  const parts = axes.length < 2 ? [said] : axes.map((axis) => said.filter((one) => one.axis === axis));
  const texts = parts.map((part) => {
    const values = part.map(({ name, y }) => `${name} ${spoken(y)}`).join(", ");
    return parts.length > 1 ? `${title(part[0].axis)}: ${values}` : values;
  });
  return `${title("x")} ${spoken(Math.max(...said.map(({ x }) => x)))}: ${texts.join("; ")}`;
}

/** Where a point is, of evenly spaced ones too. @type {(trace: Trace, at: number) => number} */
function xOf({ x, x0, dx }, at) {
  return x ? x[at] : x0 + at * dx;
}

/** The place of the last finite value; -1 without one. */
function lastFinite(/** @type {ArrayLike<number> | undefined} */ values) {
  let at = (values?.length ?? 0) - 1;
  while (at >= 0 && !Number.isFinite(values?.[at])) at -= 1;
  return at;
}

function spoken(/** @type {number | string} */ value) {
  if (typeof value !== "number") return value;
  return Number.isInteger(value) ? count(value) : shownNumber(Number(value.toPrecision(3)));
}

/** Text without the tags that Plotly draws. */
function plainText(/** @type {string | undefined} */ text) {
  return (text ?? "").replace(/<[^>]*>/g, " ").trim();
}
