// Errors as text: takes whatever was thrown, gives a sentence in the user's language, followed by
// the server's own message. Never shows a stack trace or an object.

import { Problem } from "./api.js";
import { has, t } from "./i18n.js";

/**
 * @param {unknown} error
 * @returns {string}
 */
export function explain(error) {
  if (!(error instanceof Problem)) return t("problem.unknown");
  if (error.kind === "network") return t("problem.network");
  if (error.kind === "token") return t("problem.401");
  const { status, detail, title } = error.details;
  const key = /** @type {import("./i18n.js").Key} */ (`problem.${status}`);
  const plain = has(key) ? t(key) : t("problem.other", { status: status ?? "?" });
  const wait = error.retryAfter === null ? "" : ` ${t("problem.retry", { seconds: error.retryAfter })}`;
  const said = detail || title;
  return said ? `${plain}${wait} ${t("problem.said", { text: said })}` : `${plain}${wait}`;
}

/** @param {unknown} error */
export function aborted(error) {
  return error instanceof DOMException && error.name === "AbortError";
}
