// The form that sends an operation of the API page, and shows the response as text or image. Sends
// only when the button is pressed.

import { make } from "./dom.js";
import { bytes, milliseconds } from "./format.js";
import { t } from "./i18n.js";
import { isObject } from "./openapi.js";
import { explain } from "./problem.js";

/** @typedef {import("./openapi.js").Json} Json */
/** @typedef {import("./openapi.js").Operation} Operation */
/** @typedef {(path: string, options: RequestInit) => Promise<Response>} Send */

const LONGEST_TEXT = 100_000;
const PLACES = ["query", "path"];

/**
 * @param {Operation} entry
 * @param {Send} send
 */
export function tryForm(entry, send) {
  const types = Object.keys(entry.body?.content ?? {});
  const takesFile = types.some((type) => type.startsWith("image/") || type === "application/octet-stream" || type === "multipart/form-data");
  const takesJson = !takesFile && types.includes("application/json");
  const fields = entry.parameters.filter((parameter) => PLACES.includes(parameter.in)).map(field);
  const file = takesFile ? make("input", { type: "file", accept: "image/*" }) : null;
  const body = takesJson ? make("textarea", { rows: 5, spellcheck: "false" }) : null;
  if (body) body.value = "{}";
  const result = make("div", { class: "result", "aria-live": "polite" });
  const form = make(
    "form",
    { class: "try" },
    ...fields.map(({ element }) => element),
    file && make("label", { class: "field" }, make("span", {}, t("docs.file")), file),
    body && make("label", { class: "field long" }, make("span", {}, t("docs.bodyJson")), body),
    make("div", { class: "row long" }, make("button", { class: "button primary" }, t("docs.send"))),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const path = address(entry, fields);
    const image = file?.files?.[0];
    /** @type {RequestInit} */
    const options = { method: entry.method };
    if (image) Object.assign(options, { body: image, headers: { "Content-Type": image.type || "application/octet-stream" } });
    else if (body) Object.assign(options, { body: body.value, headers: { "Content-Type": "application/json" } });
    await show(result, () => send(path, options));
  });
  return make("div", {}, form, result);
}

/** @param {Json} parameter */
function field(parameter) {
  const input = make("input", { type: "text", required: parameter.required === true, autocomplete: "off", spellcheck: "false" });
  const schema = isObject(parameter.schema) ? parameter.schema : {};
  if (schema.default !== undefined && schema.default !== null) input.placeholder = String(schema.default);
  return { parameter, input, element: make("label", { class: "field" }, make("span", {}, String(parameter.name)), input) };
}

/**
 * @param {Operation} entry
 * @param {{ parameter: Json, input: HTMLInputElement }[]} fields
 */
function address(entry, fields) {
  const query = new URLSearchParams();
  let path = entry.path;
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.set(String(parameter.name), input.value);
  }
  return query.size > 0 ? `${path}?${query}` : path;
}

/**
 * @param {HTMLElement} place
 * @param {() => Promise<Response>} ask
 */
async function show(place, ask) {
  const began = performance.now();
  try {
    const response = await ask();
    const blob = await response.blob();
    const time = milliseconds(performance.now() - began);
    const state = response.ok ? "ready" : "failed";
    const head = make("p", {}, make("span", { class: "badge", "data-state": state }, t("docs.answer", { status: response.status, time })));
    place.replaceChildren(head, await content(blob));
  } catch (error) {
    place.replaceChildren(make("p", { class: "bad" }, explain(error)));
  }
}

/** @param {Blob} blob */
async function content(blob) {
  if (blob.type.startsWith("image/")) {
    const image = make("img", { src: URL.createObjectURL(blob), alt: t("docs.binary", { size: bytes(blob.size), type: blob.type }) });
    return image;
  }
  if (!/json|text/.test(blob.type)) return make("p", {}, t("docs.binary", { size: bytes(blob.size), type: blob.type || "?" }));
  const text = await blob.text();
  return make("pre", { tabindex: 0 }, pretty(text).slice(0, LONGEST_TEXT));
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
