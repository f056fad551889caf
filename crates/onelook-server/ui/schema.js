// A schema of an OpenAPI document as a tree of its properties that is expanded on demand, because
// documents may be circular.

import { apiText } from "./api-texts.js";
import { make } from "./dom.js";
import { t } from "./i18n.js";
import { isObject, resolve, typeName } from "./openapi.js";

/** @typedef {import("./openapi.js").Json} Json */

/**
 * @param {Json} spec
 * @param {unknown} schema
 * @returns {HTMLElement}
 */
export function schemaTree(spec, schema) {
  const whole = resolve(spec, schema);
  const items = itemsOf(whole);
  if (items !== null) {
    const inner = resolve(spec, items);
    const label = make("code", { class: "type" }, typeName(schema));
    return hasParts(inner) ? make("div", {}, label, schemaTree(spec, items)) : label;
  }
  const choices = whole.oneOf ?? whole.anyOf ?? whole.allOf;
  if (Array.isArray(choices)) {
    return make("ul", { class: "tree" }, ...choices.map((choice) => branch(spec, null, choice, false)));
  }
  if (!isObject(whole.properties)) return make("code", { class: "type" }, typeName(schema));
  const required = new Set(Array.isArray(whole.required) ? whole.required : []);
  const branches = Object.entries(whole.properties).map(([name, part]) => branch(spec, name, part, required.has(name)));
  return make("ul", { class: "tree" }, ...branches);
}

/**
 * @param {Json} spec
 * @param {string | null} name
 * @param {unknown} schema
 * @param {boolean} required
 */
function branch(spec, name, schema, required) {
  const whole = resolve(spec, schema);
  const about = isObject(schema) && schema.description ? schema.description : whole.description;
  const head = [
    name === null ? null : make("code", { class: "name" }, name),
    make("code", { class: "type" }, typeName(schema)),
    required ? make("span", { class: "must" }, t("docs.required")) : null,
    whole.default === undefined || whole.default === null
      ? null
      : make("span", { class: "default" }, t("docs.default", { value: JSON.stringify(whole.default) })),
    about ? make("span", { class: "what" }, apiText(about)) : null,
  ];
  const inner = resolve(spec, itemsOf(whole) ?? whole);
  if (!hasParts(inner)) return make("li", {}, ...head);
  const details = make("details", {}, make("summary", {}, ...head));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(schemaTree(spec, itemsOf(whole) ?? schema));
  });
  return make("li", {}, details);
}

/** @param {Json} schema */
function itemsOf(schema) {
  return isObject(schema.items) ? schema.items : null;
}

/** @param {Json} schema */
function hasParts(schema) {
  return isObject(schema.properties) || Array.isArray(schema.oneOf) || Array.isArray(schema.anyOf) || Array.isArray(schema.allOf) || itemsOf(schema) !== null;
}
