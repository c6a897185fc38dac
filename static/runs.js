/**
 * The table of runs: a real table, whose rows can be ticked, starred, pinned and opened, and whose
 * heads sort. It draws what the server sends (see pages/parts/runs/table.py) and reports clicks; which
 * runs are selected is known here at once, and on the server with the next message.
 */

/** @import { Cell, Component, Part, RunsColumn, RunsData, RunsRow, RunsState } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { addStyle, element, fill, lifecycle } = await part("page.js");

/** @type {Record<string, [on: string, off: string]>} */
const TOGGLES = { starred: ["★", "☆"], pinned: ["◉", "○"] };
const SPARK = { width: 96, height: 26, top: 1.5 }; // sharpness / edge up to `top`; the rest is cut off

/* ---------------------------------------------------------------- cells */

/** How a cell of each kind is drawn. @type {Record<string, Cell>} */
const CELLS = {
  text: (td, value) => { td.textContent = value; },
  number: (td, value) => { td.textContent = value; },
  time: (td, value) => { td.textContent = shownTime(value); },
  title: titleCell,
  status: statusCell,
  steps: stepsCell,
  tags: tagsCell,
  spark: sparkCell,
  toggle: toggleCell,
};

/** The local date and time of a time since 1970. */
function shownTime(/** @type {number} */ seconds) {
  const when = new Date(1000 * seconds);
  const day = when.toLocaleDateString("en", { day: "numeric", month: "short" });
  const year = when.getFullYear() === new Date().getFullYear() ? "" : ` ${when.getFullYear()}`;
  return `${day}${year}, ${when.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
}

/** @type {Cell} */
function titleCell(td, { text, what, note, link }, { run, state }) {
  const name = element(link ? "a" : "span", "", text);
  name.title = [what, note].filter(Boolean).join("\n\n"); // in full, where the column is too narrow
  if (name instanceof HTMLAnchorElement) {
    name.href = new URL(`./?run=${run.id}`, document.baseURI).href;
    name.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
      event.preventDefault();
      state.trigger("opened", run.id);
    });
  }
  td.append(name);
  if (text !== what) td.append(element("div", "samedge-runs-what", what));
}

/** @type {Cell} */
function statusCell(td, { text, tone, more }) {
  const badge = element("span", `samedge-runs-badge samedge-runs-${tone}`, text);
  if (more) badge.title = more;
  td.append(badge);
}

/** @type {Cell} */
function stepsCell(td, { text, share }) {
  td.textContent = text;
  if (share === null) return;
  const bar = element("progress");
  bar.value = share;
  bar.setAttribute("aria-label", "Steps done");
  td.append(bar);
}

function tagsCell(/** @type {HTMLElement} */ td, /** @type {string[]} */ words) {
  td.append(...words.map((word) => element("span", "samedge-runs-tag", word)));
}

/** Sharpness / edge over the steps, as a band where it hops; the dashed line is the edge. */
function sparkCell(/** @type {HTMLElement} */ td, /** @type {[low: number[], high: number[]]} */ [low, high]) {
  if (low.length < 2) return;
  const { width, height, top } = SPARK;
  const y = (/** @type {number} */ value) => (height * (1 - Math.min(value, top) / top)).toFixed(1);
  const points = (/** @type {number[]} */ values) =>
    values.map((value, i) => `${((width * i) / (values.length - 1)).toFixed(1)},${y(value)}`);
  const middle = low.map((value, i) => (value + high[i]) / 2);
  const [first, last] = [0, low.length - 1].map((i) => Number(middle[i].toPrecision(3)));
  td.innerHTML = `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
    <line x1="0" x2="${width}" y1="${y(1)}" y2="${y(1)}" /><polygon /><polyline /></svg>`;
  td.querySelector("svg")?.setAttribute("aria-label", `sharpness / edge from ${first} to ${last}`);
  td.querySelector("polygon")?.setAttribute("points", [...points(low), ...points(high).reverse()].join(" "));
  td.querySelector("polyline")?.setAttribute("points", points(middle).join(" "));
}

/** @type {Cell} */
function toggleCell(td, value, { run, column, state }) {
  const [on, off] = TOGGLES[column.name];
  const button = element("button", `samedge-runs-toggle${value ? " samedge-runs-on" : ""}`, value ? on : off);
  button.type = "button";
  button.dataset.name = column.name;
  button.setAttribute("aria-pressed", value);
  button.setAttribute("aria-label", `${column.title} ${run.name}`);
  button.addEventListener("click", () => state.trigger("labelled", { run: run.id, name: column.name, value: !value }));
  td.append(button);
}

/* ---------------------------------------------------------------- the table */

function drawHead(/** @type {RunsState} */ state) {
  const row = element("tr");
  const first = element("th");
  first.append(state.all);
  row.append(first, ...state.data.columns.map((column) => columnHead(state, column)));
  state.head.replaceChildren(row);
}

/** @type {(state: RunsState, column: RunsColumn) => HTMLElement} */
function columnHead(state, { name, label, help, kind, sortable }) {
  const { sort, descending } = state.data;
  const th = element("th", numeric(kind) ? "samedge-runs-number" : "");
  th.scope = "col";
  th.title = help;
  if (!sortable) {
    th.textContent = label;
    return th;
  }
  const arrow = descending ? "↓" : "↑";
  const button = element("button", "samedge-runs-sort", sort === name ? `${label} ${arrow}` : label);
  button.type = "button";
  button.addEventListener("click", () => state.trigger("sorted", name));
  if (sort === name) th.setAttribute("aria-sort", descending ? "descending" : "ascending");
  th.append(button);
  return th;
}

function numeric(/** @type {string} */ kind) {
  return kind === "number" || kind === "steps";
}

/** Rows that have not changed stay as they are, so that nobody loses the focus to a tick. */
function drawRows(/** @type {RunsState} */ state) {
  const { columns, rows } = state.data;
  const look = JSON.stringify(columns);
  const kept = new Map();
  const focus = focused(state);
  for (const run of rows) {
    const text = look + JSON.stringify(run);
    const known = state.rows.get(run.id);
    kept.set(run.id, known?.text === text ? known : { text, ...makeRow(state, run, columns) });
  }
  state.rows = kept;
  state.body.replaceChildren(...[...kept.values()].map(({ row }) => row));
  kept.get(focus.id)?.row.querySelector(`[data-name="${focus.name}"]`)?.focus();
  showTicks(state);
}

/** Which part of which row has the focus. */
function focused(/** @type {RunsState} */ { body }) {
  const active = /** @type {HTMLElement | null} */ (document.activeElement);
  const row = body.contains(active) ? active?.closest("tr") : null;
  return { id: row?.dataset.run, name: active?.dataset.name };
}

/** A row of the table and its tick box. */
function makeRow(/** @type {RunsState} */ state, /** @type {RunsRow} */ run, /** @type {RunsColumn[]} */ columns) {
  const row = element("tr", run.faint ? "samedge-runs-faint" : "");
  row.dataset.run = run.id;
  const box = tickBox(`Select ${run.name}`);
  box.addEventListener("click", (event) => {
    for (const id of stretch(state, run.id, event.shiftKey)) tick(state, id, box.checked);
    state.anchor = run.id;
    reportTicks(state);
  });
  const first = element("td");
  first.append(box);
  row.append(first);
  columns.forEach((column, i) => {
    const td = element("td", numeric(column.kind) ? "samedge-runs-number" : "");
    CELLS[column.kind](td, run.cells[i], { run, column, state });
    row.append(td);
  });
  return { row, box };
}

function tickBox(/** @type {string} */ label) {
  const box = element("input");
  box.type = "checkbox";
  box.dataset.name = "tick";
  box.setAttribute("aria-label", label);
  return box;
}

/* ---------------------------------------------------------------- selection */

/** The runs from the last one that was ticked to this one, with Shift; else this one. */
function stretch(/** @type {RunsState} */ state, /** @type {string} */ id, /** @type {boolean} */ shift) {
  const ids = state.data.rows.map((run) => run.id);
  const [from, to] = [ids.indexOf(state.anchor ?? ""), ids.indexOf(id)].sort((a, b) => a - b);
  return shift && from >= 0 ? ids.slice(from, to + 1) : [id];
}

function tick(/** @type {RunsState} */ state, /** @type {string} */ id, /** @type {boolean} */ on) {
  if (on) state.selected.add(id);
  else state.selected.delete(id);
}

function reportTicks(/** @type {RunsState} */ state) {
  showTicks(state);
  state.set("selected", { version: state.version, ids: [...state.selected] });
}

function showTicks(/** @type {RunsState} */ state) {
  for (const [id, { row, box }] of state.rows) {
    box.checked = state.selected.has(id);
    row.classList.toggle("samedge-runs-selected", box.checked);
  }
  const ticked = [...state.rows.keys()].filter((id) => state.selected.has(id)).length;
  state.all.checked = ticked > 0 && ticked === state.rows.size;
  state.all.indeterminate = ticked > 0 && ticked < state.rows.size;
}

/* ---------------------------------------------------------------- mounting */

const STYLE = `
.samedge-runs { max-height: 27rem; overflow: auto; border: 1px solid var(--st-border-color, #9994); border-radius: 8px;
  font-size: 0.875rem; }
.samedge-runs table { border-collapse: separate; border-spacing: 0; width: 100%; font-variant-numeric: tabular-nums; }
.samedge-runs th { position: sticky; top: 0; z-index: 1; background: var(--st-secondary-background-color); text-align: left;
  font-weight: 600; }
.samedge-runs th, .samedge-runs td { padding: 3px 7px; white-space: nowrap; border-bottom: 1px solid var(--st-border-color, #9994); }
.samedge-runs th:first-child, .samedge-runs td:first-child { padding-right: 2px; width: 1px; }
.samedge-runs td { height: 33px; max-width: 19rem; overflow: hidden; text-overflow: ellipsis; }
.samedge-runs tr:last-child td { border-bottom: 0; }
.samedge-runs tbody tr:hover td { background: color-mix(in srgb, var(--st-text-color) 5%, transparent); }
.samedge-runs tr.samedge-runs-selected td { background: color-mix(in srgb, var(--st-primary-color) 14%, transparent); }
.samedge-runs tr.samedge-runs-faint td { opacity: 0.6; }
.samedge-runs .samedge-runs-number { text-align: right; }
.samedge-runs input { width: 16px; height: 16px; margin: 0; vertical-align: middle; accent-color: var(--st-primary-color); cursor: pointer; }
.samedge-runs a { color: var(--st-link-color, var(--st-primary-color)); text-decoration: none; }
.samedge-runs a:hover { text-decoration: underline; }
.samedge-runs-what { font-size: 0.75rem; line-height: 1.2; opacity: 0.75; overflow: hidden; text-overflow: ellipsis; }
.samedge-runs button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
.samedge-runs :is(button, a, input):focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; border-radius: 3px; }
.samedge-runs-sort:hover { text-decoration: underline; }
.samedge-runs .samedge-runs-toggle { font-size: 1.05rem; line-height: 1; padding: 4px; opacity: 0.45; }
.samedge-runs .samedge-runs-on { opacity: 1; color: var(--st-primary-color); }
.samedge-runs-badge { padding: 1px 8px; border-radius: 10px; background: color-mix(in srgb, var(--tone) 18%, transparent);
  color: color-mix(in srgb, var(--tone) 45%, var(--st-text-color)); }
.samedge-runs-gray { --tone: #808495; } .samedge-runs-green { --tone: #21a366; }
.samedge-runs-orange { --tone: #e8770c; } .samedge-runs-red { --tone: #e5383b; }
.samedge-runs-tag { padding: 1px 7px; margin-right: 4px; border-radius: 5px; background: color-mix(in srgb, var(--st-text-color) 10%, transparent); }
.samedge-runs progress { display: block; width: 100%; min-width: 5rem; height: 4px; appearance: none; border: 0; border-radius: 2px; overflow: hidden;
  background: color-mix(in srgb, var(--st-text-color) 20%, transparent); }
.samedge-runs progress::-webkit-progress-bar { background: transparent; }
.samedge-runs progress::-webkit-progress-value { background: var(--st-primary-color); }
.samedge-runs progress::-moz-progress-bar { background: var(--st-primary-color); }
.samedge-runs svg { display: block; overflow: hidden; }
.samedge-runs svg line { stroke: var(--st-text-color); stroke-width: 1; stroke-dasharray: 3 3; opacity: 0.45; }
.samedge-runs svg polygon { fill: var(--st-primary-color); opacity: 0.25; }
.samedge-runs svg polyline { fill: none; stroke: var(--st-primary-color); stroke-width: 1.4; stroke-linejoin: round; }
`;

export const { update, release } = lifecycle(mount, receive);

/** @type {(state: RunsState, component: Component<RunsData>) => void} */
function receive(state, { data, setStateValue, setTriggerValue }) {
  Object.assign(state, { data, set: setStateValue, trigger: setTriggerValue });
  if (state.version !== data.version) {
    state.version = data.version; // the server has changed the selection, or the table is new
    state.selected = new Set(data.selected);
  }
  drawHead(state);
  drawRows(state);
}

/** @type {(component: Component<RunsData>) => RunsState} */
function mount({ parentElement, data, setStateValue, setTriggerValue }) {
  addStyle("samedge-runs-style", STYLE);
  const root = element("div", "samedge-runs");
  const table = element("table");
  table.setAttribute("aria-label", "Runs");
  const [head, body] = [element("thead"), element("tbody")];
  table.append(head, body);
  root.append(table);
  root.tabIndex = 0; // so that the keyboard can scroll it
  fill(parentElement, root);
  const all = tickBox("Select all runs on this page");
  /** @type {RunsState} */
  const state = {
    head, body, all, data, set: setStateValue, trigger: setTriggerValue,
    rows: new Map(), selected: new Set(), version: null, anchor: null,
  };
  all.addEventListener("change", () => {
    for (const { id } of state.data.rows) tick(state, id, all.checked);
    reportTicks(state);
  });
  return state;
}
