// The Models page: shows /v1/models as cards, with buttons to load, reload and unload. Every action
// that affects a running model is confirmed first.

import { change, models } from "./api.js";
import { confirmed } from "./dialogs.js";
import { announce, get, make, message } from "./dom.js";
import { milliseconds, number } from "./format.js";
import { onLanguage, t } from "./i18n.js";
import { explain } from "./problem.js";

/** @typedef {import("./api.js").Model} Model */
/** @typedef {import("./i18n.js").Key} Key */

const EVERY_MS = 3000;
/** @type {Set<Key>} */
const WIDE = new Set(/** @type {Key[]} */ (["models.why", "models.licence", "models.source"]));

export class ModelsPage {
  constructor() {
    /** @type {Model[]} */
    this.models = [];
    /** @type {Map<string, string>} */
    this.problems = new Map();
    /** @type {Set<string>} */
    this.busy = new Set();
    this.visible = false;
    this.timer = 0;
    this.drawn = "";
    onLanguage(() => this.#render());
    document.addEventListener("visibilitychange", () => this.visible && void this.#look());
  }

  async enter() {
    this.visible = true;
    await this.#look();
  }

  leave() {
    this.visible = false;
    clearTimeout(this.timer);
  }

  async #look() {
    clearTimeout(this.timer);
    if (!this.visible || document.visibilityState !== "visible") return;
    try {
      this.models = await models();
      message(get("models-problem"), "");
      this.#render();
    } catch (error) {
      message(get("models-problem"), explain(error));
      if (error instanceof Error && "kind" in error && error.kind === "token") return;
    }
    this.timer = setTimeout(() => void this.#look(), EVERY_MS);
  }

  #render() {
    const drawn = JSON.stringify([document.documentElement.lang, this.models, [...this.problems], [...this.busy]]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
    const open = new Set([...document.querySelectorAll("#model-list details[open]")].map((part) => part.getAttribute("data-key")));
    const cards = this.models.map((model) => this.#card(model, open));
    get("model-list").replaceChildren(...(cards.length > 0 ? cards : [make("li", { class: "empty" }, t("models.none"))]));
    if (focused) refocus(focused);
  }

  /**
   * @param {Model} model
   * @param {Set<string | null>} open
   */
  #card(model, open) {
    const { name } = model;
    const state = this.busy.has(name) && model.state !== "ready" ? "loading" : model.state;
    const problem = this.problems.get(name) ?? model.error;
    const id = `model-${this.models.indexOf(model)}`;
    return make(
      "li",
      {},
      make(
        "article",
        { class: "card model", "aria-labelledby": id },
        make(
          "header",
          { class: "model-head" },
          make("h2", { id }, name),
          make("span", { class: "badge", "data-state": state }, t(`models.state.${state}`)),
          model.default ? make("span", { class: "badge plain" }, t("models.default")) : null,
          this.#actions(model),
        ),
        problem ? make("p", { class: "bad", role: "alert" }, problem) : null,
        facts(model),
        folded(model, "names", open, model.names && t("models.names", { count: model.names.length }), () => names(model)),
        folded(model, "notes", open, model.notes?.length ? t("models.notes") : null, () => notes(model)),
      ),
    );
  }

  /** @param {Model} model */
  #actions(model) {
    const { name } = model;
    const busy = this.busy.has(name) || model.state === "loading";
    const button = (/** @type {"load" | "reload" | "unload"} */ verb, /** @type {() => void} */ act) => {
      const element = make(
        "button",
        { type: "button", class: "button small", "data-key": `${verb}/${name}`, "aria-label": t(`models.${verb}Label`, { name }), "aria-disabled": busy ? "true" : null },
        t(`models.${verb}`),
      );
      element.addEventListener("click", () => {
        if (!this.busy.has(name)) act();
      });
      return element;
    };
    const loaded = model.state === "ready";
    const load = () => void this.#act(model, "load", loaded ? question("Reload", name) : null);
    const unload = () => void this.#act(model, "unload", question("Unload", name));
    return make(
      "div",
      { class: "row model-actions" },
      busy ? make("span", { class: "spinner", "aria-hidden": "true" }) : null,
      button(loaded ? "reload" : "load", load),
      loaded ? button("unload", unload) : null,
    );
  }

  /**
   * @param {Model} model
   * @param {"load" | "unload"} action
   * @param {{ title: string, text: string, yes: string } | null} words
   */
  async #act({ name }, action, words) {
    if (words && !(await confirmed(words))) return;
    this.busy.add(name);
    this.problems.delete(name);
    if (action === "load") announce(t("models.loading", { name }));
    this.#render();
    try {
      const changed = await change(name, action);
      this.models = this.models.map((model) => (model.name === name ? changed : model));
      announce(t(action === "load" ? "models.loaded" : "models.unloaded", { name }));
    } catch (error) {
      this.problems.set(name, explain(error));
    }
    this.busy.delete(name);
    await this.#look();
    this.#render();
    if (document.activeElement === document.body) refocus(`load/${name}`);
  }
}

/**
 * @param {"Reload" | "Unload"} verb
 * @param {string} name
 */
function question(verb, name) {
  return {
    title: t(`models.confirm${verb}`, { name }),
    text: t(`models.confirm${verb}Text`),
    yes: t(verb === "Reload" ? "models.reload" : "models.unload"),
  };
}

/** @param {string} key */
function refocus(key) {
  const wanted = [...document.querySelectorAll("#model-list [data-key]")];
  const [verb, name] = [key.split("/")[0], key.slice(key.indexOf("/") + 1)];
  const exact = wanted.find((element) => element.getAttribute("data-key") === key);
  const other = wanted.find((element) => element.getAttribute("data-key") === `${verb === "load" ? "reload" : "load"}/${name}`);
  const target = exact ?? other;
  if (target instanceof HTMLElement) target.focus();
}

/** @param {Model} model */
function facts(model) {
  const size = model.image_size?.join(" × ");
  const sizes = size && t(model.fixed_size ? "models.fixed" : "models.free", { size });
  const waiting = model.queue && t("models.queueOf", { length: model.queue.length, capacity: model.queue.capacity });
  /** @type {[Key, string | null | undefined][]} */
  const rows = [
    ["models.task", model.task],
    ["models.architecture", model.architecture],
    ["models.classes", model.classes === null ? null : number(model.classes)],
    ["models.imageSize", sizes],
    ["models.stride", model.stride === null ? null : number(model.stride)],
    ["models.precision", model.precision],
    ["models.device", model.device],
    ["models.version", model.version === null ? null : String(model.version)],
    ["models.loadTime", model.load_ms === null ? null : milliseconds(model.load_ms)],
    ["models.batch", model.max_batch === null ? null : number(model.max_batch)],
    ["models.queue", waiting],
    ["models.why", model.device_reason],
    ["models.source", model.source],
    ["models.licence", model.licence],
  ];
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", { class: "details" }, ...known.map(([key, value]) => make("div", { class: WIDE.has(key) ? "wide" : null }, make("dt", {}, t(key)), make("dd", {}, value))));
}

/**
 * @param {Model} model
 * @param {string} part
 * @param {Set<string | null>} open
 * @param {string | null | undefined} title
 * @param {() => Node} content
 */
function folded(model, part, open, title, content) {
  if (!title) return null;
  const key = `${part}/${model.name}`;
  return make("details", { "data-key": key, open: open.has(key) }, make("summary", {}, title), content());
}

/** @param {Model} model */
function names(model) {
  return make("ol", { class: "names", start: 0 }, ...(model.names ?? []).map((name, place) => make("li", {}, make("span", {}, String(place)), name)));
}

/** @param {Model} model */
function notes(model) {
  const rows = (model.notes ?? []).map(([key, value]) => make("div", {}, make("dt", {}, key), make("dd", {}, value)));
  return make("dl", { class: "details notes" }, ...rows);
}
