// Reads an OpenAPI 3.1 document: operations by tag, resolved references, schemas as short texts,
// examples. References out of the document and circular ones are not followed.

import { t } from "./i18n.js";

/** @typedef {Record<string, any>} Json An object of the document; its parts are checked where used. */
/**
 * @typedef {object} Operation
 * @property {string} id
 * @property {string} method Upper case.
 * @property {string} path
 * @property {string} summary
 * @property {string} description
 * @property {boolean} deprecated
 * @property {Json[]} parameters
 * @property {Json | null} body
 * @property {[string, Json][]} responses
 */

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const DEEPEST = 16;

/**
 * The part of the document that a `$ref` names, or the value itself.
 * @param {Json} document
 * @param {unknown} value
 * @returns {Json}
 */
export function resolve(document, value) {
  let current = value;
  for (let depth = 0; depth < DEEPEST; depth += 1) {
    if (!isObject(current)) return {};
    if (typeof current.$ref !== "string") return current;
    current = pointed(document, current.$ref);
  }
  return {};
}

/**
 * @param {Json} document
 * @param {string} reference
 * @returns {unknown}
 */
function pointed(document, reference) {
  if (!reference.startsWith("#/")) return undefined;
  const steps = reference.slice(2).split("/");
  return steps.reduce((/** @type {unknown} */ part, step) => {
    const key = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
    return isObject(part) && Object.hasOwn(part, key) ? part[key] : undefined;
  }, document);
}

/**
 * @param {unknown} value
 * @returns {value is Json}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null;
}

/**
 * @param {Json} document
 * @returns {{ tag: string, about: string, operations: Operation[] }[]}
 */
export function byTag(document) {
  /** @type {Map<string, { tag: string, about: string, operations: Operation[] }>} */
  const groups = new Map();
  for (const { name, description } of document.tags ?? []) {
    groups.set(name, { tag: name, about: description ?? "", operations: [] });
  }
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    const shared = resolve(document, item);
    for (const method of METHODS) {
      if (!isObject(shared[method])) continue;
      const tag = shared[method].tags?.[0] ?? "";
      if (!groups.has(tag)) groups.set(tag, { tag, about: "", operations: [] });
      groups.get(tag)?.operations.push(operation(document, path, method, shared));
    }
  }
  return [...groups.values()].filter(({ operations }) => operations.length > 0);
}

/**
 * @param {Json} document
 * @param {string} path
 * @param {string} method
 * @param {Json} item
 * @returns {Operation}
 */
function operation(document, path, method, item) {
  const spec = item[method];
  const parameters = [...(item.parameters ?? []), ...(spec.parameters ?? [])].map((entry) => resolve(document, entry));
  /** @type {[string, Json][]} */
  const responses = Object.entries(spec.responses ?? {}).map(([status, entry]) => [status, resolve(document, entry)]);
  return {
    id: slug(`${method} ${path}`),
    method: method.toUpperCase(),
    path,
    summary: spec.summary ?? "",
    description: spec.description ?? "",
    deprecated: spec.deprecated === true,
    parameters,
    body: spec.requestBody ? resolve(document, spec.requestBody) : null,
    responses,
  };
}

/** @param {string} text */
export function slug(text) {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
}

/**
 * A schema in a few words: `array of Detection`, `number, 0 to 1`, `"ready" | "failed"`.
 * @param {unknown} schema
 * @returns {string}
 */
export function typeName(schema) {
  if (!isObject(schema)) return "any";
  if (typeof schema.$ref === "string") return schema.$ref.split("/").pop() ?? "any";
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = schema.oneOf ?? schema.anyOf;
  if (Array.isArray(choices)) return [...new Set(choices.map(typeName))].join(" | ");
  if (Array.isArray(schema.allOf)) return schema.allOf.map(typeName).join(" & ");
  const types = [schema.type ?? (schema.properties ? "object" : "any")].flat();
  return types.map((type) => oneType(type, schema)).join(" | ");
}

/**
 * @param {string} type
 * @param {Json} schema
 */
function oneType(type, schema) {
  if (type === "array") return t("type.array", { items: schema.items ? typeName(schema.items) : "any" });
  const format = schema.format && schema.format !== type ? ` (${schema.format})` : "";
  const least = schema.minimum ?? schema.exclusiveMinimum;
  const most = schema.maximum ?? schema.exclusiveMaximum;
  const numeric = type === "number" || type === "integer";
  if (!numeric || (least === undefined && most === undefined)) return type + format;
  if (most === undefined) return t("type.from", { type: type + format, least });
  return least === undefined ? t("type.upTo", { type: type + format, most }) : t("type.range", { type: type + format, least, most });
}

/**
 * A command line that does the operation; values in capitals are to be filled in.
 * @param {Operation} entry
 * @param {string} origin
 * @param {boolean} secured
 */
export function curl(entry, origin, secured) {
  const path = entry.path.replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase());
  const parts = ["curl"];
  if (entry.method !== "GET" && !(entry.method === "POST" && entry.body)) parts.push(`-X ${entry.method}`);
  if (secured) parts.push(`-H "Authorization: Bearer $TOKEN"`);
  const types = Object.keys(entry.body?.content ?? {});
  const image = types.find((type) => type.startsWith("image/") || type === "application/octet-stream");
  if (image) parts.push(`-H "Content-Type: ${image === "image/*" ? "image/jpeg" : image}"`, "--data-binary @image.jpg");
  else if (types.includes("multipart/form-data")) parts.push("-F image=@image.jpg");
  else if (types[0]) parts.push(`-H "Content-Type: ${types[0]}"`, "-d '{}'");
  parts.push(`"${origin}${path}"`);
  return parts.join(" \\\n  ");
}
