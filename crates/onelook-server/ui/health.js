// The state of the server, which the page shows at all times: asks /readyz, which needs no token and
// is not counted as work, while the page is in sight. More often when the server is not ready.

import { readiness } from "./api.js";
import { get } from "./dom.js";
import { onLanguage, t } from "./i18n.js";

/** @typedef {import("./api.js").Readiness} Readiness */
/** @typedef {"unknown" | "ready" | "loading" | "notReady" | "gone"} State */

const READY_EVERY_MS = 4000;
const OTHERWISE_EVERY_MS = 1500;
const PATIENCE_MS = 8000;

/**
 * @param {Readiness} answer
 * @returns {State}
 */
export function stateOf({ ready, models }) {
  if (ready) return "ready";
  return models.some(({ state }) => state === "loading") ? "loading" : "notReady";
}

export class Health {
  constructor() {
    /** @type {State} */
    this.state = "unknown";
    this.version = "";
    this.seen = "";
    this.timer = 0;
    /** Called when the state of the server or of a model changed. */
    this.onChange = () => {};
    onLanguage(() => this.#show());
    document.addEventListener("visibilitychange", () => void this.look());
  }

  /** Looks now, and again after a while. */
  async look() {
    clearTimeout(this.timer);
    if (document.visibilityState !== "visible") return;
    try {
      const answer = await readiness(AbortSignal.timeout(PATIENCE_MS));
      this.#set(stateOf(answer), JSON.stringify(answer.models));
    } catch {
      this.#set("gone", "");
    }
    clearTimeout(this.timer);
    const delay = this.state === "ready" ? READY_EVERY_MS : OTHERWISE_EVERY_MS;
    this.timer = setTimeout(() => void this.look(), delay);
  }

  /** @param {string} version */
  setVersion(version) {
    this.version = version;
    this.#show();
  }

  /**
   * @param {State} state
   * @param {string} seen
   */
  #set(state, seen) {
    const changed = this.seen !== "" && (state !== this.state || seen !== this.seen);
    this.state = state;
    this.seen = seen || this.seen;
    this.#show();
    if (changed && state !== "gone") this.onChange();
  }

  #show() {
    const place = get("health");
    if (place.dataset.state !== this.state) place.dataset.state = this.state;
    const text = t(`server.${this.state}`);
    if (get("health-text").textContent !== text) get("health-text").textContent = text;
    place.title = this.version ? t("server.version", { version: this.version }) : "";
  }
}
