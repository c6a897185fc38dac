/** What every component needs of the page: Plotly.js once, style once, elements, clicks, numbers. */

let plotlyLoad = null;

// Plotly's place for its buttons, the upper right corner, is the legend's; the lower one is free.
const BUTTONS_STYLE = `
:is(.samedge-live, .samedge-figures) .js-plotly-plot .plotly .modebar-container { top: auto !important; bottom: 0; }
:is(.samedge-live, .samedge-figures) .js-plotly-plot .plotly .modebar { top: auto; bottom: -4px; }
:is(.samedge-live, .samedge-figures) .modebar-group { background-color: transparent !important; } /* numbers stand above */`;

/** Load Plotly.js, once a page; the address of this file says from where, below the page's. */
export function loadPlotly() {
  addStyle("samedge-buttons-style", BUTTONS_STYLE);
  const address = new URL(import.meta.url).searchParams.get("plotly") ?? "";
  plotlyLoad ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(`../../${address}`, import.meta.url).href;
    script.onload = () => (window.Plotly ? resolve(window.Plotly) : reject(new Error("no Plotly in the file")));
    script.onerror = () => reject(new Error(`cannot load ${script.src}`));
    document.head.append(script);
  });
  return plotlyLoad;
}

/** Add a style sheet to the page, once for each id. */
export function addStyle(id, css) {
  if (document.getElementById(id)) return;
  const style = element("style");
  style.id = id;
  style.textContent = css;
  document.head.append(style);
}

export function element(tag, className = "") {
  const node = document.createElement(tag);
  node.className = className;
  return node;
}

const CLICK_SLACK = 4; // pixels that a hand may move while it clicks

/** Hear of clicks anywhere in the plot area: Plotly itself only reports points of traces. */
export function onClick(gd, signal, clicked) {
  let down = null;
  gd.addEventListener("pointerdown", (event) => {
    const left = event.button === 0 && event.target.classList.contains("nsewdrag");
    down = left ? [event.clientX, event.clientY] : null;
  }, { signal, capture: true });
  window.addEventListener("pointerup", (event) => {
    const still = down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < CLICK_SLACK;
    down = null;
    if (still) clicked(dataAt(gd, event));
  }, { signal });
}

/** Where an event lies in a chart, in data units. */
function dataAt(gd, event) {
  const { xaxis, yaxis } = gd._fullLayout;
  const box = gd.getBoundingClientRect();
  return { x: xaxis.p2d(event.clientX - box.left - xaxis._offset), y: yaxis.p2d(event.clientY - box.top - yaxis._offset) };
}

/** Five digits, and a dash where there is no number. */
export function shownNumber(value) {
  if (value === undefined || !Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6)) return value.toExponential(3);
  return Number(value.toPrecision(5)).toString();
}

/**
 * A function that gives a new state what the last one under the same key held in these fields. A busy
 * server may lose the message that keeps an element, and Streamlit then mounts it anew, as it does on
 * a change of page. (The `key` that Streamlit itself passes is new at each mount.)
 */
export function memory(fields) {
  const latest = new Map();
  return (key, state) => {
    for (const field of latest.has(key) ? fields : []) state[field] = latest.get(key)[field];
    latest.set(key, state);
    return state;
  };
}
