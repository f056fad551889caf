// The boxes as a table and as JSON, and the time of each stage. Rows can be sorted and navigated
// with the arrow keys.

import { classColour } from "./colour.js";
import { get, make } from "./dom.js";
import { milliseconds } from "./format.js";
import { STAGES } from "./history.js";
import { t } from "./i18n.js";

/** @typedef {import("./api.js").Detection} Detection */
/** @typedef {"class" | "confidence" | "position" | "size"} Column */

/** @type {readonly Column[]} */
const COLUMNS = ["class", "confidence", "position", "size"];

/** From here on coordinates are so long that a pair takes two lines. */
const FIVE_DIGITS = 9999.5;

/** @type {Record<Column, (found: Detection) => number | string>} */
const SORT_BY = {
  class: (found) => found.name,
  confidence: (found) => found.confidence,
  position: (found) => found.box.x1,
  size: (found) => (found.box.x2 - found.box.x1) * (found.box.y2 - found.box.y1),
};

export class Results {
  constructor() {
    /** @type {readonly Detection[]} */
    this.detections = [];
    /** @type {{ column: Column, ascending: boolean }} */
    this.sorting = { column: "confidence", ascending: false };
    /** @type {(index: number | null) => void} */
    this.onHighlight = () => {};
    /** @type {(index: number) => void} */
    this.onPick = () => {};
    this.rows = get("rows", HTMLTableSectionElement);
    this.#listen();
    this.showColumns();
  }

  /** @param {readonly Detection[]} detections */
  show(detections) {
    this.detections = detections;
    const large = detections.some(({ box }) => Math.max(box.x2, box.y2) >= FIVE_DIGITS);
    get("table-frame").classList.toggle("five-digits", large);
    const order = detections.map((_, index) => index).sort((a, b) => this.#compare(a, b));
    const focused = document.activeElement?.closest("#rows tr") ? this.#focusedPlace() : null;
    this.rows.replaceChildren(...order.map((index, place) => this.#row(index, place === 0)));
    if (focused !== null) this.#focus(Math.min(focused, order.length - 1));
  }

  /** @param {number | null} index */
  highlight(index) {
    for (const row of this.rows.rows) row.classList.toggle("on", Number(row.dataset.index) === index);
  }

  /** @param {number} index */
  reveal(index) {
    const place = [...this.rows.rows].findIndex((row) => Number(row.dataset.index) === index);
    this.#focus(place);
  }

  showColumns() {
    const heads = COLUMNS.map((column) => {
      const name = t(`results.${column}`);
      const sorted = this.sorting.column === column;
      const order = this.sorting.ascending ? "ascending" : "descending";
      const label = t("results.sort", { column: name });
      const button = make("button", { type: "button", "data-column": column, title: label }, ...heading(column, name));
      return make("th", { scope: "col", class: `c-${column}`, "aria-sort": sorted ? order : null }, button);
    });
    get("columns").replaceChildren(...heads);
  }

  /**
   * @param {number} a
   * @param {number} b
   */
  #compare(a, b) {
    const { column, ascending } = this.sorting;
    const [one, other] = [this.detections[a], this.detections[b]];
    if (!one || !other) return 0;
    const [x, y] = [SORT_BY[column](one), SORT_BY[column](other)];
    const difference = typeof x === "string" ? x.localeCompare(String(y)) : x - Number(y);
    return (ascending ? difference : -difference) || a - b;
  }

  /**
   * @param {number} index
   * @param {boolean} reachable
   */
  #row(index, reachable) {
    const found = /** @type {Detection} */ (this.detections[index]);
    const { x1, y1, x2, y2 } = found.box;
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = classColour(found.class);
    const button = make("button", { type: "button", tabindex: reachable ? 0 : -1 }, swatch, found.name);
    return make(
      "tr",
      { "data-index": index },
      make("th", { scope: "row", class: "c-class" }, button),
      make("td", { class: "c-confidence" }, found.confidence.toFixed(2)),
      make("td", { class: "c-position" }, `${Math.round(x1)}, ${Math.round(y1)}`),
      make("td", { class: "c-size" }, `${Math.round(x2 - x1)} × ${Math.round(y2 - y1)}`),
    );
  }

  #listen() {
    const { rows } = this;
    rows.addEventListener("pointerover", (event) => this.onHighlight(indexOf(event.target)));
    rows.addEventListener("pointerleave", () => this.onHighlight(null));
    rows.addEventListener("focusin", (event) => this.onHighlight(indexOf(event.target)));
    rows.addEventListener("focusout", () => this.onHighlight(null));
    rows.addEventListener("click", (event) => {
      const index = indexOf(event.target);
      if (index !== null) this.onPick(index);
    });
    rows.addEventListener("keydown", (event) => this.#key(event));
    get("columns").addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("button") : null;
      if (button?.dataset.column) this.#sort(/** @type {Column} */ (button.dataset.column));
    });
  }

  /** @param {Column} column */
  #sort(column) {
    const same = this.sorting.column === column;
    this.sorting = { column, ascending: same ? !this.sorting.ascending : column === "class" };
    this.showColumns();
    const button = get("columns").querySelector(`[data-column="${column}"]`);
    if (button instanceof HTMLElement) button.focus();
    this.show(this.detections);
  }

  #focusedPlace() {
    return [...this.rows.rows].findIndex((row) => row.contains(document.activeElement));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const place = this.#focusedPlace();
    const last = this.rows.rows.length - 1;
    /** @type {Record<string, number>} */
    const targets = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: last };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.#focus(Math.min(last, Math.max(0, target)));
  }

  /** @param {number} place */
  #focus(place) {
    for (const button of this.rows.querySelectorAll("button")) button.tabIndex = -1;
    const button = this.rows.rows[place]?.querySelector("button");
    if (!button) return;
    button.tabIndex = 0;
    button.focus();
  }
}

/**
 * A column's name; where there is little space, that of the confidence is short.
 * @param {Column} column
 * @param {string} name
 */
function heading(column, name) {
  if (column !== "confidence") return [name];
  return [make("span", { class: "wide-only" }, name), make("span", { class: "narrow-only", "aria-hidden": "true" }, t("results.confidenceShort"))];
}

/** @param {EventTarget | null} target */
function indexOf(target) {
  const row = target instanceof Element ? target.closest("tr") : null;
  return row?.dataset.index === undefined ? null : Number(row.dataset.index);
}

/** On a narrow screen the results come before the settings, for the keyboard too. */
export function putResultsFirst() {
  const narrow = matchMedia("(width < 860px)");
  const place = () => (narrow.matches ? get("panel").prepend(get("results")) : get("panel").append(get("results")));
  narrow.addEventListener("change", place);
  place();
}

/**
 * The time on the server, stage by stage.
 * @param {Record<string, number>} speed
 */
export function showSpeed(speed) {
  const stages = STAGES.filter((stage) => typeof speed[stage] === "number");
  const total = stages.reduce((sum, stage) => sum + (speed[stage] ?? 0), 0);
  get("speed").hidden = stages.length === 0;
  get("speed-total").textContent = t("speed.total", { time: milliseconds(total) });
  get("speed-bar").replaceChildren(
    ...stages.map((stage) => {
      const part = make("span", { class: `stage-${stage}` });
      part.style.flexGrow = String((speed[stage] ?? 0) / (total || 1));
      return part;
    }),
  );
  get("speed-list").replaceChildren(
    ...stages.map((stage) =>
      make(
        "li",
        {},
        make("span", { class: `key stage-${stage}`, "aria-hidden": "true" }),
        `${t(`stage.${stage}`)} `,
        make("b", {}, milliseconds(speed[stage])),
      ),
    ),
  );
}
