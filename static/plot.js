/** What every component with charts needs of Plotly: the library once a page, elements, buttons, clicks. */

/** @import { Options, Part, Plot, Plotly } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { addStyle, element } = await part("page.js");

/** @type {Promise<Plotly> | null} */
let plotlyLoad = null;

/** A finger can't hover, and has no keyboard beside it. */
export const BY_TOUCH = globalThis.matchMedia?.("(hover: none)").matches ?? false;

// Plotly's place for its buttons, the upper right corner, is the legend's; the lower one is free, but for
// numbers that stand above it.
const BUTTONS_STYLE = `
:is(.samedge-live, .samedge-figures) .js-plotly-plot .plotly .modebar-container { top: auto !important; bottom: 0; }
:is(.samedge-live, .samedge-figures) .js-plotly-plot .plotly .modebar { top: auto; bottom: -4px; }
:is(.samedge-live, .samedge-figures) .modebar-group { background-color: transparent !important; }
.js-plotly-plot { touch-action: pan-y; }
.samedge-summary { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }`;

const VALLEY_MS = 800;

/** Load Plotly.js from beside this file, once a page; where that fails, `root` says so. */
export function loadPlotly(/** @type {HTMLElement} */ root, /** @type {(plotly: Plotly) => void} */ loaded) {
  addStyle("samedge-buttons-style", BUTTONS_STYLE);
  plotlyLoad ??= new Promise((resolve, reject) => {
    const address = new URL(import.meta.url).searchParams.get("plotly") ?? "";
    const script = document.createElement("script");
    script.src = new URL(`../../${address}`, import.meta.url).href;
    script.onload = () => (window.Plotly ? resolve(window.Plotly) : reject(new Error("no Plotly in the file")));
    script.onerror = () => reject(new Error(`cannot load ${script.src}`));
    // starting Plotly stops all that moves for a second: on a first visit, the valley moves before
    setTimeout(() => document.head.append(script), document.querySelector(".st-key-welcome") ? VALLEY_MS : 0);
  });
  plotlyLoad.then(loaded, () => {
    root.textContent = "The charts could not be loaded: plotly.min.js is missing. Restart the app.";
  });
}

/**
 * The configuration of a chart, for its first draw. In every call, it would be compared each time, and a
 * new button makes a new plot.
 * @type {(plotly: Plotly, name: string, title: string, reset: () => void) => Options}
 */
export function plotConfig({ Icons, downloadImage }, name, title, reset) {
  const file = { filename: `samedge-${name.toLowerCase().replace(/\W+/g, "-")}`, scale: 2 };
  const svg = {
    name: "Download as SVG", icon: Icons.disk,
    click: (/** @type {Plot} */ plot) => downloadImage(plot, { ...file, format: "svg", scale: 1 }),
  };
  return {
    responsive: true,
    displaylogo: false,
    showSendToCloud: false,
    showTips: false, // its notice covers the legend
    doubleClick: false, // handled by the component
    toImageButtonOptions: file,
    modeBarButtons: [
      ["toImage", svg],
      [...(BY_TOUCH ? [] : ["zoom2d", "pan2d"]), { name: title, icon: Icons.home, click: reset }],
    ],
  };
}

/** The element of a chart, for Plotly to draw in, and in it a summary for those who can't see it. */
export function plotElement(/** @type {string} */ name, className = "") {
  const plot = /** @type {Plot} */ (element("div", className));
  const summary = Object.assign(element("p", "samedge-summary"), { id: crypto.randomUUID() });
  plot.setAttribute("role", "figure");
  plot.setAttribute("aria-label", name);
  plot.setAttribute("aria-describedby", summary.id);
  plot.append(summary);
  return plot;
}

const CLICK_SLACK = 4; // pixels that a hand may move while it clicks

/**
 * Report clicks anywhere in the plot area, in data units: Plotly itself only reports points of traces.
 * @type {(plot: Plot, signal: AbortSignal, clicked: (at: { x: number, y: number }) => void) => void}
 */
export function onClick(plot, signal, clicked) {
  /** @type {[number, number] | null} */
  let down = null;
  plot.addEventListener("pointerdown", (event) => {
    const left = event.button === 0 && /** @type {Element} */ (event.target).classList.contains("nsewdrag");
    down = left ? [event.clientX, event.clientY] : null;
  }, { signal, capture: true });
  window.addEventListener("pointercancel", () => { down = null; }, { signal }); // the finger scrolls
  window.addEventListener("pointerup", (event) => {
    const still = down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < CLICK_SLACK;
    down = null;
    if (still) clicked(dataAt(plot, event));
  }, { signal });
}

/** Where an event lies in a chart, in data units. */
function dataAt(/** @type {Plot} */ plot, /** @type {PointerEvent} */ event) {
  const { xaxis, yaxis } = plot._fullLayout;
  const box = plot.getBoundingClientRect();
  const x = xaxis.p2d(event.clientX - box.left - xaxis._offset);
  return { x, y: yaxis.p2d(event.clientY - box.top - yaxis._offset) };
}
