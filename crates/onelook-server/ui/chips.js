// The class filter: takes the number of boxes of each class, and gives the set of classes to show
// (empty for all). A chosen class stays chosen if an image has none of it.

import { classColour } from "./colour.js";
import { get, make } from "./dom.js";
import { plural, t } from "./i18n.js";

const SEARCH_FROM = 10;

export class Chips {
  constructor() {
    /** @type {Set<number>} */
    this.chosen = new Set();
    /** @type {Map<number, string>} */
    this.names = new Map();
    /** @type {{ class: number, name: string, count: number }[]} */
    this.counts = [];
    this.onChange = () => {};
    this.search = get("classes-search", HTMLInputElement);
    this.search.addEventListener("input", () => this.#render());
    get("classes-all").addEventListener("click", () => {
      this.clear();
      this.onChange();
      get("chips").querySelector("button")?.focus();
    });
    get("chips").addEventListener("click", (event) => this.#toggle(event));
  }

  clear() {
    this.chosen.clear();
    this.search.value = "";
    this.#render();
  }

  /** @param {{ class: number, name: string, count: number }[]} counts */
  show(counts) {
    const absent = [...this.chosen].filter((number) => !counts.some((entry) => entry.class === number));
    const zero = absent.map((number) => ({ class: number, name: this.names.get(number) ?? "", count: 0 }));
    this.counts = [...counts, ...zero];
    for (const { class: number, name } of counts) this.names.set(number, name);
    this.#render();
  }

  /** @param {Event} event */
  #toggle(event) {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (!button?.dataset.class) return;
    const number = Number(button.dataset.class);
    if (!this.chosen.delete(number)) this.chosen.add(number);
    this.onChange();
    this.#render();
  }

  #render() {
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.class : undefined;
    get("classes-card").hidden = this.counts.length === 0;
    get("classes-all").hidden = this.chosen.size === 0;
    this.search.hidden = this.counts.length < SEARCH_FROM;
    const wanted = this.search.hidden ? "" : this.search.value.trim().toLowerCase();
    const shown = this.counts.filter(({ name }) => name.toLowerCase().includes(wanted));
    const chips = shown.map((entry) => this.#chip(entry));
    get("chips").replaceChildren(...(chips.length > 0 ? chips : [make("p", { class: "hint" }, t("classes.none"))]));
    if (focused !== undefined) chips.find((chip) => chip.dataset.class === focused)?.focus();
  }

  /** @param {{ class: number, name: string, count: number }} entry */
  #chip({ class: number, name, count }) {
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = classColour(number);
    const label = t("classes.chip", { name, boxes: plural("boxes", count) });
    return make(
      "button",
      { type: "button", class: "chip", "data-class": number, "aria-pressed": `${this.chosen.has(number)}`, "aria-label": label },
      swatch,
      `${name} `,
      make("span", { class: "chip-count" }, String(count)),
    );
  }
}
