/** The rows of one run as the browser keeps them: appending, gathering in buckets, finding. */

/** @import { Numbers, Part, Quantity, Range, Rims, RunUpdate } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { mean } = await part("envelope.js");

const MAX_ROWS = 6000;
const RAW_ROWS = 1500;
const BUCKETS = 800;
const MEASURED = 6; // sharpnesses in a bucket: fewer of a hop have no level mean
const MOST_CHANGES = 100; // at which a bucket ends
const QUANTITIES = ["step", "time", "evals"]; // of which a bucket has the first value, in `highs` the last

/**
 * The rows of one run, columnar: plain arrays of equal length, NaN where not measured. A row is a step or,
 * where there were too many, a bucket of steps: then `columns` has the mean, and the first step; a residual, and
 * whether it converged, are the worst. `lows` and `highs` have the least and the most where they differ anywhere.
 */
export class RunBuffer {
  label = "";
  rule = "";
  note = "";
  predicts = ""; // the id of a run: then these are no steps that were taken
  /** @type {Range[]} from step to step: where the prediction does not hold */
  doubtful = [];
  /** @type {Record<string, number>} */
  exact = {};
  /** @type {Map<string, number[]>} */
  columns = new Map();
  /** @type {Map<string, number[]>} */
  lows = new Map();
  /** @type {Map<string, number[]>} */
  highs = new Map();
  rows = 0;
  covered = -1; // the last step that the rows cover
  /** @type {Map<string, { step: number, text: string }>} */
  interventions = new Map();

  constructor(/** @type {string} */ id) {
    this.id = id;
  }

  /** Take in an update; returns "gap" (rows are missing), "new" or "same". */
  accept(/** @type {RunUpdate} */ update) {
    const { label, rule, note, exact, predicts, doubtful } = update;
    const relabelled = this.label !== label || JSON.stringify(this.doubtful) !== JSON.stringify(doubtful);
    Object.assign(this, { label, rule, note, exact, predicts, doubtful });
    if (update.full) {
      const [columns, lows, highs] = [new Map(), new Map(), new Map()];
      Object.assign(this, { columns, lows, highs, rows: 0, covered: -1, interventions: new Map() });
    } else if (update.start > this.covered) return "gap";
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
  append(/** @type {RunUpdate} */ { columns, low = {}, high = {}, rows, stop }) {
    /** @type {(value: number | Numbers) => Numbers} */
    const broadcast = (value) => (typeof value === "number" ? new Array(rows).fill(value) : value);
    /** @type {(sent: Record<string, number | Numbers>) => Map<string, Numbers>} */
    const read = (sent) => new Map(Object.entries(sent).map(([name, value]) => [name, broadcast(value)]));
    const incoming = read(columns);
    const from = Array.from(incoming.get("step") ?? []).findIndex((step) => step > this.covered);
    if (from >= 0) {
      this.appendTo(this.lows, read(low), incoming, from); // first: they begin as copies of the columns
      this.appendTo(this.highs, read(high), incoming, from);
      this.appendTo(this.columns, incoming, incoming, from);
      this.rows += rows - from;
    }
    this.covered = stop;
    if (this.rows > MAX_ROWS) this.compact();
  }

  /**
   * Append the values sent, from an index on, to what is kept; where none came, those of the columns.
   * @type {(kept: Map<string, number[]>, sent: Map<string, Numbers>, columns: Map<string, Numbers>, from: number) => void}
   */
  appendTo(kept, sent, columns, from) {
    const count = columns.get("step")?.length ?? 0;
    for (const name of sent.keys()) {
      if (!kept.has(name)) kept.set(name, this.column(name).slice());
    }
    for (const [name, values] of kept) {
      const source = sent.get(name) ?? columns.get(name);
      for (let i = from; i < count; i++) values.push(source ? source[i] : NaN);
    }
  }

  /**
   * Gather all but the newest rows in buckets of equal numbers of steps, a power of two, so that the next time
   * whole buckets come together. None lasts over an intervention: what jumps there does so in one step.
   */
  compact() {
    const groups = this.oldGroups();
    const old = this.rows - RAW_ROWS;
    const sizes = this.sizes();
    /** @type {(values: number[], of: (rows: number[]) => number) => number[]} */
    const gathered = (values, of) => [...groups.map(of), ...values.slice(old)];
    /** @type {(values: number[], pick: (...of: number[]) => number) => number[]} */
    const extreme = (values, pick) => gathered(values, (rows) => {
      const known = rows.map((row) => values[row]).filter(Number.isFinite);
      return known.length ? pick(...known) : NaN;
    });
    const [columns, lows, highs] = [new Map(), new Map(), new Map()];
    for (const [name, values] of this.columns) {
      if (QUANTITIES.includes(name)) {
        columns.set(name, gathered(values, (rows) => values[rows[0]]));
        const last = this.high(name);
        highs.set(name, gathered(last, (rows) => last[rows[rows.length - 1]]));
        continue;
      }
      lows.set(name, extreme(this.low(name), Math.min));
      highs.set(name, extreme(this.high(name), Math.max));
      columns.set(name, name === "converged" ? lows.get(name) : name.endsWith("residual") ? highs.get(name)
        : gathered(values, (rows) => {
          const known = rows.filter((row) => Number.isFinite(values[row]));
          return known.length ? mean(known.map((row) => values[row]), known.map((row) => sizes[row])) : NaN;
        }));
    }
    Object.assign(this, { columns, lows, highs, rows: groups.length + RAW_ROWS });
  }

  /** The old rows that come together: those of an equal number of steps, and between two interventions. */
  oldGroups() {
    const steps = this.column("step");
    const old = this.rows - RAW_ROWS;
    const span = steps[old] - steps[0];
    const [sharpness, edgeValue] = [this.column("sharpness"), this.column("edge_value")];
    const measured = steps.slice(0, old).filter((_, i) => Number.isFinite(sharpness[i]) || Number.isFinite(edgeValue[i])).length;
    let width = 1;
    while (span / width > BUCKETS) width *= 2;
    while (measured > span / width && measured < (MEASURED * span) / width) width *= 2;
    const changes = new Set(this.rowsAtChanges());
    /** @type {number[][]} */
    const groups = [];
    for (let row = 0; row < old; row++) {
      const group = groups.at(-1);
      const same = group && Math.floor(steps[row] / width) === Math.floor(steps[group[0]] / width);
      if (same && !changes.has(row)) group.push(row);
      else groups.push([row]);
    }
    return groups;
  }

  /** Indices of the first row of each of the newest interventions. */
  rowsAtChanges() {
    const newest = [...this.interventions.values()].slice(-MOST_CHANGES);
    return newest.map(({ step }) => lowerBound(this.column("step"), step));
  }

  /** The least of a column in each row. */
  low(/** @type {string} */ name) {
    return this.lows.get(name) ?? this.column(name);
  }

  /** The most of a column in each row; of steps, time and evaluations, the last. */
  high(/** @type {string} */ name) {
    return this.highs.get(name) ?? this.column(name);
  }

  /** How many steps each row is. */
  sizes() {
    const last = this.high("step");
    return this.column("step").map((first, i) => 1 + last[i] - first);
  }

  /** A column as the envelope over an axis needs it. @type {(name: string, quantity: Quantity) => Rims} */
  rims(name, quantity) {
    const axis = this.axis(quantity);
    return {
      x: this.column(axis), until: this.high(axis), sizes: this.sizes(),
      low: this.low(name), middle: this.column(name), high: this.high(name),
    };
  }

  /** The values of a column; NaN in every row where the run has none. */
  column(/** @type {string} */ name) {
    return this.columns.get(name) ?? new Array(this.rows).fill(NaN);
  }

  /** The column to plot against; runs without time or evals fall back to steps. */
  axis(/** @type {Quantity} */ quantity) {
    return this.columns.has(quantity) ? quantity : "step";
  }

  /** Where a step lies on the current x axis, interpolated between rows; null before any row. */
  locate(/** @type {number} */ step, /** @type {Quantity} */ quantity) {
    return interpolate(this.ends("step"), this.ends(this.axis(quantity)), step);
  }

  /** The inverse of `locate`: the step, a whole number, that lies at an x; null before any row. */
  stepAt(/** @type {number} */ x, /** @type {Quantity} */ quantity) {
    const step = interpolate(this.ends(this.axis(quantity)), this.ends("step"), x);
    return step === null ? null : Math.round(step);
  }

  /** The first values of the rows and, of a bucket at the end, the last one. */
  ends(/** @type {string} */ name) {
    const [first, last] = [this.column(name), this.high(name)];
    return this.rows && first[this.rows - 1] < last[this.rows - 1] ? [...first, last[this.rows - 1]] : first;
  }

  /** The newest step; -1 before any. */
  get lastStep() {
    return this.high("step").at(-1) ?? -1;
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
