// Labels avoid each other and stay with boxes in sight.

import assert from "node:assert/strict";
import { test } from "node:test";

import { placeLabels } from "../../labels.js";

const box = (left, top, right, bottom) => ({ left, top, right, bottom, width: 80, height: 18 });

test("a label is above its box if there is space, else inside", () => {
  assert.deepEqual(placeLabels([box(100, 100, 300, 200), box(400, 5, 500, 200)], 640, 480), [{ x: 100, y: 82 }, { x: 400, y: 5 }]);
});

test("labels of many boxes at one place avoid each other", () => {
  const size = { width: 80, height: 18 };
  const places = placeLabels(Array.from({ length: 14 }, () => box(100, 100, 300, 200)), 640, 480);
  places.forEach((one, index) => {
    for (const other of places.slice(0, index)) {
      assert.ok(Math.abs(one.x - other.x) >= size.width || Math.abs(one.y - other.y) >= size.height, `${index}`);
    }
  });
});

test("a box out of sight has no label", () => {
  const out = [box(-50, 10, 0, 90), box(10, -90, 90, 0), box(640, 10, 700, 90), box(10, 480, 90, 500)];
  assert.deepEqual(placeLabels(out, 640, 480), [null, null, null, null]);
});

test("a box partly in sight has its label in sight", () => {
  const [place] = placeLabels([box(-200, -100, 60, 60)], 640, 480);
  assert.deepEqual(place, { x: 0, y: 0 });
});

test("a label stays inside the canvas", () => {
  for (const { x, y } of placeLabels([box(620, 470, 640, 480), box(0, 0, 640, 480), box(600, 0, 640, 5)], 640, 480)) {
    assert.ok(x >= 0 && x + 80 <= 640 && y >= 0 && y + 18 <= 480);
  }
});
