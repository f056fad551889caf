// The API page: shows /openapi.json as operations by tag, with parameters, bodies, responses, a
// command line and a form to try each. Text of the document is never inserted as markup.

import { json, onTokenWanted, request, token } from "./api.js";
import { apiText } from "./api-texts.js";
import { askToken } from "./dialogs.js";
import { get, make, message } from "./dom.js";
import { has, onLanguage, t } from "./i18n.js";
import { startLinks } from "./links.js";
import { byTag, curl, resolve, slug, typeName } from "./openapi.js";
import { startPreferences } from "./preferences.js";
import { startToken } from "./token.js";
import { explain } from "./problem.js";
import { schemaTree } from "./schema.js";
import { tryForm } from "./try.js";

/** @typedef {import("./openapi.js").Json} Json */
/** @typedef {import("./openapi.js").Operation} Operation */

/** @type {Json | null} */
let api = null;

onTokenWanted(askToken);
startPreferences();
startLinks("problem");
startToken(() => void load());
onLanguage(render);
get("find").addEventListener("input", filter);
addEventListener("hashchange", openTarget);
get("skip").addEventListener("click", (event) => {
  event.preventDefault();
  get("main").focus();
});
void load();

async function load() {
  try {
    api = /** @type {Json} */ (await json("/openapi.json"));
    render();
    openTarget();
  } catch (error) {
    get("lead").textContent = "";
    message(get("problem"), explain(error));
  }
}

function render() {
  document.title = `${t("docs.title")} · onelook`;
  if (!api) return;
  const spec = api;
  const groups = byTag(spec);
  get("title").textContent = `${spec.info?.title ?? "onelook"} ${spec.info?.version ?? ""}`.trim();
  get("lead").replaceChildren(...prose(apiText(spec.info?.description)));
  get("index").replaceChildren(...groups.map(indexGroup), schemaIndex(spec));
  get("operations").replaceChildren(...groups.map((group) => section(spec, group)), schemaSection(spec));
  filter();
}

/** @param {{ tag: string, operations: Operation[] }} group */
function indexGroup({ tag, operations }) {
  const items = operations.map((entry) =>
    make("li", { "data-find": `${entry.method} ${entry.path} ${apiText(entry.summary)}`.toLowerCase() }, make("a", { href: `#${entry.id}` }, method(entry.method), make("span", {}, breakable(entry.path)))),
  );
  return make("section", {}, make("p", {}, tag ? apiText(tag) : t("docs.other")), make("ul", {}, ...items));
}

/** @param {Json} spec */
function schemaIndex(spec) {
  const names = Object.keys(spec.components?.schemas ?? {});
  if (names.length === 0) return "";
  const items = names.map((name) => make("li", { "data-find": name.toLowerCase() }, make("a", { href: `#schema-${slug(name)}` }, name)));
  return make("section", {}, make("p", {}, t("docs.schemas")), make("ul", {}, ...items));
}

/**
 * @param {Json} spec
 * @param {{ tag: string, about: string, operations: Operation[] }} group
 */
function section(spec, { tag, about, operations }) {
  const id = `tag-${slug(tag || "other")}`;
  return make(
    "section",
    { class: "group", "aria-labelledby": id },
    make("h2", { id }, tag ? apiText(tag) : t("docs.other")),
    ...(about ? [make("div", { class: "about" }, ...prose(apiText(about)))] : []),
    ...operations.map((entry) => operation(spec, entry)),
  );
}

/**
 * @param {Json} spec
 * @param {Operation} entry
 */
function operation(spec, entry) {
  const head = make(
    "summary",
    {},
    method(entry.method),
    make("code", { class: entry.deprecated ? "path old" : "path" }, breakable(entry.path)),
    make("span", { class: "summary-text" }, apiText(entry.summary)),
    entry.deprecated ? make("span", { class: "badge plain" }, t("docs.deprecated")) : null,
  );
  const details = make("details", { class: "card operation", id: entry.id, "data-find": `${entry.method} ${entry.path} ${apiText(entry.summary)}`.toLowerCase() }, head);
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(inside(spec, entry));
  });
  return details;
}

/**
 * @param {Json} spec
 * @param {Operation} entry
 */
function inside(spec, entry) {
  const secured = token() !== null || spec.security?.length > 0;
  return make(
    "div",
    { class: "inside" },
    ...(entry.description ? [make("div", { class: "about" }, ...prose(apiText(entry.description)))] : []),
    ...(entry.parameters.length > 0 ? [make("h3", {}, t("docs.parameters")), parameters(entry.parameters)] : []),
    ...(entry.body ? [make("h3", {}, t("docs.body")), ...contents(spec, entry.body)] : []),
    make("h3", {}, t("docs.answers")),
    ...entry.responses.map(([status, response]) => answer(spec, status, response)),
    make("h3", {}, t("docs.example")),
    make("pre", { tabindex: 0, role: "region", "aria-label": t("docs.example") }, curl(entry, location.origin, secured)),
    make("h3", {}, t("docs.try")),
    tryForm(entry, request),
  );
}

/** @param {Json[]} list */
function parameters(list) {
  const rows = list.map((entry) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, make("code", {}, String(entry.name)), entry.required ? make("span", { class: "must" }, t("docs.required")) : null),
      make("td", {}, place(entry.in)),
      make("td", {}, make("code", { class: "type" }, typeName(entry.schema)), defaultOf(entry.schema), ...prose(apiText(entry.description))),
    ),
  );
  const heads = [t("docs.name"), t("docs.in"), t("docs.about")].map((head) => make("th", { scope: "col" }, head));
  return make("div", { class: "wide-table", tabindex: 0, role: "region", "aria-label": t("docs.parameters") }, make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)));
}

/** @param {unknown} where A parameter is. */
function place(where) {
  const key = `docs.in.${where}`;
  return has(key) ? t(/** @type {import("./i18n.js").Key} */ (key)) : String(where);
}

/** @param {unknown} schema */
function defaultOf(schema) {
  const value = schema && typeof schema === "object" && "default" in schema ? schema.default : undefined;
  return value === undefined || value === null ? null : make("span", { class: "default" }, t("docs.default", { value: JSON.stringify(value) }));
}

/**
 * @param {Json} spec
 * @param {Json} body
 */
function contents(spec, body) {
  return Object.entries(body.content ?? {}).map(([type, media]) =>
    make("div", { class: "media" }, make("code", { class: "media-type" }, type), media?.schema ? schemaTree(spec, media.schema) : null),
  );
}

/**
 * @param {Json} spec
 * @param {string} status
 * @param {Json} response
 */
function answer(spec, status, response) {
  const family = status.startsWith("2") ? "ready" : status.startsWith("3") ? "loading" : "failed";
  const parts = contents(spec, resolve(spec, response));
  const head = [make("span", { class: "badge", "data-state": family }, status), make("span", {}, apiText(response.description))];
  if (parts.length === 0) return make("p", { class: "answer" }, ...head);
  return make("details", { class: "answer", open: status.startsWith("2") }, make("summary", {}, ...head), ...parts);
}

/** @param {Json} spec */
function schemaSection(spec) {
  const schemas = Object.entries(spec.components?.schemas ?? {});
  if (schemas.length === 0) return "";
  return make(
    "section",
    { class: "group", "aria-labelledby": "schemas" },
    make("h2", { id: "schemas" }, t("docs.schemas")),
    ...schemas.map(([name, schema]) =>
      make("details", { class: "card operation", id: `schema-${slug(name)}`, "data-find": name.toLowerCase() }, make("summary", {}, make("code", { class: "path" }, name)), make("div", { class: "inside" }, schemaTree(spec, schema))),
    ),
  );
}

/** @param {string} name */
function method(name) {
  return make("span", { class: "method", "data-method": name }, name);
}

/**
 * Allows line breaks after each slash of a path.
 * @param {string} path
 */
function breakable(path) {
  return path.replaceAll("/", "/\u200b");
}

/**
 * Makes paragraphs, with `code` between backticks.
 * @param {string} text
 */
function prose(text) {
  return text
    .split(/\n\s*\n/)
    .filter((part) => part.trim() !== "")
    .map((part) => make("p", {}, ...part.split(/`([^`]+)`/).map((piece, place) => (place % 2 === 1 ? make("code", {}, piece) : piece))));
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(target instanceof HTMLDetailsElement)) return;
  target.open = true;
  target.scrollIntoView();
  target.querySelector("summary")?.focus();
}

function filter() {
  const wanted = get("find", HTMLInputElement).value.trim().toLowerCase();
  for (const entry of document.querySelectorAll("[data-find]")) {
    /** @type {HTMLElement} */ (entry).hidden = !entry.getAttribute("data-find")?.includes(wanted);
  }
  for (const group of document.querySelectorAll("#index section, #operations > section")) {
    /** @type {HTMLElement} */ (group).hidden = !group.querySelector("[data-find]:not([hidden])");
  }
}
