// The row of thumbnails: takes the images and the current one, reports which one to show or to
// remove. Keeps the keyboard focus when it is drawn again.

import { get, icon, make } from "./dom.js";
import { t } from "./i18n.js";

/** @typedef {import("./images.js").ImageItem} ImageItem */

export class Strip {
  constructor() {
    /** @type {(image: ImageItem) => void} */
    this.onOpen = () => {};
    /** @type {(image: ImageItem) => void} */
    this.onRemove = () => {};
    this.onRemoveAll = () => {};
    /** @type {(image: ImageItem) => number} How many boxes to tell of. */
    this.count = () => 0;
    get("remove-all").addEventListener("click", () => this.onRemoveAll());
  }

  /**
   * @param {readonly ImageItem[]} list
   * @param {ImageItem | null} current
   * @param {boolean} live Whether the viewer shows the camera.
   */
  show(list, current, live) {
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
    get("strip").hidden = list.length === 0;
    get("strip-end").hidden = live;
    get("remove-all").hidden = list.length < 2;
    get("thumbs").replaceChildren(...list.map((image) => this.#item(image, image === current && !live)));
    const place = focused ? get("thumbs").querySelector(`[data-key="${focused}"]`) : null;
    if (place instanceof HTMLElement) place.focus();
  }

  /**
   * @param {ImageItem} image
   * @param {boolean} current
   */
  #item(image, current) {
    const { id, name, state } = image;
    const stateText = {
      waiting: () => t("detect.waiting"),
      working: () => t("detect.working"),
      failed: () => t("detect.failed"),
      done: () => String(this.count(image)),
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
        "aria-label": `${t("detect.show", { name })}, ${stateText[state]()}`,
      },
      image.drawable ? small(image.address) : icon("image"),
    );
    const label = t("detect.remove", { name });
    const remove = make("button", { type: "button", class: "thumb-remove", "data-key": `remove-${id}`, "aria-label": label }, icon("close"));
    open.addEventListener("click", () => this.onOpen(image));
    remove.addEventListener("click", () => this.onRemove(image));
    return make("li", {}, open, remove);
  }
}

/**
 * The image itself, or a drawing where the browser cannot show its format.
 * @param {string} address
 */
function small(address) {
  const image = make("img", { src: address, alt: "", draggable: "false", decoding: "async", loading: "lazy" });
  image.addEventListener("error", () => image.replaceWith(icon("image")));
  return image;
}
