// Texts of /openapi.json in the user's language. A text without a translation stays as it is.

import { language } from "./i18n.js";
import { zhApi } from "./zh-api.js";

/** @param {unknown} text */
export function apiText(text) {
  const plain = joined(String(text ?? ""));
  return language() === "zh" ? (zhApi[plain] ?? plain) : plain;
}

/**
 * Lines that belong together as one, paragraphs apart.
 * @param {string} text
 */
export function joined(text) {
  return text.replace(/(?<!\n)\n(?!\n)/g, " ");
}
