// The Streams page: adds streams, shows their states and live images, and has the counts over time and the
// events shown. Asks and watches only while the page is in sight.

import { addStream, changeStream, removeStream, streams } from "./api.js";
import { CountCharts } from "./count-charts.js";
import { confirmed } from "./dialogs.js";
import { announce, get, make, message } from "./dom.js";
import { onLanguage, t } from "./i18n.js";
import { LiveSocket } from "./live-socket.js";
import { explain } from "./problem.js";
import { StreamEvents } from "./stream-events.js";
import { StreamTile } from "./stream-tile.js";

/** @typedef {import("./api.js").Stream} Stream */

const EVERY_MS = 1000;

export class StreamsPage {
  constructor() {
    /** @type {Map<string, StreamTile>} */
    this.tiles = new Map();
    this.events = new StreamEvents();
    this.counts = new CountCharts();
    /** @type {Set<string>} */
    this.inSight = new Set();
    this.capacity = 0;
    this.visible = false;
    this.timer = 0;
    this.socket = new LiveSocket();
    this.socket.onFrame = (frame, image) => void this.tiles.get(frame.stream)?.show(frame, image);
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
      this.#follow();
      void this.#look();
    });
    document.addEventListener("keydown", (event) => {
      if (!this.visible || (event.key !== "Escape" && event.key !== "Enter")) return;
      // The button that began it may have the focus, and must not begin again.
      if ([...this.tiles.values()].some((tile) => tile.view.drawing !== null)) event.preventDefault();
      for (const tile of this.tiles.values()) tile.key(event.key);
    });
    onLanguage(() => {
      for (const tile of this.tiles.values()) tile.render();
      this.#renderCount();
    });
  }

  async enter() {
    this.visible = true;
    await this.#look();
    this.#follow();
  }

  leave() {
    this.visible = false;
    clearTimeout(this.timer);
    this.#watch();
    this.#follow();
  }

  /** Follows events and counts while the page is in sight. */
  #follow() {
    const seen = this.visible && document.visibilityState === "visible";
    this.events.setVisible(seen);
    this.counts.setVisible(seen);
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
    this.counts.setStreams(list.filter(({ lines, zones }) => lines.length + zones.length > 0).map(({ name }) => name));
    this.#watch();
  }

  /** @param {Stream} stream */
  #open(stream) {
    const tile = new StreamTile(stream);
    tile.onRemove = () => void this.#remove(stream.name);
    tile.onChange = (settings, said) => void this.#change(stream.name, settings, said);
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
   * @param {Parameters<typeof changeStream>[1]} settings
   * @param {string} said
   */
  async #change(name, settings, said) {
    try {
      this.tiles.get(name)?.update(await changeStream(name, settings));
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
}
