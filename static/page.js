/** What every component needs of the page: Plotly.js once, style once, elements, clicks, numbers. */

/** @import { Component, Options, Plot, Plotly } from "./types.d.ts" */

/** @type {Promise<Plotly> | null} */
let plotlyLoad = null;

// Plotly's place for its buttons, the upper right corner, is the legend's; the lower one is free.
const BUTTONS_STYLE = `
:is(.samedge-live, .samedge-figures) .js-plotly-plot .plotly .modebar-container { top: auto !important; bottom: 0; }
:is(.samedge-live, .samedge-figures) .js-plotly-plot .plotly .modebar { top: auto; bottom: -4px; }
:is(.samedge-live, .samedge-figures) .modebar-group { background-color: transparent !important; } /* numbers stand above */`;

/** Load Plotly.js from beside this file, once a page; where that fails, `root` says so. */
export function loadPlotly(/** @type {HTMLElement} */ root, /** @type {(plotly: Plotly) => void} */ loaded) {
  addStyle("samedge-buttons-style", BUTTONS_STYLE);
  plotlyLoad ??= new Promise((resolve, reject) => {
    const version = new URL(import.meta.url).searchParams.get("plotly") ?? "";
    const script = document.createElement("script");
    script.src = new URL(`plotly.min.js?v=${version}`, import.meta.url).href;
    script.onload = () => (window.Plotly ? resolve(window.Plotly) : reject(new Error("no Plotly in the file")));
    script.onerror = () => reject(new Error(`cannot load ${script.src}`));
    document.head.append(script);
  });
  plotlyLoad.then(loaded, () => {
    root.textContent = "The charts could not be loaded: plotly.min.js is missing. Restart the app.";
  });
}

/**
 * What Plotly is told at the first draw of a chart. In every call, it would be compared each time, and a
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
    modeBarButtons: [["toImage", svg], ["zoom2d", "pan2d", { name: title, icon: Icons.home, click: reset }]],
  };
}

/**
 * The two functions by which Streamlit drives a component, through the bootstrap of assets.py. `update`
 * comes at every message and change of theme; `release` may come while the element stays: only what has
 * left the page is forgotten.
 * @template State, Data
 * @param {(component: Component<Data>) => State} mount makes the element's content and the state
 * @param {(state: State, component: Component<Data>) => void} receive takes in a message
 * @param {(state: State) => void} [forget] ends what would outlive the element
 */
export function lifecycle(mount, receive, forget = () => {}) {
  /** @type {WeakMap<HTMLElement, State>} */
  const mounted = new WeakMap();
  return {
    update(/** @type {Component<Data>} */ component) {
      const host = component.parentElement;
      const state = mounted.get(host) ?? mount(component);
      mounted.set(host, state);
      receive(state, component);
    },
    release(/** @type {HTMLElement} */ host) {
      setTimeout(() => {
        const state = mounted.get(host);
        if (!state || host.isConnected) return;
        forget(state);
        mounted.delete(host);
      });
    },
  };
}

/**
 * A function that gives a new state what the last one under the same key held in these fields. A busy
 * server may lose the message that keeps an element, and Streamlit then mounts it anew, as it does on
 * a change of page. (The `key` that Streamlit itself passes is new at each mount.)
 * @type {(fields: string[]) => <State extends object>(key: string, state: State) => State}
 */
export function memory(fields) {
  const latest = new Map();
  return (key, state) => {
    const last = latest.get(key);
    if (last) Object.assign(state, Object.fromEntries(fields.map((field) => [field, last[field]])));
    latest.set(key, state);
    return state;
  };
}

/** Show `root` in an element, which from now on takes its height from it. */
export function fill(/** @type {HTMLElement} */ host, /** @type {HTMLElement} */ root) {
  host.replaceChildren(root);
  host.style.minHeight = ""; // set by the bootstrap
}

/** Add a style sheet to the page, once for each id. */
export function addStyle(/** @type {string} */ id, /** @type {string} */ css) {
  if (document.getElementById(id)) return;
  const style = element("style", "", css);
  style.id = id;
  document.head.append(style);
}

/** A new element with its class and text. @template {keyof HTMLElementTagNameMap} Tag */
export function element(/** @type {Tag} */ tag, className = "", text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

/** The element of a chart, for Plotly to draw in. */
export function plotElement(/** @type {string} */ name, className = "") {
  const plot = /** @type {Plot} */ (element("div", className));
  plot.setAttribute("role", "figure");
  plot.setAttribute("aria-label", name);
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
  return { x: xaxis.p2d(event.clientX - box.left - xaxis._offset), y: yaxis.p2d(event.clientY - box.top - yaxis._offset) };
}

/** Five digits, and a dash where there is no number. */
export function shownNumber(/** @type {number | undefined} */ value) {
  if (value === undefined || !Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6)) return value.toExponential(3);
  return Number(value.toPrecision(5)).toString();
}

/** A whole number with its thousands apart. */
export function count(/** @type {number} */ step) {
  return step.toLocaleString("en");
}
