// Both languages say the same things, and the page asks for no words they lack.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { apiText, joined } from "../../api-texts.js";
import { en } from "../../en.js";
import { initialLanguage, plural, t } from "../../i18n.js";
import { zhApi } from "../../zh-api.js";
import { zh } from "../../zh.js";

const folder = new URL("../../", import.meta.url);
const sources = readdirSync(folder)
  .filter((name) => /\.(js|html)$/.test(name) && name !== "en.js" && name !== "zh.js")
  .map((name) => readFileSync(new URL(name, folder), "utf8"));

test("both languages have the same keys in the same order", () => {
  assert.deepEqual(Object.keys(zh), Object.keys(en));
});

test("both languages fill in the same values", () => {
  const holes = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
  for (const [key, text] of Object.entries(en)) assert.deepEqual(holes(zh[key]), holes(text), key);
});

test("no text is empty", () => {
  for (const words of [en, zh]) for (const [key, text] of Object.entries(words)) assert.ok(text.trim(), key);
});

test("every key that the page names exists", () => {
  const named = sources.flatMap((text) => [
    ...[...text.matchAll(/data-i18n(?:-[a-z-]+)?="([^"]+)"/g)].map(([, key]) => key),
    ...[...text.matchAll(/\bt\("([^"]+)"/g)].map(([, key]) => key),
  ]);
  for (const key of named) assert.ok(key in en, key);
});

test("every key is used somewhere", () => {
  const text = sources.join("\n");
  const prefixes = [...text.matchAll(/`([a-z]+\.[a-zA-Z.]*)\$\{/g)].map(([, prefix]) => prefix);
  const plurals = [...text.matchAll(/plural\("(\w+)"/g)].map(([, key]) => `${key}.`);
  for (const key of Object.keys(en)) {
    const known = text.includes(`"${key}"`) || [...prefixes, ...plurals].some((prefix) => key.startsWith(prefix));
    assert.ok(known, `${key} is not used`);
  }
});

test("the first known language of the browser is chosen unless one was chosen before", () => {
  assert.equal(initialLanguage(null, ["zh-CN", "en"]), "zh");
  assert.equal(initialLanguage(null, ["zh-Hant-TW"]), "zh");
  assert.equal(initialLanguage(null, ["fr", "zh"]), "zh");
  assert.equal(initialLanguage(null, ["de-DE"]), "en");
  assert.equal(initialLanguage("en", ["zh-CN"]), "en");
  assert.equal(initialLanguage("nonsense", ["zh"]), "zh");
});

test("values are filled in and one is told from many", () => {
  assert.equal(t("detect.remove", { name: "a.jpg" }), "Remove a.jpg");
  assert.equal(plural("boxes", 1), "1 box");
  assert.equal(plural("boxes", 5), "5 boxes");
});

test("every text of the API's description has a Chinese one, and no other", () => {
  const snapshot = new URL("../../../src/http/snapshots/onelook_server__http__openapi__tests__openapi.snap", import.meta.url);
  const document = JSON.parse(readFileSync(snapshot, "utf8").replace(/^---[^]*?\n---\n/, ""));
  const texts = new Set(document.tags.map(({ name }) => name));
  collect(document, texts);
  for (const text of texts) assert.ok(text in zhApi, text);
  for (const text of Object.keys(zhApi)) assert.ok(texts.has(text), `not in the document: ${text}`);
  assert.equal(apiText("The\nmodel."), "The model.");
});

/** All descriptions and summaries below a value. */
function collect(value, texts) {
  if (typeof value !== "object" || value === null) return;
  for (const [key, part] of Object.entries(value)) {
    if ((key === "description" || key === "summary") && typeof part === "string") texts.add(joined(part));
    else collect(part, texts);
  }
}
