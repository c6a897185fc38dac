/** A canvas that knows #rrggbb and rgba(), and letters of 7 pixels: theme.js asks the browser for both. */

function parse(color) {
  if (color.startsWith("#")) return [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)).concat(255);
  const [r, g, b, alpha] = color.match(/[\d.]+/g).map(Number);
  return [r, g, b, Math.round(255 * alpha)];
}

globalThis.document = {
  createElement: () => ({
    getContext: () => ({
      clearRect: () => {},
      fillRect: () => {},
      getImageData() {
        return { data: parse(this.fillStyle) };
      },
      measureText: (text) => ({ width: 7 * text.length }),
    }),
  }),
};

export const THEME = {
  text: "#31333f", background: "#ffffff", panel: "#f0f2f6", border: "#888888", grid: "#eeeeee", mark: "#777777",
  muted: "#999999", font: "sans-serif", scale: 1,
};
