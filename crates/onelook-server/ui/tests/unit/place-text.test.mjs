// What was counted in a zone, in words.

import assert from "node:assert/strict";
import { test } from "node:test";

import { zoneText } from "../../place-text.js";

test("who was first seen inside is told apart from who entered", () => {
  const zone = { name: "hall", inside: 3, entered: 0, born_inside: 3, most_at_once: 3 };
  assert.equal(zoneText(zone), "3 inside · 0 entered · 3 first seen inside");
});

test("nobody is told of where nobody was", () => {
  assert.equal(zoneText({ name: "hall", inside: 1, entered: 4, born_inside: 0, most_at_once: 2 }), "1 inside · 4 entered");
  assert.equal(zoneText(undefined), "0 inside · 0 entered");
});
