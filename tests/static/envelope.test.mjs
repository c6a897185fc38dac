/** No drawn line may show an oscillation that is slower than that of the data. */

import assert from "node:assert/strict";
import test from "node:test";
import { bandTrace, envelope, hoverTexts, middleLine } from "../../static/envelope.js";
import { chartTraces } from "../../static/traces.js";
import { chart, run, shown } from "./shown.mjs";
import { RunBuffer } from "../../static/buffer.js";

const LENGTHS = [10, 57, 400, 1201, 6000];
const WIDTHS = [120, 331, 700, 1300];

/** A hop around a slowly rising level; its amplitude changes if `modulated`. */
function hops(period, length, modulated) {
  const level = (/** @type {number} */ step) => 1 + step / length;
  const amplitude = (/** @type {number} */ step) => (modulated ? 1 + 0.5 * Math.sin((5 * step) / length) : 1);
  const steps = Array.from({ length }, (_, i) => i);
  return { steps, level, values: steps.map((step) => level(step) + amplitude(step) * Math.cos((2 * Math.PI * step) / period + 0.4)) };
}

/** Rims of rows that are single steps. */
function single(steps, values) {
  return { x: steps, until: steps, low: values, middle: values, high: values, sizes: steps.map(() => 1) };
}

for (const period of [2, 3]) {
  for (const modulated of [false, true]) {
    test(`hops of period ${period}${modulated ? ", modulated," : ""} are themselves, or a band with a smooth middle`, () => {
      for (const length of LENGTHS) {
        const { steps, level, values } = hops(period, length, modulated);
        for (const pixels of WIDTHS) {
          const found = envelope(single(steps, values), pixels, [0, length - 1], new Set());
          const what = `${length} steps in ${pixels} pixels`;
          assert.equal(found === null, length - 1 <= pixels, what);
          if (!found) continue;
          assert.ok(found.middle.length <= pixels / 2 + 2, what);
          assert.deepEqual([found.last[0], found.middle[0]], [0, values[0]]); // the first step is itself
          found.middle.forEach((middle, i) => { // the slow level, of a hop of height 2 nothing remains
            if (i === 0) return;
            const centre = (found.first[i] + found.last[i]) / 2;
            assert.ok(Math.abs(middle - level(centre)) < 0.03, `${what}: ${middle} for ${level(centre)}`);
          });
          assertHolds(found, steps, values);
        }
      }
    });
  }
}

/** Each bucket touches its least and most, and no step is outside of the buckets. */
function assertHolds(found, steps, values) {
  let next = 0;
  found.middle.forEach((_, i) => {
    assert.equal(found.first[i], steps[next]);
    const inside = values.filter((_, k) => steps[k] >= found.first[i] && steps[k] <= found.last[i]);
    assert.equal(found.low[i], Math.min(...inside));
    assert.equal(found.high[i], Math.max(...inside));
    next += inside.length;
  });
  assert.equal(next, values.length);
}

/** A run that came from the server in ticks of so many rows, in buckets where there were more than 100. */
function streamed(period, length, tick) {
  const { values } = hops(period, length, true);
  const buffer = new RunBuffer("a");
  for (let from = 0; from < length; from += tick) {
    const stop = Math.min(length, from + tick) - 1;
    const size = tick <= 100 ? 1 : Math.ceil(tick / 33);
    const first = Array.from({ length: Math.ceil((stop + 1 - from) / size) }, (_, i) => from + i * size);
    const ends = first.map((step) => Math.min(step + size - 1, stop));
    const parts = first.map((step, i) => values.slice(step, ends[i] + 1));
    const found = parts.map((part) => envelope(single(part.map((_, i) => 1 + i), part), 0.1, [1, 2], new Set()));
    const middle = parts.map((part, i) => (part.length === 1 ? part[0] : found[i].middle[0]));
    buffer.accept({
      id: "a", label: "a", rule: "gd", note: "", abandoned: false, full: from === 0, start: from - 1, stop, exact: {},
      rows: first.length, interventions: [], columns: { step: first, loss: middle },
      low: { loss: parts.map((part) => Math.min(...part)) },
      high: { step: ends, loss: parts.map((part) => Math.max(...part)) },
    });
  }
  return { buffer, values };
}

test("a long run's middle line is smooth at every speed, and its band holds every step", () => {
  for (const period of [2, 3]) {
    for (const [length, tick] of [[3000, 90], [20000, 90], [20000, 317], [100000, 1000]]) {
      const { buffer, values } = streamed(period, length, tick);
      const state = shown([buffer]);
      const [band, line] = chartTraces(state, chart("Loss"));
      assert.equal(line.name, "loss");
      assert.ok(band.fill && band.showlegend === false);
      const turns = line.y.slice(2).filter((y, i) => (y - line.y[i + 1]) * (line.y[i + 1] - line.y[i]) < -1e-4);
      assert.ok(turns.length <= 2, `${turns.length} turns of ${length} steps, ${tick} a tick`);
      assert.ok(line.x.length < 1100);
      const half = band.x.length / 2;
      for (let i = 0; i + 1 < half; i++) {
        for (let step = band.x[i]; step <= band.x[i + 1] && step < length; step++) {
          const [high, low] = [Math.max(band.y[i], band.y[i + 1]), Math.min(...[0, 1].map((k) => band.y[2 * half - 1 - i - k]))];
          assert.ok(values[step] <= high + 1e-12 && values[step] >= low - 1e-12, `step ${step}`);
        }
      }
    }
  }
});

test("zooming in shows the steps themselves where they are kept", () => {
  const { buffer, values } = streamed(2, 3000, 90);
  const state = shown([buffer], { zoom: { x: [2000, 2100], y: new Map() } });
  const traces = chartTraces(state, chart("Loss"));
  assert.deepEqual(traces.map(({ name }) => name), ["loss"]);
  assert.deepEqual(traces[0].y, values);
});

test("a bucket ends where a setting changes, and the line jumps there", () => {
  const values = Array.from({ length: 3000 }, (_, i) => (i < 1501 ? 1 : 3));
  const one = run("GD", { loss: values }, { rows: 3000, interventions: [[1501, "η 0.1"]] });
  const line = chartTraces(shown([one]), chart("Loss")).at(-1);
  assert.deepEqual([line.y[line.x.indexOf(1500)], line.y[line.x.indexOf(1501)]], [1, 3]);
  assert.equal(new Set(line.y).size, 2);
  assert.deepEqual([line.x[0], line.x.at(-1)], [0, 2999]);
});

test("the hover says of which steps it is the mean; a single row says its value", () => {
  const row = (/** @type {number} */ at, last = at) => ({ at, last });
  const rows = [...[0, 1, 2, 3, 4, 5, 6].map((at) => row(at)), row(7, 17)];
  const found = envelope({
    x: rows.map(({ at }) => at), until: rows.map(({ last }) => last), sizes: rows.map(({ at, last }) => 1 + last - at),
    low: rows.map(() => 2), middle: rows.map(({ at }) => (at < 7 ? 2 : 3)), high: rows.map(({ at }) => (at < 7 ? 2 : 4)),
  }, 1000, [0, 17], new Set());
  const { x, buckets } = middleLine(found);
  assert.deepEqual(x, [0, 1, 2, 3, 4, 5, 6, 12, 17]);
  const texts = hoverTexts(found, buckets, { hovertemplate: "%{y}" }, (from, to) => `steps ${from}–${to}`);
  assert.deepEqual(texts.slice(6), ["%{y}", ...Array(2).fill("%{y:.4~g} <i>(2 to 4 in steps 7–17)</i>")]);
});

test("what is not finite is in no band, and a log axis gets none below its floor", () => {
  const rims = single([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [1, NaN, Infinity, 0, 2, 3, 4, -1, 5, 6, 7, 8]);
  const found = envelope(rims, 1, [0, 11], new Set());
  assert.deepEqual([found.low, found.high], [[1, -1], [1, 8]]); // the first step is itself
  const line = { name: "loss", line: { color: "#123456" } };
  assert.deepEqual(bandTrace(found, line, 0.5)[0].y, [1, 8, 8, 0.5, 0.5, 1]);
  assert.equal(envelope(single([0, 1], [NaN, NaN]), 1, [0, 1], new Set()), null);
});

test("a few single steps between buckets do not stand out, many are drawn", () => {
  const rows = (/** @type {number} */ between) => {
    const wide = Array.from({ length: 40 }, (_, i) => ({ size: 10, at: 10 * i + (i < 20 ? 0 : between) }));
    const steps = Array.from({ length: between }, (_, i) => ({ size: 1, at: 200 + i }));
    const all = [...wide.slice(0, 20), ...steps, ...wide.slice(20)];
    return {
      x: all.map(({ at }) => at), until: all.map(({ at, size }) => at + size - 1), sizes: all.map(({ size }) => size),
      low: all.map(({ size, at }) => (size > 1 ? 1 : 2 + (-1) ** at)), middle: all.map(({ size, at }) => (size > 1 ? 2 : 2 + (-1) ** at)),
      high: all.map(({ size, at }) => (size > 1 ? 3 : 2 + (-1) ** at)),
    };
  };
  const middles = (/** @type {number} */ between) => envelope(rows(between), 1000, [0, 450], new Set()).middle;
  assert.ok(middles(1).every((value) => Math.abs(value - 2) < 0.1));
  assert.ok(middles(5).every((value) => Math.abs(value - 2) < 0.1));
  assert.equal(middles(50).filter((value) => value !== 2).length, 50);
  assert.equal(envelope(rows(0), 1000, [0, 450], new Set([20])).opens.filter(Boolean).length, 2);
});

test("where one part is dense and another sparse, the dense part is a band and the sparse one is drawn", () => {
  const x = [...Array.from({ length: 1000 }, (_, i) => i / 10), ...Array.from({ length: 50 }, (_, i) => 100 + 10 * i)];
  const found = envelope(single(x, x.map((_, i) => (-1) ** i)), 500, [0, 600], new Set());
  const wide = found.middle.filter((_, i) => found.first[i] < found.last[i]);
  assert.ok(wide.length > 10 && wide.length < 60);
  assert.ok(wide.every((value) => Math.abs(value) < 1e-12));
  const sparse = found.middle.filter((_, i) => found.first[i] >= 110);
  assert.ok(sparse.length === 49 && sparse.every((value) => Math.abs(value) === 1));
});

test("the residual of a bucket is the largest of its steps, as a band around the mean and in the hover", () => {
  const rows = 4000;
  const of = (/** @type {(step: number) => number} */ value) => Array.from({ length: rows }, (_, i) => value(i));
  const columns = { sharpness: of((i) => 4 + (-1) ** i), residual: of((i) => (i % 100 === 7 ? 0.5 : 0.1)), converged: of((i) => (i % 1000 ? 1 : 0)) };
  const traces = chartTraces(shown([run("GD", columns, { rows })]), chart("Sharpness"));
  const [line] = traces.filter(({ name }) => name === "sharpness");
  assert.equal(line.y[0], 5);
  assert.ok(line.y.slice(1).every((value) => Math.abs(value - 4) < 1e-9));
  assert.deepEqual(new Set(line.customdata), new Set([0.1, 0.5]));
  assert.match(line.hovertemplate[1], /^%{y:.4~g} ± %{customdata:.2~g} <i>\(3 to 5 in steps 1–8\)<\/i>$/);
  const [band] = traces.filter(({ name }) => name === "± residual: an eigenvalue lies within");
  assert.deepEqual([Math.max(...band.y).toFixed(3), Math.min(...band.y).toFixed(3)], ["5.100", "3.500"]); // the first step's
  const [marks] = traces.filter(({ name }) => name === "not converged");
  assert.equal(marks.x.length, 4);
  const smooth = chartTraces(shown([run("GD", columns, { rows })], { view: { smooth: 0.9 } }), chart("Sharpness"));
  const [smoothed] = smooth.filter(({ name }) => name === "sharpness (smoothed)");
  assert.ok(smoothed.y.slice(20).every((value) => Math.abs(value - 4) < 0.01));
});
