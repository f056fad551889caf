// The Streams page: adds streams, shows their states and live images, counts at lines and in zones, and
// events. Asks and watches only while the page is in sight.

import { addStream, changeStream, removeStream, streamEvents, streams } from "./api.js";
import { confirmed } from "./dialogs.js";
import { announce, get, make, message } from "./dom.js";
import { onLanguage, t } from "./i18n.js";
import { LiveSocket } from "./live-socket.js";
import { explain } from "./problem.js";
import { StreamTile } from "./stream-tile.js";

/** @typedef {import("./api.js").Stream} Stream */
/** @typedef {import("./api.js").StreamEvent} StreamEvent */
/** @typedef {import("./i18n.js").Key} Key */

const EVERY_MS = 1000;
const KEPT_EVENTS = 100;

export class StreamsPage {
  constructor() {
    /** @type {Map<string, StreamTile>} */
    this.tiles = new Map();
    /** @type {Map<string, StreamEvent>} */
    this.events = new Map();
    /** @type {Set<string>} */
    this.inSight = new Set();
    this.capacity = 0;
    this.visible = false;
    this.timer = 0;
    this.socket = new LiveSocket();
    this.socket.onFrame = (frame, image) => void this.tiles.get(frame.stream)?.show(frame, image);
    this.socket.onEvent = (event) => {
      this.#keep(event);
      this.#renderEvents();
    };
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const name = target.getAttribute("data-stream") ?? "";
        if (isIntersecting) this.inSight.add(name);
        else this.inSight.delete(name);
      }
      this.#watch();
    });
    get("stream-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#add();
    });
    document.addEventListener("visibilitychange", () => {
      if (!this.visible) return;
      this.#watch();
      void this.#look();
    });
    document.addEventListener("keydown", (event) => {
      if (!this.visible || (event.key !== "Escape" && event.key !== "Enter")) return;
      for (const tile of this.tiles.values()) tile.key(event.key);
    });
    onLanguage(() => {
      for (const tile of this.tiles.values()) tile.render();
      this.#renderCount();
      this.#renderEvents();
    });
  }

  async enter() {
    this.visible = true;
    await this.#look();
    await this.#readEvents();
  }

  leave() {
    this.visible = false;
    clearTimeout(this.timer);
    this.#watch();
  }

  async #look() {
    clearTimeout(this.timer);
    if (!this.visible || document.visibilityState !== "visible") return;
    try {
      const answer = await streams();
      this.capacity = answer.capacity;
      this.#render(answer.streams);
    } catch (error) {
      this.#complain(error);
      if (error instanceof Error && "kind" in error && error.kind === "token") return;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.#look(), EVERY_MS);
  }

  /** @param {Stream[]} list */
  #render(list) {
    const names = new Set(list.map(({ name }) => name));
    for (const [name, tile] of this.tiles) {
      if (names.has(name)) continue;
      this.observer.unobserve(tile.element);
      tile.close();
      this.tiles.delete(name);
      this.inSight.delete(name);
    }
    for (const stream of list) {
      const tile = this.tiles.get(stream.name);
      if (tile) tile.update(stream);
      else this.#open(stream);
    }
    const wall = get("wall");
    const empty = wall.querySelector(".empty");
    if (list.length > 0) empty?.remove();
    else if (!empty) wall.append(make("li", { class: "empty", "data-i18n": "streams.none" }, t("streams.none")));
    this.#renderCount();
    this.#watch();
  }

  /** @param {Stream} stream */
  #open(stream) {
    const tile = new StreamTile(stream);
    tile.onRemove = () => void this.#remove(stream.name);
    tile.onPlaces = (lines, zones, key, place) => void this.#change(stream.name, { lines, zones }, t(key, { name: place }));
    this.tiles.set(stream.name, tile);
    get("wall").append(tile.element);
    this.observer.observe(tile.element);
  }

  #renderCount() {
    get("streams-count").textContent = this.capacity > 0 ? t("streams.count", { count: this.tiles.size, capacity: this.capacity }) : "";
  }

  #watch() {
    const seen = this.visible && document.visibilityState === "visible";
    const names = [...this.tiles.keys()].filter((name) => this.inSight.has(name)).sort();
    this.socket.watch(seen ? names : []);
  }

  async #add() {
    const [url, name, fps] = ["stream-url", "stream-name", "stream-fps"].map((id) => get(id, HTMLInputElement));
    if (!url || !name || !fps) return;
    try {
      const limit = fps.value === "" ? {} : { fps: Number(fps.value) };
      await addStream({ name: name.value.trim(), url: url.value.trim(), ...limit });
      message(get("streams-problem"), "");
      announce(t("streams.added", { name: name.value }));
      // The address may hold a password.
      for (const input of [url, name, fps]) input.value = "";
    } catch (error) {
      this.#complain(error);
    }
    await this.#look();
  }

  /** @param {string} name */
  async #remove(name) {
    const sure = await confirmed({ title: t("streams.confirmRemove", { name }), text: t("streams.confirmRemoveText"), yes: t("streams.confirmRemoveYes") });
    if (!sure) return;
    try {
      await removeStream(name);
      announce(t("streams.removed", { name }));
      message(get("streams-problem"), "");
    } catch (error) {
      this.#complain(error);
    }
    await this.#look();
  }

  /**
   * @param {string} name
   * @param {{ lines: import("./api.js").LineConfig[], zones: import("./api.js").ZoneConfig[] }} places
   * @param {string} said
   */
  async #change(name, places, said) {
    try {
      this.tiles.get(name)?.update(await changeStream(name, places));
      message(get("streams-problem"), "");
      announce(said);
    } catch (error) {
      this.#complain(error);
      await this.#look();
    }
  }

  /** @param {unknown} error */
  #complain(error) {
    message(get("streams-problem"), explain(error));
  }

  async #readEvents() {
    const lists = await Promise.all([...this.tiles.keys()].map((name) => streamEvents(name).catch(() => [])));
    for (const event of lists.flat().sort((a, b) => a.at_ms - b.at_ms)) this.#keep(event);
    this.#renderEvents();
  }

  /** @param {StreamEvent} event */
  #keep(event) {
    this.events.set(`${event.stream}/${event.at_ms}/${event.id}`, event);
    for (const key of this.events.keys()) {
      if (this.events.size <= KEPT_EVENTS) break;
      this.events.delete(key);
    }
  }

  #renderEvents() {
    const events = [...this.events.values()].sort((a, b) => b.at_ms - a.at_ms);
    get("stream-events-empty").hidden = events.length > 0;
    get("stream-events", HTMLTableElement).hidden = events.length === 0;
    const clock = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "medium" });
    const row = (/** @type {StreamEvent} */ event) => {
      const what = event.direction ? `${event.event}.${event.direction}` : event.event;
      const object = event.name === undefined ? "" : `${event.name} ${event.track_id ?? ""}`;
      const cells = [clock.format(event.at_ms), event.stream, event.place, t(/** @type {Key} */ (`streams.event.${what}`)), object];
      return make("tr", {}, ...cells.map((text) => make("td", {}, text)));
    };
    get("stream-event-rows").replaceChildren(...events.map(row));
  }
}
