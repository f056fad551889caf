// The row of small pictures to go between. In, the pictures and which one shows; out, which one to
// show or to take away. It must never lose the keyboard's place when it is drawn again.

import { get, icon, make } from "./dom.js";
import { t } from "./i18n.js";

/** @typedef {import("./images.js").Picture} Picture */

export class Strip {
  constructor() {
    /** @type {(picture: Picture) => void} */
    this.onOpen = () => {};
    /** @type {(picture: Picture) => void} */
    this.onRemove = () => {};
    this.onRemoveAll = () => {};
    /** @type {(picture: Picture) => number} How many boxes to tell of. */
    this.count = () => 0;
    get("remove-all").addEventListener("click", () => this.onRemoveAll());
  }

  /**
   * @param {readonly Picture[]} list
   * @param {Picture | null} current
   * @param {boolean} live Whether the camera holds the stage.
   */
  show(list, current, live) {
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
    get("strip").hidden = list.length === 0;
    get("strip-end").hidden = live;
    get("remove-all").hidden = list.length < 2;
    get("thumbs").replaceChildren(...list.map((picture) => this.#item(picture, picture === current && !live)));
    const place = focused ? get("thumbs").querySelector(`[data-key="${focused}"]`) : null;
    if (place instanceof HTMLElement) place.focus();
  }

  /**
   * @param {Picture} picture
   * @param {boolean} current
   */
  #item(picture, current) {
    const { id, name, state } = picture;
    const told = {
      waiting: () => t("detect.waiting"),
      working: () => t("detect.working"),
      failed: () => t("detect.failed"),
      done: () => String(this.count(picture)),
    };
    const open = make(
      "button",
      {
        type: "button",
        class: "thumb",
        title: name,
        "data-state": state,
        "data-key": `open-${id}`,
        "aria-current": current ? "true" : null,
        "aria-label": `${t("detect.show", { name })}, ${told[state]()}`,
      },
      picture.drawable ? small(picture.address) : icon("picture"),
    );
    const label = t("detect.remove", { name });
    const remove = make("button", { type: "button", class: "thumb-remove", "data-key": `remove-${id}`, "aria-label": label }, icon("close"));
    open.addEventListener("click", () => this.onOpen(picture));
    remove.addEventListener("click", () => this.onRemove(picture));
    return make("li", {}, open, remove);
  }
}

/**
 * The picture itself, or a drawing where the browser cannot show its format.
 * @param {string} address
 */
function small(address) {
  const image = make("img", { src: address, alt: "", draggable: "false", decoding: "async", loading: "lazy" });
  image.addEventListener("error", () => image.replaceWith(icon("picture")));
  return image;
}
