// The next and the previous image: buttons, keys of the viewers and of the thumbnails, and arrow keys
// where nothing else has the keyboard.

import { get } from "./dom.js";

/** @typedef {(by: 1 | -1) => void} Step */

/**
 * @param {Step} step
 * @param {{ onStep: Step }[]} sources Viewers and thumbnails, which have keys of their own.
 */
export function startSteps(step, sources) {
  for (const source of sources) source.onStep = step;
  get("previous").addEventListener("click", () => step(-1));
  get("next").addEventListener("click", () => step(1));
  document.addEventListener("keydown", (event) => {
    const idle = document.activeElement === document.body || document.activeElement === get("main");
    if (!idle || get("page-detect").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  });
}
