/**
 * What is drawn of a long run: a line through some rows of an oscillation shows one that is not there, so
 * where there are more rows than pixels, the least and the most of each bucket of rows are a band, and
 * their mean is its middle line. (samedge_core/training/thinning.py does the same where the rows are.)
 */

/** @import { Envelope, Part, Rims, Trace } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { translucent } = await part("theme.js");

const SMALLEST = 6; // rows of a bucket: of hops of period two and three nothing remains in its mean
const PIXELS = 2; // of a bucket, at least
const RAMP = [1, 3, 5, 6]; // sums of the weights 1, 2, 2, 1

/**
 * Weight of a value at `rank` in a bucket of `count`. Weights fall off towards its ends, or the mean of an
 * odd number of hops would be off by a part of one, and go up and down from bucket to bucket.
 * @type {(rank: number, count: number) => number}
 */
function weight(rank, count) {
  if (count < 4) return count === 3 && rank === 1 ? 2 : 1;
  const late = rank - (count - 3);
  return RAMP[Math.min(rank, 3)] - (late >= 0 ? RAMP[late] : 0);
}

/** Weighted mean of the values, each of so many steps. @type {(values: number[], sizes: number[]) => number} */
export function mean(values, sizes) {
  let [sum, total] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const share = weight(i, values.length) * sizes[i];
    sum += share * values[i];
    total += share;
  }
  // rounding must not leave the band, nor change what is constant
  return Math.min(Math.max(sum / total, Math.min(...values)), Math.max(...values));
}

/**
 * The envelope of a column over x, in the pixels that the x from `from` to `to` have. Where there is at most one
 * known row a pixel, each is drawn as it is (null if so are all, and each is a single step). Where there are
 * more: buckets of PIXELS pixels and of SMALLEST rows or more; none lasts over a row at which a stretch begins, and
 * the first step of a run is drawn as itself.
 * @type {(rims: Rims, pixels: number, [from, to]: [number, number], opens: Set<number>) => Envelope | null}
 */
export function envelope({ x, until, low, middle, high, sizes }, pixels, [from, to], opens) {
  const known = [];
  let begins = false;
  const opening = new Set(); // the known rows at which a stretch begins
  for (let i = 0; i < middle.length; i++) {
    begins ||= opens.has(i);
    if (!Number.isFinite(middle[i])) continue;
    if (begins) opening.add(i);
    begins = false;
    known.push(i);
  }
  const alone = known.length > 0 && x[known[0]] === 0 && sizes[known[0]] === 1 ? 1 : 0;
  const groups = [
    ...known.slice(0, alone).map((i) => [i]),
    ...stretches(known.slice(alone), opening).flatMap((rows) => bucketsOf(rows, x, sizes, (to - from) / pixels)),
  ];
  if (groups.length === known.length && !known.some((i) => x[i] < until[i])) return null;
  return {
    first: groups.map((rows) => x[rows[0]]),
    last: groups.map((rows) => until[rows[rows.length - 1]]),
    low: groups.map((rows) => rows.reduce((least, i) => Math.min(least, low[i]), Infinity)),
    middle: groups.map((rows) => mean(rows.map((i) => middle[i]), rows.map((i) => sizes[i]))),
    high: groups.map((rows) => rows.reduce((most, i) => Math.max(most, high[i]), -Infinity)),
    opens: groups.map((rows, i) => i === 0 || opening.has(rows[0])),
    rows: groups,
  };
}

/** The rows cut before each of those that open a stretch. @type {(rows: number[], opening: Set<number>) => number[][]} */
function stretches(rows, opening) {
  const found = [];
  let begin = 0;
  for (let i = 1; i <= rows.length; i++) {
    if (i < rows.length && !opening.has(rows[i])) continue;
    if (i > begin) found.push(rows.slice(begin, i));
    begin = i;
  }
  return found;
}

/**
 * The rows of a stretch in buckets, where they are denser than one a pixel; else each row.
 * @type {(rows: number[], x: number[], sizes: number[], pixel: number) => number[][]}
 */
function bucketsOf(rows, x, sizes, pixel) {
  /** @type {number[][]} */
  const found = [];
  const dense = (/** @type {number} */ at) => {
    const i = Math.min(at, rows.length - 1 - SMALLEST);
    return i >= 0 && x[rows[i + SMALLEST]] - x[rows[i]] < SMALLEST * pixel;
  };
  let begin = 0;
  for (let i = 1; i <= rows.length; i++) {
    const crowded = i - begin > 1 || dense(begin);
    const full = i - begin >= SMALLEST && i < rows.length && x[rows[i]] - x[rows[begin]] >= PIXELS * pixel;
    if (crowded && !full && i < rows.length) continue;
    found.push(rows.slice(begin, i));
    begin = i;
  }
  return withoutScraps(found, sizes);
}

/**
 * A bucket of few steps beside others, or a few steps between them, would stand out with the height of a
 * single hop: they go into the bucket before, or after.
 * @type {(buckets: number[][], sizes: number[]) => number[][]}
 */
function withoutScraps(buckets, sizes) {
  const steps = (/** @type {number[]} */ rows) => rows.reduce((sum, row) => sum + sizes[row], 0);
  if (!buckets.some((rows) => steps(rows) >= SMALLEST)) return buckets;
  /** @type {number[][]} */
  const kept = [];
  /** @type {number[][]} */
  let small = [];
  const settle = (/** @type {number[] | null} */ next) => {
    const scrap = small.length < SMALLEST || small.some((rows) => steps(rows) > 1);
    if (!scrap) kept.push(...small);
    else if (kept.length) kept[kept.length - 1].push(...small.flat());
    else next?.unshift(...small.flat());
    small = [];
  };
  for (const rows of buckets) {
    if (steps(rows) < SMALLEST) {
      small.push(rows);
      continue;
    }
    settle(rows);
    kept.push(rows);
  }
  settle(null);
  return kept;
}

/** Whether a bucket is more than one row. @type {(found: Envelope, bucket: number) => boolean} */
function isWide({ first, last }, bucket) {
  return first[bucket] < last[bucket];
}

/**
 * The middle line: a point in the middle of each bucket; stretches begin and end at their first and last x.
 * @type {(found: Envelope) => { x: number[], y: number[], buckets: number[] }}
 */
export function middleLine(found) {
  /** @type {{ x: number[], y: number[], buckets: number[] }} */
  const line = { x: [], y: [], buckets: [] };
  const add = (/** @type {number} */ x, /** @type {number} */ bucket) => {
    line.x.push(x);
    line.y.push(found.middle[bucket]);
    line.buckets.push(bucket);
  };
  found.middle.forEach((_, i) => {
    const [first, last] = [found.first[i], found.last[i]];
    const wide = isWide(found, i);
    if (wide && found.opens[i]) add(first, i);
    add((first + last) / 2, i);
    if (wide && found.opens[i + 1] !== false) add(last, i);
  });
  return line;
}

/**
 * The band from least to most under a line, as a list of none or one trace: both ends of each bucket, so that no
 * corner is cut off. A log axis has no place for 0 and less: there, the band goes down to `floor`.
 * @type {(found: Envelope, line: Trace, floor?: number) => Trace[]}
 */
export function bandTrace(found, line, floor = -Infinity) {
  const [x, low, high] = [[], [], []].map((empty) => /** @type {number[]} */ (empty));
  found.middle.forEach((_, i) => {
    if (!(found.high[i] > floor)) return;
    for (const at of isWide(found, i) ? [found.first[i], found.last[i]] : [found.first[i]]) {
      x.push(at);
      low.push(Math.max(found.low[i], floor));
      high.push(found.high[i]);
    }
  });
  if (!found.middle.some((_, i) => found.low[i] < found.high[i])) return [];
  return [{
    type: "scatter", mode: "lines", fill: "toself", name: `${line.name}, least to most`, legendgroup: line.legendgroup, yaxis: line.yaxis,
    line: { width: 0, color: line.line.color }, fillcolor: translucent(line.line.color, 0.25 * (line.opacity ?? 1)),
    hoverinfo: "skip", showlegend: false, visible: line.visible,
    x: [...x, ...x.toReversed()], y: [...high, ...low.toReversed()],
  }];
}

/**
 * The hover texts of the points of a middle line: of a single row those of the trace; of a bucket its mean, the
 * largest residual where the trace has them, and from where to where it goes, unless it is constant. Short: the
 * box must fit into a small chart.
 * @type {(found: Envelope, buckets: number[], trace: Trace, where: (from: number, to: number) => string) => string[]}
 */
export function hoverTexts(found, buckets, { hovertemplate, customdata }, where) {
  const residual = customdata ? " ± %{customdata:.2~g}" : "";
  const texts = found.middle.map((_, i) => {
    if (!isWide(found, i)) return hovertemplate;
    const [low, high] = [found.low[i], found.high[i]].map((end) => Number(end.toPrecision(4)));
    if (low === high) return `%{y:.5~g}${residual}`;
    return `%{y:.4~g}${residual} <i>(${low} to ${high} in ${where(found.first[i], found.last[i])})</i>`;
  });
  return buckets.map((bucket) => texts[bucket]);
}
