/** The rows of one run as the browser keeps them: appending, thinning, finding. */

/** @import { Numbers, Quantity, RunUpdate } from "./types.d.ts" */

const MAX_ROWS = 6000;
const RAW_ROWS = 1500;
const BUCKETS = 400;
const MOST_CHANGES = 100; // whose rows are kept; with all buckets full, MAX_ROWS still leaves room
const EXTREMES_OF = ["sharpness", "grad_norm", "loss", "ratio"];

/** The rows of one run, columnar: plain arrays of equal length, NaN where not measured. */
export class RunBuffer {
  label = "";
  rule = "";
  note = "";
  /** @type {Record<string, number>} */
  exact = {};
  /** @type {Map<string, number[]>} */
  columns = new Map();
  rows = 0;
  covered = -1; // the last step that the rows cover
  /** @type {Map<string, { step: number, text: string }>} */
  interventions = new Map();

  constructor(/** @type {string} */ id) {
    this.id = id;
  }

  /** Take in an update; returns "gap" (rows are missing), "new" or "same". */
  accept(/** @type {RunUpdate} */ update) {
    const relabelled = this.label !== update.label;
    const { label, rule, note, exact } = update;
    Object.assign(this, { label, rule, note, exact });
    if (update.full) Object.assign(this, { columns: new Map(), rows: 0, covered: -1, interventions: new Map() });
    else if (update.start > this.covered) return "gap";
    const marked = this.mark(update.interventions);
    const fresh = update.full || update.stop > this.covered;
    if (fresh) this.append(update);
    return fresh || marked || relabelled ? "new" : "same";
  }

  /** Keep interventions; returns whether there are new ones. */
  mark(/** @type {[number, string][]} */ interventions) {
    const before = this.interventions.size;
    for (const [step, text] of interventions) this.interventions.set(`${step} ${text}`, { step, text });
    return this.interventions.size > before;
  }

  /** Append the rows that are not here yet; a column that is a number has it in every row. */
  append(/** @type {RunUpdate} */ { columns, rows, stop }) {
    /** @type {(value: number | Numbers) => Numbers} */
    const broadcast = (value) => (typeof value === "number" ? new Array(rows).fill(value) : value);
    const incoming = new Map(Object.entries(columns).map(([name, value]) => [name, broadcast(value)]));
    const steps = Array.from(incoming.get("step") ?? []);
    const from = steps.findIndex((step) => step > this.covered);
    if (from >= 0) this.appendRows(incoming, from, rows);
    this.covered = stop;
    if (this.rows > MAX_ROWS) this.compact();
  }

  appendRows(/** @type {Map<string, Numbers>} */ incoming, /** @type {number} */ from, /** @type {number} */ to) {
    for (const name of incoming.keys()) this.columns.set(name, this.column(name));
    for (const [name, values] of this.columns) {
      const source = incoming.get(name);
      for (let i = from; i < to; i++) values.push(source ? source[i] : NaN);
    }
    this.rows += to - from;
  }

  /**
   * Thin all but the newest rows: the span of steps is cut into equal buckets, and a bucket keeps its
   * first and last row and the extremes of what oscillates. Striding would alias the oscillation. The
   * rows at an intervention and before it stay too: what jumps there does so in one step.
   */
  compact() {
    const steps = this.column("step");
    const old = this.rows - RAW_ROWS;
    const width = (steps[old] - steps[0]) / BUCKETS;
    const watched = EXTREMES_OF.map((name) => this.columns.get(name)).filter((values) => values !== undefined);
    const keep = new Set(this.rowsAtChanges().filter((row) => row >= 0 && row < old));
    for (let start = 0, bucket = 1; start < old; bucket++) {
      let end = start;
      while (end < old && steps[end] < steps[0] + bucket * width) end++;
      if (bucket > BUCKETS) end = old; // rounding must not leave a row behind
      if (end > start) for (const row of extremeRows(watched, start, end)) keep.add(row);
      start = end;
    }
    for (let row = old; row < this.rows; row++) keep.add(row);
    const kept = [...keep].sort((a, b) => a - b);
    for (const [name, values] of this.columns) this.columns.set(name, kept.map((row) => values[row]));
    this.rows = kept.length;
  }

  /** Indices of the first row of each of the newest interventions, and of the row before it. */
  rowsAtChanges() {
    const newest = [...this.interventions.values()].slice(-MOST_CHANGES);
    return newest.map(({ step }) => lowerBound(this.column("step"), step)).flatMap((at) => [at - 1, at]);
  }

  /** The values of a column; NaN in every row where the run has none. */
  column(/** @type {string} */ name) {
    return this.columns.get(name) ?? new Array(this.rows).fill(NaN);
  }

  /** The column to plot against; runs without time or evals fall back to steps. */
  x(/** @type {Quantity} */ quantity) {
    return this.columns.get(quantity) ?? this.column("step");
  }

  /** Where a step lies on the current x axis, interpolated between rows; null before any row. */
  locate(/** @type {number} */ step, /** @type {Quantity} */ quantity) {
    return interpolate(this.column("step"), this.x(quantity), step);
  }

  /** The inverse of `locate`: the step, a whole number, that lies at an x; null before any row. */
  stepAt(/** @type {number} */ x, /** @type {Quantity} */ quantity) {
    const step = interpolate(this.x(quantity), this.column("step"), x);
    return step === null ? null : Math.round(step);
  }

  /** Step of the newest row; -1 before any. */
  get lastStep() {
    return this.column("step").at(-1) ?? -1;
  }

  /** Index of the newest row at or before a step; -1 where there is none. */
  rowAt(/** @type {number} */ step) {
    return lowerBound(this.column("step"), step + 1) - 1;
  }

  /** Index of the newest row up to `row` in which a column was measured; -1 where there is none. */
  measuredAt(/** @type {string} */ column, /** @type {number} */ row) {
    const values = this.columns.get(column);
    let at = values ? row : -1;
    while (values && at >= 0 && !Number.isFinite(values[at])) at--;
    return at;
  }
}

/** Rows of [start, end): both ends, and where a watched column is smallest and largest. */
function extremeRows(/** @type {number[][]} */ watched, /** @type {number} */ start, /** @type {number} */ end) {
  const rows = [start, end - 1];
  for (const values of watched) {
    let low = -1;
    let high = -1;
    for (let i = start; i < end; i++) {
      if (Number.isNaN(values[i])) continue;
      if (low < 0 || values[i] < values[low]) low = i;
      if (high < 0 || values[i] > values[high]) high = i;
    }
    if (low >= 0) rows.push(low, high);
  }
  return rows;
}

/**
 * The value at `at` of the line through the points (xs, ys), xs growing; beyond them, that of the nearest
 * end, and null where there are none.
 * @type {(xs: number[], ys: number[], at: number) => number | null}
 */
function interpolate(xs, ys, at) {
  if (!xs.length) return null;
  const after = lowerBound(xs, at);
  if (after === 0) return ys[0];
  if (after === xs.length) return ys[after - 1];
  const share = (at - xs[after - 1]) / (xs[after] - xs[after - 1]);
  return ys[after - 1] + share * (ys[after] - ys[after - 1]);
}

/** Index of the first element >= value in a sorted array. */
export function lowerBound(/** @type {Numbers} */ sorted, /** @type {number} */ value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
