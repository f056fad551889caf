// Exports: copies results to the clipboard, and saves images and JSON as files. Everything is drawn
// in the browser at full size, without a request.

import { announce, get, save } from "./dom.js";
import { stem } from "./format.js";
import { t } from "./i18n.js";
import { paintImage } from "./paint.js";
import { readable } from "./record.js";

/** @typedef {import("./api.js").Detection} Detection */
/** @typedef {ReturnType<typeof import("./record.js").record>} Entry */
/**
 * @typedef {object} Source
 * @property {() => { name: string, image: CanvasImageSource | null, width: number, height: number, shown: Detection[], labels: boolean } | null} scene
 * @property {() => Entry | null} entry Of what is shown.
 * @property {() => Entry[]} entries Of all images.
 * @property {(text: string) => void} complain
 */

const COPIED_FOR_MS = 2000;
const JPEG_QUALITY = 0.92;

/** @param {Source} source */
export function startExports(source) {
  get("copy").addEventListener("click", () => void copy(source));
  get("save-png").addEventListener("click", () => saveImage(source, "image/png", "png"));
  get("save-jpeg").addEventListener("click", () => saveImage(source, "image/jpeg", "jpg"));
  get("save-json").addEventListener("click", () => {
    const entry = source.entry();
    if (entry) save(new Blob([`${readable(entry)}\n`], { type: "application/json" }), `${stem(entry.source)}.json`);
  });
  get("save-all").addEventListener("click", () => {
    const lines = source.entries().map((entry) => `${JSON.stringify(entry)}\n`);
    save(new Blob(lines, { type: "application/x-ndjson" }), "predictions.jsonl");
  });
}

/** @param {Source} source */
async function copy(source) {
  const entry = source.entry();
  if (!entry) return;
  try {
    await navigator.clipboard.writeText(readable(entry));
  } catch {
    getSelection()?.selectAllChildren(get("json"));
    source.complain(t("results.copyFailed"));
    return;
  }
  get("copy-text").textContent = t("results.copied");
  announce(t("results.copied"));
  setTimeout(() => {
    get("copy-text").textContent = t("results.copy");
  }, COPIED_FOR_MS);
}

/**
 * @param {Source} source
 * @param {string} type
 * @param {string} ending
 */
function saveImage(source, type, ending) {
  const scene = source.scene();
  if (!scene) return;
  const tooLarge = () => source.complain(t("results.tooLarge"));
  const canvas = paintImage(scene.image, scene.width, scene.height, scene.shown, scene.labels);
  if (!canvas) return tooLarge();
  const done = (/** @type {Blob | null} */ blob) =>
    blob ? save(blob, `${stem(scene.name)}-boxes.${ending}`) : tooLarge();
  canvas.toBlob(done, type, JPEG_QUALITY);
}
