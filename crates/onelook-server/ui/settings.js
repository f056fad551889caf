// Thresholds, model and size: takes the controls of the page, gives their values and a callback on
// changes.

import { get, make } from "./dom.js";
import { t } from "./i18n.js";
import { DEFAULTS } from "./nms.js";

/** @typedef {import("./api.js").Model} Model */

const SIZES = [320, 480, 640, 960, 1280];

export class Settings {
  constructor() {
    this.conf = get("conf", HTMLInputElement);
    this.iou = get("iou", HTMLInputElement);
    this.agnostic = get("agnostic", HTMLInputElement);
    this.model = get("model", HTMLSelectElement);
    this.imgsz = get("imgsz", HTMLSelectElement);
    /** @type {Model[]} */
    this.models = [];
    this.onThresholds = () => {};
    this.onModel = () => {};
    for (const input of [this.conf, this.iou, this.agnostic]) {
      input.addEventListener("input", () => this.#moved());
    }
    this.model.addEventListener("change", () => {
      this.#fillSizes();
      this.onModel();
    });
    this.imgsz.addEventListener("change", () => this.onModel());
    get("reset").addEventListener("click", () => this.#reset());
    this.#paint();
    this.#fillSizes();
  }

  get thresholds() {
    return {
      ...DEFAULTS,
      conf: this.conf.valueAsNumber,
      iou: this.iou.valueAsNumber,
      agnostic: this.agnostic.checked,
    };
  }

  /** The options of requests; nothing chosen stands for the server's default. */
  get options() {
    return { model: this.model.value || null, imgsz: this.imgsz.value || null };
  }

  /**
   * @param {string | null} name
   * @returns {Model | null}
   */
  find(name) {
    return this.models.find((model) => model.name === name) ?? null;
  }

  /** @param {Model[]} models */
  setModels(models) {
    this.models = models;
    const before = this.model.value;
    this.model.replaceChildren(
      ...models.map((model) => {
        const state = model.state === "ready" ? "" : ` (${t(`models.state.${model.state}`)})`;
        return make("option", { value: model.name }, `${model.name}${state}`);
      }),
    );
    const preferred = this.find(before) ?? models.find((model) => model.default) ?? models[0];
    this.model.value = preferred?.name ?? "";
    this.#fillSizes();
  }

  retranslate() {
    this.setModels(this.models);
  }

  /** The chosen model. */
  get chosen() {
    return this.find(this.model.value);
  }

  #fillSizes() {
    const model = this.chosen;
    const before = this.imgsz.value;
    const [height, width] = model?.image_size ?? [];
    const size = height === width ? height : `${height} × ${width}`;
    const first = size !== undefined ? t("settings.imgszModel", { size }) : t("settings.imgszDefault");
    const stride = model?.stride ?? 32;
    const sizes = model?.fixed_size ? [] : SIZES.filter((side) => side % stride === 0);
    this.imgsz.replaceChildren(
      make("option", { value: "" }, first),
      ...sizes.map((side) => make("option", { value: side }, `${side}`)),
    );
    this.imgsz.value = sizes.map(String).includes(before) ? before : "";
    this.imgsz.disabled = sizes.length === 0;
  }

  #moved() {
    this.#paint();
    this.onThresholds();
  }

  #reset() {
    this.conf.value = String(DEFAULTS.conf);
    this.iou.value = String(DEFAULTS.iou);
    this.agnostic.checked = DEFAULTS.agnostic;
    this.#moved();
    this.conf.focus();
  }

  #paint() {
    for (const input of [this.conf, this.iou]) {
      const [least, most] = [Number(input.min), Number(input.max)];
      const share = (input.valueAsNumber - least) / (most - least);
      input.style.setProperty("--share", `${share * 100}%`);
      get(`${input.id}-value`).textContent = input.valueAsNumber.toFixed(2);
    }
    const { conf, iou, agnostic } = this.thresholds;
    get("reset").hidden = conf === DEFAULTS.conf && iou === DEFAULTS.iou && agnostic === DEFAULTS.agnostic;
  }
}
