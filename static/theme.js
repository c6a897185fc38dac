/** Colours, fonts and axes in the theme of the page, shared by all charts. */

/** @import { Look, Options, Theme, Trace } from "./types.d.ts" */

export const LIGHT = {
  sharpness: "#0a58ca", topk: "#64748b", gd: "#3f3f46", sam: "#cf4307", usam: "#a3299a",
  polyak: "#2e7d32", nesterov: "#856404", grad: "#007a87", gradK: "#007a87", batch: "#007a5e", samGradient: "#cf4307", samK: "#cf4307",
  loss: "#5f3dc4", heldOutLoss: "#5f3dc4", accuracy: "#b0336e", heldOutAccuracy: "#b0336e",
  bad: "#d6006c", ghost: "#8b8f98", classA: "#004488", classB: "#a87400", classC: "#b0324a",
  // regions of what a step does, each three times as dark as the one before
  shrinks: "#eef7f8", flips: "#a87dbf", grows: "#7d0a44",
  // what diverges: at once, and slowly
  gone: "#420a28", going: "#ffb3d9",
  // one family per run when several are shown: strong = the measured lines, deep = edges, mid = the rest;
  // chosen to differ from each other and from the ghost without red or green vision too
  families: [
    { strong: "#0a58ca", deep: "#052c65", mid: "#4c8fe8" },
    { strong: "#d9480f", deep: "#862e06", mid: "#dd7420" },
    { strong: "#00875a", deep: "#00472f", mid: "#2f9a74" },
    { strong: "#c2298a", deep: "#6b124a", mid: "#dc6bb2" },
    { strong: "#1f2937", deep: "#05080d", mid: "#55606f" },
    { strong: "#6b3a1e", deep: "#3a1d0c", mid: "#9a6a4c" },
  ],
};

export const DARK = {
  sharpness: "#6cb2ff", topk: "#94a3b8", gd: "#d4d4d8", sam: "#ff9a5c", usam: "#ee95ea",
  polyak: "#7fd483", nesterov: "#e6c84f", grad: "#45d3e0", gradK: "#45d3e0", batch: "#45d3a0", samGradient: "#ff9a5c", samK: "#ff9a5c",
  loss: "#b9a3ff", heldOutLoss: "#b9a3ff", accuracy: "#ff8fbf", heldOutAccuracy: "#ff8fbf",
  bad: "#ff5fae", ghost: "#858b98", classA: "#77aaee", classB: "#eecc66", classC: "#ee8899",
  shrinks: "#12262b", flips: "#8d5fae", grows: "#ffc2da",
  gone: "#240817", going: "#ff86c0",
  families: [
    { strong: "#6cb2ff", deep: "#b5d8ff", mid: "#3f8fe8" },
    { strong: "#ff9a5c", deep: "#ffd0b0", mid: "#e8752a" },
    { strong: "#45d3a0", deep: "#a6ecd2", mid: "#1fa677" },
    { strong: "#d4307a", deep: "#f08bb8", mid: "#c02c70" },
    { strong: "#f4f4f5", deep: "#ffffff", mid: "#c3c6cc" },
    { strong: "#8b5cf6", deep: "#c4adfb", mid: "#7d52e3" },
  ],
};

/** @type {CanvasRenderingContext2D | null} */
let ruler = null;

/** Painted on to ask the browser for colours and for widths of text. */
function canvas() {
  ruler ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  return /** @type {CanvasRenderingContext2D} */ (ruler);
}

/**
 * Streamlit's theme, from the variables that it sets for an element, and our colours in it.
 * @type {(host: Element) => Look}
 */
export function readLook(host) {
  const style = getComputedStyle(host);
  /** @type {(name: string, otherwise: string) => string} */
  const variable = (name, otherwise) => style.getPropertyValue(`--st-${name}`).trim() || otherwise;
  const text = variable("text-color", "#31333f");
  const background = variable("background-color", "#ffffff");
  const theme = {
    text,
    background,
    panel: variable("secondary-background-color", "#f0f2f6"),
    border: translucent(text, 0.35),
    grid: translucent(text, 0.1),
    mark: translucent(text, 0.45),
    muted: translucent(text, 0.65),
    font: variable("font", "sans-serif"),
    scale: (parseFloat(getComputedStyle(document.documentElement).fontSize) / 16) ** 1.5 || 1, // "Large text"
  };
  return { theme, palette: luminance(background) < 0.4 ? DARK : LIGHT };
}

/** Red, green, blue and opacity (0 to 255) of any CSS colour, by letting the browser paint it. */
export function channels(/** @type {string} */ color) {
  const context = canvas();
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
}

/** The colour with an opacity of 0 to 1. */
export function translucent(/** @type {string} */ color, /** @type {number} */ alpha) {
  return `rgba(${channels(color).slice(0, 3).join(",")},${alpha})`;
}

/** Half of each colour. */
export function between(/** @type {string} */ color, /** @type {string} */ other) {
  const [one, two] = [channels(color), channels(other)];
  return `rgb(${[0, 1, 2].map((i) => Math.round((one[i] + two[i]) / 2)).join(",")})`;
}

/** From 0, black, to 1, white. */
function luminance(/** @type {string} */ color) {
  const [r, g, b] = channels(color);
  return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
}

/** A trace with lines and markers as large as the texts. */
export function enlarged(/** @type {Trace} */ trace, /** @type {Theme} */ { scale }) {
  if (scale === 1) return trace;
  const { line, marker } = trace;
  /** @type {<Key extends string>(style: Options, key: Key, otherwise: number) => Options} */
  const grown = (style, key, otherwise) => {
    const size = style[key] ?? otherwise;
    return { ...style, [key]: typeof size === "number" ? size * scale : size };
  };
  return { ...trace, ...(line && { line: grown(line, "width", 2) }), ...(marker && { marker: grown(marker, "size", 6) }) };
}

/** What every chart of this theme and font size looks like. @type {(theme: Theme, size: number) => Options} */
export function baseLayout(theme, size) {
  return {
    autosize: true,
    paper_bgcolor: theme.background,
    plot_bgcolor: theme.background,
    font: { family: theme.font, size, color: theme.text },
    legend: {
      orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", itemwidth: 30,
      traceorder: "normal", bgcolor: "rgba(0,0,0,0)", font: { size },
    },
    hoverlabel: {
      bgcolor: translucent(theme.panel, 0.94), bordercolor: theme.border, font: { size, color: theme.text },
    },
  };
}

/** What each of its axes looks like. @type {(theme: Theme) => Options} */
export function axisStyle(theme) {
  return {
    gridcolor: theme.grid, linecolor: theme.border, tickcolor: theme.border, zeroline: false,
    showline: true, ticks: "outside", ticklen: 4, tickfont: { size: 13 * theme.scale }, exponentformat: "e",
    // Fitting labels by measuring them is half the time of a redraw; here they have room.
    tickangle: 0, ticklabeloverflow: "allow",
  };
}

/** The width of a text of 13 pixels in height, in pixels. */
export function textWidth(/** @type {string} */ text, /** @type {Theme} */ { font, scale }) {
  const context = canvas();
  context.font = `${13 * scale}px ${font}`;
  return context.measureText(text).width;
}

/** Plotly reads a subset of HTML in every text; what users type must stay text. */
export function escapeHtml(/** @type {string} */ text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
