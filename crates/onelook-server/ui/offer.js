// Offers to load the chosen model where the server has it and it is not loaded.

import { change, Problem } from "./api.js";
import { announce, get, make } from "./dom.js";
import { t } from "./i18n.js";
import { explain } from "./problem.js";

/** @typedef {import("./api.js").Model} Model */

export class LoadOffer {
  constructor() {
    /** @type {Set<string>} */
    this.busy = new Set();
    this.problem = "";
    /** @type {() => void} */
    this.onLoaded = () => {};
  }

  /** @param {Model | null} model */
  show(model) {
    const place = get("offer");
    const state = model && this.busy.has(model.name) ? "loading" : (model?.state ?? "ready");
    place.hidden = !model || state === "ready";
    if (!model || place.hidden) return place.replaceChildren();
    const text = t(state === "loading" ? "models.loading" : "offer.notLoaded", { name: model.name });
    const reason = this.problem || (state === "failed" ? (model.error ?? "") : "");
    place.replaceChildren(
      make("p", {}, text, reason ? make("span", { class: "bad" }, ` ${reason}`) : null),
      state === "loading" ? make("span", { class: "spinner", "aria-hidden": "true" }) : this.button(model.name),
    );
  }

  /**
   * A button that loads a model.
   * @param {string} name
   */
  button(name) {
    const button = make("button", { type: "button", class: "button small offer-load", "aria-label": t("models.loadLabel", { name }) }, t("models.load"));
    button.addEventListener("click", () => void this.#load(name));
    return button;
  }

  /** @param {string} name */
  async #load(name) {
    if (this.busy.has(name)) return;
    this.busy.add(name);
    this.problem = "";
    announce(t("models.loading", { name }));
    this.onLoaded();
    try {
      await change(name, "load");
      announce(t("models.loaded", { name }));
    } catch (error) {
      this.problem = explain(error);
    }
    this.busy.delete(name);
    this.onLoaded();
  }
}

/**
 * Whether an image failed because its model is not loaded.
 * @param {import("./images.js").ImageItem} image
 */
export function waitsForModel({ state, error }) {
  return state === "failed" && error instanceof Problem && error.details.type === "/problems/not-ready";
}
