// A list of finished requests as a table: when, what, how it ended and how long it took. Drawn again
// only when it changed, so that a text can be selected.

import { make } from "./dom.js";
import { milliseconds } from "./format.js";
import { language, t } from "./i18n.js";

/** @typedef {import("./api.js").RequestRecord} RequestRecord */

/** @type {WeakMap<HTMLElement, string>} */
const drawn = new WeakMap();

/**
 * @param {HTMLElement} place
 * @param {readonly RequestRecord[]} requests
 * @param {string} empty What to say when there are none.
 */
export function showRequests(place, requests, empty) {
  const state = JSON.stringify([language(), requests]);
  if (drawn.get(place) === state) return;
  drawn.set(place, state);
  if (requests.length === 0) return place.replaceChildren(make("p", { class: "empty" }, empty));
  place.replaceChildren(make("ul", { class: "requests" }, ...requests.map(row)));
}

/** @param {RequestRecord} request */
function row({ at_ms, request_id, method, path, status, ms, detail }) {
  const time = new Date(at_ms);
  const family = status >= 400 || detail !== null ? "failed" : "ready";
  return make(
    "li",
    {},
    make("time", { datetime: time.toISOString() }, time.toLocaleTimeString(language() === "zh" ? "zh-CN" : "en-GB")),
    make("span", { class: "badge", "data-state": family }, String(status)),
    make("code", {}, `${method} ${path}`),
    make("b", {}, milliseconds(ms)),
    detail === null ? null : make("p", {}, detail),
    make("span", { class: "request-id", title: t("monitor.requestId") }, request_id),
  );
}
