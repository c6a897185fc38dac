/** Positions of a slider and the values that they stand for. */

import assert from "node:assert/strict";
import test from "node:test";
import { positionOf, valueAt } from "../../static/sliders.js";

const LINEAR = { low: -2, high: 2, log: false, zero: false, integer: false };
const LOG = { low: 1e-3, high: 10, log: true, zero: false, integer: false };
const INTEGER = { ...LINEAR, low: 1, high: 99, integer: true };
const FIELDS = { linear: LINEAR, log: LOG, "log with 0": { ...LOG, zero: true }, integer: INTEGER };

for (const [name, field] of Object.entries(FIELDS)) {
  test(`every position of a ${name} slider is found again, but for rounding`, () => {
    for (let position = 0; position <= 400; position++) {
      const value = valueAt(field, position);
      assert.ok(value === 0 || (value >= field.low && value <= field.high));
      const near = valueAt(field, positionOf(field, value));
      assert.ok(Math.abs(near - value) <= 0.012 * Math.abs(value) + 1e-9, `${near} for ${value}`);
    }
  });
}

test("the ends are the range, and what lies beyond is at an end", () => {
  assert.deepEqual([valueAt(LINEAR, 0), valueAt(LINEAR, 400)], [-2, 2]);
  assert.deepEqual([valueAt(LOG, 0), valueAt(LOG, 400)], [0.001, 10]);
  assert.deepEqual([positionOf(LINEAR, 9), positionOf(LINEAR, -9), positionOf(LOG, 1e-9)], [400, 0, 0]);
});

test("the middle is the mean, or the geometric one", () => {
  assert.equal(valueAt(LINEAR, 200), 0);
  assert.equal(valueAt(LOG, 200), 0.1);
});

test("0 has a position of its own on a logarithmic slider", () => {
  const field = FIELDS["log with 0"];
  assert.equal(valueAt(field, 0), 0);
  assert.deepEqual([positionOf(field, 0), positionOf(field, 1e-9)], [0, 1]);
});
