// Results of a video: what is shown at a time, rows of the timeline, files.

import assert from "node:assert/strict";
import { test } from "node:test";

import { VideoResults } from "../../video-results.js";

const box = { x1: 1, y1: 2, x2: 11, y2: 22.5 };
const found = (name, id, track_id) => ({ name, class: id, confidence: 0.5, box, track_id });

function results() {
  const results = new VideoResults();
  const lines = [
    { video: { width: 64, height: 48, fps: 10, duration: 1 } },
    { frame: 0, time: 0, detections: [found("person", 0, 7)] },
    { frame: 1, time: 0.1, detections: [found("person", 0, 7), found("person", 0, 8), found('a "bus"', 5, 9)] },
    { event: { time: 0.1, place: "gate", event: "crossed", direction: "in" } },
    { frame: 9, time: 0.9, detections: [] },
    { summary: { frames: 3, counts: {} } },
  ];
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  const bytes = new TextEncoder().encode(text);
  const half = text.indexOf("\n", 200) + 1;
  results.add(bytes.slice(0, half));
  results.add(bytes.slice(half));
  assert.equal(results.bytes, bytes.length);
  assert.equal(results.jsonLines(), text);
  return results;
}

test("the newest frame that has begun is shown, and none after a long gap", () => {
  const own = results();
  assert.equal(own.at(0)?.frame, 0);
  assert.equal(own.at(0.0999)?.frame, 1);
  assert.equal(own.at(0.5)?.frame, 1);
  assert.equal(own.at(0.8), null);
  assert.equal(own.at(0.95)?.frame, 9);
  assert.equal(new VideoResults().at(0), null);
});

test("rows tell when, how many at one time, and how many tracks", () => {
  const rows = results().rows(10);
  assert.deepEqual(rows.map(({ name, tracks }) => [name, tracks]), [["person", 2], ['a "bus"', 1]]);
  assert.deepEqual(rows[0].bins.slice(0, 3), [1, 2, 0]);
});

test("CSV and MOT have a line for each object", () => {
  const own = results();
  const csv = own.csv().trim().split("\n");
  assert.equal(csv.length, 5);
  assert.equal(csv[4], '1,0.1,9,5,"a ""bus""",0.5,1,2,11,22.5');
  assert.equal(own.mot().split("\n")[0], "1,7,1.00,2.00,10.00,20.50,0.5000,-1,-1,-1");
});
