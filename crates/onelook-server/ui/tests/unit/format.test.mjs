// Figures as people read them, and results as other tools read them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bytes, duration, milliseconds, niceCeiling, number, percent, stem } from "../../format.js";
import { readable, record } from "../../record.js";

const cases = (name, act, table) =>
  test(name, () => {
    for (const [given, expected] of table) assert.equal(act(given), expected, `${given}`);
  });

cases("numbers keep about three digits", number, [
  [0, "0"], [0.1234, "0.123"], [4.5, "4.5"], [4.56789, "4.57"], [78.94, "78.9"], [10, "10"], [123.4, "123"],
  [1234567, "1,234,567"], [-5, "-5"], [null, "–"], [undefined, "–"], [Number.NaN, "–"], [100.2, "100"], [1200, "1,200"],
]);
cases("shares", percent, [[0, "0 %"], [3.25, "3.3 %"], [42.4, "42 %"], [100, "100 %"], [null, "–"]]);
cases("times", milliseconds, [[0.2, "0.2 ms"], [0.711, "0.71 ms"], [46.23, "46.2 ms"], [1234, "1,234 ms"], [12_345, "12.3 s"], [null, "–"]]);
cases("sizes", bytes, [[0, "0 B"], [1023, "1023 B"], [1024, "1 KiB"], [2.1e8, "200 MiB"], [16 * 2 ** 30, "16 GiB"], [1048575, "1 MiB"], [null, "–"]]);
cases("durations", duration, [[0, "0 s"], [59.9, "59 s"], [61, "1 min 1 s"], [3600, "1 h"], [90_061, "1 d 1 h"], [-1, "0 s"], [null, "–"]]);
cases("axis ends are round and not below the value", niceCeiling, [[0, 1], [0.3, 0.3], [7, 8], [99, 100], [101, 150], [1234, 1500], [Number.NaN, 1]]);
cases("names of files", stem, [["bus.jpg", "bus"], ["a/b/c.tar.gz", "c.tar"], ["C:\\x\\y.png", "y"], [".jpg", "image"], ["noending", "noending"]]);

const image = { name: "bus.jpg", width: 810, height: 1080, task: "detect", speed: { decode: 5.1 } };
const found = { name: "bus", class: 5, confidence: 0.9390912, box: { x1: 1.2345678, y1: 2, x2: 3, y2: 4 } };

test("a record has the keys of predict --json in their order, five decimals", () => {
  const expected =
    '{"source":"bus.jpg","width":810,"height":1080,"task":"detect","detections":[{"name":"bus","class":5,' +
    '"confidence":0.93909,"box":{"x1":1.23457,"y1":2,"x2":3,"y2":4}}],"speed_ms":{"decode":5.1}}';
  assert.equal(JSON.stringify(record(image, [found])), expected);
});

test("the readable form is the same JSON", () => {
  for (const list of [[], [found], [found, found]]) {
    const entry = record(image, list);
    assert.deepEqual(JSON.parse(readable(entry)), entry);
  }
  assert.equal(readable(record(image, [found, found])).split("\n").length, 11);
});
