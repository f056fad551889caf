// Rates and means out of sums.

import assert from "node:assert/strict";
import { test } from "node:test";

import { runsOf, stack } from "../../charts.js";
import { classColour, classRgb, relativeLuminance, textColour } from "../../colour.js";
import { History } from "../../history.js";

const sample = (uptime, images, sum, extra = {}) => ({
  uptime_s: uptime,
  host: { cores: 2, process_cpu_percent: 120, cpu_percent: 75, process_memory_bytes: 10, memory_used_bytes: 20, memory_total_bytes: 30 },
  gpus: [],
  in_flight: 2,
  images,
  batches: images / 2,
  queue_length: 3,
  queue_capacity: 128,
  stages: { decode: { count: images, sum_ms: sum } },
  latency: { count: images, p50_ms: 4, p99_ms: 9 },
  ...extra,
});

test("rates and means are of what happened between two samples", () => {
  const history = new History();
  history.add([sample(1, 10, 50), sample(3, 30, 150)]);
  const [first, second] = history.samples;
  assert.equal(first?.throughput, null);
  assert.equal(second?.throughput, 10);
  assert.equal(second?.stages.decode, 5);
  assert.equal(second?.stages.inference, null);
  assert.equal(second?.batch, 2);
  assert.equal(second?.queue, 3);
  assert.equal(second?.processCpu, 60);
  assert.deepEqual([second?.p50, second?.p99], [4, 9]);
  assert.equal(history.time, 3);
});

test("an idle second has a rate of nothing and no mean", () => {
  const history = new History();
  history.add([sample(1, 10, 50)]);
  history.add([sample(2, 10, 50)]);
  assert.equal(history.samples[1]?.throughput, 0);
  assert.equal(history.samples[1]?.stages.decode, null);
});

test("a restarted server starts anew instead of going backwards", () => {
  const history = new History();
  history.add([sample(100, 1000, 50)]);
  history.add([sample(1, 2, 5)]);
  assert.equal(history.samples.length, 1);
  assert.equal(history.samples[0]?.throughput, null);
});

test("only two minutes are kept", () => {
  const history = new History();
  for (let second = 0; second < 1000; second += 1) history.add([sample(second, second, second)]);
  assert.ok(history.samples.length <= 123);
  assert.equal(history.samples.at(-1)?.time, 999);
});

test("a missing figure is missing, not zero", () => {
  const history = new History();
  history.add([sample(1, 1, 1, { host: { cores: 2 } })]);
  assert.equal(history.samples[0]?.cpu, null);
  assert.equal(history.samples[0]?.memory, null);
});

test("stacked series lie on top of each other and share their gaps", () => {
  const series = [{ name: "a", style: "", values: [1, null, 2] }, { name: "b", style: "", values: [3, null, null] }];
  assert.deepEqual(stack(series), [
    { low: [0, null, 0], high: [1, null, 2] },
    { low: [1, null, 2], high: [4, null, 2] },
  ]);
});

test("lines break where figures are missing", () => {
  assert.deepEqual(runsOf([1, 2, null, 3, null], [0, 1, 2, 3, 4]), [[0, 1], [3]]);
});

test("lines break and rates are unknown where a while is missing", () => {
  assert.deepEqual(runsOf([1, 2, 3], [0, 1, 60]), [[0, 1], [2]]);
  const history = new History();
  history.add([sample(1, 10, 50), sample(61, 500, 50)]);
  assert.equal(history.samples[1]?.throughput, null);
});

test("eighty classes have eighty colours, each with text that can be read", () => {
  const colours = Array.from({ length: 80 }, (_, number) => classColour(number));
  assert.equal(new Set(colours).size, 80);
  for (let number = 0; number < 200; number += 1) {
    const luminance = relativeLuminance(classRgb(number));
    const text = textColour(number) === "#fff" ? 1 : 0;
    const contrast = (Math.max(luminance, text) + 0.05) / (Math.min(luminance, text) + 0.05);
    assert.ok(contrast >= 4.5, `class ${number}: ${contrast}`);
  }
});
