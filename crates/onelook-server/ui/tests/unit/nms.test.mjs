// The browser's suppression keeps the server's rule.

import assert from "node:assert/strict";
import { test } from "node:test";

import { countByClass, DEFAULTS, iou, select } from "../../nms.js";

const box = (x1, y1, x2, y2) => ({ x1, y1, x2, y2 });
const found = (confidence, corners, number = 0) => ({ name: `c${number}`, class: number, confidence, box: box(...corners) });
const confidences = (list) => list.map(({ confidence }) => confidence);
const all = { ...DEFAULTS, conf: 0 };

test("overlap of equal, half and separate boxes", () => {
  assert.equal(iou(box(0, 0, 10, 10), box(0, 0, 10, 10)), 1);
  assert.equal(iou(box(0, 0, 10, 10), box(0, 0, 10, 5)), 0.5);
  assert.equal(iou(box(0, 0, 10, 10), box(20, 20, 30, 30)), 0);
  assert.ok(Number.isNaN(iou(box(5, 5, 5, 5), box(5, 5, 5, 5))));
});

test("of two boxes that overlap much the surer one stays", () => {
  const pair = [found(0.5, [0, 0, 10, 10]), found(0.9, [0, 0, 10, 9])];
  assert.deepEqual(confidences(select(pair, all)), [0.9]);
});

test("an overlap of exactly the threshold does not suppress", () => {
  const pair = [found(0.9, [0, 0, 10, 10]), found(0.5, [0, 0, 10, 5])];
  assert.equal(select(pair, { ...all, iou: 0.5 }).length, 2);
  assert.equal(select(pair, { ...all, iou: 0.499 }).length, 1);
});

test("a suppressed box suppresses nothing", () => {
  const chain = [found(0.9, [0, 0, 10, 10]), found(0.8, [0, 3, 10, 13]), found(0.7, [0, 6, 10, 16])];
  assert.deepEqual(confidences(select(chain, { ...all, iou: 0.5 })), [0.9, 0.7]);
});

test("classes suppress each other only when asked", () => {
  const pair = [found(0.9, [0, 0, 10, 10], 1), found(0.8, [0, 0, 10, 10], 2)];
  assert.equal(select(pair, all).length, 2);
  assert.equal(select(pair, { ...all, agnostic: true }).length, 1);
});

test("a class that is filtered out does not suppress others", () => {
  const pair = [found(0.9, [0, 0, 10, 10], 1), found(0.8, [0, 0, 10, 10], 2)];
  const chosen = { ...all, agnostic: true, classes: new Set([2]) };
  assert.deepEqual(confidences(select(pair, chosen)), [0.8]);
});

test("a confidence of exactly the threshold is not enough", () => {
  const pair = [found(0.25, [0, 0, 1, 1]), found(0.251, [5, 5, 6, 6])];
  assert.deepEqual(confidences(select(pair, DEFAULTS)), [0.251]);
});

test("among equally sure boxes the earlier one stays", () => {
  const pair = [found(0.5, [0, 0, 10, 10]), found(0.5, [0, 0, 10, 9])];
  assert.deepEqual(select(pair, all), [pair[0]]);
});

test("at most so many boxes, highest confidence first", () => {
  const many = Array.from({ length: 500 }, (_, index) => found((index + 1) / 1000, [index * 20, 0, index * 20 + 10, 10]));
  const kept = select(many, all);
  assert.equal(kept.length, 300);
  assert.equal(kept[0]?.confidence, 0.5);
});

test("an overlap limit of one keeps everything", () => {
  const same = Array.from({ length: 5 }, () => found(0.5, [0, 0, 10, 10]));
  assert.equal(select(same, { ...all, iou: 1 }).length, 5);
});

test("boxes without area neither suppress nor vanish", () => {
  const flat = [found(0.9, [5, 5, 5, 5]), found(0.8, [5, 5, 5, 5])];
  assert.equal(select(flat, { ...all, iou: 0 }).length, 2);
});

test("the arguments stay as they are", () => {
  const pair = Object.freeze([Object.freeze(found(0.1, [0, 0, 1, 1])), Object.freeze(found(0.9, [0, 0, 1, 1]))]);
  select(pair, all);
  assert.deepEqual(confidences(pair), [0.1, 0.9]);
});

test("classes are counted, the most frequent first", () => {
  const list = [found(0.9, [0, 0, 1, 1], 5), found(0.8, [0, 0, 1, 1], 0), found(0.7, [0, 0, 1, 1], 0)];
  assert.deepEqual(countByClass(list), [
    { class: 0, name: "c0", count: 2 },
    { class: 5, name: "c5", count: 1 },
  ]);
});
