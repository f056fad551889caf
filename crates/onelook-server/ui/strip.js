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
    /** @type {(step: 1 | -1) => void} */
    this.onStep = () => {};
    /** @type {(image: ImageItem) => number} How many boxes to tell of. */
    this.count = () => 0;
    get("remove-all").addEventListener("click", () => this.onRemoveAll());
    get("thumbs").addEventListener("keydown", (event) => {
      const steps = { ArrowRight: /** @type {1} */ (1), ArrowLeft: /** @type {-1} */ (-1) };
      const step = event.key === "ArrowRight" || event.key === "ArrowLeft" ? steps[event.key] : null;
      if (step === null || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.onStep(step);
    });
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
    this.#showPlace(current ? list.indexOf(current) : -1, list.length, live);
  }

  /**
   * Moves the keyboard to the thumbnail of an image, if a thumbnail has it.
   * @param {ImageItem} image
   */
  follow(image) {
    const thumbs = get("thumbs");
    const wanted = thumbs.querySelector(`[data-key="open-${image.id}"]`);
    if (!(wanted instanceof HTMLElement)) return;
    if (thumbs.contains(document.activeElement)) wanted.focus();
    wanted.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /**
   * @param {number} place Of the current image.
   * @param {number} count
   * @param {boolean} live
   */
  #showPlace(place, count, live) {
    get("steps").hidden = count < 2 || place < 0 || live;
    get("step-place").textContent = `${place + 1} / ${count}`;
    get("previous").setAttribute("aria-disabled", String(place <= 0));
    get("next").setAttribute("aria-disabled", String(place >= count - 1));
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
      state === "done" ? make("span", { class: "thumb-count", "aria-hidden": "true" }, stateText.done()) : null,
    );
    const label = t("detect.remove", { name });
    const remove = make("button", { type: "button", class: "thumb-remove", "data-key": `remove-${id}`, "aria-label": label }, icon("close"));
    open.addEventListener("click", () => this.onOpen(image));
    remove.addEventListener("click", () => this.onRemove(image));
    return make("li", {}, open, make("span", { class: "thumb-name", title: name, "aria-hidden": "true" }, name), remove);
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
