/**
 * The scrubber under the live charts: a slider over the recorded steps, a box for an exact one, and the
 * numbers of that step, looked up in the rows that the browser keeps.
 */

/** @import { Part, Scrubber, ScrubberEvents, ScrubberRow } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { count, element, shownNumber } = await part("page.js");
const { ratios } = await part("traces.js");

/** @typedef {{ name: string, column: string, optional?: boolean, everywhere?: boolean, instead?: string, residual?: string }} Shown a number of a step */
/** @typedef {ScrubberRow & { row: number, exact: Record<string, number> | null }} Found a run's row at the cursor */

/**
 * What is shown of a step. `optional`: only when a shown run has it; `everywhere`: known at every step at which
 * it plays a part, so that no earlier number stands in; `instead`: not when runs have that column alone.
 * @type {Shown[]}
 */
const NUMBERS = [
  { name: "edge value", column: "edge_value", optional: true, residual: "edge_residual" },
  { name: "threshold", column: "threshold", optional: true },
  { name: "sharpness", column: "sharpness", instead: "edge_value", residual: "residual" },
  { name: "edge in force", column: "edge", instead: "edge_value" },
  { name: "sharpness / edge", column: "ratio" },
  { name: "‖g‖", column: "grad_norm" },
  { name: "loss", column: "loss" },
  { name: "accuracy", column: "accuracy", optional: true },
  { name: "η", column: "eta" },
  { name: "ρ", column: "rho", optional: true, everywhere: true },
];

const PAGE = 1 / 20; // of all steps, by PageUp and PageDown

export const SCRUBBER_STYLE = `
.samedge-cursor { padding: 12px 4px 2px; color: var(--st-text-color); font-size: 14px; }
.samedge-cursor[hidden], .samedge-cursor [hidden] { display: none; }
.samedge-cursor-row { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 12px; min-height: 34px; }
.samedge-cursor input[type=range] { flex: 1 1 220px; min-width: 0; accent-color: var(--st-primary-color); }
.samedge-cursor input[type=number] { width: 7.5em; font: inherit; padding: 3px 8px; border-radius: 8px;
  color: inherit; background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color, #999);
  font-variant-numeric: tabular-nums; }
.samedge-cursor button { font: inherit; font-size: 16px; line-height: 1; width: 30px; height: 30px; border-radius: 8px;
  cursor: pointer; color: inherit; background: var(--st-secondary-background-color);
  border: 1px solid var(--st-border-color, #999); }
.samedge-cursor :focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.samedge-cursor output { min-width: 9em; font-variant-numeric: tabular-nums; }
.samedge-cursor table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 2px 0 4px; }
.samedge-cursor th, .samedge-cursor td { text-align: left; padding: 3px 20px 3px 0; vertical-align: top; font-weight: 400; }
.samedge-cursor thead th { opacity: 0.75; white-space: nowrap; }
.samedge-cursor tbody th { font-weight: 600; }
.samedge-cursor tbody > * > * { border-top: 1px solid var(--st-border-color, #9994); }
.samedge-cursor small { display: block; font-size: 12px; opacity: 0.75; }
@container (max-width: 899px) {
  .samedge-cursor thead { display: none; }
  .samedge-cursor tbody tr { display: flex; flex-wrap: wrap; gap: 2px 18px; padding: 4px 0;
    border-top: 1px solid var(--st-border-color, #9994); }
  .samedge-cursor tbody > * > * { border: 0; padding: 0; }
  .samedge-cursor td::before { content: attr(data-name) " "; opacity: 0.75; }
  .samedge-cursor small { display: inline; margin-left: 4px; }
}
`;

/**
 * Make a scrubber; `moved(step)` is called at each move, null lets go; `settled()` follows when it rests.
 * @type {(events: ScrubberEvents) => Scrubber}
 */
export function makeScrubber({ moved, settled, signal }) {
  const root = element("div", "samedge-cursor");
  const row = element("div", "samedge-cursor-row");
  const [range, exact] = [element("input"), element("input")];
  const [button, note, table] = [element("button"), element("output"), element("table")];
  Object.assign(range, { type: "range", min: 0, step: 1 });
  Object.assign(exact, { type: "number", min: 0, step: 1, placeholder: "step" });
  Object.assign(button, { type: "button", textContent: "×", title: "Let the cursor go (Escape)" });
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Cursor");
  range.setAttribute("aria-label", "Cursor step");
  exact.setAttribute("aria-label", "Cursor step, exact");
  button.setAttribute("aria-label", "Let the cursor go");
  table.setAttribute("aria-label", "Numbers at the cursor");
  root.hidden = true;
  row.append(range, exact, button, note);
  root.append(row, table);
  /** @type {Scrubber} */
  const scrubber = { root, range, exact, button, note, table, rows: [], cursor: null, written: null, held: false };
  listen(scrubber, { moved, settled, signal });
  return scrubber;
}

/** @type {(scrubber: Scrubber, events: ScrubberEvents) => void} */
function listen(scrubber, { moved, settled, signal }) {
  const { range, exact, button } = scrubber;
  const move = (/** @type {number | null} */ step) => {
    scrubber.cursor = step; // the next key may come before the next frame
    moved(step);
  };
  const rest = () => {
    scrubber.held = false;
    settled();
  };
  range.addEventListener("input", () => move(Number(range.value)));
  range.addEventListener("change", rest);
  range.addEventListener("pointerdown", () => { scrubber.held = true; });
  for (const type of ["pointerup", "pointercancel"]) {
    window.addEventListener(type, () => scrubber.held && rest(), { signal });
  }
  range.addEventListener("keydown", (event) => {
    const step = stepByKey(scrubber, event.key);
    if (step === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault(); // its own steps would be numbers, not recorded rows
    move(step);
  });
  range.addEventListener("keyup", settled);
  exact.addEventListener("change", () => {
    const step = Math.round(Number(exact.value));
    scrubber.written = null; // what was typed may lie outside
    // the run itself, not what was drawn last: rows may have come since
    move(exact.value === "" ? null : Math.min(Math.max(step, 0), lastOf(scrubber.rows)));
    settled();
  });
  button.addEventListener("click", () => {
    move(null);
    settled();
    range.focus(); // the button is gone
  });
}

/**
 * Where a key leads to from the cursor, or null if the key is not ours.
 * @type {(scrubber: Scrubber, key: string) => number | null}
 */
function stepByKey({ rows, cursor }, key) {
  const last = lastOf(rows);
  const from = cursor ?? last;
  const page = Math.max(1, Math.round(last * PAGE));
  switch (key) {
    case "Home": return 0;
    case "End": return last;
    case "PageDown": return Math.max(from - page, 0);
    case "PageUp": return Math.min(from + page, last);
    case "ArrowLeft": case "ArrowDown": return recordedBefore(rows, from);
    case "ArrowRight": case "ArrowUp": return recordedAfter(rows, from);
    default: return null;
  }
}

/** The last step of any run. */
function lastOf(/** @type {ScrubberRow[]} */ rows) {
  return Math.max(...rows.map(({ run }) => run.lastStep));
}

/** The nearest recorded step before one. */
function recordedBefore(/** @type {ScrubberRow[]} */ rows, /** @type {number} */ from) {
  const before = rows.map(({ run }) => run.column("step")[run.rowAt(from - 1)] ?? 0);
  return Math.max(...before);
}

/** The nearest recorded step after one. */
function recordedAfter(/** @type {ScrubberRow[]} */ rows, /** @type {number} */ from) {
  const after = rows.map(({ run }) => run.column("step")[run.rowAt(from) + 1] ?? Infinity);
  return Math.min(...after, lastOf(rows));
}

/**
 * Show the cursor (a step, or null) and its numbers in each of `rows`: a run and its colour.
 * @type {(scrubber: Scrubber, rows: ScrubberRow[], cursor: number | null) => void}
 */
export function drawScrubber(scrubber, rows, cursor) {
  Object.assign(scrubber, { rows, cursor });
  const { root, range, exact, button, note, table } = scrubber;
  root.hidden = !rows.length;
  if (!rows.length) return;
  const last = lastOf(rows);
  // A slider that grows under the hand would move away from it.
  if (!scrubber.held) range.max = String(last);
  range.value = String(cursor ?? range.max);
  range.setAttribute("aria-valuetext", cursor === null ? "follows the run" : `step ${count(cursor)} of ${count(last)}`);
  exact.max = String(last);
  const value = cursor === null ? "" : String(cursor);
  if (scrubber.written !== value) exact.value = value; // else it may be typed in just now
  scrubber.written = value;
  button.hidden = cursor === null;
  note.textContent = cursor === null ? "follows the run" : `of ${count(last)}`;
  table.hidden = cursor === null;
  table.replaceChildren(...(cursor === null ? [] : readout(rows, cursor)));
}

/**
 * The table of numbers at the cursor: a row for each run.
 * @type {(rows: ScrubberRow[], cursor: number) => HTMLElement[]}
 */
function readout(rows, cursor) {
  const found = rows.map(({ run, color }) => ({
    run, color, row: run.rowAt(cursor), exact: run.exact.step === cursor ? run.exact : null,
  }));
  const known = (/** @type {Shown} */ number) => found.some((one) => find(number, one));
  const shown = NUMBERS.filter((number) => known(number) || !(number.optional || (number.instead && known({ name: "", column: number.instead }))))
    .map((number) => (number.column === "ratio" ? { ...number, name: ratios(rows.map(({ run }) => run)).join(" or ") } : number));
  const head = element("tr");
  head.append(...["run", "step", ...shown.map(({ name }) => name)].map((name) => headCell(name, "col")));
  const body = found.map((one) => {
    const line = element("tr");
    const label = headCell(one.run.label, "row");
    label.style.color = one.color;
    line.append(label, stepCell(one, cursor), ...shown.map((number) => numberCell(number, one)));
    return line;
  });
  const [thead, tbody] = [element("thead"), element("tbody")];
  thead.append(head);
  tbody.append(...body);
  return [thead, tbody];
}

function headCell(/** @type {string} */ text, /** @type {string} */ scope) {
  return Object.assign(element("th", "", text), { scope });
}

/** Step of the row that is shown: the server sends that of a resting cursor; here, many may be in a bucket. */
function shownStep(/** @type {Found} */ { run, row, exact }) {
  return exact ? exact.step : run.column("step")[row];
}

function stepCell(/** @type {Found} */ one, /** @type {number} */ cursor) {
  if (one.row < 0) return namedCell("step", "–");
  const step = shownStep(one);
  const last = one.exact ? step : one.run.high("step")[one.row];
  if (last > step) return namedCell("step", `${count(step)}–${count(last)}`, ["means of these"]);
  const why = one.run.lastStep < cursor ? "the last one" : "nearest kept row";
  return namedCell("step", count(step), step === cursor ? [] : [why]);
}

function numberCell(/** @type {Shown} */ number, /** @type {Found} */ one) {
  const found = find(number, one);
  const notes = !found || found.step === shownStep(one) ? [] : [`at step ${count(found.step)}`];
  const text = shownNumber(found?.value(number.column));
  if (!number.residual || !found) return namedCell(number.name, text, notes);
  const residual = found.value(number.residual);
  const width = Number.isFinite(residual) ? ` ± ${Number(residual.toPrecision(2))}` : "";
  if (found.value("converged") === 0) notes.push("not converged");
  return namedCell(number.name, text + width, notes);
}

/**
 * The row that holds a number: what is not measured in the one shown was measured before; or null.
 * @type {(number: Shown, found: Found) => { step: number, value: (name: string) => number } | null}
 */
function find({ column, everywhere }, { run, row, exact }) {
  const known = Number.isFinite(exact ? exact[column] : run.column(column)[row]);
  if (everywhere && !known) return null;
  if (exact && known) return { step: exact.step, value: (name) => exact[name] };
  const at = run.measuredAt(column, row);
  return at < 0 ? null : { step: run.column("step")[at], value: (name) => run.column(name)[at] };
}

/**
 * A cell with notes below its text. A narrow page has no head above the numbers: each then carries its name.
 * @type {(name: string, text: string, notes?: string[]) => HTMLTableCellElement}
 */
function namedCell(name, text, notes = []) {
  const made = element("td", "", text);
  if (notes.length) made.append(element("small", "", notes.join(", ")));
  made.dataset.name = name;
  return made;
}
