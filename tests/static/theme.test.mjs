/** Colours: of a theme, by name and with an opacity. */

import assert from "node:assert/strict";
import test from "node:test";
import { THEME } from "./canvas.mjs";
import { DARK, LIGHT, axisStyle, baseLayout, channels, enlarged } from "../../static/theme.js";
import { escapeHtml, readLook, textWidth, translucent } from "../../static/theme.js";

test("colours are read and made translucent", () => {
  assert.deepEqual(channels("#0a58ca"), [10, 88, 202, 255]);
  assert.equal(translucent("#0a58ca", 0.3), "rgba(10,88,202,0.3)");
});

test("the palette follows the background, and what Streamlit has not set is light", () => {
  const look = (variables) => {
    globalThis.getComputedStyle = () => ({ getPropertyValue: (name) => variables[name] ?? "" });
    return readLook({});
  };
  assert.equal(look({ "--st-background-color": " #0e1117 " }).palette, DARK);
  assert.equal(look({ "--st-background-color": "#ffffff" }).palette, LIGHT);
  assert.deepEqual([look({}).palette, look({}).theme.background], [LIGHT, "#ffffff"]);
});

test("both palettes have the same names, and six families that differ", () => {
  assert.deepEqual(Object.keys(DARK).sort(), Object.keys(LIGHT).sort());
  for (const { families } of [DARK, LIGHT]) assert.equal(new Set(families.map(({ strong }) => strong)).size, 6);
});

test("a layout takes its colours from the theme and its sizes from the page", () => {
  const layout = baseLayout(THEME, 20);
  assert.deepEqual([layout.font.size, layout.font.color, layout.paper_bgcolor], [20, THEME.text, THEME.background]);
  assert.equal(axisStyle(THEME).gridcolor, THEME.grid);
});

test("texts are measured and escaped", () => {
  assert.equal(textWidth("abc", THEME), 21);
  assert.equal(escapeHtml("<b> & c"), "&lt;b&gt; &amp; c");
});

/** Of two colours, as WCAG 2 defines it: 1 to 21. */
function contrast(one, other) {
  const luminance = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

test("lines can be told from the page, and a region from the next, with a contrast of 3", () => {
  assert.equal(contrast("#000000", "#ffffff"), 21);
  for (const [palette, page] of [[LIGHT, "#ffffff"], [DARK, "#171614"]]) { // Streamlit's own backgrounds
    const { families, shrinks, flips, grows, gone, going, ...lines } = palette;
    const colors = [...Object.values(lines), ...families.flatMap((family) => Object.values(family))];
    for (const color of colors) assert.ok(contrast(color, page) >= 3, `${color} on ${page}`);
    assert.ok(contrast(shrinks, flips) >= 3);
    assert.ok(contrast(flips, grows) >= 3);
    assert.ok(contrast(gone, going) >= 3); // the ends of a shade, beside that of what converges
    assert.ok(contrast(gone, palette.grad) >= 3);
  }
});

test("in large, lines and markers grow with the texts, and what has no size is left alone", () => {
  const trace = { x: [0], line: { color: "red", width: 2 }, marker: { size: [1, 2] } };
  assert.equal(enlarged(trace, { scale: 1 }), trace);
  assert.deepEqual(enlarged(trace, { scale: 1.5 }), { ...trace, line: { color: "red", width: 3 } });
  assert.equal(enlarged({ line: {} }, { scale: 2 }).line.width, 4); // Plotly's own is 2
});
