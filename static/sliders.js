/**
 * Sliders that act while they are dragged, on a linear or a logarithmic scale, with exact entry.
 * Streamlit's own report only where a drag ends. The next values are sent when the server has
 * answered the last ones, so that a slow machine lags by one picture and not by a queue of them.
 */

/** @import { Component, Control, Field, Part, SlidersData, SlidersState } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { addStyle, element, fill, lifecycle } = await part("page.js");

const POSITIONS = 400;
const ANSWER_MS = 500; // an answer can be lost: go on without it

/* ---------------------------------------------------------------- positions and values */

/** The value at a position 0 ... POSITIONS, rounded to three digits. */
export function valueAt(/** @type {Field} */ field, /** @type {number} */ position) {
  const { low, high } = field;
  if (!field.log) return rounded(field, low + ((high - low) * position) / POSITIONS);
  if (field.zero && position === 0) return 0;
  return rounded(field, low * (high / low) ** (position / POSITIONS));
}

function rounded(/** @type {Field} */ field, /** @type {number} */ value) {
  if (field.integer) return Math.round(value);
  const digits = field.log ? 3 : Math.max(1, 3 + Math.floor(Math.log10(Math.abs(value) || 1)));
  const near = Number(value.toPrecision(digits));
  return Math.abs(near) < (field.high - field.low) / (2 * POSITIONS) && !field.log ? 0 : near;
}

/** The position nearest to a value; beyond the slider's range, its end. */
export function positionOf(/** @type {Field} */ field, /** @type {number} */ value) {
  const share = field.log
    ? Math.log(value / field.low) / Math.log(field.high / field.low)
    : (value - field.low) / (field.high - field.low);
  if (field.zero && value === 0) return 0;
  return Math.min(Math.max(Math.round(share * POSITIONS), field.zero ? 1 : 0), POSITIONS);
}

/* ---------------------------------------------------------------- sending */

/** @type {(state: SlidersState, name: string, text: string, settled: boolean) => void} */
function changed(state, name, text, settled) {
  state.texts.set(name, text);
  state.settled = settled;
  state.unsent = true;
  setTimeout(() => send(state)); // a key makes an input and a change event: one message for both
}

function send(/** @type {SlidersState} */ state) {
  if (!state.unsent || (state.waiting && performance.now() - state.sentAt < ANSWER_MS)) return;
  state.unsent = false;
  state.waiting = true;
  state.sentAt = performance.now();
  state.count += 1;
  const values = Object.fromEntries(state.texts);
  state.trigger("moved", { values, settled: state.settled, count: state.count });
  setTimeout(() => send(state), ANSWER_MS + 1);
}

/* ---------------------------------------------------------------- controls */

/** @type {(state: SlidersState, field: Field) => Control} */
function makeControl(state, field) {
  const root = element("div", "samedge-slider");
  const id = `samedge-${state.prefix}-${field.name}`;
  const control = {
    root, label: element("label"), help: element("span", "samedge-help", "?"), text: element("input"),
    range: element("input"), error: element("p", "samedge-error"), mark: element("span", "samedge-mark"), field,
  };
  control.label.htmlFor = id;
  Object.assign(control.range, { type: "range", id, min: 0, max: POSITIONS, step: 1 });
  Object.assign(control.text, { type: "text", inputMode: "decimal", autocomplete: "off" });
  control.help.tabIndex = 0;
  control.help.setAttribute("role", "note");
  control.error.setAttribute("role", "alert");
  listen(state, control);
  const head = element("div", "samedge-slider-head");
  head.append(control.label, control.help, control.text);
  root.append(head, control.range, control.mark, control.error);
  return control;
}

function listen(/** @type {SlidersState} */ state, /** @type {Control} */ control) {
  const { name } = control.field;
  const slide = (/** @type {boolean} */ settled) => {
    const text = String(valueAt(control.field, Number(control.range.value)));
    control.text.value = text;
    control.range.setAttribute("aria-valuetext", text);
    changed(state, name, text, settled);
  };
  control.range.addEventListener("input", () => slide(false));
  control.range.addEventListener("change", () => slide(true));
  control.range.addEventListener("pointerdown", () => { state.dragging = true; });
  control.text.addEventListener("change", () => changed(state, name, control.text.value, true));
}

function show(/** @type {Control} */ control, /** @type {Field} */ field) {
  const { text } = field;
  control.field = field;
  control.label.textContent = field.unit ? `${field.label} (${field.unit})` : field.label;
  control.help.dataset.tip = field.help;
  control.help.setAttribute("aria-label", field.help);
  control.text.setAttribute("aria-label", `${field.label}, exact`);
  control.text.value = text;
  control.text.setAttribute("aria-invalid", String(Boolean(field.error)));
  control.error.textContent = field.error;
  showMark(control, field);
  if (field.error) return;
  control.range.value = String(positionOf(field, Number(text)));
  control.range.setAttribute("aria-valuetext", text);
}

/** A tick under the slider, where its thumb (16 pixels wide) stands at the marked value. */
function showMark(/** @type {Control} */ { mark }, /** @type {Field} */ field) {
  mark.hidden = !field.mark;
  if (!field.mark) return;
  const [value, label] = field.mark;
  const share = positionOf(field, value) / POSITIONS;
  mark.textContent = label;
  mark.style.marginLeft = `calc(8px + ${share} * (100% - 16px))`;
}

/* ---------------------------------------------------------------- mounting */

const STYLE = `
.samedge-sliders { display: grid; grid-template-columns: repeat(auto-fit, minmax(11.6em, 1fr)); gap: 4px 20px;
  font-size: 0.875rem; }
.samedge-slider { position: relative; min-width: 0; display: flex; flex-direction: column; justify-content: end; }
.samedge-slider-head { display: flex; align-items: center; gap: 4px; }
.samedge-slider label { line-height: 1.2; white-space: nowrap; }
.samedge-slider input[type=text] { margin-left: auto; width: 4.2em; min-width: 0; font: inherit; padding: 1px 6px; border-radius: 6px;
  text-align: right; color: var(--st-text-color); background: var(--st-secondary-background-color);
  border: 1px solid var(--st-border-color, #9996); font-variant-numeric: tabular-nums; }
.samedge-slider input[aria-invalid=true] { border-color: var(--st-red-color, #d00); }
.samedge-slider input[type=range] { width: 100%; margin: 3px 0; accent-color: var(--st-primary-color); }
.samedge-slider input:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
.samedge-mark { width: 0; white-space: nowrap; font-size: 0.88em; line-height: 1.2; display: flex; flex-direction: column;
  align-items: center; }
.samedge-mark::before { content: ""; width: 2px; height: 6px; background: currentColor; }
.samedge-mark[hidden] { display: none; }
.samedge-error { margin: 0; color: var(--st-red-text-color, #c00); font-size: 0.88em; }
.samedge-help { cursor: help; font-size: 0.72em; line-height: 1.5em; width: 1.5em; text-align: center;
  border-radius: 50%; border: 1px solid var(--st-border-color, #9996); flex: none; }
.samedge-help:is(:hover, :focus)::after { content: attr(data-tip); position: absolute; z-index: 20; top: 2.1em; left: 0; right: 0;
  padding: 8px 10px; border-radius: 8px; text-align: left; white-space: pre-line; line-height: 1.4; font-size: 1.2em;
  color: var(--st-text-color); background: var(--st-background-color); border: 1px solid var(--st-border-color, #999);
  box-shadow: 0 3px 14px #0003; }
/* where the picture that they act on has not room below them, they stay in view over it */
@media (max-width: 640px), (max-height: 800px) and (min-height: 500px) {
  .stElementContainer:has(> * .samedge-sliders) { position: sticky; top: 0; z-index: 10; background: var(--samedge-page); }
}
@media (max-width: 640px) {
  .samedge-sliders { grid-template-columns: repeat(auto-fit, minmax(10em, 1fr)); gap: 0 16px; padding: 4px 0; font-size: 0.8rem; }
  .samedge-slider:nth-child(even) .samedge-help::after { left: -100%; }
}
`;

export const { update, release } = lifecycle(mount, receive, (state) => state.abort.abort());

/** @type {(state: SlidersState, component: Component<SlidersData>) => void} */
function receive(state, { data, setTriggerValue }) {
  state.trigger = setTriggerValue;
  if (data.count >= state.count) state.waiting = false;
  // what is being dragged or on its way is newer than what the server knows
  if (!state.unsent && !state.waiting && !state.dragging) showFields(state, data);
  send(state);
}

/** Show what the server knows. */
function showFields(/** @type {SlidersState} */ state, /** @type {SlidersData} */ data) {
  state.count = Math.max(state.count, data.count);
  const names = data.fields.map(({ name }) => name);
  if (names.join() !== [...state.controls.keys()].join()) {
    state.controls = new Map(data.fields.map((field) => [field.name, controlOf(state, field)]));
    state.root.replaceChildren(...[...state.controls.values()].map(({ root }) => root));
  }
  state.texts = new Map(data.fields.map(({ name, text }) => [name, text]));
  for (const field of data.fields) show(controlOf(state, field), field);
}

/** @type {(state: SlidersState, field: Field) => Control} */
function controlOf(state, field) {
  return state.controls.get(field.name) ?? makeControl(state, field);
}

/** @type {(component: Component<SlidersData>) => SlidersState} */
function mount({ parentElement, key, setTriggerValue }) {
  addStyle("samedge-sliders-style", STYLE);
  const root = element("div", "samedge-sliders");
  fill(parentElement, root);
  /** @type {SlidersState} */
  const state = {
    root, prefix: key, trigger: setTriggerValue, abort: new AbortController(), controls: new Map(), texts: new Map(),
    count: 0, settled: true, unsent: false, waiting: false, sentAt: 0, dragging: false,
  };
  for (const type of ["pointerup", "pointercancel", "blur"]) {
    window.addEventListener(type, () => { state.dragging = false; }, { signal: state.abort.signal });
  }
  return state;
}
