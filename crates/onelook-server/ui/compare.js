// A second model beside the first: its own pane, which shows the same part of the same image. Asks
// the server once per image, model and size, and only for the image that shows.

import { detect } from "./api.js";
import { get, make } from "./dom.js";
import { plural, t } from "./i18n.js";
import { CANDIDATES, select } from "./nms.js";
import { aborted, explain } from "./problem.js";
import { Viewer } from "./viewer.js";

/** @typedef {import("./api.js").Detection} Detection */
/** @typedef {import("./api.js").Model} Model */
/** @typedef {import("./images.js").ImageItem} ImageItem */
/** @typedef {import("./nms.js").Thresholds} Thresholds */
/** @typedef {{ image: ImageItem | null, model: string | null, imgsz: string | null, thresholds: Thresholds, count: number }} Wanted */
/** @typedef {Detection[] | "working" | { problem: string }} Outcome */

export class Comparison {
  /** @param {Viewer} main The viewer of the first model. */
  constructor(main) {
    this.main = main;
    this.viewer = new Viewer(get("canvas-other", HTMLCanvasElement));
    this.choice = get("other-model", HTMLSelectElement);
    /** @type {WeakMap<ImageItem, Map<string, Outcome>>} */
    this.outcomes = new WeakMap();
    /** @type {Wanted | null} */
    this.wanted = null;
    /** @type {AbortController | null} */
    this.abort = null;
    this.onChange = () => {};
    this.choice.addEventListener("change", () => this.onChange());
    main.onView = () => this.viewer.follow(main);
    this.viewer.onView = () => main.follow(this.viewer);
  }

  /**
   * Fills in all models but the first.
   * @param {readonly Model[]} models
   * @param {string | null} first
   */
  setModels(models, first) {
    const before = this.choice.value;
    const others = models.filter(({ name }) => name !== first);
    get("other-field").hidden = others.length === 0;
    this.choice.replaceChildren(
      make("option", { value: "" }, t("compare.none")),
      ...others.map(({ name, state }) => make("option", { value: name }, state === "ready" ? name : `${name} (${t(`models.state.${state}`)})`)),
    );
    this.choice.value = others.some(({ name }) => name === before) ? before : "";
  }

  /**
   * Shows the second model's boxes on an image, or hides its pane.
   * @param {Wanted} wanted
   */
  show(wanted) {
    const model = this.choice.value;
    const { image } = wanted;
    const visible = model !== "" && image !== null && image.state === "done";
    this.wanted = visible ? wanted : null;
    get("viewer-other").hidden = !visible;
    get("pane-title").hidden = !visible;
    if (!visible) return;
    get("pane-title").textContent = `${wanted.model ?? ""}: ${plural("boxes", wanted.count)}`;
    const key = JSON.stringify([model, wanted.imgsz]);
    const outcomes = this.outcomes.get(image) ?? new Map();
    this.outcomes.set(image, outcomes);
    if (!outcomes.has(key)) void this.#ask(image, model, wanted.imgsz, key);
    this.#draw(image, model, outcomes.get(key) ?? "working", wanted.thresholds);
  }

  /**
   * @param {ImageItem} image
   * @param {string} model
   * @param {Outcome} outcome
   * @param {Thresholds} thresholds
   */
  #draw(image, model, outcome, thresholds) {
    const boxes = Array.isArray(outcome) ? select(outcome, thresholds) : [];
    const texts = Array.isArray(outcome) ? plural("boxes", boxes.length) : outcome === "working" ? t("detect.working") : outcome.problem;
    const text = `${model}: ${texts}`;
    if (get("other-title").textContent !== text) get("other-title").textContent = text;
    get("canvas-other").setAttribute("aria-label", `${image.name}, ${text}`);
    this.viewer.labels = this.main.labels;
    this.viewer.show(image.bitmap, image.width, image.height, true);
    this.viewer.follow(this.main);
    this.viewer.setDetections(boxes);
  }

  /**
   * @param {ImageItem} image
   * @param {string} model
   * @param {string | null} imgsz
   * @param {string} key
   */
  async #ask(image, model, imgsz, key) {
    this.abort?.abort();
    const { signal } = (this.abort = new AbortController());
    const outcomes = this.outcomes.get(image);
    outcomes?.set(key, "working");
    try {
      const { found } = await detect(image.blob, { model, imgsz, ...CANDIDATES }, signal);
      outcomes?.set(key, found.detections);
    } catch (error) {
      if (aborted(error)) outcomes?.delete(key);
      else outcomes?.set(key, { problem: explain(error) });
    }
    if (this.wanted?.image === image) this.show(this.wanted);
  }

  /** Asks again where the server refused. */
  retry() {
    const outcomes = this.wanted?.image && this.outcomes.get(this.wanted.image);
    for (const [key, outcome] of outcomes ?? []) {
      if (!Array.isArray(outcome) && outcome !== "working") outcomes?.delete(key);
    }
    if (this.wanted) this.show(this.wanted);
  }
}
