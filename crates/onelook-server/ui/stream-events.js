// The list of events on the Streams page: the last ones, then those that happen, with the frame of each.

import { imageOf, listenToEvents, streamEvents } from "./api.js";
import { showImage } from "./dialogs.js";
import { announce, get, make } from "./dom.js";
import { number } from "./format.js";
import { onLanguage, t } from "./i18n.js";

/** @typedef {import("./api.js").StreamEvent} StreamEvent */
/** @typedef {import("./i18n.js").Key} Key */

const KEPT = 100;
/** Width of the small images in pixels. */
const THUMBNAIL = 168;
/** Pause before the connection for new events is opened again. */
const PAUSE_MS = 3000;

export class StreamEvents {
  constructor() {
    /** @type {Map<string, StreamEvent>} */
    this.events = new Map();
    /** Rows by event. @type {Map<string, HTMLElement>} */
    this.rows = new Map();
    this.kind = get("stream-events-kind", HTMLSelectElement);
    this.kind.addEventListener("change", () => {
      this.#clear();
      void this.#read();
    });
    this.abort = new AbortController();
    this.timer = 0;
    this.drawn = 0;
    onLanguage(() => {
      this.#forgetRows();
      this.#render();
    });
  }

  /** @param {boolean} visible */
  setVisible(visible) {
    this.abort.abort();
    clearTimeout(this.timer);
    if (visible) void this.#follow();
  }

  async #follow() {
    const abort = new AbortController();
    this.abort = abort;
    // Listening first, so that none falls between.
    const listening = listenToEvents((event) => this.#keep(event), abort.signal).catch(() => {});
    await this.#read();
    await listening;
    if (!abort.signal.aborted) this.timer = setTimeout(() => void this.#follow(), PAUSE_MS);
  }

  async #read() {
    const events = await streamEvents(this.kind.value).catch(() => []);
    for (const event of events.reverse()) this.#keep(event);
    this.#render();
  }

  #clear() {
    this.events.clear();
    this.#forgetRows();
  }

  #forgetRows() {
    for (const key of [...this.rows.keys()]) this.#dropRow(key);
  }

  /** @param {string} key */
  #dropRow(key) {
    this.rows.get(key)?.remove();
    this.rows.delete(key);
  }

  /** @param {StreamEvent} event */
  #keep(event) {
    if (this.kind.value !== "" && event.event !== this.kind.value) return;
    this.events.set(`${event.stream}/${event.at_ms}/${event.id}`, event);
    for (const key of this.events.keys()) {
      if (this.events.size <= KEPT) break;
      this.events.delete(key);
    }
    // Once for all that come together.
    this.drawn ||= requestAnimationFrame(() => {
      this.drawn = 0;
      this.#render();
    });
  }

  #render() {
    const events = [...this.events].sort(([, a], [, b]) => b.at_ms - a.at_ms || b.id - a.id);
    get("stream-events-empty").hidden = events.length > 0;
    get("stream-events", HTMLTableElement).hidden = events.length === 0;
    for (const key of [...this.rows.keys()]) if (!this.events.has(key)) this.#dropRow(key);
    const body = get("stream-event-rows");
    events.forEach(([key, event], index) => {
      const row = this.rows.get(key) ?? this.#row(key, event);
      // What is in its place stays there: it may have the focus.
      if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
    });
  }

  /**
   * @param {string} key
   * @param {StreamEvent} event
   */
  #row(key, event) {
    const clock = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "medium" });
    const what = t(/** @type {Key} */ (`streams.event.${event.event}${event.direction ? `.${event.direction}` : event.born_inside ? ".born" : ""}`));
    const speed = event.speed === undefined ? "" : t("streams.speed", { speed: number(Math.round(event.speed * 36) / 10) });
    const object = event.name === undefined ? "" : `${event.name} ${event.track_id ?? ""} ${speed}`.trim();
    const texts = [clock.format(event.at_ms), event.stream, event.place, what, object];
    const shot = make("td", { class: "event-shot" });
    const row = make("tr", { "data-event": key }, shot, ...texts.map((text) => make("td", {}, text)));
    this.rows.set(key, row);
    if (event.snapshot) void this.#load(key, event.snapshot, shot, texts.filter((text) => text !== "").join(", "));
    return row;
  }

  /**
   * @param {string} key
   * @param {string} path
   * @param {HTMLElement} place
   * @param {string} name
   */
  async #load(key, path, place, name) {
    const blob = await imageOf(path).catch(() => null);
    if (!blob || !this.rows.has(key)) return;
    // Only the small one is kept: a hundred large ones would take much memory.
    const small = await createImageBitmap(blob, { resizeWidth: THUMBNAIL, resizeQuality: "medium" }).catch(() => null);
    if (!small) return;
    const canvas = make("canvas", { width: small.width, height: small.height });
    canvas.getContext("2d")?.drawImage(small, 0, 0);
    small.close();
    const button = make("button", { type: "button", class: "shot", "aria-label": t("streams.shot", { event: name }) }, canvas);
    button.addEventListener("click", () => void showLarge(path, name));
    place.replaceChildren(button);
  }
}

/**
 * @param {string} path
 * @param {string} name
 */
async function showLarge(path, name) {
  const blob = await imageOf(path).catch(() => null);
  if (blob) showImage(blob, name);
  else announce(t("streams.shotGone"));
}
