/** Colours: of a theme, by name and with an opacity. */

import assert from "node:assert/strict";
import test from "node:test";
import { THEME } from "./canvas.mjs";
import { DARK, LIGHT, axisStyle, baseLayout, channels } from "../../static/theme.js";
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
  assert.equal(textWidth("abc", "sans-serif"), 21);
  assert.equal(escapeHtml("<b> & c"), "&lt;b&gt; &amp; c");
});
