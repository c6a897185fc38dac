/** What every component needs of the page: Plotly.js once, style once, elements. */

let plotlyLoad = null;

/** Load Plotly.js from beside this file, once a page. */
export function loadPlotly() {
  const version = new URL(import.meta.url).searchParams.get("plotly") ?? "";
  plotlyLoad ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(`plotly.min.js?v=${version}`, import.meta.url).href;
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
