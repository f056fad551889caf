// Translations: takes keys and values to fill in, gives text. Elements with `data-i18n` (text) or
// `data-i18n-ATTRIBUTE` change with the language. A text that is missing is shown in English.

import { en } from "./en.js";
import { zh } from "./zh.js";

/** @typedef {keyof typeof en} Key */
/** @typedef {"en" | "zh"} Language */

/** @type {Record<Language, Readonly<Record<string, string>>>} */
export const DICTIONARIES = { en, zh };
const ATTRIBUTES = ["aria-label", "title", "placeholder"];
const STORED = "onelook.language";

/** @type {Language} */
let current = "en";
/** @type {Set<() => void>} */
const listeners = new Set();

/**
 * The initial language: the stored choice, else the first supported one of the browser.
 * @param {string | null} stored
 * @param {readonly string[]} preferred
 * @returns {Language}
 */
export function initialLanguage(stored, preferred) {
  if (stored === "en" || stored === "zh") return stored;
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split("-")[0];
    if (primary === "zh" || primary === "en") return primary;
  }
  return "en";
}

/** @returns {Language} */
export function language() {
  return current;
}

/** @param {() => void} listener Called after the language changed. */
export function onLanguage(listener) {
  listeners.add(listener);
}

/**
 * @param {Key} key
 * @param {Record<string, string | number>} [values] For the `{names}` in the text.
 */
export function t(key, values = {}) {
  const text = DICTIONARIES[current][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * Singular or plural: `KEY.one` if `count` is 1, else `KEY.other`.
 * @param {string} key
 * @param {number} count
 */
export function plural(key, count) {
  const one = /** @type {Key} */ (`${key}.one`);
  const many = /** @type {Key} */ (`${key}.other`);
  return t(count === 1 ? one : many, { count });
}

/** @param {string} key */
export function has(key) {
  return Object.hasOwn(en, key);
}

/** @param {ParentNode} [root] */
export function translate(root = document) {
  for (const element of root.querySelectorAll("[data-i18n]")) {
    element.textContent = t(/** @type {Key} */ (element.getAttribute("data-i18n")));
  }
  for (const attribute of ATTRIBUTES) {
    for (const element of root.querySelectorAll(`[data-i18n-${attribute}]`)) {
      const key = /** @type {Key} */ (element.getAttribute(`data-i18n-${attribute}`));
      element.setAttribute(attribute, t(key));
    }
  }
}

/** @param {Language} next */
export function setLanguage(next) {
  current = next;
  try {
    localStorage.setItem(STORED, next);
  } catch {
    // Not remembered, then.
  }
  apply();
}

/** Sets the initial language and translates the page. */
export function startLanguage() {
  let stored = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // Storage may be forbidden.
  }
  current = initialLanguage(stored, navigator.languages ?? [navigator.language]);
  apply();
}

function apply() {
  document.documentElement.lang = current === "zh" ? "zh-Hans" : "en";
  translate();
  for (const listener of listeners) listener();
}
