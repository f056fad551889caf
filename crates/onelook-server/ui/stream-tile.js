// One stream on the Streams page: its image, its state, its counts, and what can be set for it.

import { imageOf } from "./api.js";
import { askMeasures, showImage } from "./dialogs.js";
import { icon, make } from "./dom.js";
import { milliseconds, number } from "./format.js";
import { t } from "./i18n.js";
import { zoneText } from "./place-text.js";
import { StreamCanvas } from "./stream-canvas.js";

/** @typedef {import("./api.js").Stream} Stream */
/** @typedef {import("./api.js").LineConfig} LineConfig */
/** @typedef {import("./api.js").ZoneConfig} ZoneConfig */
/** @typedef {import("./i18n.js").Key} Key */

export class StreamTile {
  /** @param {Stream} stream */
  constructor(stream) {
    this.stream = stream;
    this.view = new StreamCanvas();
    this.badge = make("span", { class: "badge" });
    this.line = this.#button("line");
    this.zone = this.#button("zone");
    this.removal = make("button", { type: "button", class: "button small quiet icon-only" }, icon("close"));
    this.removal.addEventListener("click", () => this.onRemove());
    this.help = make("p", { class: "stream-help", role: "status" });
    this.facts = make("p", { class: "stream-facts" });
    this.error = make("p", { class: "bad" });
    this.places = make("ul", { class: "stream-places" });
    this.plane = make("button", { type: "button", class: "button small", "aria-pressed": "false", "data-draw": "plane" });
    this.plane.addEventListener("click", () => {
      if (this.stream.plane) this.onChange({ plane: null }, t("streams.planeRemoved"));
      else this.view.draw(this.view.drawing === "plane" ? null : "plane");
    });
    this.heatmap = make("input", { type: "checkbox" });
    this.heatmap.addEventListener("change", () => this.onChange({ heatmap: this.heatmap.checked ? {} : null }, t(this.heatmap.checked ? "streams.heatmapOn" : "streams.heatmapOff")));
    this.heatmapText = make("span");
    this.heatmapShow = make("button", { type: "button", class: "button small", "data-heatmap": true });
    this.heatmapShow.addEventListener("click", () => void this.#showHeatmap());
    this.moreText = make("summary");
    const more = make("details", { class: "stream-more" }, this.moreText, make("div", { class: "row" }, this.plane, make("label", { class: "check" }, this.heatmap, this.heatmapText), this.heatmapShow));
    const id = `stream-${stream.name}`;
    this.element = make(
      "li",
      { "data-stream": stream.name },
      make(
        "article",
        { class: "card stream", "aria-labelledby": id },
        make("header", { class: "stream-head" }, make("h2", { id, title: stream.url }, stream.name), this.badge, make("span", { class: "stream-actions" }, this.line, this.zone, this.removal)),
        make("div", { class: "stream-view" }, this.view.canvas, this.help),
        this.facts,
        this.error,
        this.places,
        more,
      ),
    );
    this.drawn = "";
    this.onRemove = () => {};
    /** @type {(settings: Parameters<typeof import("./api.js").changeStream>[1], said: string) => void} */
    this.onChange = () => {};
    this.view.onMode = () => this.#renderMode();
    this.view.onDrawn = (kind, points) => {
      if (kind === "plane") void this.#calibrate(points);
      else this.#add(kind, points);
    };
    this.update(stream);
  }

  /** @param {"line" | "zone"} kind */
  #button(kind) {
    const button = make("button", { type: "button", class: "button small icon-only", "aria-pressed": "false", "data-draw": kind }, icon(kind));
    button.addEventListener("click", () => this.view.draw(this.view.drawing === kind ? null : kind));
    return button;
  }

  /** @param {Stream} stream */
  update(stream) {
    this.stream = stream;
    const [lines, zones] = [this.view.lines, this.view.zones];
    this.view.lines = stream.lines;
    this.view.zones = stream.zones;
    this.view.plane = stream.plane?.image ?? null;
    if (JSON.stringify([lines, zones]) !== JSON.stringify([stream.lines, stream.zones])) this.view.paint();
    this.render();
  }

  /**
   * @param {import("./live-socket.js").LiveFrame} frame
   * @param {Blob} image
   */
  async show(frame, image) {
    this.stream = { ...this.stream, counts: frame.counts, objects: frame.detections.length };
    this.#renderPlaces();
    await this.view.show(frame, image);
  }

  /** @param {string} key Escape or Enter. */
  key(key) {
    if (this.view.drawing === null) return;
    if (key === "Escape") this.view.draw(null);
    else this.view.finish();
  }

  close() {
    this.view.clear();
    this.element.remove();
  }

  render() {
    const { stream } = this;
    const { name } = stream;
    setText(this.badge, t(`streams.state.${stream.state}`));
    this.badge.dataset.state = stream.state;
    for (const [button, key] of /** @type {[HTMLElement, Key][]} */ ([[this.line, "streams.drawLine"], [this.zone, "streams.drawZone"], [this.removal, "streams.remove"]])) {
      setAttribute(button, "aria-label", t(key, { name }));
      setAttribute(button, "title", t(key, { name }));
    }
    this.removal.hidden = stream.origin === "file";
    const { replaced, over_rate, too_old } = stream.drops;
    const facts = [
      stream.width && stream.height ? `${stream.width}×${stream.height}` : "",
      t("streams.rates", { in: number(stream.fps_in), out: number(stream.fps_out) }),
      stream.age_ms === null ? "" : t("streams.age", { age: milliseconds(stream.age_ms) }),
      t("streams.drops", { count: number(replaced + over_rate + too_old) }),
    ];
    setText(this.facts, facts.filter((text) => text !== "").join(" · "));
    setText(this.error, stream.error ?? "");
    this.error.hidden = stream.error === null || stream.state === "running";
    setText(this.moreText, t("streams.more"));
    setText(this.plane, t(stream.plane ? "streams.planeRemove" : "streams.planeDraw"));
    this.heatmap.checked = stream.heatmap !== null;
    setText(this.heatmapText, t("streams.heatmap"));
    setText(this.heatmapShow, t("streams.heatmapShow"));
    this.heatmapShow.hidden = stream.heatmap === null;
    setAttribute(this.view.canvas, "aria-label", t("streams.canvas", { name, count: stream.objects }));
    this.#renderMode();
    this.#renderPlaces();
  }

  #renderMode() {
    const { drawing } = this.view;
    this.line.setAttribute("aria-pressed", String(drawing === "line"));
    this.zone.setAttribute("aria-pressed", String(drawing === "zone"));
    this.plane.setAttribute("aria-pressed", String(drawing === "plane"));
    setText(this.help, drawing === null ? "" : t(`streams.${drawing}Help`));
    this.help.hidden = drawing === null;
  }

  #renderPlaces() {
    const { lines, zones } = this.stream.counts;
    const entries = [
      ...this.stream.lines.map(({ name }) => {
        const count = lines.find((line) => line.name === name);
        return { name, kind: "line", text: t("streams.lineCount", { in: count?.in ?? 0, out: count?.out ?? 0 }) };
      }),
      ...this.stream.zones.map(({ name }) => {
        const count = zones.find((zone) => zone.name === name);
        return { name, kind: "zone", text: zoneText(count) };
      }),
    ];
    const drawn = JSON.stringify([document.documentElement.lang, entries]);
    if (drawn === this.drawn) return;
    // Only texts change from frame to frame: what has the focus keeps it.
    const items = [...this.places.children];
    const same = items.length === entries.length && entries.every(({ name }, index) => items[index]?.getAttribute("data-place") === name);
    if (same && this.drawn.startsWith(`["${document.documentElement.lang}"`)) {
      entries.forEach(({ text }, index) => {
        const place = items[index]?.querySelector(".place-count");
        if (place) setText(place, text);
      });
    } else {
      this.places.replaceChildren(...entries.map(({ name, kind, text }) => this.#place(name, kind, text)));
    }
    this.drawn = drawn;
  }

  /**
   * @param {string} name
   * @param {string} kind
   * @param {string} text
   */
  #place(name, kind, text) {
    const removal = make("button", { type: "button", class: "button small quiet icon-only", "aria-label": t("streams.removePlace", { name }) }, icon("close"));
    removal.addEventListener("click", () => {
      const others = (/** @type {{ name: string }} */ place) => place.name !== name;
      this.onChange({ lines: this.stream.lines.filter(others), zones: this.stream.zones.filter(others) }, t("streams.placeRemoved", { name }));
    });
    const crowd = kind === "zone" ? this.#crowd(name) : null;
    return make("li", { "data-place": name }, icon(kind), make("span", { class: "place-name" }, name), make("span", { class: "place-count" }, text), crowd, removal);
  }

  /**
   * How many make a crowd of a zone.
   * @param {string} name
   */
  #crowd(name) {
    const value = this.stream.zones.find((zone) => zone.name === name)?.crowd ?? "";
    const label = t("streams.crowd", { name });
    const input = make("input", { type: "number", class: "place-crowd", min: "1", max: "9999", value, placeholder: t("streams.crowdShort"), "aria-label": label, title: label });
    input.addEventListener("change", () => {
      const crowd = input.valueAsNumber;
      const set = (/** @type {ZoneConfig} */ { crowd: _, ...zone }) => (crowd >= 1 ? { ...zone, crowd } : zone);
      this.onChange({ zones: this.stream.zones.map((zone) => (zone.name === name ? set(zone) : zone)) }, t("streams.placeAdded", { name }));
    });
    return input;
  }

  /** @param {[number, number][]} points Of a rectangle on the ground. */
  async #calibrate(points) {
    const measures = await askMeasures();
    if (!measures) return;
    const [width, depth] = measures;
    /** @type {[number, number][]} */
    const metres = [[0, 0], [width, 0], [width, depth], [0, depth]];
    this.onChange({ plane: { image: points, metres } }, t("streams.planeSet"));
  }

  async #showHeatmap() {
    try {
      const image = await imageOf(`/v1/streams/${encodeURIComponent(this.stream.name)}/heatmap.png`);
      showImage(image, t("streams.heatmapOf", { name: this.stream.name }));
    } catch (error) {
      this.error.textContent = error instanceof Error ? error.message : "";
      this.error.hidden = false;
    }
  }

  /**
   * @param {"line" | "zone"} kind
   * @param {[number, number][]} points
   */
  #add(kind, points) {
    const { lines, zones } = this.stream;
    const taken = new Set([...lines, ...zones].map((place) => place.name));
    /** @type {Key} */
    const key = kind === "line" ? "streams.newLine" : "streams.newZone";
    let number = 1;
    while (taken.has(t(key, { number }))) number += 1;
    const name = t(key, { number });
    const [start, end] = points;
    if (kind === "line" && start && end) this.onChange({ lines: [...lines, { name, start, end }], zones }, t("streams.placeAdded", { name }));
    else this.onChange({ lines, zones: [...zones, { name, corners: points }] }, t("streams.placeAdded", { name }));
  }
}

/**
 * Leaves what is the same alone, so that readers of the page are not told again.
 * @param {Element} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string} value
 */
function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}
