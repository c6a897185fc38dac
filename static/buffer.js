/** The rows of one run as the browser keeps them: decoding, appending, thinning. */

const MAX_ROWS = 6000;
const RAW_ROWS = 1500;
const BUCKETS = 400;
const MOST_CHANGES = 100; // whose rows are kept; with all buckets full, MAX_ROWS still leaves room
const EXTREMES_OF = ["sharpness", "grad_norm", "loss", "ratio"];

/** The rows of one run, columnar: plain arrays of equal length, NaN where not measured. */
export class RunBuffer {
  constructor(id) {
    this.id = id;
    this.clear();
  }

  clear() {
    this.columns = new Map();
    this.rows = 0;
    this.have = -1; // the last step that the rows cover
    this.interventions = new Map();
  }

  /** Take in an update; returns "gap" (rows are missing), "new" or "same". */
  accept(update) {
    const relabelled = this.label !== update.label;
    this.label = update.label;
    this.rule = update.rule;
    this.note = update.note;
    this.exact = update.exact;
    if (update.full) this.clear();
    else if (update.start > this.have) return "gap";
    const marked = this.mark(update.interventions);
    const fresh = update.full || update.stop > this.have;
    if (fresh) this.append(update);
    return fresh || marked || relabelled ? "new" : "same";
  }

  mark(interventions) {
    const before = this.interventions.size;
    for (const [step, text] of interventions) this.interventions.set(`${step} ${text}`, { step, text });
    return this.interventions.size > before;
  }

  append(update) {
    const incoming = new Map(
      Object.entries(update.columns).map(([name, code]) => [name, decode(code, update.rows)]),
    );
    const steps = incoming.get("step") ?? [];
    const from = steps.findIndex((step) => step > this.have);
    if (from >= 0) this.appendRows(incoming, from, steps.length);
    this.have = update.stop;
    if (this.rows > MAX_ROWS) this.compact();
  }

  appendRows(incoming, from, to) {
    for (const name of incoming.keys()) {
      if (!this.columns.has(name)) this.columns.set(name, new Array(this.rows).fill(NaN));
    }
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
    const steps = this.columns.get("step");
    const old = this.rows - RAW_ROWS;
    const width = (steps[old] - steps[0]) / BUCKETS;
    const watched = EXTREMES_OF.filter((name) => this.columns.has(name)).map((name) => this.columns.get(name));
    const changes = this.rowsAtChanges();
    const keep = [];
    for (let start = 0, bucket = 1; start < old; bucket++) {
      let end = start;
      while (end < old && steps[end] < steps[0] + bucket * width) end++;
      if (bucket > BUCKETS) end = old; // rounding must not leave a row behind
      if (end > start) keep.push(...bucketRows(watched, start, end, changes));
      start = end;
    }
    for (let i = old; i < this.rows; i++) keep.push(i);
    for (const [name, values] of this.columns) this.columns.set(name, keep.map((i) => values[i]));
    this.rows = keep.length;
  }

  /** Indices of the first row of each of the newest interventions, and of the row before it. */
  rowsAtChanges() {
    const steps = this.columns.get("step");
    const newest = [...this.interventions.values()].slice(-MOST_CHANGES);
    return newest.map(({ step }) => lowerBound(steps, step)).flatMap((at) => [at - 1, at]);
  }

  /** The column to plot against; runs without time or evals fall back to steps. */
  x(quantity) {
    return this.columns.get(quantity) ?? this.columns.get("step") ?? [];
  }

  /** Where a step lies on the current x axis, interpolated between rows; null before any row. */
  locate(step, quantity) {
    const steps = this.columns.get("step");
    if (!steps?.length) return null;
    const xs = this.x(quantity);
    const after = lowerBound(steps, step);
    if (after === 0) return xs[0];
    if (after === steps.length) return xs[after - 1];
    const share = (step - steps[after - 1]) / (steps[after] - steps[after - 1]);
    return xs[after - 1] + share * (xs[after] - xs[after - 1]);
  }

  /** The inverse of `locate`: the step, a whole number, that lies at an x; null before any row. */
  stepAt(x, quantity) {
    const steps = this.columns.get("step");
    if (!steps?.length) return null;
    const xs = this.x(quantity);
    const after = lowerBound(xs, x);
    if (after === 0) return steps[0];
    if (after === xs.length) return steps[after - 1];
    const share = (x - xs[after - 1]) / (xs[after] - xs[after - 1]);
    return Math.round(steps[after - 1] + share * (steps[after] - steps[after - 1]));
  }

  /** Step of the newest row; -1 before any. */
  get lastStep() {
    return this.columns.get("step")?.at(-1) ?? -1;
  }

  /** Index of the newest row at or before a step; -1 where there is none. */
  rowAt(step) {
    return lowerBound(this.columns.get("step") ?? [], step + 1) - 1;
  }

  /** Index of the newest row up to `row` in which a column was measured; -1 where there is none. */
  measuredAt(column, row) {
    const values = this.columns.get(column);
    let at = values ? row : -1;
    while (at >= 0 && !Number.isFinite(values[at])) at--;
    return at;
  }
}

/** Decode a column of live.py's `encode`: null, a constant, Float32, even spacing, or offsets. */
function decode(code, rows) {
  if (code === null) return new Array(rows).fill(NaN);
  if (typeof code === "number") return new Array(rows).fill(code);
  if (typeof code === "string") return Array.from(float32(code));
  if ("by" in code) return Array.from({ length: rows }, (_, i) => code.from + code.by * i);
  return Array.from(float32(code.offsets), (offset) => code.from + offset);
}

export function float32(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer); // DataView, because the message is little-endian everywhere
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

/** Rows to keep of [start, end): the ends, some by name, and where a watched column is smallest and largest. */
function bucketRows(watched, start, end, wanted) {
  const rows = new Set([start, end - 1, ...wanted.filter((i) => i >= start && i < end)]);
  for (const values of watched) {
    let low = -1;
    let high = -1;
    for (let i = start; i < end; i++) {
      if (Number.isNaN(values[i])) continue;
      if (low < 0 || values[i] < values[low]) low = i;
      if (high < 0 || values[i] > values[high]) high = i;
    }
    if (low >= 0) rows.add(low).add(high);
  }
  return [...rows].sort((a, b) => a - b);
}

/** Index of the first element >= value in a sorted array. */
export function lowerBound(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
