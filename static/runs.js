/**
 * The table of runs: a real table, whose rows can be ticked, starred, pinned and opened, and whose
 * heads sort. It draws what the server sends (see pages/parts/runs/table.py) and reports clicks; which
 * runs are selected is known here at once, and on the server with the next message.
 */

const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url));
const { addStyle, element } = await part("page.js");

const TOGGLES = { starred: ["★", "☆"], pinned: ["◉", "○"] };
const SPARK = { width: 96, height: 26, top: 1.5 }; // sharpness / edge up to `top`; the rest is cut off

/* ---------------------------------------------------------------- cells */

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

function shownTime(seconds) {
  const when = new Date(1000 * seconds);
  const day = when.toLocaleDateString("en", { day: "numeric", month: "short" });
  const year = when.getFullYear() === new Date().getFullYear() ? "" : ` ${when.getFullYear()}`;
  return `${day}${year}, ${when.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}`;
}

function titleCell(td, { text, own, note, link }, { run, state }) {
  const name = link ? element("a") : element("span");
  name.textContent = text;
  if (!own) name.className = "samedge-runs-unnamed";
  if (note) name.title = note;
  if (link) {
    name.href = new URL(`./?run=${run.id}`, document.baseURI).href;
    name.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
      event.preventDefault();
      state.trigger("opened", run.id);
    });
  }
  td.append(name);
}

function statusCell(td, { text, tone, more }) {
  const badge = element("span", `samedge-runs-badge samedge-runs-${tone}`);
  badge.textContent = text;
  if (more) badge.title = more;
  td.append(badge);
}

function stepsCell(td, { text, share }) {
  td.textContent = text;
  if (share === null) return;
  const bar = element("progress");
  bar.value = share;
  bar.setAttribute("aria-label", "Steps done");
  td.append(bar);
}

function tagsCell(td, words) {
  for (const word of words) {
    const tag = element("span", "samedge-runs-tag");
    tag.textContent = word;
    td.append(tag);
  }
}

/** Sharpness / edge over the steps; the dashed line is the edge. */
function sparkCell(td, values) {
  if (values.length < 2) return;
  const { width, height, top } = SPARK;
  const y = (value) => (height * (1 - Math.min(value, top) / top)).toFixed(1);
  const points = values.map((value, i) => `${((width * i) / (values.length - 1)).toFixed(1)},${y(value)}`);
  const label = `sharpness / edge from ${values[0]} to ${values.at(-1)}`;
  td.innerHTML = `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
    <line x1="0" x2="${width}" y1="${y(1)}" y2="${y(1)}" /><polyline /></svg>`;
  td.firstChild.setAttribute("aria-label", label);
  td.querySelector("polyline").setAttribute("points", points.join(" "));
}

function toggleCell(td, value, { run, column, state }) {
  const [on, off] = TOGGLES[column.name];
  const button = element("button", `samedge-runs-toggle${value ? " samedge-runs-on" : ""}`);
  button.type = "button";
  button.textContent = value ? on : off;
  button.dataset.name = column.name;
  button.setAttribute("aria-pressed", value);
  button.setAttribute("aria-label", `${column.title} ${run.name}`);
  button.addEventListener("click", () => state.trigger("labelled", { run: run.id, name: column.name, value: !value }));
  td.append(button);
}

/* ---------------------------------------------------------------- the table */

function drawHead(state) {
  const row = element("tr");
  row.append(tickHead(state), ...state.data.columns.map((column) => columnHead(state, column)));
  state.head.replaceChildren(row);
}

function tickHead(state) {
  const th = element("th");
  state.all = tickBox("Select all runs on this page");
  state.all.addEventListener("change", () => {
    for (const { id } of state.data.rows) tick(state, id, state.all.checked);
    tell(state);
  });
  th.append(state.all);
  return th;
}

function columnHead(state, { name, label, help, kind, sortable }) {
  const { sort, descending } = state.data;
  const th = element("th", numeric(kind) ? "samedge-runs-number" : "");
  th.scope = "col";
  th.title = help;
  if (!sortable) {
    th.textContent = label;
    return th;
  }
  const button = element("button", "samedge-runs-sort");
  button.type = "button";
  button.textContent = sort === name ? `${label} ${descending ? "↓" : "↑"}` : label;
  button.addEventListener("click", () => state.trigger("sorted", name));
  if (sort === name) th.setAttribute("aria-sort", descending ? "descending" : "ascending");
  th.append(button);
  return th;
}

function numeric(kind) {
  return kind === "number" || kind === "steps";
}

/** Rows that have not changed stay as they are, so that nobody loses the focus to a tick. */
function drawRows(state) {
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
  if (focus) kept.get(focus.id)?.row.querySelector(`[data-name="${focus.name}"]`)?.focus();
  showTicks(state);
}

function focused({ body }) {
  const name = document.activeElement?.dataset?.name;
  const row = name && body.contains(document.activeElement) && document.activeElement.closest("tr");
  return row ? { id: row.dataset.run, name } : null;
}

function makeRow(state, run, columns) {
  const row = element("tr", run.faint ? "samedge-runs-faint" : "");
  row.dataset.run = run.id;
  const box = tickBox(`Select ${run.name}`);
  box.addEventListener("click", (event) => {
    for (const id of stretch(state, run.id, event.shiftKey)) tick(state, id, box.checked);
    state.anchor = run.id;
    tell(state);
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

function tickBox(label) {
  const box = element("input");
  box.type = "checkbox";
  box.dataset.name = "tick";
  box.setAttribute("aria-label", label);
  return box;
}

/* ---------------------------------------------------------------- selection */

/** The runs from the last one that was ticked to this one, with Shift; else this one. */
function stretch(state, id, shift) {
  const ids = state.data.rows.map((run) => run.id);
  const [from, to] = [ids.indexOf(state.anchor), ids.indexOf(id)].sort((a, b) => a - b);
  return shift && from >= 0 ? ids.slice(from, to + 1) : [id];
}

function tick(state, id, on) {
  if (on) state.selected.add(id);
  else state.selected.delete(id);
}

function tell(state) {
  showTicks(state);
  state.set("selected", { version: state.version, ids: [...state.selected] });
}

function showTicks(state) {
  let ticked = 0;
  for (const [id, { row, box }] of state.rows) {
    box.checked = state.selected.has(id);
    row.classList.toggle("samedge-runs-selected", box.checked);
    ticked += box.checked;
  }
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
.samedge-runs th, .samedge-runs td { padding: 3px 9px; white-space: nowrap; border-bottom: 1px solid var(--st-border-color, #9994); }
.samedge-runs th:first-child, .samedge-runs td:first-child { padding-right: 2px; width: 1px; }
.samedge-runs td { height: 33px; max-width: 20rem; overflow: hidden; text-overflow: ellipsis; }
.samedge-runs tr:last-child td { border-bottom: 0; }
.samedge-runs tbody tr:hover td { background: color-mix(in srgb, var(--st-text-color) 5%, transparent); }
.samedge-runs tr.samedge-runs-selected td { background: color-mix(in srgb, var(--st-primary-color) 14%, transparent); }
.samedge-runs tr.samedge-runs-faint td { opacity: 0.6; }
.samedge-runs .samedge-runs-number { text-align: right; }
.samedge-runs input { width: 16px; height: 16px; margin: 0; vertical-align: middle; accent-color: var(--st-primary-color); cursor: pointer; }
.samedge-runs a { color: var(--st-link-color, var(--st-primary-color)); text-decoration: none; }
.samedge-runs a:hover { text-decoration: underline; }
.samedge-runs-unnamed { font-family: var(--st-code-font, monospace); font-size: 0.8rem; }
.samedge-runs button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
.samedge-runs :is(button, a, input):focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; border-radius: 3px; }
.samedge-runs-sort:hover { text-decoration: underline; }
.samedge-runs .samedge-runs-toggle { font-size: 1.05rem; line-height: 1; padding: 4px; opacity: 0.45; }
.samedge-runs .samedge-runs-on { opacity: 1; color: var(--st-primary-color); }
.samedge-runs-badge { padding: 1px 8px; border-radius: 10px; background: color-mix(in srgb, var(--tone) 18%, transparent);
  color: color-mix(in srgb, var(--tone) 62%, var(--st-text-color)); }
.samedge-runs-gray { --tone: #808495; } .samedge-runs-green { --tone: #21a366; }
.samedge-runs-orange { --tone: #e8770c; } .samedge-runs-red { --tone: #e5383b; }
.samedge-runs-tag { padding: 1px 7px; margin-right: 4px; border-radius: 5px; background: color-mix(in srgb, var(--st-text-color) 10%, transparent); }
.samedge-runs progress { display: block; width: 100%; min-width: 5rem; height: 4px; accent-color: var(--st-primary-color); }
.samedge-runs svg { display: block; overflow: hidden; }
.samedge-runs svg line { stroke: var(--st-text-color); stroke-width: 1; stroke-dasharray: 3 3; opacity: 0.45; }
.samedge-runs svg polyline { fill: none; stroke: var(--st-primary-color); stroke-width: 1.4; stroke-linejoin: round; }
`;

const mounted = new WeakMap();

/** Called by Streamlit through the bootstrap of assets.py, at every message and change of theme. */
export function update({ parentElement, data, setStateValue, setTriggerValue }) {
  let state = mounted.get(parentElement);
  if (!state) mounted.set(parentElement, (state = mount(parentElement)));
  Object.assign(state, { data, set: setStateValue, trigger: setTriggerValue });
  if (state.version !== data.version) {
    state.version = data.version; // the server has changed the selection, or the table is new
    state.selected = new Set(data.selected);
  }
  drawHead(state);
  drawRows(state);
}

/** Nothing outlives the element. */
export function release() {}

function mount(host) {
  addStyle("samedge-runs-style", STYLE);
  const root = element("div", "samedge-runs");
  const table = element("table");
  table.setAttribute("aria-label", "Runs");
  const [head, body] = [element("thead"), element("tbody")];
  table.append(head, body);
  root.append(table);
  root.tabIndex = 0; // so that the keyboard can scroll it
  host.replaceChildren(root);
  host.style.minHeight = "";
  return { head, body, rows: new Map(), selected: new Set(), version: null, anchor: null, all: null, data: null };
}
